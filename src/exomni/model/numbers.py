"""The numbers that weights depend on beside their sizes: clocks and the order of blendshapes.

They are written beside every release and checked when it is loaded: weights that were trained for another frame rate
load without a fault and move a face at the wrong speed.
"""

from collections.abc import Mapping
from typing import Any

from ..core.arkit import NAMES
from ..core.errors import CheckpointError
from ..core.timebase import ENCODER_HZ, ENCODER_SAMPLE_HZ, FRAME_HZ, SAMPLE_HZ, UNIT_HZ

KEY = "numbers"


def numbers() -> dict[str, Any]:
    """What this version's weights are made for, as it is stored in `facts.json`."""
    return {
        "frame_hz": FRAME_HZ,
        "unit_hz": str(UNIT_HZ),
        "sample_hz": SAMPLE_HZ,
        "encoder_hz": ENCODER_HZ,
        "encoder_sample_hz": ENCODER_SAMPLE_HZ,
        "blendshapes": list(NAMES),
    }


def check_numbers(facts: Mapping[str, Any], where: str) -> None:
    """Refuse weights whose `facts` name other numbers; a release that names none was made for the present ones.

    Raises:
        CheckpointError: a number differs; says which.
    """
    stored, ours = facts.get(KEY, numbers()), numbers()
    if not isinstance(stored, Mapping):
        raise CheckpointError(f"{where}: {KEY!r} is not a mapping")
    for name, value in ours.items():
        if stored.get(name) != value:
            raise CheckpointError(
                f"{where}: these weights were trained for {name} {stored.get(name)!r}, and this version of exomni "
                f"works with {value!r}; train them again, or use the version that made them"
            )
