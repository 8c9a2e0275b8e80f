"""The WebSocket against a model that costs nothing: order, positions, history, turns, interruptions."""

import base64
import json
import time
from itertools import pairwise

import numpy as np
import pytest

from exomni.core.arkit import NAMES

from .dummies import FIXTURES, DummyBackend, of_type, quiet, tone, wait_until

BEGIN = ["response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added"]
END = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]
LONG = " ".join(["one two three four five six seven eight"] * 12)


def sound_of(events: list[dict]) -> np.ndarray:
    """The speech of a reply, float32 [N]."""
    pieces = [base64.b64decode(e["delta"]) for e in of_type(events, "response.output_audio.delta")]
    return np.frombuffer(b"".join(pieces), "<i2") / 32767


def test_a_reply_is_told_in_order(shared):
    with shared.client() as client:
        assert client.next()["type"] == "session.created"
        kinds = [e["type"] for e in client.ask("hello there my good friend")]
    assert kinds[: len(BEGIN)] == BEGIN
    assert kinds[-len(END) :] == END
    assert set(kinds[len(BEGIN) : -len(END)]) == {
        "response.output_audio_transcript.delta", "exomni.caption.delta", "exomni.face.delta",
        "response.output_audio.delta",
    }  # fmt: skip


def test_the_face_comes_before_its_speech_and_where_it_belongs(shared):
    with shared.client() as client:
        events = client.ask(LONG)
    n_samples = n_frames = 0
    covered = 0
    for event in events:
        if event["type"] == "exomni.face.delta":
            assert event["start_frame"] == n_frames
            assert event["start_sample"] == n_frames * 800
            assert (event.get("names") == list(NAMES)) == (n_frames == 0)
            frames = np.frombuffer(base64.b64decode(event["frames"]), "<f4").reshape(-1, 52)
            assert (frames == 0.25).all()
            n_frames += len(frames)
            covered = n_frames * 800
        elif event["type"] == "response.output_audio.delta":
            n_samples += len(base64.b64decode(event["delta"])) // 2
            assert n_samples <= covered
    assert n_samples == n_frames * 800 > 24_000
    done = events[-1]["response"]
    assert (done["exomni"]["n_samples"], done["exomni"]["n_frames"]) == (n_samples, n_frames)
    assert done["status"] == "completed"


def test_words_and_captions_are_the_transcript(shared):
    with shared.client() as client:
        events = client.ask("tell me everything you know about it")
    transcript = of_type(events, "response.output_audio_transcript.done")[0]["transcript"]
    assert "".join(e["delta"] for e in of_type(events, "response.output_audio_transcript.delta")) == transcript
    words = [w for e in of_type(events, "exomni.caption.delta") for w in e["words"]]
    assert [w["text"] for w in words] == transcript.split()
    starts = [w["start_sample"] for w in words]
    assert starts == sorted(starts)
    assert all(a["end_sample"] <= b["start_sample"] for a, b in pairwise(words))
    assert words[-1]["end_sample"] <= len(sound_of(events))


def test_frames_may_be_bytes(shared):
    with shared.client() as client:
        client.set_up(exomni={"face_encoding": "uint8"})
        events = client.ask("hello")
    packed = base64.b64decode(of_type(events, "exomni.face.delta")[0]["frames"])
    assert set(packed) == {64}


def test_a_reply_may_be_words_only(shared):
    with shared.client() as client:
        events = client.ask("hello there", output_modalities=["text"])
    assert "".join(e["delta"] for e in of_type(events, "response.output_text.delta")) == "You said hello there "
    assert not of_type(events, "response.output_audio.delta")
    assert not of_type(events, "exomni.face.delta")
    assert events[-1]["response"]["output"][0]["content"][0]["type"] == "output_text"


def test_speech_begins_before_the_reply_is_whole(start):
    backend = DummyBackend(step_s=0.1)
    server = start(backend)
    with server.client() as client:
        client.say(LONG)
        client.send("response.create")
        client.until("response.output_audio.delta")
        assert backend.n_clauses <= 2
        client.until("response.done")
    assert backend.n_clauses > 20


def test_the_conversation_is_remembered(start):
    backend = DummyBackend("fine thanks")
    with start(backend).client() as client:
        client.set_up(instructions="Be kind.")
        client.ask("how are you")
        client.ask("and your cat")
    first, second = backend.asked
    assert [(t.role, t.content) for t in first] == [("user", "Be kind.\n\nhow are you")]
    assert [(t.role, t.content) for t in second[1:]] == [("assistant", "fine thanks"), ("user", "and your cat")]
    # While a reply is heard, the model reads it: exactly what the next one goes on from.
    wait_until(lambda: len(backend.prefilled) == 2)
    assert backend.prefilled[0] == second[:-1]


