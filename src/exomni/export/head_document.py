"""The project's head as a glTF document: the mesh that the renderer draws, with all 52 morph targets."""

import io
from typing import TYPE_CHECKING

import numpy as np

from ..core import arkit
from ..face.render_mesh import RenderMesh, own_head_mesh, srgb_pixels
from .gltf_document import INDICES, VERTICES, add_accessor, add_sparse, add_texture, new_document

if TYPE_CHECKING:
    from pygltflib import GLTF2, Primitive

ROUGHNESS = {"skin": 0.6, "eyes": 0.12, "lashes": 0.9}
CLAMPED = 33071
"""Beyond its edges a texture repeats its outermost pixels."""


def head_document() -> "GLTF2":
    """The head at rest, in metres, its middle at the origin, looking along +z; its neck and head are joints."""
    from pygltflib import Mesh, Node, Scene, Skin

    mesh = own_head_mesh()
    gltf = new_document()
    eyes = mesh.texture >= 0
    surfaces = {"skin": ~eyes & ~mesh.blended, "eyes": eyes, "lashes": mesh.blended}
    primitives = [_primitive(gltf, mesh, name, mesh.triangles[chosen]) for name, chosen in surfaces.items()]
    gltf.meshes.append(Mesh(name="head", primitives=primitives, weights=[0.0] * arkit.K))
    gltf.meshes[0].extras = {"targetNames": list(arkit.NAMES)}
    pivot = mesh.pivot.tolist()
    gltf.nodes += [
        Node(name="face", mesh=0, skin=0),
        Node(name="Neck", children=[2]),
        Node(name="Head", translation=pivot),
    ]
    gltf.skins.append(Skin(joints=[1, 2], skeleton=1, inverseBindMatrices=_inverse_bind(gltf, pivot)))
    gltf.scenes.append(Scene(nodes=[0, 1]))
    return gltf


def _primitive(gltf: "GLTF2", mesh: RenderMesh, name: str, triangles: np.ndarray) -> "Primitive":
    """One surface with its own vertices, all targets, and its material."""
    from pygltflib import Attributes, Primitive

    used, corners = np.unique(triangles, return_inverse=True)
    follows = mesh.turning[used]
    joints, shares = np.zeros((len(used), 4), np.uint8), np.zeros((len(used), 4), np.float32)
    joints[:, 1] = follows > 0
    shares[:, 0], shares[:, 1] = 1 - follows, follows
    attributes = Attributes(
        POSITION=add_accessor(gltf, mesh.positions[used], "VEC3", True, VERTICES),
        NORMAL=add_accessor(gltf, mesh.normals[used], "VEC3", target=VERTICES),
        JOINTS_0=add_accessor(gltf, joints, "VEC4", target=VERTICES),
        WEIGHTS_0=add_accessor(gltf, shares, "VEC4", target=VERTICES),
    )
    if name == "eyes":
        attributes.TEXCOORD_0 = add_accessor(gltf, mesh.uv[used], "VEC2", target=VERTICES)
    else:
        colours = np.rint(mesh.colours[used] * 65535).astype(np.uint16)
        attributes.COLOR_0 = add_accessor(gltf, colours, "VEC4", target=VERTICES, normalized=True)
    _add_material(gltf, name, mesh.textures[0])
    targets = [
        Attributes(
            POSITION=add_sparse(gltf, delta[used], "VEC3", with_range=True),
            NORMAL=add_sparse(gltf, normal_delta[used], "VEC3"),
        )
        for delta, normal_delta in zip(mesh.deltas, mesh.normal_deltas, strict=True)
    ]
    indices = add_accessor(gltf, corners.ravel().astype(np.uint32), "SCALAR", target=INDICES)
    return Primitive(attributes=attributes, indices=indices, material=len(gltf.materials) - 1, targets=targets)


def _inverse_bind(gltf: "GLTF2", pivot: list[float]) -> int:
    """The matrices that take the skin from where it was bound into the joints, by column; returns their accessor."""
    back = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    back[1, 3, :3] = np.negative(pivot)
    return add_accessor(gltf, back.reshape(2, 16), "MAT4")


def _add_material(gltf: "GLTF2", name: str, eye_texture: np.ndarray) -> None:
    from PIL import Image
    from pygltflib import Material, PbrMetallicRoughness, Sampler, TextureInfo

    look = PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=ROUGHNESS[name])
    if name == "eyes":
        file = io.BytesIO()
        Image.fromarray(srgb_pixels(eye_texture[..., :3])).save(file, "PNG")
        texture = add_texture(gltf, "eye", file.getvalue(), Sampler(wrapS=CLAMPED, wrapT=CLAMPED))
        look.baseColorTexture = TextureInfo(index=texture)
    lashes = name == "lashes"
    alpha = "BLEND" if lashes else "OPAQUE"
    gltf.materials.append(Material(name=name, pbrMetallicRoughness=look, doubleSided=lashes, alphaMode=alpha))
