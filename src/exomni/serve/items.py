"""Items that clients put into a conversation."""

import numpy as np

from ..core.audio import resample
from ..core.timebase import ENCODER_SAMPLE_HZ, SAMPLE_HZ
from .audio_buffer import InvalidAudioError, decode_pcm16
from .conversation import Entry
from .protocol.items import Content, Item, new_id
from .refusals import Refusal

_KINDS = {
    "user": ("input_text", "input_audio"),
    "assistant": ("output_text", "output_audio"),
    "system": ("input_text",),
}


def entry_of(item: Item, most_s: float) -> tuple[Entry, np.ndarray | None]:
    """An item as the server keeps it, and what has to be heard before it is whole, float32 [N] at 16 kHz.

    Args:
        item: a client's.
        most_s: longest audio.
    Raises:
        Refusal: parts that do not belong to its role, or that are empty.
    """
    if not item.content:
        raise Refusal("invalid_event", "an item has at least one part", "item.content")
    texts, spoken = [], []
    for i, part in enumerate(item.content):
        where = f"item.content.{i}"
        if part.type not in _KINDS[item.role]:
            allowed = " or ".join(_KINDS[item.role])
            raise Refusal("invalid_event", f"{where}.type: {item.role} says {allowed}", f"{where}.type")
        text = part.text if part.type.endswith("text") else part.transcript
        if text is not None:
            texts.append(text)
        elif part.type == "input_audio" and part.audio is not None:
            spoken.append(_spoken(part, where))
        else:
            missing = "text" if part.type.endswith("text") else "audio" if item.role == "user" else "transcript"
            raise Refusal("invalid_event", f"{where}.{missing} is missing", f"{where}.{missing}")
    samples = np.concatenate(spoken) if spoken else None
    if samples is not None and len(samples) > most_s * SAMPLE_HZ:
        raise Refusal("audio_too_long", f"a turn lasts at most {most_s:g} s", "item.content")
    # Words that a client says were spoken have no times: such an item is text.
    kind = "output_text" if item.role == "assistant" else "input_audio" if spoken else "input_text"
    entry = Entry(item.id or new_id("item"), item.role, kind, "\n".join(texts))
    return entry, None if samples is None else resample(samples, SAMPLE_HZ, ENCODER_SAMPLE_HZ)


def _spoken(part: Content, where: str) -> np.ndarray:
    try:
        samples = decode_pcm16(part.audio)
    except InvalidAudioError as error:
        raise Refusal("invalid_audio", str(error), f"{where}.audio") from None
    if not len(samples):
        raise Refusal("invalid_audio", "the audio is empty", f"{where}.audio")
    return samples
