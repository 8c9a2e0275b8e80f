"""Heads that can be filmed: the project's, and anybody's glTF."""

import io
import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from exomni.core import arkit
from exomni.core.errors import FormatError

from ...face.head import PARTS
from ..bones import below, bone, walk
from ..gltf import MorphMesh, available_shapes, decode, load_gltf, morph_meshes
from ..head_glb import GAMMA, eye_picture, eye_places, fine_head, smooth_normals
from ..heads import head_file

if TYPE_CHECKING:
    from pygltflib import GLTF2, Primitive

MILLIMETRES = 1e-3
SHINE, SHARPNESS = 0.12, 28.0
"""Of skin, and of everything that is not known."""
IN_THE_MOUTH, MOUTH_LIGHT = re.compile("(?i)teeth|tooth|tongue|gum"), 0.5
"""Materials that stand in the shade of the lips, which nothing here casts, and how much light they get."""
TRIANGLES = 4


@dataclass(frozen=True, eq=False)
class Puppet:
    """A head at rest, what each ARKit shape does to it, and how it looks.

    Attributes:
        positions: metres, x to its left, y up, looking along z; float32 [V, 3].
        normals: float32 [V, 3].
        deltas: what each shape adds at 1, float32 [52, V, 3].
        turns: what each shape adds to the normals, float32 [52, V, 3].
        triangles: int64 [F, 3].
        colours: linear RGBA, float32 [V, 4].
        uv: places on a texture, from the top left, float32 [V, 2].
        texture: index into `textures` of each triangle, -1 for none, int64 [F].
        textures: linear RGBA pictures, float32 [h, w, 4].
        veils: triangles that are laid over the rest by their opacity, bool [F].
        both_sides: triangles that are seen from behind too, bool [F].
        cutoff: opacity under which there is a hole in a triangle, 0 where there are none, float32 [F].
        shine: how glossy each vertex is, float32 [V].
        sharpness: how small its highlights are, float32 [V].
        turning: how far each vertex follows a turn of the head, 0..1, float32 [V].
        pivot: what the head turns about, float32 [3].
        shapes: ARKit shapes that it has.
    """

    positions: np.ndarray
    normals: np.ndarray
    deltas: np.ndarray
    turns: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    uv: np.ndarray
    texture: np.ndarray
    textures: tuple[np.ndarray, ...]
    veils: np.ndarray
    both_sides: np.ndarray
    cutoff: np.ndarray
    shine: np.ndarray
    sharpness: np.ndarray
    turning: np.ndarray
    pivot: np.ndarray
    shapes: tuple[str, ...]


@cache
def own_puppet() -> Puppet:
    """The project's head; made once."""
    head = fine_head()
    part = head.part
    eye, lash = part == PARTS.index("eye"), part == PARTS.index("lashes")
    teeth = np.isin(part, [PARTS.index("upper_teeth"), PARTS.index("lower_teeth")])
    shine, sharpness = np.full((2, len(head.positions_mm)), [[SHINE], [SHARPNESS]], np.float32)
    shine[head.triangles[eye]], sharpness[head.triangles[eye]] = 1.0, 220.0
    shine *= head.reach
    uv, radius_mm = eye_places(head)
    picture = eye_picture(radius_mm).astype(np.float32) / 255
    opaque = np.ones((*picture.shape[:2], 1), np.float32)
    return Puppet(
        positions=head.positions_mm * np.float32(MILLIMETRES),
        normals=head.normals,
        deltas=head.deltas_mm * np.float32(MILLIMETRES),
        turns=head.turns,
        triangles=head.triangles,
        colours=head.colours,
        uv=uv,
        texture=np.where(eye, 0, -1),
        textures=(np.concatenate([picture**GAMMA, opaque], axis=2),),
        veils=lash,
        both_sides=lash | teeth,
        cutoff=np.zeros(len(part), np.float32),
        shine=shine,
        sharpness=sharpness,
        turning=head.turning,
        pivot=head.pivot_mm * np.float32(MILLIMETRES),
        shapes=arkit.NAMES,
    )


@cache
def named_puppet(name: str) -> Puppet:
    """A head that ships, by its name in `heads.HEADS`; made once."""
    file = head_file(name)
    return own_puppet() if file is None else gltf_puppet(file)


