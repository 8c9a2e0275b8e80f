"""The project's head as glTF: the finer mesh that pictures are drawn of, coloured, with all 52 morph targets."""

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from exomni.core import arkit

from ..face.head import PARTS, Head
from ..face.materials import LASH, TONGUE, Surface, eye_colour, lash_cover, skin_colour, surface, teeth_colour
from ..face.subdivide import Subdivision
from .gltf import FLOAT, add_accessor, add_view

if TYPE_CHECKING:
    from pygltflib import GLTF2

METRES = 1e-3
VERTICES, INDICES = 34962, 34963
STILL_MM, STILL_NORMAL = 0.02, 0.01
"""A vertex that moves or turns less is left out of a morph target."""
EYE_PIXELS = 256
GAMMA = 2.2
SURFACES = {"skin": ("skin", "upper_teeth", "lower_teeth", "tongue"), "eyes": ("eye",), "lashes": ("lashes",)}
"""Parts of the head by the material that shows them."""
PIVOT_MM = np.array([0.0, 640.0, 40.0], np.float32)
"""Where the neck bears the head, in the coordinates of `face.Head`."""
NECK_Y_MM, THROAT_Z_MM = (575.0, 645.0), 70.0
"""Heights between which the neck twists, and how far in front the throat is."""
ROUGHNESS = {"skin": 0.6, "eyes": 0.12, "lashes": 0.9}


@dataclass(frozen=True, eq=False)
class FineHead:
    """The head's finer mesh in millimetres, its middle at the origin.

    Attributes:
        positions_mm: at rest, float32 [V, 3].
        normals: at rest, float32 [V, 3].
        deltas_mm: of each shape, float32 [K, V, 3].
        turns: how each shape changes the normals, float32 [K, V, 3].
        triangles: int64 [F, 3].
        part: index into PARTS of each triangle, [F].
        colours: linear RGBA, float32 [V, 4].
        eye_mm: of eyeballs, place relative to the middle of the eyeball, float32 [V, 3].
        reach: how much light gets there, 1 outside of the mouth, float32 [V].
        turning: how far each vertex follows a turn of the head: 1 on the head, 0 at the shoulders, float32 [V].
        pivot_mm: what the head turns about, float32 [3].
    """

    positions_mm: np.ndarray
    normals: np.ndarray
    deltas_mm: np.ndarray
    turns: np.ndarray
    triangles: np.ndarray
    part: np.ndarray
    colours: np.ndarray
    eye_mm: np.ndarray
    reach: np.ndarray
    turning: np.ndarray
    pivot_mm: np.ndarray


def head_document() -> "GLTF2":
    """A glTF document of the head at rest, in metres, its middle at the origin, looking along +z."""
    from pygltflib import GLTF2, Asset, Mesh, Node, Scene, Skin

    head = fine_head()
    gltf = GLTF2(asset=Asset(version="2.0", generator="exomni"), scene=0)
    primitives = [_primitive(gltf, head, name) for name in SURFACES]
    mesh = Mesh(name="head", primitives=primitives, weights=[0.0] * arkit.K)
    mesh.extras = {"targetNames": list(arkit.NAMES)}
    gltf.meshes.append(mesh)
    pivot = (head.pivot_mm * METRES).tolist()
    gltf.nodes += [
        Node(name="face", mesh=0, skin=0),
        Node(name="Neck", children=[2]),
        Node(name="Head", translation=pivot),
    ]
    gltf.skins.append(Skin(joints=[1, 2], skeleton=1, inverseBindMatrices=_unbound(gltf, pivot)))
    gltf.scenes.append(Scene(nodes=[0, 1]))
    return gltf


@cache
def fine_head() -> FineHead:
    """The finer mesh; worked out once."""
    head = Head.load()
    rest = head.vertices_mm
    subdivision = Subdivision.of(head.quads, len(rest))
    look = surface(subdivision)
    hard = np.isin(look.part, [PARTS.index(name) for name in ("upper_teeth", "lower_teeth")])
    swell = rest - subdivision.smooth(rest)[: len(rest)]

    def fine(positions: np.ndarray) -> np.ndarray:
        smooth = subdivision.smooth(positions + swell)
        smooth[hard] = subdivision.spread(positions)[hard]
        return smooth

    quads = subdivision.fine_quads
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    part = np.tile(np.repeat(head.quad_parts, 4), 2)
    base = fine(rest)
    normals = smooth_normals(base, triangles)
    moved = [fine(rest + delta) for delta in head.deltas_mm]
    deltas = np.stack([each - base for each in moved])
    turns = np.stack([smooth_normals(each, triangles) - normals for each in moved])
    deltas[np.abs(deltas).max(axis=2) < STILL_MM] = 0
    turns[np.abs(turns).max(axis=2) < STILL_NORMAL] = 0
    middle = (base.min(axis=0) + base.max(axis=0)) / 2
    colours, reach = _colours(look), _light_in_the_mouth(look).astype(np.float32)
    colours[:, :3] *= reach[:, None]
    return FineHead(
        positions_mm=base - middle,
        normals=normals,
        deltas_mm=deltas,
        turns=turns,
        triangles=triangles,
        part=part,
        colours=colours,
        eye_mm=look.eye_mm,
        reach=reach,
        turning=_follows_the_head(base),
        pivot_mm=PIVOT_MM - middle,
    )


