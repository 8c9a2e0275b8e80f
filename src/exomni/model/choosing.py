"""Units that are heard back before they are spoken: a stretch is drawn several times, and the clearest goes on.

A unit generator slips now and then: a unit that is likely, and yet turns a "knew" into a "need". The speech decoder
says which phonemes it hears in units, and the text says which it should hear. So each stretch of a clause is drawn as
one batch, the likeliest units beside some drawn at random, and the clause goes on from the one in which the wanted
phonemes are heard best.

Source: our choice.
"""

import torch
from torch import Tensor

from ..core.timebase import DURATION_HZ, UNIT_HZ, rescale_floor
from .config import ChoiceConfig, SamplingConfig
from .duration_pace import PacedUnitGenerator
from .sampling import UnitSampler
from .speech_decoder import GROUP_UNITS, SpeechDecoder
from .unit_generator import GeneratedUnits

HEARD_BEFORE_UNITS = 10
"""Units before a stretch that are decoded with it, whole groups; more tell little more."""
AGAIN_UNITS = 2
"""Units before a stretch that are judged with it, since the first of the stretch change how they sound."""
SEEDS_APART = 2**32
"""Between the seeds of candidates, so that they share none with other clauses."""


@torch.inference_mode()
def generate_heard(
    generator: PacedUnitGenerator,
    decoder: SpeechDecoder,
    fused: Tensor,
    durations: Tensor,
    phonemes: Tensor,
    sampling: SamplingConfig,
    choice: ChoiceConfig,
    seed: int,
) -> GeneratedUnits:
    """Generate the units of a clause stretch by stretch, each the best of several.

    Args:
        generator: of units.
        decoder: hears the units.
        fused: the clause's phonemes, encoded, [1, T_text, D].
        durations: ticks of each, int [1, T_text]; whole groups of units in all.
        phonemes: their ids, int [T_text].
        sampling: how the first candidate is drawn.
        choice: how many others there are, and how they are drawn.
        seed: of the draws.
    Returns:
        One row.
    """
    n = choice.candidates
    stream = generator.begin(fused.expand(n, -1, -1), durations.expand(n, -1))
    drawn = sampling.model_copy(update={"temperature": choice.temperature, "top_p": choice.top_p})
    samplers = [UnitSampler(drawn if i else sampling, seed + i * SEEDS_APART) for i in range(n)]
    wanted = torch.repeat_interleave(phonemes, durations[0])
    units, states = [], []
    while stream.remaining_units:
        first = stream.step
        made = generator.generate(stream, samplers, choice.stretch_units)
        clarity = heard_clearly(decoder, torch.tensor(stream.drawn), wanted, first)
        clarity[0] += choice.favour  # what is likeliest also sounds most natural
        best = int(clarity.argmax())
        units.append(made.units[best])
        states.append(made.hidden_states[best])
        stream.follow(best)
    whole = torch.cat(units)[None]
    return GeneratedUnits(whole, torch.cat(states)[None], torch.ones_like(whole, dtype=torch.bool))


def heard_clearly(decoder: SpeechDecoder, units: Tensor, wanted: Tensor, first: int) -> Tensor:
    """How clearly the wanted phonemes are heard in the units from `first` on.

    Args:
        decoder: hears them.
        units: of each candidate so far, int [B, T_unit].
        wanted: phoneme of each tick of the clause, int [at least as many ticks as the units].
        first: number of the first unit that is judged.
    Returns:
        Mean log-probability a tick, [B].
    """
    begin = max(0, first - HEARD_BEFORE_UNITS) // GROUP_UNITS * GROUP_UNITS
    n_units = units.shape[1] - begin
    n_padded = -(-n_units // GROUP_UNITS) * GROUP_UNITS
    codes = torch.nn.functional.pad(decoder.quantizer.codes_of(units[:, begin:]), (0, 0, 0, n_padded - n_units))
    mask = (torch.arange(n_padded) < n_units).expand(len(units), -1)
    scores = decoder(codes, mask).phonemes.log_softmax(-1)
    from_unit = max(0, first - AGAIN_UNITS)
    ticks = slice(*(rescale_floor(u, UNIT_HZ, DURATION_HZ) for u in (from_unit, units.shape[1])))
    offset = rescale_floor(begin, UNIT_HZ, DURATION_HZ)
    judged = scores[:, ticks.start - offset : ticks.stop - offset]
    return judged.gather(2, wanted[ticks].expand(len(units), -1)[..., None]).mean((1, 2))
