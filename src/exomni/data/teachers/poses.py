"""The mouth of each phoneme, and how firmly the phoneme insists on it.

Our choice, from articulatory phonetics, set by measuring and looking on the head of `exomni.face`: on it
`jawOpen` opens the lips by 33 mm at 1, `mouthFunnel` by 12, and `mouthClose` equal to `jawOpen` closes them
exactly. Lips that must touch are not here but in `lips`, which solves them on the mesh.
"""

from dataclasses import dataclass
from importlib import resources

import yaml

CHANNELS: tuple[str, ...] = ("jaw", "funnel", "pucker", "spread", "upper", "lower", "tongue")
"""What coarticulation blends: jawOpen; mouthFunnel; mouthPucker; corners drawn back; upper lip raised; lower
lip lowered; tongueOut."""


@dataclass(frozen=True)
class Pose:
    """Targets in the order of CHANNELS, and weights with which they are held against the neighbours'.

    The weights are for the jaw, for rounding (funnel, pucker, spread), for the lips (upper, lower) and for
    the tongue; 0 leaves the articulator to the neighbours.
    """

    targets: tuple[float, float, float, float, float, float, float]
    jaw: float = 1.0
    rounding: float = 1.0
    lips: float = 1.0
    tongue: float = 1.0

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each channel."""
        return (self.jaw, *[self.rounding] * 3, *[self.lips] * 2, self.tongue)


_LISTS = yaml.safe_load((resources.files("exomni.data.teachers") / "poses.yaml").read_text("utf-8"))


def _read_poses() -> dict[str, Pose]:
    poses: dict[str, Pose] = {}
    for row in _LISTS["poses"].values():
        symbols, targets = row.pop("symbols"), tuple(row.pop("targets"))
        poses |= dict.fromkeys(symbols or ("",), Pose(targets, **row))
    return poses


POSES: dict[str, Pose] = _read_poses()
"""The mouth of each phoneme, from `poses.yaml`; "" is silence."""

DIPHTHONGS: dict[str, tuple[str, str]] = {capital: tuple(vowels) for capital, vowels in _LISTS["diphthongs"].items()}
"""The voice's capitals: from, to."""
GLIDE_AT = 0.55
"""The part of a diphthong that its first vowel takes."""

CLOSED = frozenset("pbm")
"""Phonemes for which the lips meet."""
LIP_ON_TEETH = frozenset("fvʋ")
"""Phonemes for which the lower lip meets the upper teeth."""
STRESS_GAIN = {2: 1.0, 1: 0.88, 0: 0.74}
"""How much of a full vowel's jaw and lips is left at each stress."""
