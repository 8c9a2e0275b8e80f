"""Parts by name: presets, folders, parts that are handed in, and what a model says that it cannot do."""

import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from exomni.core.errors import CheckpointError, ConfigError, UnsupportedError
from exomni.core.events import DoneEvent, FaceEvent, SpeechEvent
from exomni.core.turns import Turn
from exomni.model.config import read_preset
from exomni.parts.loading import PORTS, Parts, load_parts
from exomni.pipeline.exomni import ExOmni

PUBLISHED = Path(__file__).parents[1] / "parity" / "fixtures" / "omni_tiny_stored"


class Silence:
    """A voice of 22.05 kHz that says nothing."""

    sample_rate = 22_050

    def phonemes(self, text):
        return []

    def speak(self, speech, seed):
        return np.zeros(len(speech.units) * 1764, np.float32)


def test_a_preset_names_every_port():
    parts = load_parts("nano")
    assert all(parts.has(port) for port in PORTS)
    assert parts.facts.name == "nano"
    assert parts.load_s == 0.0


def test_a_part_may_live_in_any_package(monkeypatch, omni):
    module = types.ModuleType("my_llm")
    module.build_writer = lambda parts, answer="Hello there, my friend.": (
        setattr(omni.llm, "answer", answer) or omni.llm
    )
    monkeypatch.setitem(sys.modules, "my_llm", module)
    parts = load_parts("nano", writer="my_llm")
    assert [t.text for t in parts.writer.write([Turn("user", "Hi.")])][:1] == ["Hel"]
    assert load_parts("nano", writer={"name": "my_llm", "answer": "Yes."}).writer.answer == "Yes."
    with pytest.raises(ConfigError, match="takes no option colour; it takes answer"):
        load_parts("nano", writer={"name": "my_llm", "colour": "red"})


def test_a_preset_holds_only_what_differs_from_its_base(monkeypatch, tmp_path):
    module = types.ModuleType("my_voice")
    module.build_voice = lambda parts: Silence()
    monkeypatch.setitem(sys.modules, "my_voice", module)
    preset = tmp_path / "mine.yaml"
    preset.write_text("base: nano\nparts: {voice: my_voice}\nlanguage_model: {n_layers: 29}\n")
    mine, nano = load_parts(preset), load_parts("nano")
    assert isinstance(mine.voice, Silence)
    assert all(mine.has(port) for port in PORTS)
    assert mine.facts.weights == nano.facts.weights
    assert mine.config.language_model == nano.config.language_model.model_copy(update={"n_layers": 29})
    assert mine.config.unit_generator == nano.config.unit_generator
    preset.write_text("base: nobody\n")
    with pytest.raises(ConfigError, match="'nobody' is no base"):
        load_parts(preset)


def test_a_copy_of_a_preset_opens_with_the_shipped_weights(tmp_path):
    copy = tmp_path / "copy.yaml"
    copy.write_text(yaml.safe_dump(read_preset("nano")))
    assert load_parts(copy).facts.weights == load_parts("nano").facts.weights


@pytest.mark.parametrize(
    ("port", "name", "told"),
    [("voice", "nobody", "has a function build_voice"), ("voice", "no.such.package", "has a function build_voice"),
     ("voice", {"speed": 1}, "give a name"), ("ear", "whisper", "there is no part 'ear'")],
)  # fmt: skip
def test_names_that_are_not_there_are_refused(port, name, told):
    with pytest.raises(ConfigError, match=told):
        load_parts("nano", **{port: name})


def test_another_llm_writes_and_ours_reads(tiny_parts, omni):
    class Writer:
        def write(self, turns, **options):
            from exomni.parts.ports import WrittenToken

            return map(WrittenToken, ["Good", " morning", " to you", " all", ", my", " friends", "."])

    class Reader:
        read = omni.llm.read

    parts = tiny_parts(writer=Writer(), reader=Reader())
    events = list(ExOmni(parts).stream("Hi."))
    assert " ".join(e.text for e in events if isinstance(e, SpeechEvent)) == "Good morning to you all, my friends."
    assert omni.llm.n_states >= 1


