"""Put a person together and write the GLB."""

from dataclasses import replace
from typing import Any

import numpy as np

from .atlas import Texels, packed
from .eyeballs import eye_picture, eyes
from .garment import COVER, WEAVE_STEEP, outside_collar, shirt, weave
from .glb import Skeleton, write_glb
from .hair import hair, strand_picture
from .makehuman import EYES_MM, Body, Figure
from .mouth import lining, teeth, tongue
from .occlusion import open_sky
from .paint import albedo, jpeg, mask, png, relief_picture, roughness, skin_relief, srgb
from .parts import Part, trimmed
from .people import Person
from .skin import BUST_X_MM, COARSE_MM, FACE_X_MM, FACE_Y_MM, FACE_Z_MM, SKIN_Y_MM, Mesh, pull
from .strands import brows, lashes

SKIN_PIXELS, SHINE_PIXELS, EYE_PIXELS, CLOTH_PIXELS = 1024, 512, 512, 256
JOINTS_MM = np.array([[0.0, 500.0, 20.0], [0.0, 585.0, 15.0], [0.0, 650.0, 28.0]])
ORIGIN_MM = np.array([0.0, EYES_MM[1], 40.0])
"""The file's origin: as high as the eyes, in the middle of the head."""
LICENCE = "CC0 1.0 Universal: made by exomni from MakeHuman's base mesh, targets and face units, which are CC0 too"


def build(body: Body, person: Person, name: str) -> bytes:
    """A person's GLB."""
    figure = Figure.of(body, person.identity, person.rest)
    parts, mesh, skin = surfaces(figure, person)
    light = _light(skin, [part for part in parts if part.name in ("Eyes", "Shirt")])
    asset = {"version": "2.0", "generator": "exomni runs/build_avatars.py", "copyright": LICENCE}
    asset["extras"] = {"title": f"exomni {name}", "license": "CC0-1.0", "licenseUrl": CC0_URL}
    textures = _textures(figure, mesh, light, person)
    return write_glb(parts, _materials(person), textures, Skeleton(ORIGIN_MM, JOINTS_MM), asset)


def surfaces(figure: Figure, person: Person) -> tuple[list[Part], Mesh, Part]:
    """All surfaces of a person; also the skin's mesh and the skin together with the inside of the mouth."""
    mesh, skin = _skin(figure, person)
    data = figure.body.data
    inside = mask(data, "inside-mouth", mesh.uv)[mesh.triangles].min(1) > 0.6
    parts = [
        trimmed(replace(skin, triangles=skin.triangles[~inside], pull=pull(mesh.body_mm))),
        lining(mesh, skin, inside),
        eyes(figure),
        lashes(figure, 1, person.lash_length),
        brows(mesh, skin, person.complexion.brow_half_mm, person.n_brow_hairs, 2),
        teeth(figure, upper=True),
        teeth(figure, upper=False),
        tongue(figure),
        hair(mesh, skin, person.cut, mask(data, "ears", mesh.uv) > 0.2),
        shirt(figure, person.collar_width, person.collar_half_mm),
    ]
    return parts, mesh, skin


CC0_URL = "https://creativecommons.org/publicdomain/zero/1.0/"


def _skin(figure: Figure, person: Person) -> tuple[Mesh, Part]:
    """The skin down to a little below the collar."""
    quads, quads_uv = figure.body.quads["body"], figure.body.quads_uv["body"]
    corners = figure.body.vertices_mm[quads]
    keep = (corners[:, :, 1] > SKIN_Y_MM).all(1) & (np.abs(corners[:, :, 0]) < BUST_X_MM).all(1)
    keep &= (outside_collar(corners, person.collar_width) < COVER).all(1)
    quads, quads_uv, corners = quads[keep], quads_uv[keep], corners[keep]
    fine = ((corners[:, :, 1] > FACE_Y_MM[0]) & (corners[:, :, 1] < FACE_Y_MM[1])).all(1)
    fine &= ((corners[:, :, 2] > FACE_Z_MM) & (np.abs(corners[:, :, 0]) < FACE_X_MM)).all(1)
    fine &= np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2).max(1) > COARSE_MM
    fine &= mask(figure.body.data, "inside-mouth", figure.body.uv[quads_uv]).mean(1) < 0.98
    mesh = Mesh.of(figure, quads, quads_uv, figure.body.uv, fine)
    part = mesh.part(figure, "Skin", "Skin")
    return mesh, replace(part, uv=packed(mesh.uv))


