"""Somebody else's client, pointed at the server, holds a typed and a spoken conversation unchanged."""

import base64

import numpy as np
import openai
import pytest

from exomni.serve.protocol.items import pack_pcm16

from .dummies import DummyBackend, quiet, tone

KNOWN = {
    "session.created", "session.updated", "conversation.item.added", "conversation.item.done", "response.created",
    "response.output_item.added", "response.content_part.added", "response.output_audio_transcript.delta",
    "response.output_audio.delta", "response.output_audio.done", "response.output_audio_transcript.done",
    "response.content_part.done", "response.output_item.done", "response.done",
    "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed",
    "conversation.item.input_audio_transcription.completed", "conversation.item.truncated",
}  # fmt: skip


@pytest.fixture
def client(shared):
    return openai.OpenAI(api_key="sk-none", base_url=shared.http + "/v1")


def until_done(connection) -> tuple[list, np.ndarray, str]:
    """Events, speech and words of a reply, gathered as an application would."""
    events, sound, words = [], b"", ""
    for event in connection:
        events.append(event)
        if event.type == "response.output_audio.delta":
            sound += base64.b64decode(event.delta)
        elif event.type == "response.output_audio_transcript.delta":
            words += event.delta
        elif event.type == "error":
            raise AssertionError(event.error.message)
        elif event.type == "response.done":
            break
    return events, np.frombuffer(sound, "<i2"), words


def checked(events) -> None:
    """Every event of OpenAI's is what its own types say, to the last field."""
    for event in events:
        if event.type.startswith("exomni."):
            continue
        assert event.type in KNOWN
        known = type(event)
        assert known.__name__ != "dict"
        known.model_validate(event.model_dump(warnings="error"))


def test_openai_holds_a_typed_conversation(client):
    with client.realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(
            session={
                "type": "realtime",
                "instructions": "You are kind.",
                "output_modalities": ["audio"],
                "audio": {
                    "input": {"turn_detection": None, "transcription": {"model": "gpt-4o-transcribe"}},
                    "output": {"voice": "marin", "speed": 1.2, "format": {"type": "audio/pcm", "rate": 24000}},
                },
                "tools": [],
            }
        )
        for text in ("Say hello!", "And again"):
            connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
            )
            connection.response.create()
            events, sound, words = until_done(connection)
            checked(events)
            assert text in words
            assert len(sound) > 12_000
            assert events[-1].response.status == "completed"
            assert events[-1].response.output[0].content[0].transcript == words


def test_openai_holds_a_spoken_conversation(client, shared):
    with client.realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(
            session={
                "type": "realtime",
                "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad"}}},
            }
        )
        for _ in range(2):
            spoken = np.concatenate([quiet(0.4), tone(1.0), quiet(0.8)])
            for i in range(0, len(spoken), 2_400):
                connection.input_audio_buffer.append(audio=pack_pcm16(spoken[i : i + 2_400]))
            events, sound, words = until_done(connection)
            checked(events)
            assert shared.backend.transcript in words
            assert len(sound) > 12_000
            kinds = [event.type for event in events]
            assert kinds.index("input_audio_buffer.speech_started") < kinds.index("input_audio_buffer.speech_stopped")
            said = next(e for e in events if e.type == "conversation.item.input_audio_transcription.completed")
            assert said.transcript == shared.backend.transcript


def test_openai_interrupts(start):
    backend = DummyBackend(" ".join(["one two three four"] * 50), step_s=0.02)
    server = start(backend)
    client = openai.OpenAI(api_key="sk-none", base_url=server.http + "/v1")
    with client.realtime.connect(model="gpt-realtime") as connection:
        connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go on"}]}
        )
        connection.response.create()
        item_id = None
        for event in connection:
            if event.type == "response.output_audio.delta" and item_id is None:
                item_id = event.item_id
                connection.response.cancel()
            if event.type == "response.done":
                break
        assert event.response.status == "cancelled"
        connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=300)
        assert connection.recv().audio_end_ms == 300


def test_openai_has_a_text_spoken(client):
    data = client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning", response_format="wav").content
    assert data[:4] == b"RIFF"
    assert len(data) > 10_000


def test_openai_learns_what_is_wrong(start):
    server = start(token="a-secret-token")
    client = openai.OpenAI(api_key="sk-wrong", base_url=server.http + "/v1", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="token"):
        client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning")
    with client.realtime.connect(model="gpt-realtime") as connection:
        assert connection.recv().error.code == "unauthorized"
    right = openai.OpenAI(api_key="a-secret-token", base_url=server.http + "/v1")
    with right.realtime.connect(model="gpt-realtime") as connection:
        assert connection.recv().type == "session.created"
