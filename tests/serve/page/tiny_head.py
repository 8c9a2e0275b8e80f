"""A head of a few triangles with morph targets, so that a picture costs next to nothing."""

import json
import struct
from collections.abc import Sequence

import numpy as np

N_SIDE = 12
MOVE_M = 0.02
KTX2_COLOURS = {
    "extensionsUsed": ["KHR_texture_basisu"],
    "extensionsRequired": ["KHR_texture_basisu"],
    "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
    "textures": [{"extensions": {"KHR_texture_basisu": {"source": 0}}}],
    "images": [{"uri": "data:image/ktx2;base64,AAAA", "mimeType": "image/ktx2"}],
}


def tiny_head(names: Sequence[str], extensions: dict | None = None, has_ktx2: bool = False) -> bytes:
    """A GLB of a curved sheet whose every target moves one patch of it towards the viewer.

    Args:
        names: of the targets.
        extensions: of the document, such as a VRM's.
        has_ktx2: whether its colours are in a KTX2 texture.
    """
    u, v = np.meshgrid(np.linspace(-1, 1, N_SIDE), np.linspace(-1, 1, N_SIDE))
    rest = np.stack([0.08 * u, 0.1 * v, -0.05 * (u**2 + v**2)], axis=-1).reshape(-1, 3).astype("<f4")
    corner = np.arange(N_SIDE * (N_SIDE - 1)).reshape(N_SIDE - 1, N_SIDE)[:, :-1].ravel()
    sheet = np.stack([corner, corner + 1, corner + N_SIDE + 1, corner, corner + N_SIDE + 1, corner + N_SIDE], axis=1)
    targets = []
    for i in range(len(names)):
        target = np.zeros_like(rest)
        target[(i * 2) % len(rest) :: 7, 2] = MOVE_M
        targets.append(target)
    arrays = [rest, sheet.astype("<u2").ravel(), *targets]
    return _glb(arrays, names, extensions or {}, KTX2_COLOURS if has_ktx2 else {})


def vrm1(names: Sequence[str]) -> dict:
    """VRM 1's extension, where target `i` is the expression `names[i]` at half of its weight."""
    bind = lambda i: {"morphTargetBinds": [{"node": 0, "index": i, "weight": 0.5}]}  # noqa: E731
    return {"VRMC_vrm": {"expressions": {"custom": {name: bind(i) for i, name in enumerate(names)}}}}


def vrm0(names: Sequence[str]) -> dict:
    """The same in VRM 0."""
    groups = [{"name": name, "binds": [{"mesh": 0, "index": i, "weight": 50}]} for i, name in enumerate(names)]
    return {"VRM": {"blendShapeMaster": {"blendShapeGroups": groups}}}


def _glb(arrays: Sequence[np.ndarray], names: Sequence[str], extensions: dict, colours: dict) -> bytes:
    views, accessors, body = [], [], b""
    for array in arrays:
        data = array.tobytes()
        views.append({"buffer": 0, "byteOffset": len(body), "byteLength": len(data)})
        body += data + b"\0" * (-len(data) % 4)
        accessor = {"bufferView": len(views) - 1, "count": len(array)}
        if array.ndim == 2:
            ranges = {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
            accessors.append(accessor | {"componentType": 5126, "type": "VEC3"} | ranges)
        else:
            accessors.append(accessor | {"componentType": 5123, "type": "SCALAR"})
    targets = [{"POSITION": 2 + i} for i in range(len(names))]
    primitive = {"attributes": {"POSITION": 0}, "indices": 1, "targets": targets}
    if colours:
        primitive["material"] = 0
    document = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "face"}],
        "meshes": [{"primitives": [primitive], "extras": {"targetNames": list(names)}}],
        "buffers": [{"byteLength": len(body)}],
        "bufferViews": views,
        "accessors": accessors,
        "extensions": extensions,
        "extensionsUsed": list(extensions),
        **colours,
    }
    document = {name: value for name, value in document.items() if value}
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(body), b"BIN\0") + body
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
