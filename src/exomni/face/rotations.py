"""Rotations of head and eyes: yaw about the upward axis, then pitch about x, then roll about z, in radians."""

import numpy as np

ORDER = "YXZ"
"""Axes of yaw, pitch and roll, each in the place where the one before has taken it."""


def quaternions(turns: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll [..., 3] as quaternions x, y, z, w, float64 [..., 4]."""
    from scipy.spatial.transform import Rotation

    turns = np.asarray(turns, np.float64)
    return Rotation.from_euler(ORDER, turns.reshape(-1, 3)).as_quat().reshape(*turns.shape[:-1], 4)


def matrix(quaternion: np.ndarray) -> np.ndarray:
    """The rotation of columns by a quaternion x, y, z, w, float64 [3, 3]; ValueError where it is all zero."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(quaternion).as_matrix()


def product(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Quaternions [4] or [T, 4] that turn as `then` and after that as `first` (the Hamilton product)."""
    from scipy.spatial.transform import Rotation

    return (Rotation.from_quat(first) * Rotation.from_quat(then)).as_quat()


def angles(quaternion: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll of quaternions [T, 4], radians, [T, 3]: what `quaternions` was given."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(quaternion).as_euler(ORDER)
