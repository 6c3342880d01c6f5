"""Which frames are worth a query, decided from stamps and odometry before anything is decoded. Plain Python."""

import numpy as np

from .odometry import travelled


class RateGate:
    """Admits `max_rate` frames per second of sensor time on average; a frame that comes a little early is kept.

    The next due time advances by whole periods, so that a 10 Hz sensor with jitter passes a 10 Hz gate.
    """

    def __init__(self):
        self._last_due_ns: int | None = None

    def admits(self, stamp_ns: int, max_rate: float) -> bool:
        if max_rate == 0:
            return True
        period_ns = int(1e9 / max_rate)
        if self._last_due_ns is None:
            self._last_due_ns = stamp_ns
            return True
        if stamp_ns < self._last_due_ns + period_ns:
            return False
        self._last_due_ns = max(self._last_due_ns + period_ns, stamp_ns - period_ns)
        return True

    def reset(self) -> None:
        self._last_due_ns = None


class TravelGate:
    """Admits a frame once the robot has moved `min_travel` metres since the last admitted one.

    Two steps, because a frame that passes here may still be refused by another gate: ask, then `pass_through`.
    """

    def __init__(self):
        self._last: np.ndarray | None = None

    def admits(self, T_odom_base: np.ndarray | None, min_travel: float) -> bool:
        return min_travel == 0 or travelled(self._last, T_odom_base) >= min_travel

    def pass_through(self, T_odom_base: np.ndarray | None) -> None:
        self._last = T_odom_base

    def reset(self) -> None:
        self._last = None