def test_items_are_put_where_they_belong_found_and_forgotten(start):
    backend = DummyBackend("fine")
    with start(backend).client() as client:
        said = client.say("hello")
        item = {"id": "mine", "type": "message", "role": "system", "content": [{"type": "input_text", "text": "Sing."}]}
        client.send("conversation.item.create", item=item, previous_item_id="root")
        assert client.until("conversation.item.added")["previous_item_id"] is None
        client.send("conversation.item.retrieve", item_id=said)
        assert client.until("conversation.item.retrieved")["item"]["content"][0]["text"] == "hello"
        client.ask("and now")
        client.send("conversation.item.delete", item_id="mine")
        client.until("conversation.item.deleted")
        client.ask("still there")
    assert backend.asked[0][-1].content == "Sing.\n\nhello\nand now"
    assert not any("Sing." in turn.content for turn in backend.asked[1])


def test_an_out_of_band_reply_leaves_no_trace(start):
    backend = DummyBackend("fine")
    with start(backend).client() as client:
        content = [{"type": "input_text", "text": "What is this about?"}]
        item = {"type": "message", "role": "user", "content": content}
        client.send("response.create", response={"conversation": "none", "input": [item], "metadata": {"a": "b"}})
        done = client.until("response.done")["response"]
        assert done["metadata"] == {"a": "b"}
        assert done.get("conversation_id") is None
        client.ask("hello")
    assert [t.content for t in backend.asked[1]] == ["hello"]


def test_a_reply_that_is_cut_says_so(shared):
    with shared.client() as client:
        done = client.ask(LONG, max_output_tokens=3)[-1]["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize(
    "case", json.loads((FIXTURES / "refused_events.json").read_text()), ids=lambda c: c["text"][:60]
)
def test_what_is_not_in_the_protocol_is_refused_by_name(shared, case):
    with shared.client() as client:
        client.next()
        client.socket.send(case["text"])
        error = client.until("error")["error"]
        assert (error["code"], error.get("param")) == (case["code"], case.get("param"))
        assert client.ask("still here")[-1]["response"]["status"] == "completed"


def test_the_error_names_the_event(shared):
    with shared.client() as client:
        client.send("response.cancel", event_id="mine")
        assert client.until("error")["error"]["event_id"] == "mine"


@pytest.mark.parametrize("event", json.loads((FIXTURES / "client_events.json").read_text()), ids=lambda e: e["type"])
def test_what_is_in_the_protocol_is_understood(shared, event):
    with shared.client() as client:
        client.next()
        client.socket.send(json.dumps(event))
        client.send("session.update", session={})
        while (told := client.next())["type"] != "session.updated" or event["type"] == "session.update":
            if told["type"] == "error":
                assert told["error"]["code"] in (
                    "item_not_found", "buffer_empty", "nothing_to_answer", "no_active_response",
                )  # fmt: skip
            if told["type"] == "session.updated":
                break


# --- speech ----------------------------------------------------------------------------------------------------------


def test_a_turn_of_speech_is_found_written_down_and_answered(start):
    backend = DummyBackend()
    with start(backend).client() as client:
        client.append(np.concatenate([quiet(1.0), tone(1.2), quiet(0.8)]))
        started = client.until("input_audio_buffer.speech_started")
        assert 600 <= started["audio_start_ms"] <= 1000
        stopped = client.until("input_audio_buffer.speech_stopped")
        assert 2100 <= stopped["audio_end_ms"] <= 2400
        committed = client.until("input_audio_buffer.committed")
        assert committed["item_id"] == started["item_id"] == stopped["item_id"]
        said = client.until("conversation.item.input_audio_transcription.completed")
        assert (said["transcript"], said["item_id"]) == (backend.transcript, started["item_id"])
        assert 1.2 <= said["usage"]["seconds"] <= 2.0
        assert client.until("response.done")["response"]["status"] == "completed"
    assert backend.asked[0][-1].content == backend.transcript
    assert backend.trimmed == [True]  # the server cut the speech out: nobody need search it again


def test_push_to_talk_answers_what_was_committed(start):
    backend = DummyBackend()
    with start(backend).client() as client:
        client.set_up(audio={"input": {"turn_detection": None}})
        client.append(tone(0.5))
        client.send("input_audio_buffer.commit")
        client.send("response.create")  # before the words are there
        client.until("conversation.item.input_audio_transcription.completed")
        client.until("response.done")
        client.append(tone(0.5))
        client.send("input_audio_buffer.clear")
        client.until("input_audio_buffer.cleared")
        client.send("input_audio_buffer.commit")
        assert client.until("error")["error"]["code"] == "buffer_empty"
    assert len(backend.asked) == 1
    assert backend.trimmed == [False]


