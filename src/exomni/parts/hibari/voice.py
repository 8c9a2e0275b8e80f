"""The one voice: its G2P, its two graph halves, and the audio that the frozen second half makes.

The voice's ONNX graph is cut at two seams. The front half reads phoneme ids and gives each phoneme's duration
and 130 acoustic channels (128 phonetic, log1p(f0)/5, energy) at 80 Hz; it makes training data only. The back half
turns such channels, wherever they come from, into five spectral planes that the voice's own signal processing
makes a waveform of; it is the vocoder of the `nano` speech decoder.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...core.errors import AssetError, InputError
from ...core.timebase import SAMPLES_PER_VOCODER_FRAME
from ...model.acoustics import F0_CHANNEL

MAX_PHONEMES = 400
"""Symbols that the voice takes at once."""

_LONG_NUMBER = re.compile(r"\d(?:[\d,.]*\d)?(?<=[\d,.]{16})")
"""Numbers that are too long to have a name; they are read digit by digit."""

_DURATIONS = "/Clip_output_0"
_ACOUSTIC = "/Concat_43_output_0"
_PLANES = ["lh", "theta", "ln", "lr", "phi"]


def cut_graph(graph: Path, front: Path, back: Path) -> None:
    """Cut the voice's ONNX graph into its two halves.

    Raises:
        AssetError: the graph has not the seams that this version knows.
    """
    import onnx
    from onnx.utils import Extractor

    extractor = Extractor(onnx.shape_inference.infer_shapes(onnx.load(graph)))
    try:
        onnx.save(extractor.extract_model(["ids", "speed"], [_DURATIONS, _ACOUSTIC]), front)
        onnx.save(extractor.extract_model([_ACOUSTIC], _PLANES), back)
    except (KeyError, ValueError) as error:
        raise AssetError(f"{graph.name} has not the expected seams ({error}); install hibari-tts 0.2.1") from error


def _session(path: Path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True)
class VoiceFrames:
    """What the voice makes of phonemes before it sounds.

    Attributes:
        ticks: duration of each phoneme, int64 [T_text], in ticks of 25 ms.
        acoustic: float32 [130, T_80hz].
    """

    ticks: np.ndarray
    acoustic: np.ndarray


class Phonemizer:
    """Text to phoneme ids with the voice's own G2P: numbers, names and rare words come out right."""

    @cached_property
    def _hibari(self):
        from hibari import Hibari

        # The constructor would open the whole graph, of which only the text side is wanted here.
        voice = Hibari.__new__(Hibari)
        voice.voice, voice._g2p = "heart", None
        return voice

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Ids of the phoneme symbols; 0 pads and marks both ends of an utterance."""
        import json
        from importlib.resources import files

        return json.loads((files("hibari") / "assets" / "vocab.json").read_text("utf-8"))

    @cached_property
    def symbols(self) -> dict[int, str]:
        """The other way round, with "" for 0."""
        return {0: "", **{i: s for s, i in self.vocabulary.items()}}

    def phonemes(self, text: str) -> str:
        """Phonemes of a text that is spoken in one go.

        Raises:
            InputError: nothing in it can be spoken.
        """
        text = _LONG_NUMBER.sub(_digit_by_digit, " ".join(text.split()))
        try:
            spoken = self._hibari.g2p(text)
        except (IndexError, ValueError, OverflowError) as error:
            raise InputError(f"the voice cannot read {text[:60]!r} aloud: {error}") from error
        symbols = "".join(c for c in spoken if c in self.vocabulary)
        if not any(c.isalpha() for c in symbols):
            raise InputError(f"nothing to say in {text[:60]!r}: no word in it can be read aloud in English")
        return symbols

    def ids(self, phonemes: str) -> np.ndarray:
        """Phoneme ids, int64 [T_text], with the 0 at each end that the voice was trained with."""
        return np.array([0, *(self.vocabulary[c] for c in phonemes), 0], np.int64)


def _digit_by_digit(number: re.Match) -> str:
    return " ".join("point" if c == "." else c for c in number.group() if c != ",")


def bounded(phonemes: str) -> list[str]:
    """Phonemes cut at spaces into strings of at most `MAX_PHONEMES` symbols."""
    parts = []
    while len(phonemes) > MAX_PHONEMES:
        end = phonemes.rfind(" ", 1, MAX_PHONEMES + 1)
        end = end if end > 0 else MAX_PHONEMES
        parts.append(phonemes[:end])
        phonemes = phonemes[end:].lstrip()
    return [*parts, phonemes] if phonemes else parts


class VoiceFront:
    """The first half: phonemes to durations and acoustic channels. Training data and baselines only."""

    def __init__(self, path: Path):
        self._run = _session(path).run

    def __call__(self, ids: np.ndarray, speed: float = 1.0) -> VoiceFrames:
        """Time and colour phonemes.

        Args:
            ids: int64 [T_text].
            speed: 0.5 (slow) to 2 (fast).
        """
        feeds = {"ids": ids[None].astype(np.int64), "speed": np.array([speed], np.float32)}
        ticks, acoustic = self._run([_DURATIONS, _ACOUSTIC], feeds)
        return VoiceFrames(ticks.reshape(-1).astype(np.int64), acoustic[0])


class Vocoder:
    """The frozen second half: acoustic channels to 24 kHz speech."""

    def __init__(self, path: Path):
        self._run = _session(path).run

    def __call__(self, acoustic: np.ndarray, seed: int = 0) -> np.ndarray:
        """Sound acoustic channels.

        Args:
            acoustic: float32 [130, T_80hz].
            seed: of the noise component, so that repeated calls are bit-identical.
        Returns:
            float32 [T_80hz * 300], 24 kHz.
        """
        from hibari import dsp

        planes = [p[0] for p in self._run(_PLANES, {_ACOUSTIC: acoustic[None].astype(np.float32)})]
        f0_hz = np.maximum(np.expm1(5.0 * acoustic[F0_CHANNEL]), 0.0).astype(np.float32)
        samples = dsp.synth(*planes, f0_hz, np.random.default_rng(seed))
        assert len(samples) == acoustic.shape[1] * SAMPLES_PER_VOCODER_FRAME
        return samples
