"""When a frame becomes a place."""

import numpy as np
import pytest

from vxp_ros.core.config import KeyframeSettings
from vxp_ros.core.geometry import make_transform
from vxp_ros.core.keyframes import is_keyframe

SETTINGS = KeyframeSettings(min_travel=1.0, min_turn=0.5)


def pose(x: float, yaw: float = 0.0) -> np.ndarray:
    c, s = np.cos(yaw), np.sin(yaw)
    return make_transform(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), np.array([x, 0, 0]))


def test_the_first_frame_always():
    assert is_keyframe(None, pose(0), SETTINGS)


@pytest.mark.parametrize(
    ("x", "yaw", "expected"), [(0.9, 0.4, False), (1.0, 0.0, True), (-1.5, 0.0, True), (0.0, 0.51, True), (0, -1, True)]
)
def test_after_travel_or_turn(x, yaw, expected):
    assert is_keyframe(pose(0), pose(x, yaw), SETTINGS) is expected


def test_zero_travel_takes_every_frame():
    assert is_keyframe(pose(0), pose(0), KeyframeSettings(min_travel=0.0))
