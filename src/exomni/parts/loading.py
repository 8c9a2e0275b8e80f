"""Puts a pipeline's parts together: the one place that turns the names in a preset into parts.

A preset's section `parts` names what stands behind each port: `voice: hibari` means that `build_voice` of the package
`exomni.parts.hibari` builds it, or of a package of yours that is called so, and `voice: {name: hibari, speed: 1.1}`
gives that function options. Another part is a folder with such a function and a row of a preset.
"""

import importlib
import inspect
import json
import time
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from threading import RLock
from typing import Any

from ..core.errors import ConfigError, UnsupportedError
from ..model.config import OmniConfig, load_config, read_preset
from .ports import (
    FaceMaker,
    FeatureEncoder,
    ModelFacts,
    Reader,
    RecordingTokenizer,
    SpeechListener,
    TeacherVoice,
    Transcriber,
    UnitGenerator,
    Vocabulary,
    Voice,
    VoiceActivity,
    Writer,
)

Builder = Callable[["Parts"], Any]

PORTS = {
    "writer": "write replies",
    "reader": "read texts into hidden states",
    "speech_encoder": "read speech",
    "transcriber": "write down speech",
    "listener": "read speech in its LLM's embedding space",
    "voice": "speak: it has no speech decoder",
    "teacher_voice": "say training data",
    "unit_generator": "make speech units",
    "recording_tokenizer": "make a face for a recording",
    "face_maker": "make faces",
    "voice_activity": "tell speech from silence",
    "vocabulary": "read speech in its LLM's tokens",
    "trainable_llm": "train its LLM",
    "judge_folder": "be judged by what is understood of it",
}
"""Every port, and what a model without it cannot do."""


class Parts:
    """A pipeline's parts; each is built when it is first asked for, and kept.

    Args:
        facts: what identifies the model.
        config: sizes of its networks; None where the parts were handed in.
        weights: folder of its trained networks, or None.
        builders: functions that build a part from the others, by port.
        given: parts that are there already, by port.
    Attributes:
        facts: what identifies the model.
        load_s: seconds spent on building so far.
        writer, reader, …: a part by its port, as `part` gives it.
    """

    writer: Writer
    reader: Reader
    speech_encoder: FeatureEncoder
    transcriber: Transcriber
    listener: SpeechListener
    voice: Voice
    teacher_voice: TeacherVoice
    unit_generator: UnitGenerator
    recording_tokenizer: RecordingTokenizer
    face_maker: FaceMaker
    voice_activity: VoiceActivity
    vocabulary: Vocabulary
    trainable_llm: Path  # as `transformers` opens it
    judge_folder: Path  # of the transcriber, as `faster-whisper` opens it

    def __init__(
        self,
        facts: ModelFacts | None = None,
        *,
        config: OmniConfig | None = None,
        weights: Path | None = None,
        builders: Mapping[str, Builder] | None = None,
        **given: Any,
    ):
        for name in (*(builders or {}), *given):
            checked_port(name)
        self.facts, self.load_s = facts or ModelFacts(), 0.0
        self._config, self._weights = config, weights
        self._builders, self._built = dict(builders or {}), dict(given)
        self._lock, self._depth = RLock(), 0

    @property
    def config(self) -> OmniConfig:
        """Sizes of the networks."""
        if self._config is None:
            raise UnsupportedError("this model was put together by hand and has no configuration")
        return self._config

    @property
    def weights(self) -> Path:
        """Folder of the trained networks."""
        if self._weights is None:
            raise UnsupportedError("this model was put together by hand and has no folder of weights")
        return self._weights

    def has(self, name: str) -> bool:
        """Whether the model has such a part, built already or not."""
        return checked_port(name) in self._built or name in self._builders

    def part(self, name: str) -> Any:
        """A part by its port.

        Raises:
            UnsupportedError: the model has none.
            AssetError: what it is made from is not installed.
        """
        with self._lock:
            if name not in self._built:
                if not self.has(name):
                    raise UnsupportedError(f"{self.facts.name or 'this model'} cannot {PORTS[name]}")
                began, self._depth = time.perf_counter(), self._depth + 1
                try:
                    self._built[name] = self._builders[name](self)
                finally:
                    self._depth -= 1
                if not self._depth:  # a part that another one is made of counts once
                    self.load_s += time.perf_counter() - began
            return self._built[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in PORTS:
            raise AttributeError(name)
        return self.part(name)


def checked_port(name: str) -> str:
    """The name of a port.

    Raises:
        ConfigError: there is none.
    """
    if name not in PORTS:
        raise ConfigError(f"there is no part {name!r}; there are {', '.join(PORTS)}")
    return name


def builder_of(port: str, named: str | Mapping[str, Any]) -> Builder:
    """The function that builds what a preset names, with the options that it gives.

    Raises:
        ConfigError: nothing of that name, or it takes no such option.
    """
    options = {} if isinstance(named, str) else dict(named)
    name = named if isinstance(named, str) else options.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"part {checked_port(port)!r}: give a name, or a mapping with one")
    build = next(filter(None, (_function(module, f"build_{port}") for module in (f"exomni.parts.{name}", name))), None)
    if build is None:
        raise ConfigError(f"part {port!r}: no exomni.parts.{name} or {name} on PYTHONPATH has a function build_{port}")
    taken = list(inspect.signature(build).parameters)[1:]
    if unknown := [option for option in options if option not in taken]:
        known = ", ".join(taken) or "none"
        raise ConfigError(f"part {port!r}: {name} takes no option {', '.join(unknown)}; it takes {known}")
    return lambda parts: build(parts, **options)


