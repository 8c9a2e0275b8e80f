"""NVIDIA's Audio2Face-3D service as a teacher, over gRPC, for people who run it.

It works from the sound; symbols and ticks only say where sentences begin. The protocol is the service's
published one (`A2FControllerService.ProcessAudioStream`): a header, sound with emotions, an end mark; back come
the shapes' names, then frames with times, then a status. The order of the names is the service's own, so
everything maps by name.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import soxr
from pydantic import Field, SecretStr

from ...core.arkit import NAMES, K
from ...core.emotion import EMOTIONS
from ...core.errors import ConfigError, InputError, ServiceError
from ...core.timebase import ENCODER_SAMPLE_HZ, FRAME_HZ, SAMPLE_HZ
from .face_teacher import Clip, TeacherConfig

SERVICE_SAMPLE_HZ = ENCODER_SAMPLE_HZ
"""The service takes any rate and works at this one."""
CHUNK_SAMPLES = SERVICE_SAMPLE_HZ
OPTIONAL_SHAPES = frozenset({"tongueOut"})
"""Shapes that some of the service's characters lack; they stay 0."""


class Audio2Face3DConfig(TeacherConfig):
    """Where the service is and how to be let in.

    Attributes:
        address: host and port.
        tls: encrypt; NVIDIA's hosted service needs it, one's own usually not.
        api_key: sent as a bearer token.
        function_id: which of the hosted service's characters.
        timeout_s: longest wait for the whole of a clip's answer.
    """

    address: str = "localhost:52000"
    tls: bool = False
    api_key: SecretStr | None = None
    function_id: str | None = None
    timeout_s: float = Field(default=120.0, gt=0)


class Audio2Face3DTeacher:
    """Labels from the sound, by a service; one call a clip."""

    name = "audio2face3d"
    listens = True
    config_class = Audio2Face3DConfig

    def __init__(self, config: Audio2Face3DConfig | None = None) -> None:
        """Prepare; nothing is connected yet. A ConfigError where the extra `teachers-nvidia` is not installed."""
        try:
            import grpc
            from nvidia_ace import audio_pb2, status_pb2
            from nvidia_audio2face_3d import audio2face_pb2_grpc, messages_pb2
        except ImportError as error:
            raise ConfigError(
                f"the audio2face3d teacher needs more packages: pip install 'exomni[teachers-nvidia]' ({error})"
            ) from error
        self.config = config or Audio2Face3DConfig()
        self._grpc, self._audio, self._status = grpc, audio_pb2, status_pb2
        self._stubs, self._messages = audio2face_pb2_grpc, messages_pb2

    def label(self, clip: Clip) -> np.ndarray:
        """ARKit weights, float32 [T_frame, K] in 0..1 (see `FaceTeacher`).

        Raises:
            InputError: the clip has no sound.
            ServiceError: the service cannot be reached, refuses, fails, or answers what is not understood.
        """
        if clip.audio is None or not len(clip.audio):
            raise InputError("the audio2face3d teacher listens: the clip needs audio")
        names, times_s, frames = self._ask(clip)
        return at_frames(*in_project_order(names, times_s, frames), clip.n_frames)

    def _ask(self, clip: Clip) -> tuple[list[str], list[float], list[Sequence[float]]]:
        """The service's shape names, frame times in seconds and frames."""
        names: list[str] = []
        times_s: list[float] = []
        frames: list[Sequence[float]] = []
        try:
            with self._channel() as channel:
                stub = self._stubs.A2FControllerServiceStub(channel)
                answers = stub.ProcessAudioStream(
                    self._requests(clip), timeout=self.config.timeout_s, metadata=self._metadata()
                )
                for answer in answers:
                    part = answer.WhichOneof("stream_part")
                    if part == "animation_data_stream_header":
                        names = list(answer.animation_data_stream_header.skel_animation_header.blend_shapes)
                    elif part == "animation_data":
                        for frame in answer.animation_data.skel_animation.blend_shape_weights:
                            times_s.append(frame.time_code)
                            frames.append(frame.values)
                    elif part == "status" and answer.status.code == self._status.Status.ERROR:
                        raise ServiceError(f"Audio2Face-3D failed: {answer.status.message}")
        except self._grpc.RpcError as error:
            raise ServiceError(self._explain(error)) from error
        return names, times_s, frames

    def _requests(self, clip: Clip) -> Iterator[Any]:
        """Header, sound in pieces (emotions with the first), end mark."""
        stream, m = self._messages.AudioWithEmotionStream, self._messages
        header = self._audio.AudioHeader(
            audio_format=self._audio.AudioHeader.AUDIO_FORMAT_PCM,
            channel_count=1,
            samples_per_second=SERVICE_SAMPLE_HZ,
            bits_per_sample=16,
        )
        yield stream(audio_stream_header=m.AudioWithEmotionStreamHeader(audio_header=header))
        sound = soxr.resample(np.asarray(clip.audio, np.float32), SAMPLE_HZ, SERVICE_SAMPLE_HZ)
        pcm = np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2")
        emotions = [
            m.EmotionWithTimeCode(time_code=start_s, emotion=dict(zip(EMOTIONS, row.tolist(), strict=True)))
            for start_s, row in emotion_starts(clip)
        ]
        for start in range(0, len(pcm), CHUNK_SAMPLES):
            piece = pcm[start : start + CHUNK_SAMPLES].tobytes()
            yield stream(audio_with_emotion=m.AudioWithEmotion(audio_buffer=piece, emotions=emotions))
            emotions = []
        yield stream(end_of_audio=stream.EndOfAudio())

    def _channel(self) -> Any:
        if self.config.tls:
            return self._grpc.secure_channel(self.config.address, self._grpc.ssl_channel_credentials())
        return self._grpc.insecure_channel(self.config.address)

    def _metadata(self) -> list[tuple[str, str]]:
        pairs = [("function-id", self.config.function_id)] if self.config.function_id else []
        key = self.config.api_key
        return [*pairs, ("authorization", f"Bearer {key.get_secret_value()}")] if key else pairs

    def _explain(self, error: Any) -> str:
        """A sentence about a failed call that says what to do."""
        code, where = error.code(), self.config.address
        codes = self._grpc.StatusCode
        if code == codes.UNAVAILABLE:
            return f"no Audio2Face-3D service answers at {where}; start it, or check the address and tls"
        if code == codes.DEADLINE_EXCEEDED:
            return f"Audio2Face-3D at {where} did not finish within {self.config.timeout_s:g} s"
        if code in (codes.UNAUTHENTICATED, codes.PERMISSION_DENIED):
            return f"Audio2Face-3D at {where} refused the key: {error.details()}"
        return f"Audio2Face-3D at {where} failed: {code.name}: {error.details()}"