def test_speech_may_come_as_an_item(start):
    from exomni.serve.protocol.items import pack_pcm16

    backend = DummyBackend()
    with start(backend).client() as client:
        parts = [{"type": "input_text", "text": "Translate:"}, {"type": "input_audio", "audio": pack_pcm16(tone(1))}]
        item = {"type": "message", "role": "user", "content": parts}
        client.send("conversation.item.create", item=item)
        client.send("response.create")
        client.until("response.done")
    assert backend.asked[0][-1].content == f"Translate:\n{backend.transcript}"


def test_what_nobody_said_is_not_answered(start):
    backend = DummyBackend()
    backend.transcript = ""
    with start(backend).client() as client:
        client.append(np.concatenate([tone(0.5), quiet(0.8)]))
        client.until("conversation.item.done")
        client.set_up()
        assert not of_type(client.seen, "response.created")


def test_the_client_may_answer_itself(start):
    with start().client() as client:
        client.set_up(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
        client.append(np.concatenate([tone(0.5), quiet(0.8)]))
        client.until("conversation.item.input_audio_transcription.completed")
        client.send("response.create")
        client.until("response.done")
        assert len(of_type(client.seen, "response.created")) == 1


def test_a_turn_without_end_ends_at_the_limit(start):
    with start(limits={"turn_s": 2}).client() as client:
        client.append(tone(5))
        for _ in range(2):
            stopped = client.until("input_audio_buffer.speech_stopped")
        assert 4_000 <= stopped["audio_end_ms"] <= 4_700


def test_a_turn_that_the_client_never_ends_is_refused_at_the_limit(start):
    with start(limits={"turn_s": 1}).client() as client:
        client.set_up(audio={"input": {"turn_detection": None}})
        client.append(tone(2))
        assert client.until("error")["error"]["code"] == "audio_too_long"


# --- interruptions ---------------------------------------------------------------------------------------------------


def test_speaking_over_a_reply_stops_it_and_keeps_what_was_heard(start):
    backend = DummyBackend(LONG, step_s=0.05)
    server = start(backend)
    with server.client() as client:
        client.say("go on")
        client.send("response.create")
        client.until("response.output_audio.delta")
        time.sleep(0.5)
        client.append(tone(0.3))
        client.until("input_audio_buffer.speech_started")
        start_at = len(client.seen)
        done = client.until("response.done")["response"]
        after = client.seen[start_at:]
        assert not of_type(after, "response.output_audio.delta")
        assert not of_type(after, "exomni.face.delta")
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
        played_ms = of_type(after, "conversation.item.truncated")[0]["audio_end_ms"]
        assert 400 <= played_ms <= 1_500
        made = backend.n_clauses
        client.append(quiet(1))
        client.until("response.created")
        wait_until(lambda: backend.n_closed == 1)
        assert backend.n_clauses <= made + 2
        said = backend.asked[1][1].content
        assert LONG.startswith(said)
        assert 0 < len(said) < len(LONG) / 4
        assert backend.asked[1][2].content == backend.transcript


def test_silence_comes_soon_after_speech(start):
    """From the first loud sample's arrival to `speech_started`, with the rest of the reply held back."""
    server = start(DummyBackend(LONG, step_s=0.02))
    delays = []
    with server.client() as client:
        for _ in range(5):
            client.say("go on")
            client.send("response.create")
            client.until("response.output_audio.delta")
            client.append(quiet(1.0))
            for i in range(10):
                began = time.monotonic()
                client.append(tone(0.032), piece=768)
                if i == 0:
                    first = began
                time.sleep(0.032)
            client.until("input_audio_buffer.speech_started")
            client.until("response.done")
            client.append(quiet(1.0))
            client.until("response.created")
            client.send("response.cancel")
            client.until("response.done")
            delays.append(first)
    count = server.hub.metrics.stop_s.collect()[0].samples
    total = next(s.value for s in count if s.name.endswith("_sum"))
    number = next(s.value for s in count if s.name.endswith("_count"))
    assert number == 5
    assert total / number < 0.15


def test_what_plays_after_the_reply_is_made_is_interrupted_too(start):
    backend = DummyBackend(LONG)
    with start(backend).client() as client:
        client.ask("go on")
        time.sleep(1.5)  # the reply is made at once; let some words of it be heard
        client.append(tone(0.3))
        client.until("input_audio_buffer.speech_started")
        played_ms = client.until("conversation.item.truncated")["audio_end_ms"]
        assert played_ms < 5_000
        client.append(quiet(1))
        client.until("response.done")
    assert len(backend.asked[1][1].content) < len(LONG) / 2


def test_the_client_knows_best_what_was_heard(start):
    backend = DummyBackend(LONG)
    with start(backend).client() as client:
        item = client.ask("go on")[-1]["response"]["output"][0]["id"]
        words = [w for e in of_type(client.seen, "exomni.caption.delta") for w in e["words"]]
        until_ms = words[5]["end_sample"] * 1000 // 24_000 + 1
        client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=until_ms)
        assert client.until("conversation.item.truncated")["audio_end_ms"] == until_ms
        client.send("conversation.item.retrieve", item_id=item)
        kept = client.until("conversation.item.retrieved")["item"]["content"][0]["transcript"]
        assert kept == " ".join(w["text"] for w in words[:6])
        client.ask("and then")
        client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=10**9)
        assert client.until("error")["error"]["param"] == "audio_end_ms"
    assert backend.asked[1][1].content == kept


