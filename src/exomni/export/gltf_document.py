"""glTF documents: the one place that reads and writes their buffers, accessors and files."""

import base64
import dataclasses
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np

from ..core.errors import FormatError
from .reading import read_bytes

if TYPE_CHECKING:
    from pygltflib import GLTF2, Accessor, Sampler

VERTICES, INDICES = 34962, 34963
"""What a view is for: attributes of vertices, or corners of triangles."""
_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_COMPONENTS = {np.dtype(kind): number for number, kind in _DTYPES.items()}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def new_document() -> "GLTF2":
    """A document with nothing in it."""
    from pygltflib import GLTF2, Asset

    return GLTF2(asset=Asset(version="2.0", generator="exomni"), scene=0)


def load_gltf(path: str | os.PathLike[str]) -> "GLTF2":
    """Read `.glb`, `.vrm` or `.gltf` (with its buffers and pictures beside it) into one binary buffer.

    Raises:
        InputError: a file cannot be read.
        FormatError: it is not glTF 2.0.
    """
    from pygltflib import GLTF2

    data = read_bytes(path)
    try:
        if data[:4] == b"glTF":
            length = int.from_bytes(data[8:12], "little")
            if length > len(data):
                raise FormatError(f"{path}: cut off, {len(data)} of {length} bytes")
            gltf = GLTF2().load_from_bytes(data)
        else:
            gltf = GLTF2.gltf_from_json(data.decode("utf-8-sig"))
        if gltf is None:
            raise FormatError(f"{path} is not a glTF file")
        if gltf.asset.version != "2.0":
            raise FormatError(f"{path}: glTF {gltf.asset.version}, only 2.0 is read")
        _embed(gltf, Path(path).parent)
        for accessor in gltf.accessors:
            if accessor.bufferView is None:
                accessor.byteOffset = None  # pygltflib makes it 0, which has no place where nothing is stored
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise FormatError(f"{path} is not a glTF file ({error})") from None
    return gltf


def glb_bytes(gltf: "GLTF2") -> bytes:
    """The document as a GLB file."""
    gltf.set_binary_blob(bytes(_blob(gltf)))
    return b"".join(gltf.save_to_bytes())


def add_view(gltf: "GLTF2", data: bytes, target: int | None = None, stride: int | None = None) -> int:
    """Append bytes to the binary buffer as a view of their own, four-aligned; returns its index."""
    from pygltflib import Buffer, BufferView

    blob = _blob(gltf)
    blob += b"\0" * (-len(blob) % 4)
    if not gltf.buffers:
        gltf.buffers.append(Buffer(byteLength=0))
    view = BufferView(buffer=0, byteOffset=len(blob), byteLength=len(data), byteStride=stride, target=target)
    gltf.bufferViews.append(view)
    blob += data
    gltf.buffers[0].byteLength = len(blob)
    return len(gltf.bufferViews) - 1


