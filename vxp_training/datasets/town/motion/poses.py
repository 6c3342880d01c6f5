"""Poses of wheeled things on hilly ground."""

from collections.abc import Callable

import numpy as np

WHEELBASE, TRACK = 2.7, 1.5  # metres over which the slope is felt


def angles_to_matrices(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """[N, 3, 3] = Rz(yaw) Ry(pitch) Rx(roll); positive pitch lowers the nose (REP-103)."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def on_slope(
    height: Callable[[np.ndarray], np.ndarray], xy: np.ndarray, yaw: np.ndarray, pitch: float | np.ndarray = 0.0,
    roll: float | np.ndarray = 0.0,
) -> np.ndarray:  # fmt: skip
    """[N, 4, 4] T_world_base of bases on the ground at xy [N, 2], heading yaw [N], that follow its slope;
    pitch and roll come on top."""
    forward = np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
    side = np.stack([-forward[:, 1], forward[:, 0]], axis=1)
    half_base, half_track = WHEELBASE / 2, TRACK / 2
    rise = height(xy + half_base * forward) - height(xy - half_base * forward)
    bank = height(xy + half_track * side) - height(xy - half_track * side)
    T = np.zeros((len(xy), 4, 4))
    T[:, :3, :3] = angles_to_matrices(yaw, pitch - np.arctan2(rise, WHEELBASE), roll + np.arctan2(bank, TRACK))
    T[:, :2, 3], T[:, 2, 3], T[:, 3, 3] = xy, height(xy), 1.0
    return T
