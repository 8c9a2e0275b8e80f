"""Writes pictures to files: MP4 and WebM with sound, GIF, and a sheet."""

import os
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ...core.atomic import atomic_path
from ...core.errors import OutputError
from ...face.pictures import sheet

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream

CODECS = {
    ".mp4": ("libx264", "aac", {"crf": "18", "preset": "veryfast", "pix_fmt": "yuv420p"}),
    ".webm": ("libvpx-vp9", "libopus", {"crf": "30", "b:v": "0", "deadline": "realtime", "cpu-used": "6"}),
}
"""Video codec, audio codec and options by suffix."""
OPUS_HZ = 48_000
AUDIO_KBIT = 128
GIF_FPS = 15
GIF_COLOURS = 128


def write_video(
    path: str | os.PathLike[str],
    pictures: Iterator[np.ndarray],
    fps: Fraction,
    audio: np.ndarray | None = None,
    sample_hz: int | None = None,
) -> None:
    """Write `.mp4` (H.264 and AAC) or `.webm` (VP9 and Opus).

    Args:
        path: the file; its suffix is a key of `CODECS`.
        pictures: RGB, uint8 [height, width, 3], both even.
        fps: pictures a second, exact.
        audio: mono samples, float32 [N].
        sample_hz: samples a second.
    Raises OutputError where it cannot be written.
    """
    import av
    from av.error import FFmpegError

    video_codec, audio_codec, options = CODECS[Path(path).suffix.lower()]
    with atomic_path(path) as part:
        try:
            with av.open(str(part), "w") as container:
                picture = next(pictures)
                video = cast("VideoStream", container.add_stream(video_codec, rate=fps, options=options))
                video.height, video.width = picture.shape[:2]
                video.pix_fmt = "yuv420p"
                sound = None
                if audio is not None and sample_hz is not None:
                    rate = OPUS_HZ if audio_codec == "libopus" else sample_hz
                    sound = cast("AudioStream", container.add_stream(audio_codec, rate=rate, layout="mono"))
                    sound.bit_rate = AUDIO_KBIT * 1000
                _add_pictures(container, video, picture, pictures)
                if sound is not None and audio is not None and sample_hz is not None:
                    _add_sound(container, sound, audio, sample_hz)
        except FFmpegError as error:
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def write_gif(path: str | os.PathLike[str], pictures: Iterator[np.ndarray], fps: Fraction) -> None:
    """Write a moving GIF of at most `GIF_FPS` pictures a second, without sound.

    Args:
        pictures: RGB, uint8 [height, width, 3].
        fps: pictures a second.
    Raises OutputError where it cannot be written.
    """
    from PIL import Image

    step = max(1, round(float(fps) / GIF_FPS))
    kept = [Image.fromarray(picture) for i, picture in enumerate(pictures) if i % step == 0]
    palette = kept[len(kept) // 2].quantize(GIF_COLOURS)
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in kept]
    # A GIF counts hundredths of a second: the lengths are spread so that the whole is as long as the animation.
    ends = [round(100 * (i + 1) * step / float(fps)) for i in range(len(frames))]
    lengths_ms = [10 * (b - a) for a, b in zip([0, *ends], ends, strict=False)]
    with atomic_path(path) as part:
        frames[0].save(part, "GIF", save_all=True, append_images=frames[1:], duration=lengths_ms, loop=0)


def write_sheet(path: str | os.PathLike[str], pictures: list[np.ndarray], labels: list[str], columns: int) -> None:
    """Write pictures in rows with a label over each, as a PNG.

    Args:
        pictures: RGB, uint8 [height, width, 3], of one size.
        labels: one for each.
        columns: pictures in a row.
    Raises OutputError where it cannot be written.
    """
    from PIL import Image

    picture = Image.fromarray(sheet(pictures, labels, columns, max(12, pictures[0].shape[0] // 14)))
    with atomic_path(path) as part:
        picture.save(part, "PNG")


def _add_pictures(
    container: "OutputContainer", video: "VideoStream", first: np.ndarray, others: Iterator[np.ndarray]
) -> None:
    import av

    for i, picture in enumerate(chain([first], others)):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = i, 1 / Fraction(video.codec_context.framerate)
        container.mux(video.encode(frame))
    container.mux(video.encode(None))


def _add_sound(container: "OutputContainer", sound: "AudioStream", samples: np.ndarray, sample_hz: int) -> None:
    import av

    source = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32)[None], format="flt", layout="mono")
    source.sample_rate, source.pts, source.time_base = sample_hz, 0, Fraction(1, sample_hz)
    size = sound.codec_context.frame_size or 1024
    resampler = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=sound.rate, frame_size=size)
    for frame in [*resampler.resample(source), *resampler.resample(None)]:
        container.mux(sound.encode(frame))
    container.mux(sound.encode(None))
