"""The mouth of each phoneme, and how firmly the phoneme insists on it.

Our choice, from articulatory phonetics, set by measuring and looking on the head of `exomni.face`: on it
`jawOpen` opens the lips by 33 mm at 1, `mouthFunnel` by 12, and `mouthClose` equal to `jawOpen` closes them
exactly. Lips that must touch are not here but in `lips`, which solves them on the mesh.
"""

from dataclasses import dataclass

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


REST = Pose((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), jaw=1.2, lips=1.2)

_BILABIAL = Pose((0.06, 0.0, 0.05, 0.0, 0.0, 0.0, 0.0), jaw=0.8, rounding=0.12, lips=0.6, tongue=0.5)
_LABIODENTAL = Pose((0.05, 0.0, 0.0, 0.05, 0.0, 0.0, 0.0), jaw=1.2, rounding=0.35, lips=0.8)
_DENTAL = Pose((0.10, 0.0, 0.0, 0.06, 0.12, 0.14, 0.55), jaw=1.5, rounding=0.3, lips=1.0, tongue=3.0)
_ALVEOLAR = Pose((0.08, 0.0, 0.0, 0.06, 0.12, 0.14, 0.0), jaw=0.9, rounding=0.15, lips=0.7)
_LATERAL = Pose((0.13, 0.0, 0.0, 0.05, 0.12, 0.10, 0.10), jaw=0.7, rounding=0.15, lips=0.7)
_SIBILANT = Pose((0.03, 0.0, 0.0, 0.18, 0.28, 0.32, 0.0), jaw=2.2, rounding=0.4, lips=1.4)
_POSTALVEOLAR = Pose((0.04, 0.52, 0.32, 0.0, 0.12, 0.12, 0.0), jaw=2.0, rounding=1.8, lips=1.2)
_VELAR = Pose((0.14, 0.0, 0.0, 0.04, 0.08, 0.08, 0.0), jaw=0.5, rounding=0.05, lips=0.4)
_GLOTTAL = Pose((0.12, 0.0, 0.0, 0.0, 0.0, 0.05, 0.0), jaw=0.1, rounding=0.03, lips=0.1, tongue=0.5)
_RHOTIC = Pose((0.07, 0.28, 0.38, 0.0, 0.0, 0.05, 0.0), jaw=0.8, rounding=1.0, lips=0.7)
_W = Pose((0.045, 0.22, 0.85, 0.0, 0.0, 0.0, 0.0), jaw=1.6, rounding=2.4, lips=1.0)
_J = Pose((0.06, 0.0, 0.0, 0.30, 0.14, 0.14, 0.0), jaw=1.0, rounding=0.8, lips=0.6)

_I = Pose((0.07, 0.0, 0.0, 0.45, 0.24, 0.20, 0.0))
_IH = Pose((0.12, 0.0, 0.0, 0.26, 0.18, 0.16, 0.0))
_EH = Pose((0.21, 0.0, 0.0, 0.24, 0.20, 0.16, 0.0))
_AE = Pose((0.30, 0.0, 0.0, 0.32, 0.26, 0.18, 0.0))
_AH = Pose((0.36, 0.0, 0.0, 0.06, 0.12, 0.12, 0.0))
_UH = Pose((0.23, 0.03, 0.0, 0.04, 0.10, 0.12, 0.0))
_SCHWA = Pose((0.13, 0.02, 0.0, 0.05, 0.07, 0.10, 0.0), jaw=0.6, rounding=0.25, lips=0.6)
_ER = Pose((0.12, 0.26, 0.30, 0.0, 0.0, 0.06, 0.0))
_AO = Pose((0.24, 0.34, 0.18, 0.0, 0.0, 0.06, 0.0), rounding=1.2)
_O = Pose((0.15, 0.42, 0.42, 0.0, 0.0, 0.04, 0.0), rounding=1.4)
_OO = Pose((0.09, 0.30, 0.52, 0.0, 0.0, 0.04, 0.0), rounding=1.4)
_U = Pose((0.06, 0.25, 0.78, 0.0, 0.0, 0.02, 0.0), jaw=1.2, rounding=1.8)
_A = Pose((0.35, 0.0, 0.0, 0.14, 0.16, 0.14, 0.0))

POSES: dict[str, Pose] = {
    "": REST,
    **dict.fromkeys("pbm", _BILABIAL),
    **dict.fromkeys("fvʋɸβ", _LABIODENTAL),
    **dict.fromkeys("θð", _DENTAL),
    **dict.fromkeys("tdnTɾʈɖɳɲɽ", _ALVEOLAR),
    **dict.fromkeys("lʎ", _LATERAL),
    **dict.fromkeys("szʣʦɕʥʨʝç", _SIBILANT),
    **dict.fromkeys("ʃʒʧʤʂꭧ", _POSTALVEOLAR),
    **dict.fromkeys("kɡŋcqxɟɣχɰɴʁ", _VELAR),
    **dict.fromkeys("hʔ", _GLOTTAL),
    **dict.fromkeys("ɹrɻ", _RHOTIC),
    **dict.fromkeys("wɥ", _W),
    "j": _J,
    "i": _I,
    **dict.fromkeys("ɪyɨ", _IH),
    **dict.fromkeys("ɛeø", _EH),
    "æ": _AE,
    **dict.fromkeys("ɑɒ", _AH),
    **dict.fromkeys("ʌœ", _UH),
    **dict.fromkeys("əɐᵊᵻɤ", _SCHWA),
    **dict.fromkeys("ɜɚ", _ER),
    "ɔ": _AO,
    "o": _O,
    "ʊ": _OO,
    **dict.fromkeys("uɯ", _U),
    "a": _A,
}

DIPHTHONGS: dict[str, tuple[str, str]] = {
    "A": ("e", "i"),
    "I": ("a", "ɪ"),
    "W": ("a", "ʊ"),
    "O": ("o", "ʊ"),
    "Q": ("ə", "ʊ"),
    "Y": ("o", "ɪ"),
}
"""The voice's capitals: from, to."""
GLIDE_AT = 0.55
"""The part of a diphthong that its first vowel takes."""

CLOSED = frozenset("pbm")
"""Phonemes for which the lips meet."""
LIP_ON_TEETH = frozenset("fvʋ")
"""Phonemes for which the lower lip meets the upper teeth."""
STRESS_GAIN = {2: 1.0, 1: 0.88, 0: 0.74}
"""How much of a full vowel's jaw and lips is left at each stress."""
