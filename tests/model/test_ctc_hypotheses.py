"""Likely hypotheses of a clip: the search finds what adding up all alignments finds, and the LLM's view decides."""

import itertools

import numpy as np
import pytest

from exomni.model.ctc_hypotheses import Hypothesis, apply_edits, beam_search, edits_of, rescore


def log_probs(n_steps: int, n_tokens: int, seed: int) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(0, 1.5, (n_steps, 1 + n_tokens)).astype(np.float32)
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)


def by_all_alignments(table: np.ndarray) -> dict[tuple[int, ...], float]:
    """Log-probability of each hypothesis, summed over every way to align it."""
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(table.shape[1]), repeat=len(table)):
        ids = tuple(place - 1 for place, _ in itertools.groupby(path) if place)
        total = sum(float(row[place]) for row, place in zip(table, path, strict=True))
        found[ids] = float(np.logaddexp(found.get(ids, -np.inf), total))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_search_finds_every_hypothesis(seed):
    table = log_probs(5, 3, seed)
    wanted = by_all_alignments(table)
    found = {r.ids: r.log_prob for r in beam_search(table, beam=len(wanted))}
    assert found.keys() == wanted.keys()
    for ids, log_prob in wanted.items():
        assert found[ids] == pytest.approx(log_prob, abs=1e-4)


def test_the_likeliest_comes_first():
    found = beam_search(log_probs(12, 40, 0), beam=6)
    assert len(found) == 6
    assert [r.log_prob for r in found] == sorted((r.log_prob for r in found), reverse=True)


def test_no_speech_reads_as_nothing():
    silent = np.log(np.array([[0.98, 0.01, 0.01]] * 4))
    assert beam_search(silent)[0] == Hypothesis((), pytest.approx(4 * np.log(0.98)))
    assert beam_search(np.zeros((0, 3))) == [Hypothesis((), 0.0)]


def hypothesis(words: str, log_prob: float) -> Hypothesis:
    return Hypothesis(tuple(VOCABULARY.index(word) for word in words.split()), log_prob)


VOCABULARY = ["the", "see", "sea", "was", "com", "calm", "very"]
HYPOTHESES = [
    hypothesis("the see was com", -1.0),
    hypothesis("the sea was com", -2.0),
    hypothesis("the see was calm", -2.5),
    hypothesis("the sea was calm", -3.5),  # two edits at once
    hypothesis("the see was very com", -4.0),
    hypothesis("the see com", -5.0),
    hypothesis("the was com", -6.0),
]


def text_of(ids) -> str:
    return " ".join(VOCABULARY[i] for i in ids)


def test_an_edit_is_another_hypothesis_in_one_place():
    found = edits_of(HYPOTHESES)
    assert [(c.start, c.stop, text_of(c.ids)) for c in found] == [
        (1, 2, "sea"), (3, 4, "calm"), (3, 3, "very"), (2, 3, ""), (1, 2, ""),
    ]  # fmt: skip
    assert [c.log_prob for c in found] == [-1.0, -1.5, -3.0, -4.0, -5.0]


@pytest.mark.parametrize(
    ("asked", "wanted"), [((), "the see was com"), ((0, 1), "the sea was calm"), ((3,), "the see com")]
)
def test_changes_are_made(asked, wanted):
    edits = edits_of(HYPOTHESES)
    assert text_of(apply_edits(HYPOTHESES[0].ids, [edits[i] for i in asked])) == wanted


def test_changes_of_one_place_exclude_each_other():
    sea, calm, very, no_was, no_see = edits_of(HYPOTHESES)
    assert sea.excludes(no_see)
    assert not sea.excludes(calm)
    assert calm.excludes(very)  # where the new word would stand is taken
    assert not no_was.excludes(sea)


def test_what_the_llm_finds_likelier_is_taken():
    def log_ratios(text, others):
        assert text == "the see was com"
        return [6.0 * (("sea" in other) + ("calm" in other)) for other in others]

    assert text_of(rescore(HYPOTHESES, text_of, log_ratios)) == "the sea was calm"


def test_the_listener_is_not_overruled_lightly():
    def log_ratios(text, others):
        return [1.0] * len(others)

    assert rescore(HYPOTHESES, text_of, log_ratios) == HYPOTHESES[0].ids
    assert rescore(HYPOTHESES[:1], text_of, None) == HYPOTHESES[0].ids  # nothing to ask


def test_changes_that_say_the_same_are_one():
    asked = []

    def log_ratios(text, others):
        asked.extend(others)
        return [5.0] * len(others)

    # "a" and "aa": leaving one out and replacing the other say the same, and both together something else.
    pieces = ["a", "aa"]
    hypotheses = [Hypothesis((0, 1), -1.0), Hypothesis((1,), -2.0), Hypothesis((0, 0), -2.5), Hypothesis((1, 0), -3.0)]
    found = rescore(hypotheses, lambda ids: "".join(pieces[i] for i in ids), log_ratios)
    assert asked == ["aa"]
    assert found == (1,)
