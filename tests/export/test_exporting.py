import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from exomni.core import arkit
from exomni.core.errors import ConfigError, FormatError, InputError, OutputError
from exomni.export import FORMATS, Options, Profile, export, load, save_profile
from exomni.export.a2f import write_a2f
from exomni.export.formats import guess
from exomni.export.profile import Shape
from exomni.export.track import FaceTrack


def short(track):
    parts = {part: getattr(track, part)[:15] for part in ("frames", "head", "eyes")}
    return track.replace(**parts, audio=track.audio[: 15 * 800])


@pytest.fixture
def saved(track, tmp_path):
    """A folder as `talk -o DIR` leaves it, of half a second."""
    folder = tmp_path / "reply"
    track = short(track)
    write_a2f(track, folder / "face.json", "speech.wav")
    soundfile.write(folder / "speech.wav", track.audio, track.sample_hz, subtype="PCM_16")
    (folder / "reply.json").write_text(json.dumps({"text": track.text}))
    return folder


def test_one_source_becomes_every_format(saved, tmp_path):
    done = export(saved, list(FORMATS), tmp_path / "out")
    assert [each.format for each in done] == list(FORMATS)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"reply{row.suffix}" for row in FORMATS.values()}
    assert all(each.path.stat().st_size > 0 for each in done)


def test_what_can_be_read_is_the_same_again(saved, track, tmp_path):
    for row in FORMATS.values():
        if row.read is not None:
            (done,) = export(saved, [row.name], tmp_path)
            again = load(done.path).track
            assert again.fps == 30
            assert abs(again.arkit() - short(track).arkit()).max() < 1e-7, row.name


def test_names_suffixes_and_both(saved, tmp_path):
    done = export(
        saved, ["a2f", str(tmp_path / "x.glb"), f"livelink-csv={tmp_path / 'take.csv'}", str(tmp_path / "y.csv")]
    )
    assert [(each.format, each.path) for each in done] == [
        ("a2f", saved / "reply.a2f.json"),
        ("glb", tmp_path / "x.glb"),
        ("livelink-csv", tmp_path / "take.csv"),
        ("csv", tmp_path / "y.csv"),
    ]
    assert (tmp_path / "take.csv").read_text().startswith("Timecode,BlendShapeCount,EyeBlinkLeft")


def test_each_suffix_leads_to_one_format(tmp_path):
    assert len({row.suffix for row in FORMATS.values()}) == len(FORMATS)
    for row in FORMATS.values():
        assert guess(tmp_path / f"a{row.suffix}") is row


def test_a_profile_and_options_are_taken(saved, tmp_path):
    save_profile(Profile(fps=60, shapes={"jawOpen": Shape(mute=True)}), tmp_path / "anna.yaml")
    done = export(
        saved,
        ["npz", "unity", "vrma-perfect-sync"],
        tmp_path,
        profile=tmp_path / "anna.yaml",
        options=Options(mesh="Body/Face", casing="pascal"),
    )
    again = load(done[0].path).track
    assert again.fps == 60
    assert again.column("jawOpen").max() == 0
    assert "path: Body/Face" in done[1].path.read_text()
    assert b'"JawOpen":{"node"' in done[2].path.read_bytes().replace(b" ", b"")


def test_notes_of_reading_and_fitting_come_along(saved, tmp_path):
    (saved / "speech.wav").unlink()
    profile = Profile(available=("jawOpen", "mouthPucker", "mouthSmileLeft", "mouthSmileRight"))
    (done,) = export(saved, ["csv"], tmp_path, profile=profile)
    assert any("no speech.wav" in note for note in done.notes)
    assert any("mouthFunnel to mouthPucker" in note for note in done.notes)


def test_a_mistake_is_told_before_anything_is_written(saved, tmp_path):
    out = tmp_path / "out"
    for wrong in ("gbl", "x.fbx", "gbl=x.glb"):
        with pytest.raises(InputError, match="no format"):
            export(saved, ["csv", wrong], out)
    (tmp_path / "p.yaml").write_text("gain: 3")
    with pytest.raises(ConfigError):
        export(saved, ["csv"], out, profile=tmp_path / "p.yaml")
    (saved / "face.json").write_text("{")
    with pytest.raises(FormatError):
        export(saved, ["csv"], out)
    assert not out.exists()


def test_a_place_that_cannot_be_written(saved, tmp_path):
    (tmp_path / "file").write_text("")
    for row in FORMATS:
        with pytest.raises(OutputError, match="cannot write"):
            export(saved, [row], tmp_path / "file")


def test_nothing_here_needs_torch_or_starts_slowly():
    code = (
        "import sys, exomni.export, exomni.export.live, exomni.export.video\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'openfacefx', 'pyarrow', 'pygltflib', 'av', 'websockets'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_columns_under_wrong_names_are_doubted(moving, tmp_path):
    left = moving(90, 26)
    names = arkit.NAMES
    pairs = {name: i for i, name in enumerate(n for n in names if n.endswith("Left"))}
    right = {name.removesuffix("Left") + "Right": i for name, i in pairs.items()}
    frames = np.stack([left[:, {**pairs, **right}.get(name, 25)] for name in names], axis=1)
    (fine,) = export(FaceTrack(names, 30, frames), ["npz"], tmp_path)
    (wrong,) = export(FaceTrack(names[::-1], 30, frames), ["npz"], tmp_path)
    assert not any("wrong names" in note for note in fine.notes)
    assert any("in the order 'exomni' under wrong names" in note for note in wrong.notes)
