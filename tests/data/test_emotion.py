"""Emotion from words."""

import numpy as np
import pytest

from exomni.core.emotion import EMOTIONS
from exomni.data.text_emotion import PHRASES, WORDS, estimate_emotion


@pytest.mark.parametrize(
    ("text", "felt"),
    [
        ("I am so happy for you!", "joy"),
        ("What a wonderful surprise, my friend!", "joy"),
        ("Thank you, that is very kind.", "joy"),
        ("I'm sorry to hear that your dog died.", "sadness"),
        ("I feel so sad and lonely today.", "sadness"),
        ("I’m not happy about this.", "sadness"),
        ("How dare you talk to me like that!", "anger"),
        ("I'm really angry with my boss.", "anger"),
        ("That smells absolutely disgusting.", "disgust"),
        ("I'm terrified of spiders.", "fear"),
    ],
)
def test_plain_feelings_are_found(text: str, felt: str) -> None:
    vector = estimate_emotion(text)
    assert EMOTIONS[int(vector.argmax())] == felt
    assert vector.max() > 0.3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12345 ?!?"[:6],
        "Paris is the capital of France.",
        "To boil an egg, place it in boiling water for about seven minutes.",
        "The bus stops in front of the public library.",
        "You can use a hammer to break the glass.",
        "This is not a bad idea.",
        "The heart pumps blood through the body.",
        "How do vaccines work, and why do we need booster shots?",
        "他很高兴。",
    ],
)
def test_plain_facts_are_neutral(text: str) -> None:
    np.testing.assert_array_equal(estimate_emotion(text), np.zeros(5, np.float32))


def test_degree_exclamation_and_negation_count() -> None:
    joy = EMOTIONS.index("joy")
    plain = estimate_emotion("I am glad.")[joy]
    assert estimate_emotion("I am very glad.")[joy] > plain
    assert estimate_emotion("I am slightly glad.")[joy] < plain
    assert estimate_emotion("I am glad!")[joy] > plain
    assert estimate_emotion("I am not glad.")[joy] == 0
    assert not estimate_emotion("I am not afraid.").any()


def test_told_feelings_weigh_less_than_spoken_ones() -> None:
    fear = EMOTIONS.index("fear")
    assert 0 < estimate_emotion("Many people are afraid of spiders.")[fear] < estimate_emotion("I am afraid.")[fear]


def test_forms_of_a_word_count() -> None:
    for text in ("We celebrated.", "We are celebrating.", "I love hugs.", "She hugged me."):
        assert estimate_emotion(text)[EMOTIONS.index("joy")] > 0.2, text


def test_vectors_are_bounded_and_repeatable() -> None:
    text = "I love love love this wonderful, amazing, terrible, disgusting, horrible, scary, hateful mess!"
    vector = estimate_emotion(text)
    assert vector.dtype == np.float32
    assert vector.shape == (5,)
    assert vector.min() >= 0
    assert vector.max() <= 1
    np.testing.assert_array_equal(vector, estimate_emotion(text))


def test_the_word_list_is_sound() -> None:
    assert len(WORDS) > 350
    for emotion, weight in [*WORDS.values(), *PHRASES.values()]:
        assert emotion in EMOTIONS
        assert 0 < weight <= 1
