"""Damaged files of every format are understood or refused; nothing else ever happens."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exomni.core import arkit
from exomni.core.errors import UserError
from exomni.export import FORMATS, Options, load
from exomni.export.formats import Format
from exomni.export.track import FaceTrack

READABLE = [row for row in FORMATS.values() if row.read is not None]


class Quiet(dict):
    """Shown in a failure without its megabytes."""

    def __repr__(self):
        return "Quiet()"


@pytest.fixture(scope="module")
def whole(tmp_path_factory, user_head):
    """One good file of each format, as bytes; small, so that damage hits something."""
    folder = tmp_path_factory.mktemp("whole")
    frames = np.random.default_rng(0).random((4, 6), np.float32)
    track = FaceTrack(arkit.NAMES[20:26], 30, frames, head=np.zeros((4, 3)), audio=np.zeros(32), sample_hz=240)
    files = Quiet()
    for row in READABLE:
        options = Options(head=user_head(folder / "head.glb", arkit.NAMES))
        row.write(track, folder / f"a{row.suffix}", options)
        files[row.name] = (folder / f"a{row.suffix}").read_bytes()
    return files


@st.composite
def damage(draw):
    """A function that damages bytes: cut, overwritten, doubled or with numbers replaced."""
    places = draw(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6))
    kind = draw(st.sampled_from(["cut", "overwrite", "double", "number"]))
    number = draw(st.sampled_from([b"nan", b"-1e400", b"", b"null", b'"x"', b"[]", b"9" * 40, b"{}", b"-0"]))

    def apply(data: bytes) -> bytes:
        at = int(places[0][0] * max(0, len(data) - 1))
        if kind == "cut":
            return data[:at]
        if kind == "double":
            return data[:at] + data[at // 2 :]
        if kind == "number":
            digits = [i for i in range(at, min(at + 400, len(data))) if data[i : i + 1].isdigit()]
            return data[: digits[0]] + number + data[digits[0] + 1 :] if digits else data
        out = bytearray(data)
        for place, value in places:
            out[int(place * (len(out) - 1))] = value
        return bytes(out)

    return apply


@pytest.mark.parametrize("row", READABLE, ids=lambda row: row.name)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(hurt=damage())
def test_a_damaged_file_is_read_or_refused(row: Format, hurt, whole, tmp_path):
    path = tmp_path / f"a{row.suffix}"
    path.write_bytes(hurt(whole[row.name]))
    refused = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            track = load(path).track
        except UserError as error:
            refused = str(error)
    if refused is None:
        assert np.isfinite(track.frames).all()
    else:
        assert str(path) in refused
