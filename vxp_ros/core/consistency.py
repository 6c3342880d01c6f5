"""Whether the last poses agree with each other, before anything acts on them."""

from dataclasses import dataclass

import numpy as np

from .geometry import invert, rotation_angle


@dataclass(frozen=True)
class Agreement:
    """What makes two poses agree: metres, radians, and drift, metres more per metre of odometry between them. stride:
    metres between poses that count. span: metres from the first of them to the last, unless one is enough."""

    metres: float
    radians: float
    drift: float
    stride: float
    span: float


# Of poses that clouds confirmed; wheels and LiDAR odometry drift less than that. Streets that are built alike fit each
# other for a few metres, and a robot that stands sees the same one again and again.
OF_VERIFIED = Agreement(1.0, np.radians(5.0), 0.03, stride=2.0, span=10.0)
# Of places that were recognised: the robot is up to 10 m from them, and need not head as the car did that mapped them.
# One view recognised twice says no more than once, and one wrong place again and again, while the robot drives on, must
# not agree with itself: after 25 m it is off by 25, and 17 are allowed.
OF_RECOGNISED = Agreement(12.0, np.radians(60.0), 0.2, stride=4.0, span=25.0)
MOST = 100  # poses kept: a robot that goes round and round never leaves the first of them behind


class ConsistencyGate:
    """Open while the last so many poses agree, through odometry, about where the robot is."""

    def __init__(self, agreement: Agreement = OF_VERIFIED):
        self.agreement = agreement
        self._poses: list[tuple[np.ndarray, np.ndarray]] = []
        self.is_open = False

    def add(self, T_map_base: np.ndarray, T_odom_base: np.ndarray, needed: int) -> bool:
        """Whether this pose counts, and the gate is open with it: it and the `needed` - 1 before it agree, and more if
        they are near each other. One that disagrees with any of them begins anew. Where one is needed each counts.

        T_map_base: [4, 4], the robot's, or that of a place that it is near. T_odom_base: [4, 4], odometry's at the same
        moment.
        """
        pose = T_map_base, T_odom_base
        if not all(agree(pose, earlier, self.agreement) for earlier in self._poses):
            self.reset()
        if needed > 1 and self._poses and apart(self._poses[-1], pose) < self.agreement.stride:
            return False
        self._poses.append(pose)
        while len(self._poses) > needed and apart(self._poses[1], pose) >= self.agreement.span:
            del self._poses[0]
        del self._poses[:-MOST]
        is_wide = needed == 1 or self.metres >= self.agreement.span
        self.is_open = len(self._poses) >= needed and (is_wide or self.is_open)  # also where the robot turns back
        return self.is_open

    def reset(self) -> None:
        self._poses, self.is_open = [], False

    def __len__(self) -> int:
        """How many poses agree so far."""
        return len(self._poses)

    @property
    def metres(self) -> float:
        """From the first of them to the last."""
        return apart(self._poses[0], self._poses[-1]) if self._poses else 0.0


def agree(
    now: tuple[np.ndarray, np.ndarray], then: tuple[np.ndarray, np.ndarray], agreement: Agreement = OF_VERIFIED
) -> bool:
    """Whether odometry leads from one pose in the map to the other, drift allowed. Each is T_map_base, T_odom_base.

    Compared where the robot is: far from odometry's origin, a harmless error of heading is metres of `T_map_odom`.
    """
    (T_map_now, T_odom_now), (T_map_then, T_odom_then) = now, then
    T_error = invert(T_map_then @ invert(T_odom_then) @ T_odom_now) @ T_map_now
    allowed = agreement.metres + agreement.drift * apart(now, then)
    return bool(np.linalg.norm(T_error[:3, 3]) <= allowed and rotation_angle(T_error[:3, :3]) <= agreement.radians)


def apart(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float:
    """Metres between two poses by odometry."""
    return float(np.linalg.norm(first[1][:3, 3] - second[1][:3, 3]))


def odometry_in_map(T_map_base: np.ndarray, T_odom_base: np.ndarray) -> np.ndarray:
    """T_map_odom [4, 4] from the base's pose in both at one moment."""
    return T_map_base @ invert(T_odom_base)