def test_a_reply_is_cancelled_on_request(start):
    backend = DummyBackend(LONG, step_s=0.05)
    with start(backend).client() as client:
        client.say("go on")
        client.send("response.create")
        client.until("response.output_audio.delta")
        client.send("response.cancel")
        done = client.until("response.done")["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
        assert client.ask("again", max_output_tokens=4)[-1]["response"]["status"] == "incomplete"
        short = " ".join(LONG.split()[:4])
        wait_until(lambda: backend.prefilled and backend.prefilled[-1][-1].content == short)
    # Of the cancelled one, no more was read than was heard.
    assert all(len(turn.content) < len(LONG) / 2 for turns in backend.prefilled for turn in turns)


def test_interrupting_again_and_again_breaks_nothing(start):
    backend = DummyBackend(LONG, step_s=0.01)
    server = start(backend, limits={"replies_per_minute": 10_000})
    with server.client() as client:
        for _ in range(25):
            client.append(np.concatenate([tone(0.3), quiet(0.7)]), piece=24_000)
            client.until("response.created")
            client.until("response.output_audio.delta")
        client.send("response.cancel")
        done = of_type(client.seen, "response.done")
        client.until("response.done")
    assert [d["response"]["status"] for d in done] == ["cancelled"] * len(done)
    assert len(done) >= 24
    wait_until(lambda: backend.n_closed == len(backend.asked))
    assert server.hub.n_replies == 0


def test_a_reply_goes_on_where_the_client_does_not_want_to_interrupt(start):
    backend = DummyBackend(LONG, step_s=0.02)
    with start(backend).client() as client:
        client.set_up(audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}})
        client.say("go on")
        client.send("response.create")
        client.until("response.output_audio.delta")
        client.append(tone(0.3))
        client.until("input_audio_buffer.speech_started")
        assert client.until("response.done")["response"]["status"] == "completed"


def test_half_a_question_is_not_answered(start):
    backend = DummyBackend()
    backend.held.clear()
    with start(backend).client() as client:
        client.append(np.concatenate([tone(0.3), quiet(0.7), tone(0.3)]))
        client.until("input_audio_buffer.committed")
        client.until("input_audio_buffer.speech_started")
        backend.held.set()
        client.until("conversation.item.done")
        client.append(quiet(0.7))
        client.until("response.done")
        assert len(of_type(client.seen, "response.created")) == 1
    assert backend.asked[0][-1].content == f"{backend.transcript}\n{backend.transcript}"


# --- trouble ---------------------------------------------------------------------------------------------------------


def test_a_failing_model_ends_the_reply_and_nothing_else(start):
    backend = DummyBackend(LONG)
    with start(backend).client() as client:
        backend.error = RuntimeError("the model fell over a secret")
        client.say("go on")
        client.send("response.create")
        error = client.until("error")["error"]
        assert error["code"] == "server_error"
        assert "secret" not in json.dumps(error)
        assert client.until("response.done")["response"]["status"] == "failed"
        backend.error = None
        assert client.ask("again")[-1]["response"]["status"] == "completed"


def test_one_reply_at_a_time(start):
    backend = DummyBackend(LONG, step_s=0.05)
    with start(backend).client() as client:
        client.say("go on")
        client.send("response.create")
        client.send("response.create")
        assert client.until("error")["error"]["code"] == "response_active"