def _follows_the_head(rest_mm: np.ndarray) -> np.ndarray:
    """How far the skin follows a turn: the chin, which is as low as the throat but farther in front, wholly; [V]."""
    low, high = NECK_Y_MM
    height = rest_mm[:, 1] + 0.8 * np.maximum(rest_mm[:, 2] - THROAT_Z_MM, 0)
    part = np.clip((height - low) / (high - low), 0, 1)
    return (part * part * (3 - 2 * part)).astype(np.float32)


def smooth_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Normals of a smooth skin, weighted by area, float32 [V, 3]."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    faces = np.cross(b - a, c - a)
    corner = triangles.ravel()
    each = np.repeat(faces, 3, axis=0)
    out = np.stack([np.bincount(corner, each[:, i], len(vertices)) for i in range(3)], axis=1)
    lengths = np.linalg.norm(out, axis=1, keepdims=True)
    return np.where(lengths > 0, out / np.maximum(lengths, 1e-12), [0.0, 0.0, 1.0]).astype(np.float32)


def eye_places(head: FineHead) -> tuple[np.ndarray, float]:
    """Where each vertex of an eyeball is on its picture, float32 [V, 2] from the top left, and half its width in mm."""
    eyes = head.triangles[head.part == PARTS.index("eye")]
    radius_mm = float(np.abs(head.eye_mm[eyes]).max())
    return (0.5 + head.eye_mm[:, :2] * [0.5, -0.5] / radius_mm).astype(np.float32), radius_mm


def eye_picture(radius_mm: float) -> np.ndarray:
    """The front of an eyeball, seen from afar, sRGB, uint8 [EYE_PIXELS, EYE_PIXELS, 3]."""
    across_mm = ((np.arange(EYE_PIXELS) + 0.5) / EYE_PIXELS * 2 - 1) * radius_mm
    x, y = np.meshgrid(across_mm, -across_mm)
    front = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1).astype(np.float32)
    pixels = np.clip(eye_colour(front), 0, 1) ** (1 / GAMMA) * 255
    return np.rint(pixels).astype(np.uint8).reshape(EYE_PIXELS, EYE_PIXELS, 3)


def _colours(look: Surface) -> np.ndarray:
    """Linear RGBA of every vertex; white where a texture has the colour."""
    out = np.ones((len(look.part), 4), np.float32)
    for name, colour in (
        ("skin", lambda at: skin_colour(look.rest_mm[at], look.red[at], look.cavity[at])),
        ("upper_teeth", lambda at: teeth_colour(look.rest_mm[at], upper=True)),
        ("lower_teeth", lambda at: teeth_colour(look.rest_mm[at], upper=False)),
        ("tongue", lambda at: TONGUE),
        ("lashes", lambda at: LASH),
    ):
        at = look.part == PARTS.index(name)
        out[at, :3] = colour(at)
    lashes = look.part == PARTS.index("lashes")
    out[lashes, 3] = lash_cover(look.eye_mm[lashes])
    return np.clip(out, 0, 1)


def _light_in_the_mouth(look: Surface) -> np.ndarray:
    """How much light gets there, 0..1, [V]: 1 outside; less behind the lips and towards the cheeks."""
    x, z = np.abs(look.rest_mm[:, 0]), look.rest_mm[:, 2]
    depth = np.clip((z - 108.0) / 36.0, 0, 1) * (1 - 0.9 * np.clip((x - 13.0) / 11.0, 0, 1))
    inner = [PARTS.index(name) for name in ("upper_teeth", "lower_teeth", "tongue")]
    return np.where(np.isin(look.part, inner) | (look.cavity > 0.5), 0.015 + 0.985 * depth, 1.0)


