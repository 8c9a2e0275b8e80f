"""The protocol's messages: both languages' fixtures, strictness, and what a session may be."""

import base64
import json
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError

from exomni.core.emotion import EMOTIONS
from exomni.core.timebase import SAMPLE_HZ
from exomni.serve.protocol.client import CLIENT_EVENTS, AnyClientEvent
from exomni.serve.protocol.items import pack_frames, pack_pcm16
from exomni.serve.protocol.server import SERVER_EVENTS, ErrorCode
from exomni.serve.protocol.session import EmotionName, PcmFormat, SessionConfig

from .dummies import FIXTURES

CLIENT = json.loads((FIXTURES / "client_events.json").read_text())
SERVER = [e for name in ("conversation", "server_events") for e in json.loads((FIXTURES / f"{name}.json").read_text())]
DOCUMENT = FIXTURES.parent.parent.parent / "docs" / "protocol.md"


@pytest.mark.parametrize("event", SERVER, ids=lambda e: e["type"])
def test_what_the_server_says_is_what_the_fixtures_show(event):
    assert json.loads(SERVER_EVENTS.validate_json(json.dumps(event)).to_json()) == event


@pytest.mark.parametrize("event", CLIENT, ids=lambda e: e["type"])
def test_what_clients_may_say_is_understood(event):
    assert CLIENT_EVENTS.validate_json(json.dumps(event)).type == event["type"]


def test_every_event_of_clients_has_a_fixture():
    kinds = {get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(get_args(AnyClientEvent)[0])}
    assert kinds == {event["type"] for event in CLIENT}


def test_every_event_and_every_error_is_documented():
    text = DOCUMENT.read_text()
    for code in get_args(ErrorCode):
        assert f"`{code}`" in text, code
    for kind in {event["type"] for event in SERVER + CLIENT}:
        head, _, tail = kind.rpartition(".")
        assert f"`{kind}`" in text or (f"`.{tail}`" in text and head in text), kind


def test_no_torch_is_needed():
    code = "import sys, exomni.serve.protocol.server, exomni.serve.protocol.client; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_emotions_and_the_rate_are_those_of_the_model():
    assert get_args(EmotionName) == EMOTIONS
    assert PcmFormat().rate == SAMPLE_HZ


def test_an_update_changes_what_it_names():
    config = SessionConfig().updated({"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.9}}}})
    assert config.audio.input.turn_detection.threshold == 0.9
    assert config.audio.input.turn_detection.silence_duration_ms == 500
    again = config.updated({"instructions": "Sing."})
    assert again.audio == config.audio
    assert again.updated({"audio": {"input": {"turn_detection": None}}}).audio.input.turn_detection is None
    assert again.updated({"instructions": ""}).instructions == ""


def test_another_way_to_find_turns_replaces_the_old_one():
    config = SessionConfig().updated(
        {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}}
    )
    assert config.audio.input.turn_detection.as_server_vad().silence_duration_ms == 1_000
    back = config.updated({"audio": {"input": {"turn_detection": {"type": "server_vad"}}}})
    assert back.audio.input.turn_detection.silence_duration_ms == 500


@pytest.mark.parametrize(
    ("patch", "speed"),
    [
        ({"exomni": {"speed": 1.5}}, 1.5),
        ({"audio": {"output": {"speed": 0.5}}}, 0.5),
        ({"audio": {"output": {"speed": 0.5}}, "exomni": {"speed": 2}}, 2.0),
    ],
)
def test_the_speed_has_two_names(patch, speed):
    config = SessionConfig().updated(patch)
    assert (config.audio.output.speed, config.exomni.speed) == (speed, speed)


@pytest.mark.parametrize("voice", ["alloy", {"id": "voice_1"}, None])
def test_there_is_one_voice_and_one_model(voice):
    config = SessionConfig().updated({"model": "gpt-realtime", "audio": {"output": {"voice": voice}}})
    assert (config.model, config.audio.output.voice) == ("nano", "heart")


@pytest.mark.parametrize(
    "patch",
    [
        {"exomni": {"speed": 0}},
        {"exomni": {"speed": "1"}},
        {"exomni": {"emotion": {"envy": 1}}},
        {"audio": []},
        {"audio": {"output": {"speed": 9}}},
        {"audio": {"output": {"voice": 3}}},
        {"output_modalities": ["audio", "text"]},
        {"type": "transcription"},
        {"max_output_tokens": 0},
        {"instructions": "x" * 8_001},
    ],
)
def test_what_cannot_be_changes_nothing(patch):
    with pytest.raises(ValidationError):
        SessionConfig().updated(patch)


def test_frames_and_samples_survive_the_way():
    frames = np.linspace(0, 1, 104, dtype=np.float32).reshape(2, 52)
    assert (np.frombuffer(base64.b64decode(pack_frames(frames, "float32")), "<f4").reshape(2, 52) == frames).all()
    coarse = np.frombuffer(base64.b64decode(pack_frames(frames, "uint8")), np.uint8).reshape(2, 52) / 255
    assert np.abs(coarse - frames).max() <= 0.5 / 255 + 1e-6
    samples = np.array([-2, -1, 0, 0.5, 1, 2], np.float32)
    assert np.frombuffer(base64.b64decode(pack_pcm16(samples)), "<i2").tolist() == [
        -32767,
        -32767,
        0,
        16384,
        32767,
        32767,
    ]
