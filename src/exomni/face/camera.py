"""Where a picture of a head is taken from: a named shot of any head, or a measured view of the project's own."""

from dataclasses import dataclass

import numpy as np

from ..core.arkit import NAMES
from ..core.errors import InputError
from .render_mesh import METRES_PER_MM, PIVOT_MM, RenderMesh

FOV_DEG = 16.0
"""Upright angle of view: a portrait lens."""
ZOOM = {"head": 1.7, "face": 1.3, "mouth": 1.4}
"""Height of the picture over that of what moves: the whole face, or the mouth."""
MOUTH_SHAPES = ("jawOpen", "mouth")
VIEW_DISTANCE_MM = 900.0


@dataclass(frozen=True)
class Camera:
    """A shot that frames the head, the face or the mouth of any head.

    Attributes:
        frame: how much is on it: a key of `ZOOM`.
        yaw_deg: how far round to the head's left the camera stands.
        pitch_deg: how far up it stands.
    """

    frame: str = "head"
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0

    def projection(self, mesh: RenderMesh, width: int, height: int) -> np.ndarray:
        """What brings a head's coordinates to samples of a picture.

        Args:
            mesh: the head.
            width: of the picture in samples.
            height: of the picture in samples.
        Returns:
            Rows: the camera's axes right, up and towards it; its place in metres; its focal length and the
            picture's middle in samples; float32 [5, 3].
        Raises:
            InputError: `frame` is not a key of `ZOOM`.
        """
        if self.frame not in ZOOM:
            raise InputError(f"no camera shows '{self.frame}'; there are {', '.join(ZOOM)}")
        starts = MOUTH_SHAPES if self.frame == "mouth" else ("",)
        moves = np.zeros(len(mesh.positions), bool)
        for i, name in enumerate(NAMES):
            if name in mesh.shapes and name.startswith(starts):
                reach = np.abs(mesh.deltas[i]).max(axis=1)
                moves |= reach > max(0.4 * reach.max(), 1e-6)
        low, high = mesh.positions[moves].min(axis=0), mesh.positions[moves].max(axis=0)
        if self.frame == "head":
            high = np.maximum(high, mesh.positions[_near(mesh.positions, low, high)].max(axis=0))
        shown = ZOOM[self.frame] * (high - low)[1] / (1.3 if self.frame == "head" else 1.0)
        tall = max(shown, shown * height / width)
        half_fov = np.tan(np.radians(FOV_DEG) / 2)
        axes = _axes(self.yaw_deg, self.pitch_deg)
        place = (low + high) / 2 + axes[2] * tall / 2 / half_fov
        return _rows(axes, place, height / 2 / half_fov, width, height)


@dataclass(frozen=True)
class View:
    """A shot of the project's own head, in the millimetres of `Head`.

    Attributes:
        middle_mm: point that is in the middle of the picture.
        height_mm: what fits from the bottom to the top.
        yaw_deg: how far the head is turned to its left.
    """

    middle_mm: tuple[float, float, float] = (0.0, 712.0, 90.0)
    height_mm: float = 262.0
    yaw_deg: float = 0.0

    def projection(self, mesh: RenderMesh, width: int, height: int) -> np.ndarray:
        """The same as `Camera.projection`, for the project's own head alone."""
        middle = (np.array(self.middle_mm) - PIVOT_MM) * METRES_PER_MM + mesh.pivot
        axes = _axes(-self.yaw_deg, 0.0)
        place = middle + axes[2] * VIEW_DISTANCE_MM * METRES_PER_MM
        return _rows(axes, place, height * VIEW_DISTANCE_MM / self.height_mm, width, height)


Viewpoint = Camera | View

CAMERAS = {
    "head": Camera(),
    "face": Camera("face"),
    "mouth": Camera("mouth"),
    "three-quarter": Camera("head", 32.0, 4.0),
    "profile": Camera("head", 80.0),
}
HEAD_VIEW = View()
MOUTH_VIEW = View((0.0, 660.0, 140.0), 105.0)


def _axes(yaw_deg: float, pitch_deg: float) -> np.ndarray:
    """Right, up and towards a camera that stands so far round to the head's left and so far up, [3, 3]."""
    yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
    towards = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
    return np.stack([right, np.cross(towards, right), towards])


def _rows(axes: np.ndarray, place: np.ndarray, focus: float, width: int, height: int) -> np.ndarray:
    lens = (focus, width / 2, height / 2)
    return np.concatenate([axes, [place, lens]]).astype(np.float32)


def _near(positions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Vertices over and around a face, bool [V]: the rest of its head, but not of its body."""
    room = 0.6 * (high - low)
    sideways = positions[:, [0, 2]]
    return np.all((sideways > (low - room)[[0, 2]]) & (sideways < (high + room)[[0, 2]]), axis=1)
