"""The last seconds of odometry, to be asked for the pose at a sensor's stamp. Knows nothing of rclpy."""

import threading
from bisect import bisect_left, insort

import numpy as np

from ..core.geometry import interpolate

CAPACITY = 10_000  # 25 s at 400 Hz: a verification asks for poses that are seconds old
# Odometry that stops or skips more than this around a stamp says nothing about the pose there.
MAX_GAP_NS = 500_000_000
LEAP_M, LEAP_M_PER_S = 10.0, 1000.0


class OdometryBuffer:
    """Poses T_odom_base by stamp. One thread adds (the executor), another asks (the worker)."""

    def __init__(self):
        self._poses: list[tuple[int, np.ndarray]] = []
        self._changed = threading.Condition()

    def add(self, stamp_ns: int, T_odom_base: np.ndarray) -> None:
        with self._changed:
            insort(self._poses, (stamp_ns, T_odom_base), key=lambda entry: entry[0])
            del self._poses[:-CAPACITY]
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._poses.clear()
            self._changed.notify_all()

    def latest(self) -> np.ndarray | None:
        with self._changed:
            return self._poses[-1][1] if self._poses else None

    def reaches(self, stamp_ns: int) -> bool:
        """True when odometry of this stamp or later has come."""
        with self._changed:
            return bool(self._poses) and self._poses[-1][0] >= stamp_ns

    def pose_at(self, stamp_ns: int, timeout: float) -> np.ndarray | None:
        """T_odom_base at `stamp_ns`, interpolated; waits up to `timeout` seconds for odometry to reach the stamp.

        None when there is no odometry within 0.5 s of it. At the newest end the nearest pose is taken.
        """
        with self._changed:
            if self._poses:  # without any odometry there is nothing to wait for
                self._changed.wait_for(lambda: not self._poses or self._poses[-1][0] >= stamp_ns, timeout)
            return self._look_up(stamp_ns)

    def _look_up(self, stamp_ns: int) -> np.ndarray | None:
        row = bisect_left(self._poses, stamp_ns, key=lambda entry: entry[0])
        around = self._poses[max(0, row - 1) : row + 1]
        near = [entry for entry in around if abs(entry[0] - stamp_ns) <= MAX_GAP_NS]
        if not near:
            return None
        if len(near) == 1 or near[0][0] == stamp_ns:
            return near[0][1]
        (before, T_before), (after, T_after) = near
        return interpolate(T_before, T_after, (stamp_ns - before) / (after - before)) if after > before else T_after


def has_leapt(T_before: np.ndarray | None, T_now: np.ndarray, gap_ns: int) -> bool:
    """Whether odometry went where no vehicle could: it began anew, or was set to another pose. gap_ns: between both."""
    if T_before is None or gap_ns <= 0:
        return False
    metres = travelled(T_before, T_now)
    return metres > LEAP_M and metres > LEAP_M_PER_S * gap_ns / 1e9


def travelled(T_from: np.ndarray | None, T_to: np.ndarray | None) -> float:
    """Straight distance in metres between two poses; inf when either is unknown, so that gates let the frame pass."""
    if T_from is None or T_to is None:
        return float("inf")
    return float(np.linalg.norm(T_to[:3, 3] - T_from[:3, 3]))