def test_a_released_folder_opens_with_its_own_preset(tiny_config, tiny_weights, tmp_path):
    folder = shutil.copytree(tiny_weights, tmp_path / "mine")
    preset = {"parts": {"voice": "hibari", "unit_generator": "nano", "face_maker": "nano"}}
    (folder / "preset.yaml").write_text(yaml.safe_dump(preset | tiny_config.model_dump(mode="json")))
    omni = ExOmni.load(folder)
    assert omni.parts.facts.weights == load_parts(folder).facts.weights
    with pytest.raises(UnsupportedError, match="cannot write replies"):
        omni.respond("Hello?")
    with pytest.raises(UnsupportedError, match="cannot make a face for a recording"):
        omni.animate(np.zeros(24_000, np.float32), 24_000)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"frame_hz": 25}, "frame_hz 25"), ({"unit_hz": "25"}, "unit_hz '25'"), ({"sample_hz": 16_000}, "sample_hz"),
     ({"blendshapes": ["jawOpen"]}, "blendshapes")],
)  # fmt: skip
def test_weights_for_other_clocks_are_refused(tiny_weights, tmp_path, change, told):
    import json

    from exomni.model.numbers import KEY, numbers
    from exomni.parts.nano.weights import read_facts

    folder = shutil.copytree(tiny_weights, tmp_path / "other")
    facts = json.loads((folder / "facts.json").read_text())
    (folder / "facts.json").write_text(json.dumps(facts | {KEY: numbers()}))
    assert read_facts(folder, "same").data == facts["data"]
    (folder / "facts.json").write_text(json.dumps(facts | {KEY: numbers() | change}))
    with pytest.raises(CheckpointError, match=told):
        read_facts(folder, "other")


def test_the_shipped_weights_say_their_clocks():
    import json
    from importlib import resources

    from exomni.model.numbers import KEY, numbers

    facts = json.loads((resources.files("exomni") / "weights" / "nano" / "facts.json").read_text("utf-8"))
    assert facts[KEY] == numbers()


def test_a_part_that_builds_another_is_timed_once():
    import time

    def slow(parts):
        time.sleep(0.05)
        return "slow"

    parts = Parts(builders={"writer": slow, "reader": lambda parts: parts.writer})
    assert parts.reader == "slow"
    assert 0.05 <= parts.load_s < 0.09


def test_a_published_checkpoint_needs_a_voice_to_speak():
    omni = ExOmni.load(PUBLISHED)
    with pytest.raises(UnsupportedError, match="cannot speak: it has no speech decoder"):
        omni.speak("Hello.")
    with pytest.raises(UnsupportedError, match="needs the folder"):
        ExOmni.load(PUBLISHED, voice="published")


def test_a_published_checkpoint_speaks_with_a_voice():
    omni = ExOmni.load(PUBLISHED, voice=Silence())
    events = list(omni.stream_speech("Good morning to you all. How are you today?", seed=3))
    speech = [e for e in events if isinstance(e, SpeechEvent)]
    faces = [e for e in events if isinstance(e, FaceEvent)]
    assert [e.text for e in speech] == ["Good morning to you all.", "How are you today?"]
    for face, said in zip(faces, speech, strict=True):
        assert said.sample_rate == 22_050
        assert face.frames.shape[1] == 52
        assert abs(len(face.frames) / 30 - len(said.samples) / 22_050) <= 1 / 30
    assert isinstance(events[-1], DoneEvent)
    reply = omni.speak("Good morning to you all.", seed=3)
    assert reply.sample_rate == 22_050
    assert torch.is_tensor(torch.from_numpy(reply.units))
    for options, told in (({"speed": 1.2}, "its own pace"), ({"emotion": np.eye(5)[3]}, "takes no emotion")):
        with pytest.raises(UnsupportedError, match=told):
            omni.speak("Good morning.", **options)
    with pytest.raises(UnsupportedError, match="recording"):
        omni.animate(np.zeros(24_000, np.float32), 24_000)


def test_a_published_llm_reads_the_states_that_it_writes_with():
    llm = load_parts(PUBLISHED).writer
    tokens = list(llm.write([Turn("user", "hi")], max_new_tokens=6))
    assert 0 < len(tokens) <= 6
    written = torch.stack([t.hidden_state for t in tokens])
    text = llm._model.tokenizer.decode([t.token_id for t in tokens])
    read = llm.read(text, prompt="hi")
    if list(read.token_ids) == [t.token_id for t in tokens]:  # the same text may be cut into other tokens
        torch.testing.assert_close(read.hidden_states, written, atol=1e-4, rtol=1e-4)
    assert len(read.token_ids) == len(read.hidden_states)