def _light(skin: Part, others: list[Part]) -> np.ndarray:
    """How much light reaches the skin at rest, 0..1, [V]."""
    starts = np.cumsum([0, *(len(p.positions_mm) for p in (skin, *others))])
    triangles = np.concatenate([p.triangles + start for p, start in zip((skin, *others), starts, strict=False)])
    positions = np.concatenate([p.positions_mm for p in (skin, *others)])
    return open_sky(skin.positions_mm, skin.normals, positions, triangles)


def _textures(figure: Figure, mesh: Mesh, light: np.ndarray, person: Person) -> dict[str, bytes]:
    values = np.concatenate([mesh.body_mm, mesh.uv, light[:, None]], axis=1)
    texels = Texels.of(mesh, values, SKIN_PIXELS)
    data = figure.body.data
    relief = skin_relief(texels, person.complexion, data)
    small = Texels.of(mesh, values, SHINE_PIXELS)
    rough = roughness(small, data)
    shine = np.stack([np.ones_like(rough), rough, np.zeros_like(rough)], axis=-1)
    return {
        "skin": jpeg(srgb(albedo(texels, person.complexion, data)), 86),
        "skin-relief": jpeg(relief, 82),
        "skin-shine": jpeg(np.rint(np.clip(shine, 0, 1) * 255).astype(np.uint8), 80),
        "eye": jpeg(srgb(eye_picture(EYE_PIXELS, *(np.array(c) for c in person.iris))), 88),
        "hair": png(strand_picture(256, 256, 7)),
        "cloth": jpeg(relief_picture(weave(CLOTH_PIXELS), WEAVE_STEEP), 80),
    }


def _materials(person: Person) -> dict[str, dict[str, Any]]:
    """glTF materials; textures by name."""

    def look(colour: tuple[float, ...] = (1.0, 1.0, 1.0), rough: float = 1.0, **more: Any) -> dict[str, Any]:
        surface = {"baseColorFactor": [*colour, 1.0], "metallicFactor": 0.0, "roughnessFactor": rough}
        return {"pbrMetallicRoughness": surface | more}

    def picture(name: str) -> dict[str, Any]:
        return {"index": name}

    repeated = {"KHR_texture_transform": {"scale": [CLOTH_TIMES, CLOTH_TIMES]}}
    both, wet = {"doubleSided": True}, {"KHR_materials_clearcoat": CLEARCOAT}
    dark = tuple(0.75 * c for c in person.complexion.hair)
    skin = look(baseColorTexture=picture("skin"), metallicRoughnessTexture=picture("skin-shine"))
    hair = look(person.hair, 0.55, baseColorTexture=picture("hair"))
    return {
        "Skin": skin | {"normalTexture": picture("skin-relief")},
        "Mouth": look() | {"extensions": {"KHR_materials_unlit": {}}},
        "Eyes": look(rough=0.35, baseColorTexture=picture("eye")) | {"extensions": wet},
        "Lashes": look((0.012, 0.009, 0.008), 0.7) | both,
        "Brows": look(dark, 0.75) | both,
        "Teeth": look(rough=0.25) | {"extensions": _dull(0.6)},
        "Tongue": look(rough=0.5) | {"extensions": _dull(0.25)},
        "Hair": hair | both | {"alphaMode": "MASK", "alphaCutoff": 0.4, "extensions": _dull(0.35)},
        "Shirt": look(person.shirt, 0.9) | both | {"normalTexture": picture("cloth") | {"extensions": repeated}},
    }


def _dull(share: float) -> dict[str, Any]:
    """Less light that is thrown back as from a mirror, 0..1: no shadow of the scene falls into mouth and hair."""
    return {"KHR_materials_specular": {"specularFactor": share}}


CLOTH_TIMES = 12.0
"""How often the cloth's picture repeats across the bust."""
CLEARCOAT = {"clearcoatFactor": 1.0, "clearcoatRoughnessFactor": 0.04}