def gltf_puppet(path: str | os.PathLike[str]) -> Puppet:
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
            if gltf.nodes[node].mesh is None:
                continue
            for primitive in gltf.meshes[gltf.nodes[node].mesh].primitives:
                if (TRIANGLES if primitive.mode is None else primitive.mode) == TRIANGLES:
                    follows = _following(gltf, node, primitive, head)
                    stands = _stands(gltf, node, primitive, place, places)
                    pieces.append(_piece(gltf, primitive, stands, named.get(node), about, follows))
        textures = tuple(_texture(gltf, i) for i in range(len(gltf.textures or [])))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except (IndexError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FormatError(f"{path}: its geometry cannot be read ({error}); is it compressed?") from None
    return _joined(pieces, textures, shapes, pivot.astype(np.float32))


@dataclass(frozen=True, eq=False)
class _Piece:
    """One primitive; arrays as in `Puppet`."""

    positions: np.ndarray
    normals: np.ndarray
    deltas: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    uv: np.ndarray
    texture: int
    veil: bool
    both_sides: bool
    cutoff: float
    turning: np.ndarray


def _joined(
    pieces: list[_Piece], textures: tuple[np.ndarray, ...], shapes: tuple[str, ...], pivot: np.ndarray
) -> Puppet:
    starts = np.cumsum([0, *(len(piece.positions) for piece in pieces)])
    triangles = np.concatenate([piece.triangles + start for piece, start in zip(pieces, starts, strict=False)])
    counts = [len(piece.triangles) for piece in pieces]
    positions = np.concatenate([piece.positions for piece in pieces])
    deltas = np.concatenate([piece.deltas for piece in pieces], axis=1)
    normals = np.concatenate([piece.normals for piece in pieces])
    turns = np.zeros_like(deltas)
    for delta, turn in zip(deltas, turns, strict=True):
        moves = np.abs(delta).max(axis=1) > 0
        touched = triangles[moves[triangles].any(axis=1)]
        corners = np.unique(touched)
        near = triangles[np.isin(triangles, corners).any(axis=1)]
        used, local = np.unique(near, return_inverse=True)
        local = local.reshape(-1, 3)
        change = smooth_normals(positions[used] + delta[used], local) - smooth_normals(positions[used], local)
        turn[corners] = change[np.searchsorted(used, corners)]
    return Puppet(
        positions=positions,
        normals=normals,
        deltas=deltas,
        turns=turns,
        triangles=triangles,
        colours=np.concatenate([piece.colours for piece in pieces]),
        uv=np.concatenate([piece.uv for piece in pieces]),
        texture=np.repeat([piece.texture for piece in pieces], counts),
        textures=textures,
        veils=np.repeat([piece.veil for piece in pieces], counts),
        both_sides=np.repeat([piece.both_sides for piece in pieces], counts),
        cutoff=np.repeat(np.float32([piece.cutoff for piece in pieces]), counts),
        shine=np.full(len(positions), SHINE, np.float32),
        sharpness=np.full(len(positions), SHARPNESS, np.float32),
        turning=np.concatenate([piece.turning for piece in pieces]),
        pivot=pivot,
        shapes=shapes,
    )


def _piece(
    gltf: "GLTF2",
    primitive: "Primitive",
    stands: np.ndarray,
    morphs: MorphMesh | None,
    about: np.ndarray,
    follows: np.ndarray | float,
) -> _Piece:
    attributes = primitive.attributes
    positions = _array(gltf, attributes.POSITION).astype(np.float64)
    n_vertices = len(positions)
    turns = about @ stands[:, :3, :3]
    corners = np.arange(n_vertices) if primitive.indices is None else _array(gltf, primitive.indices).ravel()
    triangles = corners.astype(np.int64).reshape(-1, 3)
    deltas = np.zeros((arkit.K, n_vertices, 3), np.float32)
    for name, ways in (morphs.mixing if morphs else {}).items():
        for target, weight in ways.items() if name in arkit.INDEX else ():
            moved = _array(gltf, primitive.targets[target]["POSITION"])
            deltas[arkit.INDEX[name]] += weight * _each(turns, moved)
    placed = (_each(turns, positions) + stands[:, :3, 3] @ about.T).astype(np.float32)
    if attributes.NORMAL is None:
        normals = smooth_normals(placed, triangles)
    else:
        normals = _each(np.linalg.inv(turns).swapaxes(1, 2), _array(gltf, attributes.NORMAL))
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    colour, texture, veil, both_sides, cutoff = _material(gltf, primitive.material)
    colours = np.tile(np.array(colour, np.float32), (n_vertices, 1))
    if attributes.COLOR_0 is not None:
        given = _array(gltf, attributes.COLOR_0)
        colours[:, : given.shape[1]] *= given
    if primitive.material is not None and IN_THE_MOUTH.search(gltf.materials[primitive.material].name or ""):
        colours[:, :3] *= MOUTH_LIGHT
    has_uv = attributes.TEXCOORD_0 is not None
    uv = _array(gltf, attributes.TEXCOORD_0) if has_uv else np.zeros((n_vertices, 2))
    texture = texture if has_uv else -1
    return _Piece(
        positions=placed,
        normals=normals.astype(np.float32),
        deltas=deltas,
        triangles=triangles,
        colours=colours,
        uv=uv.astype(np.float32),
        texture=texture,
        veil=veil,
        both_sides=both_sides,
        cutoff=cutoff,
        turning=np.broadcast_to(np.float32(follows), n_vertices).astype(np.float32),
    )


def _each(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors [V, 3] by a matrix each, [V, 3, 3] or one for all [1, 3, 3]."""
    return vectors @ matrices[0].T if len(matrices) == 1 else np.einsum("vij,vj->vi", matrices, vectors)


def _stands(gltf: "GLTF2", node: int, primitive: "Primitive", place: np.ndarray, places: dict) -> np.ndarray:
    """What takes a primitive's vertices into the world at rest: its node, or its bones; [1 or V, 4, 4]."""
    if gltf.nodes[node].skin is None:
        return place[None]
    skin = gltf.skins[gltf.nodes[node].skin]
    bound = np.tile(np.eye(4), (len(skin.joints), 1, 1))
    if skin.inverseBindMatrices is not None:
        bound = _array(gltf, skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
    bones = np.stack([places[joint] for joint in skin.joints]) @ bound
    if np.allclose(bones, bones[0], atol=1e-6 * np.abs(bones[0]).max()):
        return bones[:1]
    own, shares = _array(gltf, primitive.attributes.JOINTS_0), _array(gltf, primitive.attributes.WEIGHTS_0)
    return np.einsum("vj,vjab->vab", shares, bones[own])


def _material(gltf: "GLTF2", index: int | None) -> tuple[list[float], int, bool, bool, float]:
    """Linear colour, texture or -1, whether it is laid over by opacity, whether it has two sides, where holes begin."""
    if index is None:
        return [0.8, 0.8, 0.8, 1.0], -1, False, False, 0.0
    material = gltf.materials[index]
    look = material.pbrMetallicRoughness
    colour = (look and look.baseColorFactor) or [1.0, 1.0, 1.0, 1.0]
    texture = look.baseColorTexture.index if look and look.baseColorTexture else -1
    cutoff = (0.5 if material.alphaCutoff is None else material.alphaCutoff) if material.alphaMode == "MASK" else 0.0
    return colour, texture, material.alphaMode == "BLEND", bool(material.doubleSided), cutoff


def _array(gltf: "GLTF2", index: int) -> np.ndarray:
    return decode(gltf, gltf.accessors[index])


def _texture(gltf: "GLTF2", index: int) -> np.ndarray:
    """A texture as linear RGBA, float32 [h, w, 4]; white where its kind of picture is not known."""
    from PIL import Image, UnidentifiedImageError

    source = gltf.textures[index].source
    try:
        view = gltf.bufferViews[gltf.images[source].bufferView]
        start = view.byteOffset or 0
        with Image.open(io.BytesIO(bytes(gltf.binary_blob()[start : start + view.byteLength]))) as picture:
            pixels = np.asarray(picture.convert("RGBA"), np.float32) / 255
    except (UnidentifiedImageError, TypeError):
        return np.ones((1, 1, 4), np.float32)
    pixels[..., :3] **= GAMMA
    return pixels


def _following(gltf: "GLTF2", node: int, primitive: "Primitive", head: int | None) -> np.ndarray | float:
    """How far a primitive's vertices follow a turn of the head, [V]: with its bone and what hangs on it."""
    if head is None:
        return 0.0
    moved = below(gltf, head)
    if gltf.nodes[node].skin is None:
        return float(node in moved)
    joints = np.array(gltf.skins[gltf.nodes[node].skin].joints)
    own, shares = _array(gltf, primitive.attributes.JOINTS_0), _array(gltf, primitive.attributes.WEIGHTS_0)
    return (np.isin(joints[own], list(moved)) * shares).sum(axis=1)
