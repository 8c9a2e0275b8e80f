"""The Audio2Face-3D teacher against a server in this process that speaks the published protocol."""

import time
from collections.abc import Callable, Iterator
from concurrent import futures

import numpy as np
import pytest

from exomni.core.arkit import INDEX, NAMES, K
from exomni.core.emotion import emotion_vector
from exomni.core.errors import ConfigError, InputError, ServiceError
from exomni.core.timebase import FRAME_HZ, SAMPLE_HZ
from exomni.data.teachers import Clip, get_teacher

grpc = pytest.importorskip("grpc")
audio2face_pb2_grpc = pytest.importorskip("nvidia_audio2face_3d.audio2face_pb2_grpc")

from nvidia_ace import animation_pb2, status_pb2  # noqa: E402
from nvidia_audio2face_3d import messages_pb2  # noqa: E402

SERVICE_FPS = 60
SHUFFLED = [NAMES[i][0].upper() + NAMES[i][1:] for i in np.random.default_rng(0).permutation(K)]
"""The service's names: another order, another case."""


class FakeService(audio2face_pb2_grpc.A2FControllerServiceServicer):
    """Sends a jaw that opens with time, and a fixed weight for every other shape; remembers what it was sent."""

    def __init__(self) -> None:
        self.names = list(SHUFFLED)
        self.requests: list = []
        self.metadata: dict[str, str] = {}
        self.behave: Callable[[object], None] = lambda context: None
        self.status = status_pb2.Status(code=status_pb2.Status.SUCCESS, message="fine")
        self.frame_size: int | None = None

    def ProcessAudioStream(self, request_iterator, context) -> Iterator:  # noqa: N802 (the protocol's name)
        self.metadata = dict(context.invocation_metadata())
        self.behave(context)
        self.requests = list(request_iterator)
        out = messages_pb2.A2F3DAnimationDataStream
        shapes = animation_pb2.SkelAnimationHeader(blend_shapes=self.names)
        yield out(
            animation_data_stream_header=messages_pb2.A2F3DAnimationDataStreamHeader(skel_animation_header=shapes)
        )
        sound = b"".join(r.audio_with_emotion.audio_buffer for r in self.requests)
        rate = self.requests[0].audio_stream_header.audio_header.samples_per_second
        for i in range(len(sound) // 2 * SERVICE_FPS // rate):
            values = [expected(name, i / SERVICE_FPS) for name in self.names][: self.frame_size]
            frame = animation_pb2.FloatArrayWithTimeCode(time_code=i / SERVICE_FPS, values=values)
            yield out(
                animation_data=animation_pb2.AnimationData(
                    skel_animation=animation_pb2.SkelAnimation(blend_shape_weights=[frame])
                )
            )
        yield out(status=self.status)


def expected(name: str, at_s: float) -> float:
    """What the service shows: by name, so that a wrong order cannot pass."""
    if name.lower() == "jawopen":
        return min(at_s, 1.0)
    known = {n.lower(): i for n, i in INDEX.items()}
    return known.get(name.lower(), 0) / 100


@pytest.fixture
def service() -> Iterator[tuple[FakeService, str]]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    fake = FakeService()
    audio2face_pb2_grpc.add_A2FControllerServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield fake, f"localhost:{port}"
    server.stop(None)


def clip(seconds: float = 2.5, **fields) -> Clip:
    audio = np.sin(np.arange(round(seconds * SAMPLE_HZ)) * 0.05).astype(np.float32) * 0.5
    return Clip([], [], round(seconds * FRAME_HZ), audio=audio, **fields)


def test_shapes_are_mapped_by_name_and_resampled(service) -> None:
    _, address = service
    face = get_teacher("audio2face3d", {"address": address}).label(clip())
    assert face.shape == (75, K)
    assert face.dtype == np.float32
    middles_s = (np.arange(75) + 0.5) / FRAME_HZ
    np.testing.assert_allclose(face[:, INDEX["jawOpen"]], np.minimum(middles_s, 1.0), atol=1e-4)
    for name, k in INDEX.items():
        if name != "jawOpen":
            np.testing.assert_allclose(face[:, k], k / 100, atol=1e-6, err_msg=name)


def test_the_sound_arrives_as_the_protocol_wants_it(service) -> None:
    fake, address = service
    emotion = np.stack([emotion_vector({"joy": 0.7}), emotion_vector({"anger": 0.4})])
    symbols, ticks = list("_hi__hi_"), [4, 8, 8, 20, 20, 8, 8, 24]
    sound = clip().audio
    get_teacher("audio2face3d", {"address": address}).label(Clip(symbols, ticks, 75, emotion=emotion, audio=sound))
    kinds = [r.WhichOneof("stream_part") for r in fake.requests]
    assert kinds == ["audio_stream_header", *["audio_with_emotion"] * 3, "end_of_audio"]
    header = fake.requests[0].audio_stream_header.audio_header
    assert (header.samples_per_second, header.bits_per_sample, header.channel_count) == (16000, 16, 1)
    pcm = np.frombuffer(b"".join(r.audio_with_emotion.audio_buffer for r in fake.requests), "<i2")
    assert len(pcm) == 40000
    assert np.abs(pcm).max() == pytest.approx(0.5 * 32767, rel=0.02)
    felt = fake.requests[1].audio_with_emotion.emotions
    assert [round(e.time_code, 3) for e in felt] == [0.03, 1.43]
    assert felt[0].emotion["joy"] == pytest.approx(0.7)
    assert felt[1].emotion["anger"] == pytest.approx(0.4)
    assert not fake.requests[2].audio_with_emotion.emotions


def test_the_key_travels_and_stays_out_of_the_configs_text(service) -> None:
    fake, address = service
    options = {"address": address, "api_key": "secret-key", "function_id": "f-1"}
    teacher = get_teacher("audio2face3d", options)
    teacher.label(clip(0.2))
    assert fake.metadata["authorization"] == "Bearer secret-key"
    assert fake.metadata["function-id"] == "f-1"
    assert "secret-key" not in repr(teacher.config)


def test_a_character_without_a_tongue_keeps_it_in(service) -> None:
    fake, address = service
    fake.names = [n for n in SHUFFLED if n != "TongueOut"] + ["TongueTipUp"]
    face = get_teacher("audio2face3d", {"address": address}).label(clip(0.5))
    assert face[:, INDEX["tongueOut"]].max() == 0
    np.testing.assert_allclose(face[:, INDEX["noseSneerRight"]], INDEX["noseSneerRight"] / 100, atol=1e-6)


def fails(address: str, match: str, **options) -> None:
    with pytest.raises(ServiceError, match=match):
        get_teacher("audio2face3d", {"address": address, **options}).label(clip(0.3))


def test_no_service_there() -> None:
    fails("localhost:1", "no Audio2Face-3D service answers at localhost:1", timeout_s=5)


def test_a_refused_key(service) -> None:
    fake, address = service
    fake.behave = lambda context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you")
    fails(address, "refused the key: who are you")


def test_a_service_that_hangs(service) -> None:
    fake, address = service
    fake.behave = lambda context: time.sleep(1.0)
    fails(address, "did not finish within 0.2 s", timeout_s=0.2)


def test_another_failure_names_its_code(service) -> None:
    fake, address = service
    fake.behave = lambda context: context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams")
    fails(address, "RESOURCE_EXHAUSTED: too many streams")


def test_an_error_status_inside_the_stream(service) -> None:
    fake, address = service
    fake.status = status_pb2.Status(code=status_pb2.Status.ERROR, message="inference broke")
    fails(address, "inference broke")


def test_answers_that_make_no_sense(service) -> None:
    fake, address = service
    fake.frame_size = 10
    fails(address, "frames of another size")
    fake.frame_size = None
    fake.names = SHUFFLED[:-1]
    fails(address, "shapes lack")


def test_an_answer_without_frames(service) -> None:
    _, address = service
    with pytest.raises(ServiceError, match="without a single frame"):
        get_teacher("audio2face3d", {"address": address}).label(clip(0.01))


def test_it_needs_sound() -> None:
    with pytest.raises(InputError, match="needs audio"):
        get_teacher("audio2face3d").label(Clip([], [], 3))


@pytest.mark.parametrize("options", [{"adress": "x"}, {"timeout_s": 0}])
def test_wrong_options_are_refused(options) -> None:
    with pytest.raises(ConfigError, match="options"):
        get_teacher("audio2face3d", options)
    with pytest.raises(ConfigError, match="no options"):
        get_teacher("openfacefx", options)
