"""A glTF head as a mesh that the renderer draws: its geometry, ARKit morph targets, materials, and what bones do."""

import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ..core import arkit
from ..core.errors import FormatError
from ..face.render_mesh import GAMMA, SHARPNESS, SHINE, RenderMesh, own_head_mesh, smooth_normals
from .bones import below, bone, walk
from .gltf import MorphMesh, available_shapes, morph_meshes, target_position
from .gltf_document import decode_at, load_gltf, view_bytes
from .shipped_heads import head_file

if TYPE_CHECKING:
    from pygltflib import GLTF2, Primitive

IN_THE_MOUTH, MOUTH_LIGHT = re.compile("(?i)teeth|tooth|tongue|gum"), 0.5
"""Materials that stand in the shade of the lips, which nothing here casts, and how much light they get."""
TRIANGLES = 4


@cache
def shipped_head_mesh(name: str) -> RenderMesh:
    """A head that ships, by its name in `shipped_heads.HEADS`; made once."""
    file = head_file(name)
    return own_head_mesh() if file is None else gltf_head_mesh(file)


def gltf_head_mesh(path: str | os.PathLike[str]) -> RenderMesh:
    """A head from a `.glb`, `.gltf` or `.vrm` with ARKit morph targets; all its meshes, at rest.

    Materials count by base colour, its texture and opacity.

    Raises:
        InputError: it cannot be read.
        FormatError: it has no ARKit shape, or its geometry is compressed or does not hold together.
    """
    gltf = load_gltf(path)
    try:
        shapes = available_shapes(gltf)
        named = {mesh.node: mesh for mesh in morph_meshes(gltf)}
        pieces, pivot, head = [], np.zeros(3), bone(gltf, "head")
        about = np.diag([-1.0, 1.0, -1.0]) if "VRM" in (gltf.extensions or {}) else np.eye(3)
        places = {node: place for node, _, place in walk(gltf)}
        for node, place in places.items():
            if node == head:
                pivot = about @ place[:3, 3]
            mesh = gltf.nodes[node].mesh
            for primitive in () if mesh is None else gltf.meshes[mesh].primitives:
                if (TRIANGLES if primitive.mode is None else primitive.mode) == TRIANGLES:
                    follows = _following(gltf, node, primitive, head)
                    stands = _stands(gltf, node, primitive, place, places)
                    pieces.append(_piece(gltf, primitive, stands, named.get(node), about, follows))
        textures = tuple(_texture(gltf, i) for i in range(len(gltf.textures or [])))
        return _joined(pieces, textures, shapes, pivot.astype(np.float32))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except (IndexError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FormatError(f"{path}: its geometry cannot be read ({error}); is it compressed?") from None


def _joined(
    pieces: list[RenderMesh], textures: tuple[np.ndarray, ...], shapes: tuple[str, ...], pivot: np.ndarray
) -> RenderMesh:
    """All primitives as one mesh; what each shape adds to the normals is worked out around what it moves."""
    if not pieces:
        raise FormatError("it has no triangles")
    joined = {}
    for name in (field.name for field in fields(RenderMesh) if field.name not in ("textures", "pivot", "shapes")):
        axis = 1 if name in ("deltas", "normal_deltas") else 0
        joined[name] = np.concatenate([getattr(piece, name) for piece in pieces], axis=axis)
    starts = np.cumsum([0, *(len(piece.positions) for piece in pieces)])
    triangles = np.concatenate([piece.triangles + start for piece, start in zip(pieces, starts, strict=False)])
    positions = joined["positions"]
    for delta, normal_delta in zip(joined["deltas"], joined["normal_deltas"], strict=True):
        moves = np.abs(delta).max(axis=1) > 0
        corners = np.unique(triangles[moves[triangles].any(axis=1)])
        near = triangles[np.isin(triangles, corners).any(axis=1)]
        used, local = np.unique(near, return_inverse=True)
        local = local.reshape(-1, 3)
        change = smooth_normals(positions[used] + delta[used], local) - smooth_normals(positions[used], local)
        normal_delta[corners] = change[np.searchsorted(used, corners)]
    return RenderMesh(**joined | {"triangles": triangles, "textures": textures, "pivot": pivot, "shapes": shapes})


def _piece(
    gltf: "GLTF2",
    primitive: "Primitive",
    stands: np.ndarray,
    morphs: MorphMesh | None,
    about: np.ndarray,
    follows: np.ndarray | float,
) -> RenderMesh:
    """One primitive as a mesh of its own; how its normals change is left for `_joined`.

    Args:
        primitive: triangles.
        stands: what takes its vertices into the world, [1 or V, 4, 4].
        morphs: its morph targets, if it has any.
        about: what makes the head look along +z, [3, 3].
        follows: how far its vertices follow a turn of the head, [V] or one for all.
    """
    attributes = primitive.attributes
    positions = decode_at(gltf, attributes.POSITION).astype(np.float64)
    n_vertices = len(positions)
    turns = about @ stands[:, :3, :3]
    corners = np.arange(n_vertices) if primitive.indices is None else decode_at(gltf, primitive.indices).ravel()
    triangles = corners.astype(np.int64).reshape(-1, 3)
    deltas = np.zeros((arkit.K, n_vertices, 3), np.float32)
    for name, ways in (morphs.mixing if morphs else {}).items():
        for target, weight in ways.items() if name in arkit.INDEX else ():
            moved = decode_at(gltf, target_position(primitive, target))
            deltas[arkit.INDEX[name]] += weight * _each(turns, moved)
    placed = (_each(turns, positions) + stands[:, :3, 3] @ about.T).astype(np.float32)
    if attributes.NORMAL is None:
        normals = smooth_normals(placed, triangles)
    else:
        normals = _each(np.linalg.inv(turns).swapaxes(1, 2), decode_at(gltf, attributes.NORMAL))
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    look = _look(gltf, primitive.material)
    colours = np.tile(np.array(look.colour, np.float32), (n_vertices, 1))
    if attributes.COLOR_0 is not None:
        given = decode_at(gltf, attributes.COLOR_0)
        colours[:, : given.shape[1]] *= given
    has_uv = attributes.TEXCOORD_0 is not None
    uv = decode_at(gltf, attributes.TEXCOORD_0) if has_uv else np.zeros((n_vertices, 2))
    n_triangles = len(triangles)
    return RenderMesh(
        positions=placed,
        normals=normals.astype(np.float32),
        deltas=deltas,
        normal_deltas=np.zeros_like(deltas),
        triangles=triangles,
        colours=colours,
        uv=uv.astype(np.float32),
        texture=np.full(n_triangles, look.texture if has_uv else -1),
        textures=(),
        blended=np.full(n_triangles, look.blended),
        both_sides=np.full(n_triangles, look.both_sides),
        cutoff=np.full(n_triangles, look.cutoff, np.float32),
        shine=np.full(n_vertices, SHINE, np.float32),
        sharpness=np.full(n_vertices, SHARPNESS, np.float32),
        turning=np.broadcast_to(np.asarray(follows, np.float32), n_vertices),
        pivot=np.zeros(3, np.float32),
        shapes=(),
    )


def _each(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors [V, 3] by a matrix each, [V, 3, 3] or one for all [1, 3, 3]."""
    return vectors @ matrices[0].T if len(matrices) == 1 else np.einsum("vij,vj->vi", matrices, vectors)


def _stands(gltf: "GLTF2", node: int, primitive: "Primitive", place: np.ndarray, places: dict) -> np.ndarray:
    """What takes a primitive's vertices into the world at rest: its node, or its bones; [1 or V, 4, 4]."""
    skin_index = gltf.nodes[node].skin
    if skin_index is None:
        return place[None]
    skin = gltf.skins[skin_index]
    joints = skin.joints or []
    bound = np.tile(np.eye(4), (len(joints), 1, 1))
    if skin.inverseBindMatrices is not None:
        bound = decode_at(gltf, skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
    bones = np.stack([places[joint] for joint in joints]) @ bound
    if np.allclose(bones, bones[0], atol=1e-6 * np.abs(bones[0]).max()):
        return bones[:1]
    own, shares = decode_at(gltf, primitive.attributes.JOINTS_0), decode_at(gltf, primitive.attributes.WEIGHTS_0)
    return np.einsum("vj,vjab->vab", shares, bones[own])


@dataclass(frozen=True)
class _Look:
    """What of a material is drawn: its linear RGBA, the index of its texture, and all else as in `RenderMesh`."""

    colour: Sequence[float] = (0.8, 0.8, 0.8, 1.0)
    texture: int = -1
    blended: bool = False
    both_sides: bool = False
    cutoff: float = 0.0


def _look(gltf: "GLTF2", index: int | None) -> _Look:
    if index is None:
        return _Look()
    material = gltf.materials[index]
    look = material.pbrMetallicRoughness
    colour = np.array((look and look.baseColorFactor) or [1.0, 1.0, 1.0, 1.0])
    if IN_THE_MOUTH.search(material.name or ""):
        colour[:3] *= MOUTH_LIGHT
    texture = look.baseColorTexture.index if look and look.baseColorTexture else -1
    cutoff = (0.5 if material.alphaCutoff is None else material.alphaCutoff) if material.alphaMode == "MASK" else 0.0
    return _Look(colour.tolist(), texture, material.alphaMode == "BLEND", bool(material.doubleSided), cutoff)


def _texture(gltf: "GLTF2", index: int) -> np.ndarray:
    """A texture as linear RGBA, float32 [h, w, 4]; white where its kind of picture is not known."""
    from PIL import Image, UnidentifiedImageError

    source = gltf.textures[index].source
    view = None if source is None else gltf.images[source].bufferView
    if view is None:
        return np.ones((1, 1, 4), np.float32)
    try:
        with Image.open(io.BytesIO(view_bytes(gltf, view))) as picture:
            pixels = np.asarray(picture.convert("RGBA"), np.float32) / 255
    except UnidentifiedImageError:
        return np.ones((1, 1, 4), np.float32)
    pixels[..., :3] **= GAMMA
    return pixels


def _following(gltf: "GLTF2", node: int, primitive: "Primitive", head: int | None) -> np.ndarray | float:
    """How far a primitive's vertices follow a turn of the head, [V]: with its bone and what hangs on it."""
    if head is None:
        return 0.0
    moved = below(gltf, head)
    skin_index = gltf.nodes[node].skin
    if skin_index is None:
        return float(node in moved)
    joints = np.array(gltf.skins[skin_index].joints)
    own, shares = decode_at(gltf, primitive.attributes.JOINTS_0), decode_at(gltf, primitive.attributes.WEIGHTS_0)
    return (np.isin(joints[own], list(moved)) * shares).sum(axis=1)