def _function(module: str, name: str) -> Any:
    """A function of a module; None where there is no such module or function."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise  # the module is there, and something that it needs is not
        return None


def load_parts(source: str | Path = "nano", *, weights: str | Path | None = None, **given: Any) -> Parts:
    """The parts of a model, each built when it is first needed.

    Args:
        source: name of a preset, a YAML file, a folder that `exomni release` wrote, or one of a published checkpoint.
        weights: folder of other weights than the shipped ones.
        **given: by port, a part in place of the preset's, or the name of one.
    Raises:
        ConfigError: no such preset, file or folder, or no such part.
        AssetError, CheckpointError: weights are missing or do not fit.
    """
    folder, (made, renamed) = Path(source), _split(given)
    if folder.is_dir():
        if is_published(folder):
            from .published import OTHERS, published_parts

            facts, config, own = published_parts(folder)
            return Parts(facts, config=config, builders=_builders(OTHERS | renamed, made), **(own | made))
        weights, source = weights or folder, folder / "preset.yaml"
        source = source if source.is_file() else "nano"  # released before presets were kept with the weights
    named = (read_preset(source).get("parts") or {}) | renamed
    config = load_config(source)
    if "unit_generator" not in named and "unit_generator" not in made:
        raise ConfigError(f"preset {str(source)!r} has no weights of its own; give the folder of a published one")
    where = Path(weights or str(resources.files("exomni") / "weights" / "nano"))  # a YAML file has none of its own
    from .nano.weights import read_facts

    facts = read_facts(where, str(folder if folder.is_dir() else source))
    return Parts(facts, config=config, weights=where, builders=_builders(named, made), **made)


def _builders(named: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Builder]:
    return {port: builder_of(port, name) for port, name in named.items() if port not in made}


def _split(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parts that are there already, and names of parts."""
    for name in given:
        checked_port(name)
    named = {name: part for name, part in given.items() if isinstance(part, str | dict)}
    return {name: part for name, part in given.items() if name not in named}, named


def is_published(folder: Path) -> bool:
    """Whether a folder holds a checkpoint in the published layout."""
    try:
        fields = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and "unit_vocab_size" in fields