def emotion_starts(clip: Clip) -> list[tuple[float, np.ndarray]]:
    """When each sentence's emotion begins, in seconds, and the emotion, [5]."""
    rows = np.atleast_2d(clip.emotion)
    if len(rows) == 1:
        return [(0.0, rows[0])]
    starts = {}
    for phone in clip.phones:
        if phone.symbol:
            starts.setdefault(phone.sentence, phone.start_s)
    return [(start_s, rows[min(i, len(rows) - 1)]) for i, start_s in starts.items()]


def in_project_order(
    names: list[str], times_s: list[float], frames: list[Sequence[float]]
) -> tuple[np.ndarray, np.ndarray]:
    """A service's answer with the project's columns: times in seconds [N], rising, and weights float32 [N, K].

    Raises:
        ServiceError: no frames, frames that do not fit the names, times that do not rise, or shapes that lack.
    """
    if not frames:
        raise ServiceError("Audio2Face-3D answered without a single frame")
    column = {name.lower(): i for i, name in enumerate(names)}
    lacking = [n for n in NAMES if n.lower() not in column and n not in OPTIONAL_SHAPES]
    if lacking:
        raise ServiceError(f"Audio2Face-3D's shapes lack {', '.join(lacking)}")
    if any(len(frame) != len(names) for frame in frames):
        raise ServiceError(f"Audio2Face-3D names {len(names)} shapes but sends frames of another size")
    if any(after <= before for before, after in pairwise(times_s)):
        raise ServiceError("Audio2Face-3D's frame times do not rise")
    table = np.asarray(frames, np.float32)
    out = np.zeros((len(frames), K), np.float32)
    for k, name in enumerate(NAMES):
        if name.lower() in column:
            out[:, k] = table[:, column[name.lower()]]
    return np.asarray(times_s, float), out


def at_frames(times_s: np.ndarray, weights: np.ndarray, n_frames: int) -> np.ndarray:
    """Weights [N, K] at the middles of the project's frames, ends held, clipped, float32 [T_frame, K]."""
    middles_s = (np.arange(n_frames) + 0.5) / FRAME_HZ
    columns = [np.interp(middles_s, times_s, weights[:, k]) for k in range(K)]
    return np.clip(np.stack(columns, 1), 0.0, 1.0).astype(np.float32)
