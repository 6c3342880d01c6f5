"""Whether verified poses agree with each other, before anything acts on them."""

import numpy as np

from .geometry import invert, rotation_angle

MOST_METRES, MOST_RADIANS = 1.0, np.radians(5.0)
DRIFT = 0.03  # metres per metre between two poses; wheels and LiDAR odometry stay below it


class ConsistencyGate:
    """Open while the last so many verified poses agree, through odometry, about where the robot is."""

    def __init__(self):
        self._poses: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, T_map_base: np.ndarray, T_odom_base: np.ndarray, needed: int) -> bool:
        """Whether this pose and the `needed` - 1 before it agree. One that disagrees with any of them begins anew.

        T_map_base: [4, 4], verified. T_odom_base: [4, 4], odometry's at the same moment.
        """
        if not all(agree(T_map_base, T_odom_base, *earlier) for earlier in self._poses):
            self._poses = []
        self._poses = [*self._poses, (T_map_base, T_odom_base)][-needed:]
        return len(self._poses) >= needed

    def reset(self) -> None:
        self._poses = []

    def __len__(self) -> int:
        """How many poses agree so far."""
        return len(self._poses)


def agree(
    T_map_now: np.ndarray, T_odom_now: np.ndarray, T_map_then: np.ndarray, T_odom_then: np.ndarray,
) -> bool:  # fmt: skip
    """Whether odometry leads from one pose in the map to the other, within five degrees and a metre, drift allowed.

    Compared where the robot is: far from odometry's origin, a harmless error of heading is metres of `T_map_odom`.
    """
    T_expected = T_map_then @ invert(T_odom_then) @ T_odom_now
    T_error = invert(T_expected) @ T_map_now
    allowed = MOST_METRES + DRIFT * np.linalg.norm(T_odom_now[:3, 3] - T_odom_then[:3, 3])
    return bool(np.linalg.norm(T_error[:3, 3]) <= allowed and rotation_angle(T_error[:3, :3]) <= MOST_RADIANS)


def odometry_in_map(T_map_base: np.ndarray, T_odom_base: np.ndarray) -> np.ndarray:
    """T_map_odom [4, 4] from the base's pose in both at one moment."""
    return T_map_base @ invert(T_odom_base)