def add_accessor(
    gltf: "GLTF2",
    values: np.ndarray,
    kind: str,
    with_range: bool = False,
    target: int | None = None,
    normalized: bool = False,
) -> int:
    """Append an array to the binary buffer as an accessor of its own; returns its index.

    Args:
        values: [N] or [N, width], of a type that glTF has.
        kind: `SCALAR`, `VEC3`…
        with_range: store min and max, which times and positions must have.
        target: `VERTICES`, whose rows are padded to four bytes, `INDICES`, or None for all else.
        normalized: whether integers are parts of a whole.
    """
    rows, stride = values.reshape(len(values), -1), None
    row_bytes = rows.shape[1] * rows.itemsize
    if target == VERTICES and row_bytes % 4:
        stride = -(-row_bytes // 4) * 4
        rows = np.pad(rows, [(0, 0), (0, (stride - row_bytes) // rows.itemsize)])
    accessor = _accessor(values, kind, with_range, normalized)
    accessor.bufferView, accessor.byteOffset = add_view(gltf, rows.tobytes(), target, stride), 0
    gltf.accessors.append(accessor)
    return len(gltf.accessors) - 1


def add_sparse(gltf: "GLTF2", values: np.ndarray, kind: str, with_range: bool = False, normalized: bool = False) -> int:
    """Append an accessor [N, width] that stores only the rows that are not zero; returns its index.

    Where all rows are zero, one accessor without data serves all arrays of that size and type.
    """
    from pygltflib import AccessorSparseIndices, AccessorSparseValues, Sparse

    accessor = _accessor(values, kind, with_range, normalized)
    rows = np.flatnonzero(values.any(axis=1))
    if len(rows):
        where = rows.astype("<u2" if len(values) <= 65535 else "<u4")
        component = _COMPONENTS[where.dtype]
        accessor.sparse = Sparse(
            count=len(rows),
            indices=AccessorSparseIndices(bufferView=add_view(gltf, where.tobytes()), componentType=component),
            values=AccessorSparseValues(bufferView=add_view(gltf, values[rows].tobytes())),
        )
    elif accessor in gltf.accessors:
        return gltf.accessors.index(accessor)
    gltf.accessors.append(accessor)
    return len(gltf.accessors) - 1


def add_texture(gltf: "GLTF2", name: str, data: bytes, sampler: "Sampler") -> int:
    """Put a picture (JPEG or PNG file) into the document as a texture; returns the texture's index."""
    from pygltflib import Image, Texture

    gltf.images.append(Image(name=name, bufferView=add_view(gltf, data), mimeType=_mime(data)))
    if sampler not in gltf.samplers:
        gltf.samplers.append(sampler)
    gltf.textures.append(Texture(source=len(gltf.images) - 1, sampler=gltf.samplers.index(sampler)))
    return len(gltf.textures) - 1


def decode(gltf: "GLTF2", accessor: "Accessor") -> np.ndarray:
    """An accessor's values, sparse ones filled in, [N, width]; normalised integers as floats."""
    width, kind = _WIDTHS[accessor.type], np.dtype(_DTYPES[accessor.componentType])
    if accessor.bufferView is None:
        values = np.zeros((accessor.count, width), kind)
    else:
        values = _stored(gltf, accessor.bufferView, accessor.byteOffset, kind, accessor.count, width)
    if accessor.sparse is not None:
        places, given, n = accessor.sparse.indices, accessor.sparse.values, accessor.sparse.count
        kind_of_places = np.dtype(_DTYPES[places.componentType])
        rows = _stored(gltf, places.bufferView, places.byteOffset, kind_of_places, n, 1).ravel()
        values[rows] = _stored(gltf, given.bufferView, given.byteOffset, kind, n, width)
    if accessor.normalized:
        return np.maximum(values / np.iinfo(kind).max, -1.0)
    return values


def decode_at(gltf: "GLTF2", index: int | None) -> np.ndarray:
    """The values of an accessor by its index.

    Raises:
        ValueError: there is no index.
    """
    if index is None:
        raise ValueError("an accessor that is needed is not there")
    return decode(gltf, gltf.accessors[index])


def view_bytes(gltf: "GLTF2", index: int) -> bytes:
    """What lies in a view."""
    view = gltf.bufferViews[index]
    start = view.byteOffset or 0
    return bytes(_blob(gltf)[start : start + view.byteLength])


def _accessor(values: np.ndarray, kind: str, with_range: bool, normalized: bool) -> "Accessor":
    """An accessor without data."""
    from pygltflib import Accessor

    accessor = Accessor(
        byteOffset=None,
        componentType=_COMPONENTS[values.dtype.newbyteorder("<")],
        normalized=normalized,
        count=len(values),
        type=kind,
    )
    if with_range:
        rows = values.reshape(len(values), -1)
        accessor.min, accessor.max = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
    return accessor


def _blob(gltf: "GLTF2") -> bytearray:
    """The binary buffer, so that it can grow."""
    blob = gltf.binary_blob()
    if not isinstance(blob, bytearray):
        blob = bytearray(blob or b"")
        gltf.set_binary_blob(blob)
    return blob


def _stored(gltf: "GLTF2", index: int, offset: int | None, kind: np.dtype, count: int, width: int) -> np.ndarray:
    """Values as they lie in a view, interleaved or not, [count, width]."""
    view, blob = gltf.bufferViews[index], gltf.binary_blob() or b""
    start = (view.byteOffset or 0) + (offset or 0)
    row_bytes = kind.itemsize * width
    stride = view.byteStride or row_bytes
    if start + (count - 1) * stride + row_bytes > len(blob):
        raise ValueError("an accessor reaches beyond its buffer")
    # A copy, since the buffer may grow, and move, while the values are in use.
    return np.ndarray((count, width), kind, blob, start, (stride, kind.itemsize)).copy()


def _embed(gltf: "GLTF2", folder: Path) -> None:
    """Bring every buffer and picture that lies outside into the one binary buffer."""
    from pygltflib import Buffer

    parts, starts, length = [], [], 0
    for buffer in gltf.buffers:
        data = gltf.binary_blob() if buffer.uri is None else _fetch(buffer.uri, folder)
        if data is None or len(data) < buffer.byteLength:
            raise FormatError(f"a buffer has {len(data or b'')} of {buffer.byteLength} bytes: cut off?")
        starts.append(length)
        parts.append(data + b"\0" * (-len(data) % 4))
        length += len(parts[-1])
    for view in gltf.bufferViews:
        view.byteOffset = (view.byteOffset or 0) + starts[view.buffer]
        view.buffer = 0
    if parts:
        gltf.set_binary_blob(b"".join(parts))
        gltf.buffers = [Buffer(byteLength=length)]
    for i, image in enumerate(gltf.images or []):
        if image.uri is not None and not image.uri.startswith("data:"):
            data = _fetch(image.uri, folder)
            gltf.images[i] = dataclasses.replace(image, uri=None, bufferView=add_view(gltf, data), mimeType=_mime(data))


def _mime(picture: bytes) -> str:
    return "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"


def _fetch(uri: str, folder: Path) -> bytes:
    if uri.startswith("data:"):
        return base64.b64decode(uri.split(",", 1)[1])
    return read_bytes(folder / unquote(uri))
