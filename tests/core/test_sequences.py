"""Where sequences are alike."""

import pytest

from exomni.core.sequences import n_shared, n_shared_ends


@pytest.mark.parametrize(
    ("one", "other", "starts", "ends"),
    [("abcd", "abxd", 2, 1), ("abab", "ab", 2, 0), ("", "a", 0, 0), ("same", "same", 4, 0), ("xbc", "bc", 0, 2)],
)
def test_what_two_sequences_share(one, other, starts, ends):
    assert n_shared(one, other) == n_shared(other, one) == starts
    assert n_shared_ends(list(one), list(other)) == n_shared_ends(tuple(other), tuple(one)) == ends
