"""Shards give back what was written, and the hash names every byte of the data."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from exomni.core.errors import FormatError, OutputError
from exomni.data.store import (
    PASSES,
    data_hash,
    pack,
    read_shard,
    shard_metadata,
    split_of,
    unpack,
    write_shard,
)

any_array = arrays.arrays(
    st.sampled_from([np.float16, np.float32, np.int16, np.int64, np.uint8, np.bool_, np.dtype(">f4")]),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@given(any_array)
def test_every_array_comes_back(array):
    back = unpack(pack(array))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)


def test_arrays_that_lie_otherwise_in_memory_come_back():
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (array.T, array[::2, ::-1], np.broadcast_to(array[0], (3, 6))):
        np.testing.assert_array_equal(unpack(pack(view)), view)


def test_arrays_of_anything_but_numbers_are_a_mistake():
    with pytest.raises(AssertionError):
        pack(np.array([None, "x"], object))


values = st.fixed_dictionaries({
    "id": st.text(max_size=8), "n": st.integers(-(2**60), 2**60), "x": st.floats(allow_nan=False), "b": st.binary(),
    "yes": st.booleans(), "array": any_array,
})  # fmt: skip


@settings(max_examples=25)
@given(rows=st.lists(values, max_size=5))
def test_rows_come_back_in_order(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("shard") / "new" / "a.parquet"
    write_shard(path, rows, {"seed": 1})
    back = list(read_shard(path))
    assert len(back) == len(rows)
    for before, after in zip(rows, back, strict=True):
        np.testing.assert_array_equal(after.pop("array"), before["array"])
        assert after == {k: v for k, v in before.items() if k != "array"}


@pytest.fixture
def shard(tmp_path):
    rows = [{"id": f"r{i}", "units": np.arange(i), "text": "é"} for i in range(3)]
    write_shard(tmp_path / "a.parquet", rows, {"seed": 3, "counts": {"kept": 3}})
    return tmp_path / "a.parquet"


def test_columns_can_be_chosen(shard):
    assert [set(row) for row in read_shard(shard, ["units"])] == [{"units"}] * 3
    with pytest.raises(FormatError, match="nowhere"):
        list(read_shard(shard, ["nowhere"]))


def test_metadata_stays_with_the_shard(shard):
    assert shard_metadata(shard) == {"seed": 3, "counts": {"kept": 3}}


def test_nothing_but_the_shard_is_left(shard):
    assert [p.name for p in shard.parent.iterdir()] == ["a.parquet"]


def test_a_failed_write_keeps_the_older_shard(shard, monkeypatch):
    before = shard.read_bytes()

    def fail(table, path, **options):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OutputError, match="No space"):
        write_shard(shard, [{"id": "new"}], {})
    assert shard.read_bytes() == before
    assert list(shard.parent.iterdir()) == [shard]


@pytest.mark.parametrize("content", [b"", b"no shard", None])
def test_what_is_no_shard_is_refused(shard, content):
    shard.write_bytes(shard.read_bytes()[:-20] if content is None else content)
    for read in (lambda: list(read_shard(shard)), lambda: shard_metadata(shard)):
        with pytest.raises(FormatError, match=r"a\.parquet"):
            read()
    with pytest.raises(FormatError, match="nowhere"):
        list(read_shard(shard.with_name("nowhere.parquet")))


def test_the_same_rows_are_the_same_bytes(shard, tmp_path):
    write_shard(tmp_path / "b.parquet", list(read_shard(shard)), shard_metadata(shard))
    assert (tmp_path / "b.parquet").read_bytes() == shard.read_bytes()


@pytest.fixture
def data_set(tmp_path):
    for name in PASSES:
        for number in range(2):
            path = tmp_path / "set" / name / f"x-{number:04d}.parquet"
            write_shard(path, [{"id": "a", "value": np.full(4, number)}], {"pass": name})
    return tmp_path / "set"


def test_the_hash_is_of_the_content_alone(data_set, tmp_path):
    first = data_hash(data_set)
    assert len(first) == 64
    copy = shutil.copytree(data_set, tmp_path / "copy")
    (copy / "notes.txt").write_text("not data")
    (copy / "texts" / "x-0000.part").write_text("not data either")
    assert data_hash(copy) == first


@pytest.mark.parametrize("name", PASSES)
def test_any_byte_changes_the_hash(data_set, name):
    before = data_hash(data_set)
    path = data_set / name / "x-0001.parquet"
    content = path.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 40)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(bytes(changed))
        assert data_hash(data_set) != before
    path.write_bytes(content)
    assert data_hash(data_set) == before


def test_a_missing_renamed_or_added_shard_changes_the_hash(data_set):
    hashes = {data_hash(data_set)}
    (data_set / "units" / "x-0001.parquet").rename(data_set / "units" / "x-0002.parquet")
    hashes.add(data_hash(data_set))
    (data_set / "units" / "x-0002.parquet").unlink()
    hashes.add(data_hash(data_set))
    shutil.copy(data_set / "faces" / "x-0001.parquet", data_set / "faces" / "x-0002.parquet")
    hashes.add(data_hash(data_set))
    hashes.add(data_hash(data_set, ("texts", "speech")))
    assert len(hashes) == 5


@given(st.text(max_size=40))
def test_the_same_words_are_always_in_the_same_split(text):
    assert split_of(text) in ("train", "validation", "test")
    assert split_of(text) == split_of(" " + text.lower() + "\n ")


def test_splits_never_move():
    """Weights that ship were held out by these very splits."""
    counts = [sum(split_of(f"text {i}") == s for i in range(20_000)) for s in ("test", "validation", "train")]
    assert counts == [394, 428, 19_178]
