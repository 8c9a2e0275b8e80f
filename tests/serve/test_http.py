"""The HTTP endpoints: what they answer, in which forms, and how mistakes are told."""

import base64
import io
import json
import wave
import zipfile

import numpy as np
import pytest

from exomni.core.arkit import NAMES
from exomni.pipeline.results import wav_bytes

from .dummies import TICKS_A_LETTER, DummyBackend, fetch, post, tone

WAV = wav_bytes(tone(1.0))
HELLO = "You said hello there my friend"


def form(fields: dict[str, str], audio: bytes | None) -> tuple[bytes, str]:
    """A multipart form and its media type."""
    parts = [f'Content-Disposition: form-data; name="{k}"\r\n\r\n{v}'.encode() for k, v in fields.items()]
    if audio is not None:
        head = b'Content-Disposition: form-data; name="audio"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
        parts.append(head + audio)
    body = b"".join(b"--XX\r\n" + part + b"\r\n" for part in parts) + b"--XX--\r\n"
    return body, "multipart/form-data; boundary=XX"


def decoded(data: bytes) -> np.ndarray:
    """Samples of any file that FFmpeg reads, at 24 kHz."""
    import av

    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=24_000)
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    return np.concatenate([f.to_ndarray()[0] for f in [*frames, *resampler.resample(None)]])


