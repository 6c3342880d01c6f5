"""Drifting odometry: as wrong as it says, in the same way for the same seed."""

import numpy as np
import pytest

from vxp_ros.core.geometry import is_rigid, rotation_angle
from vxp_training.datasets.town.motion.odometry import SCALE_ERROR, YAW_ERROR_PER_M, drifted


def test_odometry_drifts_as_stated():
    """1 km straight on: the way is 1 % wrong, the heading 5 degrees."""
    poses = np.tile(np.eye(4), (1001, 1, 1))
    poses[:, 0, 3] = np.arange(1001)
    for seed in range(5):
        odometry = drifted(poses, [seed])
        way = np.linalg.norm(np.diff(odometry[:, :3, 3], axis=0), axis=1).sum()
        assert abs(way / 1000 - 1) == pytest.approx(SCALE_ERROR, abs=0.003)
        assert rotation_angle(odometry[-1, :3, :3]) == pytest.approx(1000 * YAW_ERROR_PER_M, abs=np.radians(2))
        np.testing.assert_array_equal(odometry, drifted(poses, [seed]))
    assert is_rigid(odometry, 1e-6)


def test_a_car_that_stands_does_not_drift():
    poses = np.tile(np.eye(4), (50, 1, 1))
    np.testing.assert_array_equal(drifted(poses, [0]), poses)
