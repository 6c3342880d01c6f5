"""Whether the last poses agree with each other, before anything acts on them."""

import numpy as np

from .geometry import invert, rotation_angle

# Metres, radians, and metres more per metre between two poses: wheels and LiDAR odometry drift less than that. The
# robot is up to 10 m from the place that it recognises, and need not head as the car did that mapped it.
REGISTERED = 1.0, np.radians(5.0), 0.03
OF_PLACES = 12.0, np.radians(60.0), 0.2
STRIDE = 4.0  # metres between poses of places that count: one view recognised twice says no more than once


class ConsistencyGate:
    """Open while the last so many poses agree, through odometry, about where the robot is."""

    def __init__(self):
        self._poses: list[tuple[np.ndarray, np.ndarray, bool]] = []

    def add(self, T_map_base: np.ndarray, T_odom_base: np.ndarray, needed: int, is_registered: bool = True) -> bool:
        """Whether this pose and the `needed` - 1 before it agree. One that disagrees with any of them begins anew.

        T_map_base: [4, 4], the robot's; of a place that it is near where not `is_registered`. T_odom_base: [4, 4],
        odometry's at the same moment.
        """
        pose = T_map_base, T_odom_base, is_registered
        if not all(agree(pose, earlier) for earlier in self._poses):
            self._poses = []
        if is_registered or self._has_moved(T_odom_base):
            self._poses = [*self._poses, pose][-needed:]
        return len(self._poses) >= needed

    def _has_moved(self, T_odom_base: np.ndarray) -> bool:
        """Since the last pose that counts."""
        return not self._poses or np.linalg.norm(T_odom_base[:3, 3] - self._poses[-1][1][:3, 3]) >= STRIDE

    def reset(self) -> None:
        self._poses = []

    def __len__(self) -> int:
        """How many poses agree so far."""
        return len(self._poses)


def agree(now: tuple[np.ndarray, np.ndarray, bool], then: tuple[np.ndarray, np.ndarray, bool]) -> bool:
    """Whether odometry leads from one pose in the map to the other, drift allowed. Each is T_map_base, T_odom_base and
    whether it is registered.

    Compared where the robot is: far from odometry's origin, a harmless error of heading is metres of `T_map_odom`.
    """
    (T_map_now, T_odom_now, is_sure), (T_map_then, T_odom_then, was_sure) = now, then
    metres, radians, drift = REGISTERED if is_sure and was_sure else OF_PLACES
    T_error = invert(T_map_then @ invert(T_odom_then) @ T_odom_now) @ T_map_now
    allowed = metres + drift * np.linalg.norm(T_odom_now[:3, 3] - T_odom_then[:3, 3])
    return bool(np.linalg.norm(T_error[:3, 3]) <= allowed and rotation_angle(T_error[:3, :3]) <= radians)


def odometry_in_map(T_map_base: np.ndarray, T_odom_base: np.ndarray) -> np.ndarray:
    """T_map_odom [4, 4] from the base's pose in both at one moment."""
    return T_map_base @ invert(T_odom_base)
