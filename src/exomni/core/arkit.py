"""The 52 ARKit blendshapes by name; at least three orders circulate, so everything maps by NAME."""

from collections.abc import Sequence

from .errors import FormatError

NAMES: tuple[str, ...] = tuple(
    """browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff cheekSquintLeft
    cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft eyeLookDownRight eyeLookInLeft eyeLookInRight
    eyeLookOutLeft eyeLookOutRight eyeLookUpLeft eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft
    eyeWideRight jawForward jawLeft jawOpen jawRight mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft
    mouthFrownRight mouthFunnel mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight
    mouthPucker mouthRight mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft
    mouthSmileRight mouthStretchLeft mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft
    noseSneerRight tongueOut""".split()
)
"""The project's own order (alphabetical), which A2F JSON and the published model use too."""

K = len(NAMES)
INDEX: dict[str, int] = {name: i for i, name in enumerate(NAMES)}

EXPRESSION: tuple[str, ...] = tuple(
    n for n in NAMES if n.startswith(("brow", "eyeSquint", "cheekSquint", "mouthSmile", "mouthFrown"))
)
"""Shapes that carry expression rather than articulation."""

MOUTH: tuple[str, ...] = tuple(n for n in NAMES if n.startswith(("jaw", "mouth", "tongue")) and n not in EXPRESSION)
"""Shapes that carry articulation."""

EYES: tuple[str, ...] = tuple(n for n in NAMES if n.startswith(("eyeBlink", "eyeLook")))
"""Shapes of blinks and glances, which nothing in speech determines."""


def indices(names: Sequence[str]) -> list[int]:
    """Columns of `names` in the project's order.

    Raises:
        FormatError: a name is not one of the 52.
    """
    unknown = [n for n in names if n not in INDEX]
    if unknown:
        raise FormatError(f"not ARKit blendshape names: {', '.join(unknown)}")
    return [INDEX[n] for n in names]
