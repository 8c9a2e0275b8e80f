"""Turns of head and eyes: yaw about the upward axis, then pitch about x, then roll about z, in radians."""

import numpy as np


def quaternions(turns: np.ndarray) -> np.ndarray:
    """Turns [..., 3] as quaternions x, y, z, w, float64 [..., 4]."""
    half = np.asarray(turns, np.float64) / 2
    (sy, sp, sr), (cy, cp, cr) = np.moveaxis(np.sin(half), -1, 0), np.moveaxis(np.cos(half), -1, 0)
    return np.stack(
        [
            cy * sp * cr + sy * cp * sr,
            sy * cp * cr - cy * sp * sr,
            cy * cp * sr - sy * sp * cr,
            cy * cp * cr + sy * sp * sr,
        ],
        axis=-1,
    )


def matrix(quaternion: np.ndarray) -> np.ndarray:
    """The rotation of columns by a unit quaternion x, y, z, w, float64 [3, 3]."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def product(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Quaternions [..., 4] that turn as `then` and after that as `first` (the Hamilton product), [..., 4]."""
    ax, ay, az, aw = np.moveaxis(np.asarray(first, np.float64), -1, 0)
    bx, by, bz, bw = np.moveaxis(np.asarray(then, np.float64), -1, 0)
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        axis=-1,
    )


def angles(quaternion: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll of unit quaternions [T, 4], radians, [T, 3]: what `quaternions` was given."""
    rotations = np.stack([matrix(each) for each in quaternion])
    pitch = np.arcsin(np.clip(-rotations[:, 1, 2], -1, 1))
    yaw = np.arctan2(rotations[:, 0, 2], rotations[:, 2, 2])
    return np.stack([yaw, pitch, np.arctan2(rotations[:, 1, 0], rotations[:, 1, 1])], axis=1)
