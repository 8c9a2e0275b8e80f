import numpy as np
import pytest

from exomni.core import arkit
from exomni.core.errors import FormatError
from exomni.export.column_orders import ORDERS
from exomni.export.tables import read_csv, read_npz, read_parquet, write_csv, write_npz, write_parquet

FORMATS = {
    "csv": (write_csv, read_csv),
    "parquet": (write_parquet, read_parquet),
    "npz": (write_npz, read_npz),
}


@pytest.fixture
def paired(moving):
    """Curves in which left and right move together, as on faces, float32 [120, 52] in the project's order."""
    table = moving(120)
    for i, name in enumerate(arkit.NAMES):
        if name.endswith("Right"):
            left = arkit.INDEX[name.removesuffix("Right") + "Left"]
            table[:, i] = 0.9 * table[:, left] + 0.1 * table[:, i]
    return table


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("fps", [24, 29.97, 60])
def test_what_is_written_reads_back_to_the_bit(kind, fps, track, tmp_path):
    write, read = FORMATS[kind]
    track = track.replace(fps=fps)
    write(track, tmp_path / f"face.{kind}")
    reading = read(tmp_path / f"face.{kind}")
    assert reading.notes == ()
    assert (reading.track.names, reading.track.fps) == (track.names, track.fps)
    for part in ("frames", "head", "eyes"):
        assert (getattr(reading.track, part) == getattr(track, part)).all()


def test_npz_keeps_audio_and_text(track, tmp_path):
    write_npz(track, tmp_path / "face.npz")
    again = read_npz(tmp_path / "face.npz").track
    assert (again.audio == track.audio).all()
    assert (again.sample_hz, again.text) == (track.sample_hz, track.text)


@pytest.mark.parametrize("order", ["exomni", "livelink-csv", "livelink-udp", "mediapipe"])
def test_nameless_columns_are_told_by_how_they_move(order, paired, tmp_path):
    names = ORDERS[order]
    table = np.stack([paired[:, arkit.INDEX[n]] if n in arkit.INDEX else np.zeros(120) for n in names], axis=1)
    np.save(tmp_path / "face.npy", table)
    reading = read_npz(tmp_path / "face.npy", fps=30)
    for name in ("eyeBlinkLeft", "mouthFunnel", "browDownRight", "jawOpen"):
        np.testing.assert_array_equal(reading.track.column(name), table[:, names.index(name)])
    assert "have no names" in reading.notes[0]
    assert order.split("-")[0] in reading.notes[0]


@pytest.mark.parametrize("n_columns", [51, 61])
def test_51_and_61_nameless_columns(n_columns, paired, tmp_path):
    table = np.concatenate([paired, np.full((120, 9), 0.1, np.float32)], axis=1)[:, :n_columns]
    np.save(tmp_path / "face.npy", table)
    track = read_npz(tmp_path / "face.npy", fps=30).track
    assert ("tongueOut" in track.names) == (n_columns == 61)
    assert (track.head is not None) == (n_columns == 61)


def test_still_or_senseless_nameless_columns_need_an_order(moving, tmp_path):
    for table in (np.zeros((50, 52)), moving(120)):
        np.save(tmp_path / "face.npy", table)
        with pytest.raises(FormatError, match="say it with order"):
            read_npz(tmp_path / "face.npy", fps=30)
        assert read_npz(tmp_path / "face.npy", fps=30, order="exomni").track.names == arkit.NAMES


@pytest.mark.parametrize(
    ("text", "kwargs", "message"),
    [
        ("time,jawOpen\n0,0\n0.1,x\n", {}, "line 3, jawOpen: 'x' is not a number"),
        ("time,jawOpen\n0,0\n0.1,nan\n", {}, "line 3, jawOpen: nan is not a finite"),
        ("time,jawOpen\n0,0\n0.1\n", {}, "line 3: 1 fields .* cut off"),
        ("time,jawOpen\n0,0\n0,0\n", {}, "row 2: its time does not come after"),
        ("time,jawOpen\n", {}, "not a single frame"),
        ("time,jawOpen\n0,0\n", {}, "one frame does not tell"),
        ("jawOpen\n0\n1\n", {}, "say it with fps"),
        ("time,foo\n0,0\n", {"fps": 30}, "not one of the 1 names"),
        ("0,1,2\n3,4,5\n", {"fps": 30}, "3 columns without names"),
        ("0,1,2\n3,4,5\n", {"fps": 30, "order": "abc"}, "no order 'abc'"),
    ],
)
def test_tables_that_cannot_be_understood(text, kwargs, message, tmp_path):
    (tmp_path / "face.csv").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_csv(tmp_path / "face.csv", **kwargs)


def test_milliseconds_and_uneven_times_are_understood(tmp_path):
    times_ms = np.cumsum([0, 40, 40, 80, 40, 40, 40])
    rows = "\n".join(f"{i},{t},{t / 400}" for i, t in enumerate(times_ms))
    (tmp_path / "face.csv").write_text("frame;time_ms;JawOpen\n".replace(";", ",") + rows)
    reading = read_csv(tmp_path / "face.csv")
    assert (reading.track.fps, reading.track.n_frames) == (25, 8)
    np.testing.assert_allclose(reading.track.column("jawOpen"), np.arange(8) / 10, atol=1e-6)
    assert "uneven" in reading.notes[0]


def test_damaged_binary_files_are_refused(track, tmp_path):
    for name, write, read in (("a.npz", write_npz, read_npz), ("a.parquet", write_parquet, read_parquet)):
        write(track, tmp_path / name)
        data = (tmp_path / name).read_bytes()
        for damaged in (data[: len(data) // 2], b"PK\x03\x04 no", b"garbage"):
            (tmp_path / name).write_bytes(damaged)
            with pytest.raises(FormatError, match=name):
                read(tmp_path / name)
    np.savez(tmp_path / "b.npz", a=np.zeros((3, 52)), b=np.zeros((3, 52)))
    with pytest.raises(FormatError, match="not just one of two dimensions"):
        read_npz(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", frames=np.zeros((3, 52)), names=np.array(arkit.NAMES[:51]))
    with pytest.raises(FormatError, match="51 names for 52 columns"):
        read_npz(tmp_path / "c.npz", fps=30)
    np.save(tmp_path / "d.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(FormatError, match="not a NumPy file"):
        read_npz(tmp_path / "d.npy", fps=30)
