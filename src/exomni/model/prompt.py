"""From a conversation to what the language model reads: the chat format, and speech among the tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..core.errors import InputError
from .tokens import IGNORE_INDEX, SPEECH_MARKER

USER_TURN = "<|im_start|>user\n{}<|im_end|>\n"
ASSISTANT = "<|im_start|>assistant\n"
ASSISTANT_TURN = ASSISTANT + "{}<|im_end|>\n"
AUDIO_MARKER = "\ue000"
"""Stands in a turn's text where its input audio belongs; a character that no language uses."""
SYSTEM_TEXT = (
    "You are a multimodal assistant that understands both speech and text, and can respond using natural "
    "language or synthesized speech."
)
"""What the published model was taught to be told first."""


@dataclass(frozen=True)
class ChatMessage:
    """One turn of a conversation.

    Attributes:
        role: who speaks.
        text: what was written; a marker typed here is text like any other.
        has_speech: a clip of speech comes before the text, in this very turn.
    """

    role: Literal["system", "user", "assistant"]
    text: str
    has_speech: bool = False


def prompt_ids(messages: Sequence[ChatMessage], tokenize: Callable[[str], list[int]]) -> list[int]:
    """Token ids of a conversation in the published model's chat format, SPEECH_MARKER where a clip belongs.

    Args:
        messages: the conversation, the request last.
        tokenize: text to ids, chat tokens understood, nothing added; called for each piece between clips.
    """
    ids: list[int] = []
    text = ""
    for message in messages:
        text += f"<|im_start|>{message.role}\n"
        if message.has_speech:
            ids += [*tokenize(text), SPEECH_MARKER]
            text = "\n" if message.text else ""
        text += f"{message.text}<|im_end|>\n"
    return ids + tokenize(text + ASSISTANT)


@dataclass(frozen=True)
class AssembledPrompt:
    """Prompts as embeddings.

    Attributes:
        inputs_embeds: [B, L, D], zero where padded.
        attention_mask: True where a position counts, [B, L].
        position_ids: within each row, 0 where padded, [B, L].
        labels: [B, L], IGNORE_INDEX at speech and padding; None if none were given.
    """

    inputs_embeds: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    labels: Tensor | None


def assemble(
    input_ids: Tensor,
    clips: Sequence[Tensor],
    embed: Callable[[Tensor], Tensor],
    *,
    attention_mask: Tensor | None = None,
    labels: Tensor | None = None,
    max_length: int | None = None,
    padding_side: Literal["left", "right"] = "right",
) -> AssembledPrompt:
    """Put clips of speech where their markers are.

    Args:
        input_ids: [B, T], SPEECH_MARKER where a clip belongs.
        clips: projected speech, each [T_clip, D], in the order of the markers, row by row.
        embed: token ids [T] to embeddings [T, D].
        attention_mask: True where an id counts, [B, T]; None counts all.
        labels: [B, T], for training.
        max_length: longer rows are cut at the end; None cuts nothing.
        padding_side: where shorter rows are padded.
    Raises:
        InputError: markers and clips differ in number.
    """
    keep = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    n_markers = int(((input_ids == SPEECH_MARKER) & keep).sum())
    if n_markers != len(clips):
        raise InputError(f"the prompt has {n_markers} places for speech and {len(clips)} clips were given")
    waiting = iter(clips)
    rows, row_labels = [], []
    for index, kept in enumerate(keep):
        ids = input_ids[index][kept]
        targets = torch.full_like(ids, IGNORE_INDEX) if labels is None else labels[index][kept]
        row, target = _fill_row(ids, targets, waiting, embed)
        rows.append(row[:max_length])
        row_labels.append(target[:max_length])
    return _pad_rows(rows, None if labels is None else row_labels, padding_side)


def _fill_row(ids: Tensor, targets: Tensor, clips, embed: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """One row with its clips in place, [L, D], and its labels [L]."""
    is_marker = ids == SPEECH_MARKER
    embedded = embed(ids.masked_fill(is_marker, 0))
    parts, labels, begin = [], [], 0
    for place in is_marker.nonzero()[:, 0].tolist():
        clip = next(clips).to(embedded.dtype)
        parts += [embedded[begin:place], clip]
        labels += [targets[begin:place], targets.new_full((len(clip),), IGNORE_INDEX)]
        begin = place + 1
    return torch.cat([*parts, embedded[begin:]]), torch.cat([*labels, targets[begin:]])


def _pad_rows(rows: list[Tensor], labels: list[Tensor] | None, side: Literal["left", "right"]) -> AssembledPrompt:
    longest, device = max(len(row) for row in rows), rows[0].device
    embeds = rows[0].new_zeros(len(rows), longest, rows[0].shape[1])
    mask = torch.zeros(len(rows), longest, dtype=torch.bool, device=device)
    positions = torch.zeros(len(rows), longest, dtype=torch.long, device=device)
    padded_labels = torch.full_like(positions, IGNORE_INDEX)
    for index, row in enumerate(rows):
        begin = longest - len(row) if side == "left" else 0
        place = slice(begin, begin + len(row))
        embeds[index, place], mask[index, place] = row, True
        positions[index, place] = torch.arange(len(row), device=device)
        if labels is not None:
            padded_labels[index, place] = labels[index]
    return AssembledPrompt(embeds, mask, positions, None if labels is None else padded_labels)