def test_a_typed_question_is_answered_with_voice_and_face(shared):
    status, headers, body = post(shared, "/v1/respond", {"text": "hello there my friend"})
    assert (status, headers["content-type"]) == (200, "application/json")
    assert body["text"] == HELLO
    assert "transcript" not in body
    with wave.open(io.BytesIO(base64.b64decode(body["audio"]["data"]))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (24_000, 1, 2)
        assert sound.getnframes() == body["audio"]["n_samples"]
    frames = np.frombuffer(base64.b64decode(body["face"]["frames"]), "<f4").reshape(-1, 52)
    assert len(frames) == body["face"]["n_frames"] == body["audio"]["n_samples"] // 800
    assert body["face"]["names"] == list(NAMES)
    assert (frames == 0.25).all()


def test_the_options_reach_the_model(start):
    backend = DummyBackend()
    server = start(backend)
    options = {"text": "sing a song for me now please", "max_output_tokens": 2, "instructions": "Be brief."}
    _, _, body = post(server, "/v1/respond", {**options, "face_encoding": "uint8", "emotion": {"joy": 1.0}})
    assert body["text"] == "You said"
    assert backend.asked[0][0].content == "Be brief.\n\nsing a song for me now please"
    assert set(base64.b64decode(body["face"]["frames"])) == {64}


@pytest.mark.parametrize("as_form", [False, True])
def test_a_spoken_question_is_written_down_and_answered(shared, as_form):
    if as_form:
        body, kind = form({"options": json.dumps({"speed": 1.5})}, WAV)
        status, _, answer = post(shared, "/v1/respond", body, content_type=kind, **{"content-type": kind})
    else:
        status, _, answer = post(shared, "/v1/respond", {"audio": base64.b64encode(WAV).decode()})
    assert status == 200
    assert answer["transcript"] == shared.backend.transcript
    assert answer["text"] == f"You said {shared.backend.transcript}"


def test_an_answer_may_come_in_parts(shared):
    from email import message_from_bytes

    status, headers, data = post(shared, "/v1/respond", {"text": "hello there my friend"}, accept="multipart/mixed")
    assert status == 200
    whole = message_from_bytes(b"Content-Type: " + headers["content-type"].encode() + b"\r\n\r\n" + data)
    facts, sound, face = whole.get_payload()
    answer = json.loads(facts.get_payload(decode=True))
    assert (answer["text"], "data" in answer["audio"], "frames" in answer["face"]) == (HELLO, False, False)
    with wave.open(io.BytesIO(sound.get_payload(decode=True))) as wav:
        assert wav.getnframes() == answer["audio"]["n_samples"]
    assert len(face.get_payload(decode=True)) == answer["face"]["n_frames"] * 52 * 4


def test_a_recording_gets_a_face(shared):
    body, kind = form({}, WAV)
    status, _, answer = post(shared, "/v1/animate", body, **{"content-type": kind})
    assert status == 200
    assert (answer["text"], answer["face"]["n_frames"], answer["audio"]["n_samples"]) == ("", 30, 24_000)


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_speech_comes_in_every_format_of_openai(shared, name):
    text = "good morning my dear friend how are you today"
    request = {"model": "tts-1", "input": text, "voice": "alloy", "response_format": name}
    status, headers, data = post(shared, "/v1/audio/speech", request)
    assert status == 200
    assert headers["content-type"].startswith("audio/")
    samples = np.frombuffer(data, "<i2") / 32768 if name == "pcm" else decoded(data)
    least_s = TICKS_A_LETTER * len(text) * 0.025
    assert least_s * 0.9 < len(samples) / 24_000 < least_s * 1.6
    assert np.abs(samples).max() > 0.2


def test_speech_leaves_before_it_is_whole(start):
    import http.client

    backend = DummyBackend(step_s=0.1)
    server = start(backend)
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    text = " ".join(["one two three four"] * 30)
    request = {"model": "tts-1", "input": text, "response_format": "pcm"}
    connection.request("POST", "/v1/audio/speech", json.dumps(request), {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read(1_000)
    assert backend.n_clauses < 5
    connection.close()


def test_who_hangs_up_stops_the_work(start):
    import http.client

    from .dummies import wait_until

    backend = DummyBackend(" ".join(["one two three four"] * 500), step_s=0.02)
    server = start(backend)
    for path, request in (
        ("/v1/respond", {"text": "go"}),
        ("/v1/audio/speech", {"model": "x", "input": backend.answer}),
    ):
        n_closed = backend.n_closed
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("POST", path, json.dumps(request), {"content-type": "application/json"})
        n_clauses = backend.n_clauses
        wait_until(lambda seen=n_clauses: backend.n_clauses > seen)
        connection.sock.close()
        wait_until(lambda seen=n_closed: backend.n_closed == seen + 1)
        assert backend.n_clauses - n_clauses < 100
        assert server.hub.n_replies == 0


@pytest.mark.parametrize("name", ["a2f", "livelink-csv", "srt", "npz", "wav"])
def test_a_reply_can_be_had_in_other_formats(shared, name):
    reply = post(shared, "/v1/respond", {"text": "hello there my friend"})[2]
    status, headers, data = fetch(shared, f"/v1/exports/{reply['id']}/{name}")
    assert status == 200
    assert headers["content-disposition"].startswith('attachment; filename="exomni')
    if name == "a2f":
        found = (
            json.loads(zipfile.ZipFile(io.BytesIO(data)).read("exomni.a2f.json"))
            if data[:2] == b"PK"
            else json.loads(data)
        )
        assert found["numFrames"] == reply["face"]["n_frames"]
    elif name == "srt":
        assert "hello there my friend" in data.decode().replace("\n", " ")
    assert data


def test_what_a_session_said_can_be_had_too(shared):
    with shared.client() as client:
        reply_id = client.ask("hello there")[-1]["response"]["id"]
    status, _, data = fetch(shared, f"/v1/exports/{reply_id}/wav")
    assert (status, data[:4]) == (200, b"RIFF")


def test_the_oldest_replies_are_forgotten(start):
    long = " ".join(["one two three four"] * 8)
    server = start(DummyBackend(long), limits={"kept_bytes": 1 << 20, "requests_per_minute": 10_000})
    ids = [post(server, "/v1/respond", {"text": "go"})[2]["id"] for _ in range(4)]
    assert server.hub.kept.n_bytes <= 1 << 20
    assert fetch(server, f"/v1/exports/{ids[0]}/wav")[0] == 404
    assert fetch(server, f"/v1/exports/{ids[-1]}/wav")[0] == 200


def test_what_is_not_there_is_not_found(shared):
    reply = post(shared, "/v1/respond", {"text": "hello"})[2]
    for path in (f"/v1/exports/{reply['id']}/nothing", "/v1/exports/resp_nobody/wav", "/nowhere.html"):
        status, _, body = fetch(shared, path)
        assert (status, body["error"]["code"]) == (404, "item_not_found")


def test_a_format_that_cannot_hold_the_reply_says_so(shared):
    body, kind = form({}, WAV)
    reply = post(shared, "/v1/animate", body, **{"content-type": kind})[2]
    status, _, answer = fetch(shared, f"/v1/exports/{reply['id']}/srt")
    assert (status, answer["error"]["code"]) == (415, "unsupported")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/respond", b"{", 400, "invalid_json"),
        ("/v1/respond", b"\xff", 400, "invalid_json"),
        ("/v1/respond", {}, 422, "invalid_event"),
        ("/v1/respond", {"text": "a", "audio": "b"}, 422, "invalid_event"),
        ("/v1/respond", {"text": "a", "colour": 1}, 422, "unknown_parameter"),
        ("/v1/respond", {"text": " "}, 400, "nothing_to_answer"),
        ("/v1/respond", {"text": "a", "emotion": {"joy": 7}}, 422, "invalid_event"),
        ("/v1/respond", {"audio": "@"}, 400, "invalid_audio"),
        ("/v1/respond", {"audio": base64.b64encode(b"nothing like it").decode()}, 400, "invalid_audio"),
        ("/v1/respond", {"audio": base64.b64encode(WAV[:44]).decode()}, 400, "invalid_audio"),
        ("/v1/animate", {"audio": base64.b64encode(b"#EXTM3U\n/etc/passwd").decode()}, 400, "invalid_audio"),
        ("/v1/animate", {"audio": base64.b64encode(b"ffconcat version 1.0\nfile /x").decode()}, 400, "invalid_audio"),
        ("/v1/audio/speech", {"model": "a", "input": ""}, 422, "invalid_event"),
        ("/v1/audio/speech", {"model": "a", "input": " "}, 400, "nothing_to_answer"),
        ("/v1/audio/speech", {"model": "a", "input": "b", "response_format": "midi"}, 422, "invalid_event"),
    ],
)  # fmt: skip
def test_mistakes_are_told(shared, path, body, status, code):
    found, _, answer = post(shared, path, body)
    assert (found, answer["error"]["code"]) == (status, code)
    assert answer["error"]["message"]


def test_other_media_types_and_methods_are_refused(shared):
    assert post(shared, "/v1/respond", b"hello", **{"content-type": "text/plain"})[0] == 415
    assert fetch(shared, "/v1/respond")[0] == 405
    body, kind = form({"options": "{"}, WAV)
    assert post(shared, "/v1/respond", body, **{"content-type": kind})[0] == 400
    body, kind = form({"colour": "red"}, None)
    assert post(shared, "/v1/respond", body, **{"content-type": kind})[2]["error"]["param"] == "audio"


@pytest.mark.parametrize("path", ["/v1/respond", "/v1/animate"])
def test_an_empty_file_is_no_recording(shared, path):
    body, kind = form({}, b"")
    status, _, answer = post(shared, path, body, **{"content-type": kind})
    assert (status, answer["error"]["code"]) == (400, "invalid_audio")


def test_a_failing_model_is_our_fault_and_is_not_explained(start):
    backend = DummyBackend()
    server = start(backend)
    backend.error = RuntimeError("a secret")
    status, _, body = post(server, "/v1/respond", {"text": "hello"})
    assert (status, body["error"]["code"]) == (500, "server_error")
    assert "secret" not in json.dumps(body)


def test_the_endpoints_describe_themselves(shared):
    description = fetch(shared, "/openapi.json")[2]
    assert set(description["paths"]) == {
        "/v1/respond", "/v1/animate", "/v1/audio/speech", "/v1/exports", "/v1/exports/{reply_id}/{format_name}",
        "/healthz", "/metrics",
    }  # fmt: skip
    page = fetch(shared, "/docs")[2].decode()
    assert all(path in page for path in description["paths"])
    assert "<script" not in page


def test_the_counts_are_there(shared):
    with shared.client() as client:
        client.ask("hello")
    assert post(shared, "/v1/respond", {"text": "hello"})[0] == 200
    text = fetch(shared, "/metrics")[2].decode()
    counts = {line.split(" ")[0]: float(line.split(" ")[1]) for line in text.splitlines() if line[0] != "#"}
    assert counts['exomni_replies_total{status="completed"}'] >= 1
    assert counts["exomni_first_audio_seconds_count"] >= 1
    assert counts["exomni_speech_seconds_total"] > 0
    assert counts["exomni_replies_in_progress"] == 0
    assert any(name.startswith('exomni_http_requests_total{path="/v1/respond",status="200"}') for name in counts)
