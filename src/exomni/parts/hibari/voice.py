"""The voice "heart" of hibari-tts: its G2P, its two graph halves, and the audio that the frozen second half makes.

The voice's ONNX graph is cut at two seams. The front half reads phoneme ids and gives each phoneme's duration
and 130 acoustic channels (128 phonetic, log1p(f0)/5, energy) at 80 Hz; it makes training data only. The back half
turns such channels, wherever they come from, into five spectral planes that the voice's own signal processing
makes a waveform of; it is the vocoder of the `nano` speech decoder.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import AssetError, InputError
from ...core.timebase import SAMPLE_HZ, SAMPLES_PER_VOCODER_FRAME
from ...model.acoustics import F0_CHANNEL
from ...model.speech_decoder import SpeechDecoder
from ..onnx import OnnxGraph
from ..ports import SpeechUnits, VoiceFrames

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


class Phonemizer:
    """Text to phoneme ids with the voice's own G2P: numbers, names and rare words come out right."""

    @cached_property
    def _hibari(self) -> Any:
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
        self._run = OnnxGraph(path).run

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
        self._run = OnnxGraph(path).run

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
        lh, theta, ln, lr, phi = planes
        samples = dsp.synth(lh, theta, ln, lr, phi, f0_hz, np.random.default_rng(seed))
        assert len(samples) == acoustic.shape[1] * SAMPLES_PER_VOCODER_FRAME
        return samples


class HibariVoice:
    """Units to sound: a trained speech decoder, and the voice's second half as its vocoder (`Voice`).

    Args:
        phonemizer: the voice's text side.
        decoder: units to acoustic channels, with its weights.
        vocoder: the second half.
    """

    sample_rate = SAMPLE_HZ

    def __init__(self, phonemizer: Phonemizer, decoder: SpeechDecoder, vocoder: Vocoder):
        self.decoder, self.vocoder = decoder, vocoder
        self._phonemizer, self.ids = phonemizer, phonemizer.ids
        phonemizer.phonemes("ready")  # reads the lexicon now rather than in the first request

    def phonemes(self, text: str) -> list[str]:
        """Phonemes of a text in pieces that the voice can take; none where nothing in it can be said."""
        try:
            return bounded(self._phonemizer.phonemes(text))
        except InputError:
            return []

    def speak(self, speech: SpeechUnits, seed: int) -> np.ndarray:
        """Speech of units, float32 [T_unit * 1920], 24 kHz."""
        return self.vocoder(self.decoder.decode(speech.units).numpy(), seed)


class HibariTeacher:
    """The whole voice, whose phoneme times are known (`TeacherVoice`).

    Args:
        folder: of the two graph halves.
        phonemizer: the voice's text side.
    """

    name = "hibari"

    def __init__(self, folder: Path, phonemizer: Phonemizer):
        self.phonemizer = phonemizer
        self.time, self.sound = VoiceFront(folder / "front.onnx"), Vocoder(folder / "back.onnx")
        self.phonemes, self.ids = phonemizer.phonemes, phonemizer.ids

    @property
    def symbols(self) -> dict[int, str]:
        """Phoneme symbols by id."""
        return self.phonemizer.symbols
