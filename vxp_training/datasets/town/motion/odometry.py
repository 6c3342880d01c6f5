"""Wheel odometry as a real car has it: right from step to step, and wrong by a stated share of the way."""

import numpy as np

from vxp_ros.core.geometry import invert, make_transform, rotation_z

SCALE_ERROR = 0.01  # of the way
YAW_ERROR_PER_M = np.radians(0.5) / 100
# Random parts beside the two constant ones, per square root of a metre.
SCALE_SIGMA, YAW_SIGMA = 0.002, np.radians(0.02)


def drifted(T_world_base: np.ndarray, seed: list[int], share: float = 1.0) -> np.ndarray:
    """[N, 4, 4] T_odom_base, beginning at the identity, from exact poses [N, 4, 4].

    Every drive measures its way 1 % too long or too short and turns 0.5 degrees per 100 m to one side, which side says
    the seed; small random errors come on top. share: of these errors, 0.5 for half of each.
    """
    rng = np.random.default_rng([*seed, 0x0D0])
    scale, turn = 1 + share * SCALE_ERROR * rng.choice([-1, 1]), share * YAW_ERROR_PER_M * rng.choice([-1, 1])
    T_odom_base = np.tile(np.eye(4), (len(T_world_base), 1, 1))
    for row in range(1, len(T_world_base)):
        step = invert(T_world_base[row - 1]) @ T_world_base[row]
        way = float(np.linalg.norm(step[:3, 3]))
        step_scale = scale + share * SCALE_SIGMA * rng.normal() / np.sqrt(max(way, 1e-3)) * (way > 0)
        error = make_transform(rotation_z(turn * way + share * YAW_SIGMA * np.sqrt(way) * rng.normal()), np.zeros(3))
        step[:3, 3] *= step_scale
        T_odom_base[row] = T_odom_base[row - 1] @ step @ error
    return T_odom_base
