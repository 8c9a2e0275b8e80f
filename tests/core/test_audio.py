"""Recordings as people have them, written with FFmpeg's libraries and read back."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from exomni.core.audio import PIECE_SECONDS, read_audio, read_pieces, resample, resample_pieces
from exomni.core.errors import InputError

TONE_HZ = 440.0


def tone(seconds: float, sample_rate: int, hz: float = TONE_HZ) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate)).astype(np.float32)


def write(path: Path, samples: np.ndarray, sample_rate: int, codec: str, layout: str = "mono") -> Path:
    """Encode float32 [N] (or [channels, N]) by the suffix of `path`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=sample_rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(np.atleast_2d(samples)), "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = sample_rate, Fraction(1, sample_rate), 0
        converter = av.AudioResampler(stream.codec_context.format, layout, sample_rate)
        fifo = av.AudioFifo()
        for piece in [*converter.resample(frame), *converter.resample(None)]:
            fifo.write(piece)
        size = stream.codec_context.frame_size or 1024
        while (piece := fifo.read(size)) or (piece := fifo.read(0, partial=True)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


def pitch(samples: np.ndarray, sample_rate: int) -> float:
    """Frequency of the strongest part of the middle of a clip."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(spectrum.argmax() * sample_rate / len(middle))


@pytest.mark.parametrize(
    ("name", "rate", "codec", "slack_s"),
    [
        ("a.wav", 16_000, "pcm_s16le", 0),
        ("a.wav", 8_000, "pcm_u8", 0),
        ("a.wav", 44_100, "pcm_f32le", 0),
        ("a.wav", 37_003, "pcm_s16le", 0),
        ("a.wav", 96_000, "pcm_s24le", 0),
        ("a.wav", 8_000, "pcm_mulaw", 0),
        ("a.flac", 44_100, "flac", 0),
        ("a.mp3", 22_050, "libmp3lame", 0.1),
        ("a.m4a", 44_100, "aac", 0.1),
        ("a.webm", 48_000, "libopus", 0.05),
        ("a.ogg", 48_000, "libopus", 0.05),
        ("a.aiff", 11_025, "pcm_s16be", 0),
    ],
)
@pytest.mark.parametrize("wanted_hz", [16_000, 24_000])
def test_formats_and_rates(tmp_path, name, rate, codec, slack_s, wanted_hz):
    path = write(tmp_path / name, tone(1.5, rate), rate, codec)
    samples = read_audio(path, wanted_hz)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert abs(len(samples) / wanted_hz - 1.5) <= slack_s + 0.002
    assert abs(pitch(samples, wanted_hz) - TONE_HZ) < 3
    assert 0.45 < np.abs(samples[2000:-2000]).max() < 0.56


def test_stereo_becomes_the_middle(tmp_path):
    left = tone(1.0, 16_000)
    path = write(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)]), 16_000, "pcm_s16le", "stereo")
    samples = read_audio(path, 16_000)
    np.testing.assert_allclose(samples, left / 2, atol=2e-3)
    path = write(tmp_path / "b.wav", np.stack([left, left]), 16_000, "pcm_s16le", "stereo")
    np.testing.assert_allclose(read_audio(path, 16_000), left, atol=2e-3)
    loud = 1.9 * left
    path = write(tmp_path / "c.wav", np.stack([loud, loud]), 16_000, "pcm_f32le", "stereo")
    np.testing.assert_allclose(read_audio(path, 24_000)[::3], resample(loud, 16_000, 24_000)[::3], atol=0.02)


def test_surround_sound_is_read_too(tmp_path):
    path = write(tmp_path / "a.flac", np.stack([tone(0.5, 48_000)] * 6), 48_000, "flac", "5.1")
    assert len(read_audio(path, 24_000)) == pytest.approx(12_000, abs=30)


def test_the_sound_of_a_video(tmp_path):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        audio = container.add_stream("aac", rate=48_000, layout="mono")
        for i in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 25 * i, np.uint8), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        samples = np.pad(tone(1.0, 48_000), (0, 128))
        for i, start in enumerate(range(0, 48_000, 1024)):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], "fltp", "mono")
            frame.sample_rate, frame.pts = 48_000, 1024 * i
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    assert abs(pitch(read_audio(path, 16_000), 16_000) - TONE_HZ) < 3


def test_pictures_without_sound_are_refused(tmp_path):
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        for _ in range(5):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        container.mux(video.encode(None))
    with pytest.raises(InputError, match="no audio"):
        read_audio(path, 16_000)


def test_pieces_make_up_the_whole(tmp_path):
    whole = tone(25, 16_000, hz=101.0)
    path = write(tmp_path / "long.flac", whole, 16_000, "flac")
    pieces = list(read_pieces(path, 16_000))
    assert len(pieces) == 3
    assert all(PIECE_SECONDS <= len(p) / 16_000 < PIECE_SECONDS + 1 for p in pieces[:2])
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-3)


def test_pieces_of_another_rate_have_no_seams(tmp_path):
    path = write(tmp_path / "long.wav", tone(21, 44_100, hz=97.0), 44_100, "pcm_s16le")
    heard = np.concatenate(list(read_pieces(path, 24_000)))
    expected = tone(21, 24_000, hz=97.0)
    n = min(len(heard), len(expected))
    assert abs(len(heard) - len(expected)) < 30
    assert np.abs(heard[200 : n - 200] - expected[200 : n - 200]).max() < 0.01


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.wav", "pcm_s16le", 16_000),
        ("a.mp3", "libmp3lame", 22_050),
        ("a.flac", "flac", 16_000),
        ("a.ogg", "libopus", 48_000),
        ("a.webm", "libopus", 48_000),
    ],
)
def test_a_recording_that_breaks_off_is_used_as_far_as_it_goes(tmp_path, name, codec, rate):
    path = write(tmp_path / name, tone(4, rate), rate, codec)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    samples = read_audio(path, 16_000)
    assert 1.0 < len(samples) / 16_000 < 3.5
    assert abs(pitch(samples[:8000], 16_000) - TONE_HZ) < 5


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.flac", "flac", 16_000), ("a.mp3", "libmp3lame", 22_050), ("a.ogg", "libopus", 48_000)],
)
def test_a_scratch_in_the_middle_does_not_end_the_recording(tmp_path, name, codec, rate):
    rng = np.random.default_rng(0)
    noisy = tone(8, rate) + 0.1 * rng.standard_normal(8 * rate).astype(np.float32)
    path = write(tmp_path / name, noisy, rate, codec)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = rng.bytes(64)
    path.write_bytes(bytes(data))
    assert len(read_audio(path, 16_000)) / 16_000 > 6.5


def test_a_long_recording_that_breaks_off_after_a_piece(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp3", tone(3, 16_000), 16_000, "libmp3lame")
    monkeypatch.setattr("exomni.core.audio.PIECE_SECONDS", 1)
    good = next(iter(read_pieces(path, 16_000)))

    class BreaksOff:
        """A container whose decoder fails just after a whole piece was decoded."""

        def __init__(self, container):
            self.streams, self.container = container.streams, container

        def decode(self, stream):
            for packet in self.demux(stream):
                yield from packet.decode()

        def demux(self, stream):
            n_samples = 0
            for packet in self.container.demux(stream):
                yield packet
                n_samples += packet.duration * packet.time_base * 16_000
                if n_samples > 17_000:
                    raise av.InvalidDataError(1, "damaged")

    from exomni.core import audio

    with av.open(str(path)) as container:
        pieces = list(audio._decode(BreaksOff(container), 16_000))
    np.testing.assert_array_equal(pieces[0], good)


def test_silence_is_silence(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros(16_000, np.float32), 16_000, "pcm_s16le")
    samples = read_audio(path, 24_000)
    assert len(samples) == pytest.approx(24_000, abs=50)
    assert not samples.any()


def test_values_that_are_no_numbers_do_not_get_in(tmp_path):
    samples = tone(1.0, 16_000)
    samples[5000], samples[6000], samples[7000] = np.nan, np.inf, -np.inf
    path = write(tmp_path / "a.wav", samples, 16_000, "pcm_f32le")
    read = read_audio(path, 16_000)
    assert np.isfinite(read).all()
    assert np.abs(read).max() <= 1.0


def test_parts_of_different_rates_in_one_file(tmp_path):
    one = write(tmp_path / "a.mp3", tone(2, 44_100), 44_100, "libmp3lame").read_bytes()
    two = write(tmp_path / "b.mp3", tone(2, 22_050), 22_050, "libmp3lame").read_bytes()
    (tmp_path / "c.mp3").write_bytes(one + two)
    assert len(read_audio(tmp_path / "c.mp3", 16_000)) / 16_000 > 3.8


@pytest.mark.parametrize("content", [b"", b"Dear Sir or Madam,\n" * 100, bytes(5000), b"RIFF\x24\0\0\0WAVEfmt "])
@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.webm", "a"])
def test_what_is_no_recording_is_refused(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=str(path)):
        read_audio(path, 16_000)


def test_a_recording_of_nothing_is_refused(tmp_path):
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
    with pytest.raises(InputError, match=r"a\.wav"):
        read_audio(tmp_path / "a.wav", 16_000)


def test_no_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "nowhere.wav", tmp_path):
        with pytest.raises(InputError, match="is not a file"):
            read_audio(path, 16_000)


def test_resampling_keeps_pitch_and_length():
    assert len(resample(tone(1, 44_100), 44_100, 24_000)) == 24_000
    assert abs(pitch(resample(tone(1, 44_100), 44_100, 16_000), 16_000) - TONE_HZ) < 2
    same = tone(0.1, 24_000)
    np.testing.assert_array_equal(resample(same, 24_000, 24_000), same)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 16_000), (44_100, 24_000), (11_025, 16_000), (24_000, 24_000)])
@pytest.mark.parametrize("n", [1, 400, 50_017])
def test_resampling_in_pieces_has_no_seams(from_hz, to_hz, n):
    samples = np.random.default_rng(0).uniform(-1, 1, n).astype(np.float32)
    pieces = list(resample_pieces((samples[i : i + 4_001] for i in range(0, n, 4_001)), from_hz, to_hz))
    assert all(piece.dtype == np.float32 for piece in pieces)
    assert len(pieces) == -(-n // 4_001) + 1
    np.testing.assert_allclose(np.concatenate(pieces), resample(samples, from_hz, to_hz), atol=1e-6)
