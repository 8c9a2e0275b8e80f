"""The paced unit generator behind its port, and the unit tokenizer for recordings."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ...core.clauses import speakable
from ...core.timebase import ENCODER_FRAMES_PER_UNIT
from ...model.config import SamplingConfig
from ...model.duration_pace import PacedUnitGenerator
from ...model.sampling import UnitSampler
from ...model.speech_decoder import GROUP_TICKS
from ...model.unit_tokenizer import UnitTokenizer
from ..ports import Clause, FeatureEncoder, SpeechUnits, SpokenText, Voice

SHORTEN_TICKS = 3
"""Most ticks that the closing silence may lose, so that a clause ends on a whole group of units."""


class PacedUnits:
    """Units by phonemes and their predicted durations (`UnitGenerator`).

    Args:
        network: with its weights.
        voice: whose phonemes it was trained on.
        sampling: how units are drawn.
    """

    def __init__(self, network: PacedUnitGenerator, voice: Voice, sampling: SamplingConfig):
        self.network, self._voice, self._sampling = network, voice, sampling
        network.prepare_steps()

    def pieces(self, clause: Clause) -> list[SpokenText]:
        """A clause as strings of phonemes; none where nothing in it can be said (another script)."""
        return [SpokenText(clause, phonemes) for phonemes in self._voice.phonemes(speakable(clause.text))]

    @torch.inference_mode()
    def generate(self, spoken: SpokenText, *, seed: int, speed: float) -> SpeechUnits:
        """Units of a piece, a multiple of 5, so that units, acoustic frames and face frames all end together."""
        ids = torch.from_numpy(self._voice.ids(spoken.phonemes))[None]
        mask = torch.ones_like(ids, dtype=torch.bool)
        states = spoken.clause.hidden_states
        states = None if states is None or not len(states) else states[None]
        fused = self.network.encode_text(ids, mask, states)
        durations = whole_groups(self.network.predict_durations(fused, mask, speed))
        made = self.network.generate(fused, durations, [UnitSampler(self._sampling, seed)])
        return SpeechUnits(made.units[0], made.hidden_states[0], durations[0].numpy())


def whole_groups(durations: Tensor) -> Tensor:
    """Durations [1, T_text] whose total is a whole number of groups; the closing silence gives or takes.

    The last symbol is the end mark, the one before it a pause where the clause ends in punctuation.
    """
    durations = durations.clone()
    spare = min(SHORTEN_TICKS, max(0, int(durations[0, -2]) - 2))
    total = int(durations.sum())
    change = -(-(total - spare) // GROUP_TICKS) * GROUP_TICKS - total
    durations[0, -1 if change > 0 else -2] += change
    return durations


class FeatureTokenizer:
    """Units of recordings, by quantised encoder features (`RecordingTokenizer`).

    Args:
        network: the unit tokenizer, with its weights.
        encoder: gives the speech encoder; called when the first recording comes.
    """

    def __init__(self, network: UnitTokenizer, encoder: Callable[[], FeatureEncoder]):
        self.network, self._encoder = network, encoder

    def prepare(self) -> None:
        """Load the speech encoder now."""
        self._encoder()

    @torch.inference_mode()
    def units_of(self, features: Tensor) -> Tensor:
        """Units int64 [T_unit] of encoder features [T_50hz, D]; T_50hz a multiple of 4."""
        _, ids = self.network(features.reshape(1, len(features) // ENCODER_FRAMES_PER_UNIT, -1))
        return ids[0]

    def units(self, samples: np.ndarray) -> Tensor:
        """Units of a whole clip, float32 [N] at 16 kHz: int64 [T_unit]."""
        return self.units_of(self._encoder()(samples))

    def stream(self, pieces: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """Units of a recording as it comes, as soon as all that the tokenizer looks at is there."""
        return self.stream_features(self._encoder().long(pieces))

    def stream_features(self, features: Iterable[Tensor]) -> Iterator[Tensor]:
        """Units of features [T_50hz, D] that follow each other; T_50hz a multiple of 4."""
        reach = self.network.reach_units
        held, n_context = None, 0  # features, and how many of their units were given and only lend context
        for piece in features:
            held = piece if held is None else torch.cat([held, piece])
            n_certain = len(held) // ENCODER_FRAMES_PER_UNIT - reach
            if n_certain > n_context:
                yield self.units_of(held)[n_context:n_certain]
                n_gone = max(0, n_certain - reach)
                held, n_context = held[n_gone * ENCODER_FRAMES_PER_UNIT :], n_certain - n_gone
        assert held is not None, "even nothing at all has features"
        if len(held) > n_context * ENCODER_FRAMES_PER_UNIT:
            yield self.units_of(held)[n_context:]
