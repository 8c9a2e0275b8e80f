"""Likely wordings of a clip: the search finds what adding up all alignments finds, and the LLM's view decides."""

import itertools

import numpy as np
import pytest

from exomni.model.ctc_hypotheses import Wording, changed, changes_of, likely_wordings, most_sensible


def log_probs(n_steps: int, n_tokens: int, seed: int) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(0, 1.5, (n_steps, 1 + n_tokens)).astype(np.float32)
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)


def by_all_alignments(table: np.ndarray) -> dict[tuple[int, ...], float]:
    """Log-probability of each wording, summed over every way to align it."""
    found: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(table.shape[1]), repeat=len(table)):
        ids = tuple(place - 1 for place, _ in itertools.groupby(path) if place)
        total = sum(float(row[place]) for row, place in zip(table, path, strict=True))
        found[ids] = float(np.logaddexp(found.get(ids, -np.inf), total))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_search_finds_every_wording(seed):
    table = log_probs(5, 3, seed)
    wanted = by_all_alignments(table)
    found = {r.ids: r.log_prob for r in likely_wordings(table, beam=len(wanted))}
    assert found.keys() == wanted.keys()
    for ids, log_prob in wanted.items():
        assert found[ids] == pytest.approx(log_prob, abs=1e-4)


def test_the_likeliest_comes_first():
    found = likely_wordings(log_probs(12, 40, 0), beam=6)
    assert len(found) == 6
    assert [r.log_prob for r in found] == sorted((r.log_prob for r in found), reverse=True)


def test_no_speech_reads_as_nothing():
    silent = np.log(np.array([[0.98, 0.01, 0.01]] * 4))
    assert likely_wordings(silent)[0] == Wording((), pytest.approx(4 * np.log(0.98)))
    assert likely_wordings(np.zeros((0, 3))) == [Wording((), 0.0)]


def wording(words: str, log_prob: float) -> Wording:
    return Wording(tuple(VOCABULARY.index(word) for word in words.split()), log_prob)


VOCABULARY = ["the", "see", "sea", "was", "com", "calm", "very"]
HEARD = [
    wording("the see was com", -1.0),
    wording("the sea was com", -2.0),
    wording("the see was calm", -2.5),
    wording("the sea was calm", -3.5),  # two changes at once
    wording("the see was very com", -4.0),
    wording("the see com", -5.0),
    wording("the was com", -6.0),
]


def text_of(ids) -> str:
    return " ".join(VOCABULARY[i] for i in ids)


def test_a_change_is_another_wording_in_one_place():
    found = changes_of(HEARD)
    assert [(c.start, c.stop, text_of(c.ids)) for c in found] == [
        (1, 2, "sea"), (3, 4, "calm"), (3, 3, "very"), (2, 3, ""), (1, 2, ""),
    ]  # fmt: skip
    assert [c.log_prob for c in found] == [-1.0, -1.5, -3.0, -4.0, -5.0]


@pytest.mark.parametrize(
    ("asked", "wanted"), [((), "the see was com"), ((0, 1), "the sea was calm"), ((3,), "the see com")]
)
def test_changes_are_made(asked, wanted):
    changes = changes_of(HEARD)
    assert text_of(changed(HEARD[0].ids, [changes[i] for i in asked])) == wanted


def test_changes_of_one_place_exclude_each_other():
    sea, calm, very, no_was, no_see = changes_of(HEARD)
    assert sea.excludes(no_see)
    assert not sea.excludes(calm)
    assert calm.excludes(very)  # where the new word would stand is taken
    assert not no_was.excludes(sea)


def test_what_the_llm_would_rather_hear_is_taken():
    def rather(text, others):
        assert text == "the see was com"
        return [6.0 * (("sea" in other) + ("calm" in other)) for other in others]

    assert text_of(most_sensible(HEARD, text_of, rather)) == "the sea was calm"


def test_the_listener_is_not_overruled_lightly():
    def rather(text, others):
        return [1.0] * len(others)

    assert most_sensible(HEARD, text_of, rather) == HEARD[0].ids
    assert most_sensible(HEARD[:1], text_of, None) == HEARD[0].ids  # nothing to ask


def test_changes_that_say_the_same_are_one():
    asked = []

    def rather(text, others):
        asked.extend(others)
        return [5.0] * len(others)

    # "a" and "aa": leaving one out and replacing the other say the same, and both together something else.
    pieces = ["a", "aa"]
    heard = [Wording((0, 1), -1.0), Wording((1,), -2.0), Wording((0, 0), -2.5), Wording((1, 0), -3.0)]
    found = most_sensible(heard, lambda ids: "".join(pieces[i] for i in ids), rather)
    assert asked == ["aa"]
    assert found == (1,)
