from functools import partial

import av
import numpy as np
import pytest
from PIL import Image

from exomni.core import arkit
from exomni.core.errors import InputError, OutputError
from exomni.export.shipped_heads import HEADS
from exomni.export.track import FaceTrack
from exomni.export.video import render
from exomni.export.video.parallel import draw_frames
from exomni.face.camera import Camera
from exomni.face.render_mesh import own_head_mesh
from exomni.face.renderer import Renderer

SMALL = {"head": "plain", "size": (64, 64), "smooth": False}


@pytest.fixture
def speaker(track):
    """One and a half seconds at 30 frames a second: shut for the first half, then open."""
    frames = np.zeros((45, 52))
    frames[22:, arkit.INDEX["jawOpen"]] = 0.6
    return track.replace(frames=frames, head=None, eyes=None, audio=track.audio[: 45 * 800])


def played(path):
    """Pictures, their times, and the samples of a film."""
    pictures, times, samples = [], [], []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            pictures.append(frame.to_ndarray(format="rgb24"))
            times.append(frame.time)
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[0]):
            samples.append(frame.to_ndarray().reshape(-1))
            rate = frame.sample_rate
    return np.stack(pictures), np.array(times), np.concatenate(samples) if samples else None, rate


@pytest.mark.parametrize("kind", ["mp4", "webm"])
@pytest.mark.parametrize("fps", [30, 29.97])
def test_a_film_is_as_long_as_its_audio(kind, fps, speaker, tmp_path):
    speaker = speaker.replace(fps=fps)
    done = render(speaker, tmp_path / f"a.{kind}", **SMALL)
    assert (done.n_frames, done.notes) == (45, ())
    pictures, times, samples, rate = played(tmp_path / f"a.{kind}")
    assert pictures.shape == (45, 64, 64, 3)
    np.testing.assert_allclose(times, speaker.times_s, atol=1.5e-3)
    frame_s = 1 / float(speaker.fps)
    audio_s = len(speaker.audio) / speaker.sample_hz
    assert times[-1] + frame_s == pytest.approx(audio_s, abs=frame_s)
    assert len(samples) / rate == pytest.approx(audio_s, abs=0.05)
    with av.open(str(tmp_path / f"a.{kind}")) as container:
        assert container.duration / av.time_base == pytest.approx(audio_s, abs=frame_s)
        codecs = {stream.codec_context.name for stream in container.streams}
    assert codecs == ({"h264", "aac"} if kind == "mp4" else {"vp9", "opus"})


def test_picture_and_sound_are_in_step(speaker, tmp_path):
    samples = np.zeros(45 * 800, np.float32)
    samples[22 * 800 :] = 0.5 * np.sin(np.arange(23 * 800) * 0.2)
    render(speaker.replace(audio=samples), tmp_path / "a.mp4", camera="mouth", **SMALL)
    pictures, times, heard, rate = played(tmp_path / "a.mp4")
    change = np.abs(np.diff(pictures.astype(int), axis=0)).mean(axis=(1, 2, 3))
    opens_s = times[1 + int(np.argmax(change))]
    sounds_s = np.argmax(np.abs(heard) > 0.1) / rate
    assert opens_s == pytest.approx(22 / 30, abs=1e-3)
    assert sounds_s == pytest.approx(opens_s, abs=1 / 30)


def test_a_gif_is_as_long_as_the_animation(speaker, tmp_path):
    render(speaker, tmp_path / "a.gif", **SMALL)
    with Image.open(tmp_path / "a.gif") as image:
        lengths_ms = []
        for i in range(image.n_frames):
            image.seek(i)
            lengths_ms.append(image.info["duration"])
    assert sum(lengths_ms) == pytest.approx(1500, abs=34)


def test_a_sheet_has_two_dozen_moments(speaker, tmp_path):
    done = render(speaker, tmp_path / "a.png", size=(48, 48))
    assert done.n_frames == 24
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == 6 * 48
        assert image.height == 4 * (48 + 12)


def test_each_head_that_ships_is_another(speaker, tmp_path):
    pictures = []
    for head in HEADS:
        render(speaker.replace(frames=speaker.frames[20:24], audio=None, sample_hz=None), tmp_path / "a.png", head=head,
               size=(48, 48), smooth=False)  # fmt: skip
        with Image.open(tmp_path / "a.png") as image:
            pictures.append(np.asarray(image).astype(int)[12:, :48])
    woman, man = pictures[1:]
    for a, b in ((pictures[0], woman), (pictures[0], man), (woman, man)):
        assert np.abs(a - b).mean() > 8


def test_captions_stand_in_the_picture(speaker, tmp_path):
    pictures = []
    for captions in (False, True):
        render(speaker, tmp_path / "a.png", captions=captions, size=(128, 128))
        with Image.open(tmp_path / "a.png") as image:
            pictures.append(np.asarray(image).astype(int))
    changed = np.abs(pictures[0] - pictures[1]).sum(axis=2) > 60
    assert changed[110:140].sum() > 100
    assert changed[13:80].sum() == 0


def test_threads_draw_the_same_in_the_same_order():
    weights = np.zeros((20, 52), np.float32)
    weights[:, arkit.INDEX["jawOpen"]] = np.linspace(0, 1, 20)
    turns = np.linspace(0, 0.3, 60).reshape(20, 3)
    renderer = partial(Renderer, own_head_mesh(), (32, 32), Camera(), np.abs(weights).max(axis=0), 1, turned_rad=0.5)
    told = []
    alone = list(draw_frames(renderer, weights, turns, 1))
    together = list(draw_frames(renderer, weights, turns, 3, lambda done, of: told.append((done, of))))
    np.testing.assert_array_equal(alone, together)
    assert len(np.unique(np.reshape(alone, (20, -1)), axis=0)) == 20
    assert told == [(i, 20) for i in range(1, 21)]
    stream = draw_frames(renderer, weights, turns, 2)
    next(stream)
    stream.close()


def test_a_faster_track_is_filmed_at_sixty(tmp_path):
    done = render(FaceTrack(("jawOpen",), 120, np.zeros((24, 1))), tmp_path / "a.mp4", **SMALL)
    assert (done.fps, done.n_frames) == (60, 12)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.avi", {}, "a film is .mp4"),
        ("a.mp4", {"camera": "moon"}, "no camera 'moon'"),
        ("a.mp4", {"size": (33, 32)}, "even"),
        ("a.mp4", {"size": (8, 8)}, "between 32 and 4096"),
        ("a.mp4", {"head": "none.glb"}, "cannot read"),
    ],
)
def test_films_that_cannot_be(name, options, message, speaker, tmp_path):
    with pytest.raises(InputError, match=message):
        render(speaker, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(speaker, tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("a.mp4", "a.gif", "a.png"):
        with pytest.raises(OutputError):
            render(speaker, tmp_path / "file" / name, **SMALL)