def _primitive(gltf: "GLTF2", head: FineHead, name: str) -> object:
    """One surface with its own vertices, all targets, and its material."""
    from pygltflib import Attributes, Primitive

    chosen = np.isin(head.part, [PARTS.index(part) for part in SURFACES[name]])
    used, corners = np.unique(head.triangles[chosen], return_inverse=True)
    attributes = Attributes(
        POSITION=add_accessor(gltf, head.positions_mm[used] * np.float32(METRES), "VEC3", True, VERTICES),
        NORMAL=add_accessor(gltf, head.normals[used], "VEC3", target=VERTICES),
    )
    follows = head.turning[used]
    joints = np.zeros((len(used), 4), np.uint8)
    joints[:, 1] = follows > 0
    shares = np.zeros((len(used), 4), np.float32)
    shares[:, 0], shares[:, 1] = 1 - follows, follows
    attributes.JOINTS_0 = add_accessor(gltf, joints, "VEC4", target=VERTICES)
    attributes.WEIGHTS_0 = add_accessor(gltf, shares, "VEC4", target=VERTICES)
    if name == "eyes":
        uv, radius_mm = eye_places(head)
        attributes.TEXCOORD_0 = add_accessor(gltf, uv[used], "VEC2", target=VERTICES)
        _add_material(gltf, name, _eye_texture(gltf, radius_mm))
    else:
        colours = np.rint(head.colours[used] * 65535).astype(np.uint16)
        attributes.COLOR_0 = add_accessor(gltf, colours, "VEC4", target=VERTICES)
        _add_material(gltf, name)
    targets = [
        {
            "POSITION": _sparse(gltf, delta[used] * np.float32(METRES), with_range=True),
            "NORMAL": _sparse(gltf, turn[used]),
        }
        for delta, turn in zip(head.deltas_mm, head.turns, strict=True)
    ]
    indices = add_accessor(gltf, corners.ravel().astype(np.uint32), "SCALAR", target=INDICES)
    return Primitive(attributes=attributes, indices=indices, material=len(gltf.materials) - 1, targets=targets)


def _unbound(gltf: "GLTF2", pivot: list[float]) -> int:
    """The matrices that take the skin from where it was bound into the bones, by column; returns their accessor."""
    back = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    back[1, 3, :3] = np.negative(pivot)
    return add_accessor(gltf, back.reshape(2, 16), "MAT4")


def _sparse(gltf: "GLTF2", values: np.ndarray, with_range: bool = False) -> int:
    """A VEC3 accessor that stores only the rows that are not zero; returns its index."""
    from pygltflib import Accessor, AccessorSparseIndices, AccessorSparseValues, Sparse

    rows = np.flatnonzero(np.abs(values).max(axis=1) > 0)
    accessor = Accessor(byteOffset=None, componentType=FLOAT, count=len(values), type="VEC3")
    if len(rows):
        accessor.sparse = Sparse(
            count=len(rows),
            indices=AccessorSparseIndices(
                bufferView=add_view(gltf, rows.astype(np.uint16).tobytes()), componentType=5123
            ),
            values=AccessorSparseValues(bufferView=add_view(gltf, values[rows].tobytes())),
        )
    if with_range:
        accessor.min, accessor.max = values.min(axis=0).tolist(), values.max(axis=0).tolist()
    gltf.accessors.append(accessor)
    return len(gltf.accessors) - 1


def _eye_texture(gltf: "GLTF2", radius_mm: float) -> int:
    """The front of an eyeball as a picture inside the document; returns the texture's index."""
    from PIL import Image as Picture
    from pygltflib import Image, Sampler, Texture

    file = io.BytesIO()
    Picture.fromarray(eye_picture(radius_mm)).save(file, "PNG")
    gltf.images.append(Image(name="eye", bufferView=add_view(gltf, file.getvalue()), mimeType="image/png"))
    gltf.samplers.append(Sampler(wrapS=33071, wrapT=33071))
    gltf.textures.append(Texture(source=len(gltf.images) - 1, sampler=len(gltf.samplers) - 1))
    return len(gltf.textures) - 1


def _add_material(gltf: "GLTF2", name: str, texture: int | None = None) -> None:
    from pygltflib import Material, PbrMetallicRoughness, TextureInfo

    surface_look = PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=ROUGHNESS[name])
    if texture is not None:
        surface_look.baseColorTexture = TextureInfo(index=texture)
    lashes = name == "lashes"
    gltf.materials.append(
        Material(
            name=name,
            pbrMetallicRoughness=surface_look,
            doubleSided=lashes,
            alphaMode="BLEND" if lashes else "OPAQUE",
            alphaCutoff=None,
        )
    )
