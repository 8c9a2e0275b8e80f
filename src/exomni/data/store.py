"""How rows lie on disk: Parquet shards, arrays as raw bytes in columns, hashes that name the data.

A data set is a folder of passes, each a folder of shards with the same names:

    texts/      what is said                                  (id, text, prompt, source, split)
    speech/     the voice saying it                           (phonemes, ticks, FLAC speech, acoustic channels)
    features/   speech-encoder features of that speech
    units/      speech units
    hidden/     LLM hidden states
    faces/      blendshapes and the emotion that coloured them
    posed/      the same with an emotion drawn at random, for faces whose emotion is set by hand

Rows of a shard keep their order through all passes; a row that is dropped in `speech/` is in no later pass but
`hidden/`, which has every text.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import FormatError, OutputError

PASSES = ("texts", "speech", "features", "units", "hidden", "faces", "posed")


def pack(array: np.ndarray) -> dict:
    """An array of numbers as a struct of bytes, dtype and shape."""
    assert array.dtype != object
    return {"data": array.tobytes(), "dtype": array.dtype.str, "shape": list(array.shape)}


def unpack(value: Mapping) -> np.ndarray:
    """The array of `pack`."""
    return np.frombuffer(value["data"], np.dtype(value["dtype"])).reshape(value["shape"])


def write_shard(path: Path, rows: Sequence[Mapping], metadata: Mapping) -> None:
    """Write rows, which have equal keys, atomically; arrays are packed, JSON-able metadata is stored with the file.

    Raises:
        OutputError: the place cannot be written; an older shard is left as it was.
    """
    columns = {
        k: [pack(v) if isinstance(v, np.ndarray) else v for r in rows for v in (r[k],)]
        for k in (rows[0] if rows else ())
    }
    table = pa.table(columns).replace_schema_metadata({b"exomni": json.dumps(dict(metadata)).encode()})
    # Not *.parquet, so that what a killed build leaves is never read, and a name for each process.
    scratch = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, scratch, compression="zstd", compression_level=1)
        scratch.replace(path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def read_shard(path: Path, columns: Sequence[str] | None = None) -> Iterator[dict]:
    """Rows of a shard, arrays unpacked.

    Raises:
        FormatError: not a shard, or a column is missing.
    """
    try:
        if not pq.read_schema(path).names:
            return  # a shard all of whose rows were dropped
        table = pq.read_table(path, columns=list(columns) if columns else None)
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(f"{path} cannot be read as a data shard: {error}") from error
    for row in table.to_pylist():
        yield {k: unpack(v) if isinstance(v, dict) and "dtype" in v else v for k, v in row.items()}


def shard_metadata(path: Path) -> dict:
    """What `write_shard` stored with the shard.

    Raises:
        FormatError: not a shard.
    """
    try:
        return json.loads((pq.read_schema(path).metadata or {}).get(b"exomni", b"{}"))
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(f"{path} cannot be read as a data shard: {error}") from error


def data_hash(folder: Path, passes: Sequence[str] = PASSES) -> str:
    """SHA-256 over the shards' names and bytes, in order: the name of the data."""
    digest = hashlib.sha256()
    for name in passes:
        for path in sorted((folder / name).glob("*.parquet")):
            digest.update(f"{name}/{path.name}".encode())
            with path.open("rb") as file:
                while chunk := file.read(1 << 22):
                    digest.update(chunk)
    return digest.hexdigest()


def split_of(text: str) -> str:
    """train, validation or test, by the text alone, so that no text is ever in two splits."""
    bucket = int.from_bytes(hashlib.sha256(" ".join(text.lower().split()).encode()).digest()[:4], "big") % 100
    return "test" if bucket < 2 else "validation" if bucket < 4 else "train"
