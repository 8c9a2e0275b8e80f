"""Where a picture of a head is taken from."""

from dataclasses import dataclass

import numpy as np

from exomni.core import arkit
from exomni.core.errors import InputError

from .puppet import Puppet

FOV_DEG = 16.0
"""Upright angle of view: a portrait lens."""
PARTS_OF_FACE = {"mouth": ("jawOpen", "mouth"), "face": ("",)}


@dataclass(frozen=True)
class Camera:
    """Where the picture is taken from.

    Attributes:
        frame: how much is on it: `head`, `face` or `mouth`.
        yaw_deg: how far round to the head's left the camera stands.
        pitch_deg: how far up it stands.
    """

    frame: str = "head"
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0


CAMERAS = {
    "head": Camera(),
    "face": Camera("face"),
    "mouth": Camera("mouth"),
    "three-quarter": Camera("head", 32.0, 4.0),
    "profile": Camera("head", 80.0),
}
ZOOM = {"head": 1.7, "face": 1.3, "mouth": 1.4}
"""Height of the picture over that of what moves: the whole face, or the mouth."""


def placed(camera: Camera, puppet: Puppet, width: int, height: int) -> np.ndarray:
    """Where a camera stands before a puppet, for a picture of that size in samples.

    Returns:
        Rows: its axes right, up and towards it, its place, focal length and middle in samples, float32 [5, 3].
    Raises:
        InputError: no camera shows such a part.
    """
    if camera.frame not in ZOOM:
        raise InputError(f"no camera shows '{camera.frame}'; there are {', '.join(ZOOM)}")
    part = PARTS_OF_FACE["mouth" if camera.frame == "mouth" else "face"]
    moves = np.zeros(len(puppet.positions), bool)
    for i, name in enumerate(arkit.NAMES):
        if name in puppet.shapes and name.startswith(part):
            reach = np.abs(puppet.deltas[i]).max(axis=1)
            moves |= reach > max(0.4 * reach.max(), 1e-6)
    low, high = puppet.positions[moves].min(axis=0), puppet.positions[moves].max(axis=0)
    if camera.frame == "head":
        high = np.maximum(high, puppet.positions[_near(puppet.positions, low, high)].max(axis=0))
    yaw, pitch = np.radians(camera.yaw_deg), np.radians(camera.pitch_deg)
    towards = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
    axes = np.stack([right, np.cross(towards, right), towards])
    shown = ZOOM[camera.frame] * (high - low)[1] / (1.3 if camera.frame == "head" else 1.0)
    tall = max(shown, shown * height / width)
    away = tall / 2 / np.tan(np.radians(FOV_DEG) / 2)
    middle = (low + high) / 2
    focus_px = height / 2 / np.tan(np.radians(FOV_DEG) / 2)
    lens = (focus_px, width / 2, height / 2)
    return np.concatenate([axes, [middle + towards * away, lens]]).astype(np.float32)


def _near(positions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Vertices over and around a face: the rest of its head, but not of its body."""
    room = 0.6 * (high - low)
    return ((positions[:, [0, 2]] > (low - room)[[0, 2]]) & (positions[:, [0, 2]] < (high + room)[[0, 2]])).all(axis=1)
