"""Who is built: identity, complexion and hair of each person."""

from collections.abc import Mapping
from dataclasses import dataclass

from .hair import Cut
from .paint import Complexion


@dataclass(frozen=True)
class Person:
    """A person to build.

    Attributes:
        identity: weight of each of MakeHuman's identity targets.
        rest: weights of the ARKit shapes that make the resting face.
        complexion: the skin.
        cut: the hair.
        hair: linear RGB.
        iris: linear RGB around the pupil and at the border.
        shirt: linear RGB.
        collar_width, collar_half_mm: width of the collar relative to a close one, and half its height.
        lash_length: relative to MakeHuman's.
        n_brow_hairs: of each brow.
    """

    identity: Mapping[str, float]
    rest: Mapping[str, float]
    complexion: Complexion
    cut: Cut
    hair: tuple[float, float, float]
    iris: tuple[tuple[float, float, float], tuple[float, float, float]]
    shirt: tuple[float, float, float]
    collar_width: float
    collar_half_mm: float
    lash_length: float
    n_brow_hairs: int


WOMAN = Person(
    identity={
        "macrodetails/caucasian-female-young": 0.6,
        "macrodetails/asian-female-young": 0.2,
        "macrodetails/african-female-young": 0.2,
        "macrodetails/universal-female-young-averagemuscle-averageweight": 1.0,
    },
    rest={"mouthClose": 0.055, "mouthSmileLeft": 0.10, "mouthSmileRight": 0.10},
    complexion=Complexion(
        skin=(0.58, 0.345, 0.25),
        blush=(0.57, 0.235, 0.18),
        lips=(0.42, 0.135, 0.125),
        hair=(0.075, 0.036, 0.020),
        freckles=0.4,
        stubble=0.0,
        brow_half_mm=3.4,
        make_up=0.25,
    ),
    cut=Cut(980, 8, 5.2, 16.0, 0.0, 0.0, 630.0, 0.2, 0.9, 7.0, 3),
    hair=(0.15, 0.072, 0.038),
    iris=((0.16, 0.10, 0.045), (0.075, 0.085, 0.05)),
    shirt=(0.10, 0.20, 0.24),
    collar_width=1.22,
    collar_half_mm=4.5,
    lash_length=1.0,
    n_brow_hairs=300,
)
MAN = Person(
    identity={
        "macrodetails/caucasian-male-young": 0.6,
        "macrodetails/asian-male-young": 0.15,
        "macrodetails/african-male-young": 0.25,
        "macrodetails/universal-male-young-averagemuscle-averageweight": 1.0,
    },
    rest={
        "mouthClose": 0.055,
        "mouthSmileLeft": 0.08,
        "mouthSmileRight": 0.08,
        "eyeWideLeft": 0.25,
        "eyeWideRight": 0.25,
    },
    complexion=Complexion(
        skin=(0.44, 0.25, 0.165),
        blush=(0.43, 0.185, 0.13),
        lips=(0.33, 0.135, 0.115),
        hair=(0.022, 0.015, 0.011),
        freckles=0.1,
        stubble=0.8,
        brow_half_mm=4.6,
        make_up=0.0,
    ),
    cut=Cut(2100, 4, 2.2, 20.0, 34.0, 11.0, 0.0, 0.40, 0.2, 5.0, 5),
    hair=(0.040, 0.026, 0.019),
    iris=((0.085, 0.045, 0.02), (0.05, 0.028, 0.015)),
    shirt=(0.20, 0.19, 0.18),
    collar_width=1.0,
    collar_half_mm=6.0,
    lash_length=0.75,
    n_brow_hairs=380,
)
PEOPLE: Mapping[str, Person] = {"woman": WOMAN, "man": MAN}
