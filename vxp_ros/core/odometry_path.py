"""The drive as odometry saw it: which places are the recent past, and which pairs of places it allows to be one."""

import numpy as np

from .config import LoopSettings
from .datatypes import LoopClosure
from .geometry import invert, rotation_angle
from .place_map import PlaceMap

CHI2_99_3 = 11.34  # 99 % of a squared Mahalanobis distance with three degrees of freedom
REACH = 15.0  # metres between two keyframes that still see the same place
NEAR = 8.0  # metres between a keyframe and the nearest one of an earlier drive through the same street


class OdometryPath:
    """Reads the poses of a growing map, whose places were added as they were driven."""

    def __init__(self, place_map: PlaceMap):
        self._place_map = place_map
        self._metres: list[float] = []  # of the path, up to each place

    def metres(self, place_id: int) -> float:
        """Length of the path up to a place."""
        while len(self._metres) <= place_id:
            row = len(self._metres)
            self._metres.append(self._step(row) + (self._metres[-1] if row else 0.0))
        return self._metres[place_id]

    def _step(self, row: int) -> float:
        """Metres from the place before; none at the beginning of a drive."""
        if row == 0 or self._place_map.place(row).drive != self._place_map.place(row - 1).drive:
            return 0.0
        return float(np.linalg.norm(self.pose(row)[:3, 3] - self.pose(row - 1)[:3, 3]))

    def pose(self, place_id: int) -> np.ndarray:
        return self._place_map.place(place_id).T_map_base

    def between(self, first: int, second: int) -> tuple[np.ndarray, float]:
        """T_first_second [4, 4] by odometry, and the metres of the path that lie between them."""
        return invert(self.pose(first)) @ self.pose(second), abs(self.metres(second) - self.metres(first))

    def old_places(self, place_id: int, settings: LoopSettings) -> range:
        """The places of the same drive that are no recent past; where another began, odometry does not say."""
        drive = self._place_map.place(place_id).drive
        recent = first = self.first_recent(place_id, settings)
        while first > 0 and self._place_map.place(first - 1).drive == drive:
            first -= 1
        return range(first, recent)

    def first_recent(self, place_id: int, settings: LoopSettings) -> int:
        """The oldest place that is too near in time or on the path to be a loop's other end: at the latest this place
        itself, whatever the settings."""
        stamp, metres = self._place_map.place(place_id).stamp_ns, self.metres(place_id)
        for row in range(place_id - 1, -1, -1):
            gap = (stamp - self._place_map.place(row).stamp_ns) / 1e9
            if gap >= settings.min_time_gap and metres - self.metres(row) >= settings.min_travel:
                return row + 1
        return 0

    def expected(
        self, place_id: int, last: LoopClosure | None, settings: LoopSettings
    ) -> tuple[int, np.ndarray, float] | None:
        """The old place that the robot is at again by odometry alone, counted from the last closure if there is one:
        its id, T_old_new [4, 4], and the metres of odometry behind it. None where it is at none, or too far to tell."""
        drive = self._place_map.place(place_id).drive
        if last is not None and self._place_map.place(last.to_id).drive != drive:
            last = None
        T_odom_new, since = self.pose(place_id), 0.0  # as the odometry of the old places would have it
        if last is not None:
            T_to_new, since = self.between(last.to_id, place_id)
            T_odom_new = self.pose(last.from_id) @ last.T_from_to @ T_to_new
        start = self.metres(place_id if last is None else last.from_id)
        old = self.old_places(place_id, settings)
        gaps = {row: float(np.linalg.norm(self.pose(row)[:3, 3] - T_odom_new[:3, 3])) for row in old
                if position_sigma(since + abs(start - self.metres(row)), settings) <= REACH}  # fmt: skip
        nearest = min(gaps, key=gaps.get, default=None)
        if nearest is None or gaps[nearest] > NEAR:
            return None
        return nearest, invert(self.pose(nearest)) @ T_odom_new, since + abs(start - self.metres(nearest))

    def may_meet(self, old: int, new: int, settings: LoopSettings) -> bool:
        """Whether odometry, with the error it may have, allows both places to see the same."""
        T, metres = self.between(old, new)
        return bool(np.linalg.norm(T[:3, 3]) <= REACH + 3 * position_sigma(metres, settings))

    def is_opposite(self, old: int, new: int) -> bool:
        """Whether the headings differ by more than 90 degrees."""
        return bool(self.pose(old)[:2, 0] @ self.pose(new)[:2, 0] < 0)

    def is_plausible(self, closure: LoopClosure, settings: LoopSettings) -> bool:
        """Whether odometry, with the error it may have, allows the closure."""
        T, metres = self.between(closure.from_id, closure.to_id)
        off = invert(T) @ closure.T_from_to
        position, rotation = variances(closure)
        position += position_sigma(metres, settings) ** 2
        rotation += (settings.turn_drift * metres) ** 2
        return is_zero(off, position, rotation)

    def agree(self, a: LoopClosure, b: LoopClosure, settings: LoopSettings) -> bool | None:
        """Whether two closures and the odometry between them close a circle; None where that odometry is too long to
        tell, or another drive's.

        Pairwise consistency as in Mangelson et al., "Pairwise consistent measurement set maximization" (2018).
        """
        if self._place_map.place(a.to_id).drive != self._place_map.place(b.to_id).drive:
            return None
        T_to, metres_to = self.between(a.to_id, b.to_id)
        T_from, metres_from = self.between(b.from_id, a.from_id)
        metres = metres_to + metres_from
        if metres > settings.window:
            return None
        circle = a.T_from_to @ T_to @ invert(b.T_from_to) @ T_from
        lever = max(np.linalg.norm(T_to[:3, 3]), np.linalg.norm(T_from[:3, 3]))
        (position_a, rotation_a), (position_b, rotation_b) = variances(a), variances(b)
        rotation = rotation_a + rotation_b + (settings.turn_drift * metres) ** 2
        position = position_a + position_b + (settings.drift * metres) ** 2 + rotation * lever**2
        return is_zero(circle, position, rotation)


def position_sigma(metres: float, settings: LoopSettings) -> float:
    """Of odometry after so many metres; a wrong turn at the start shifts all that follows."""
    return settings.drift * metres + settings.turn_drift * metres**2 / 2


def variances(closure: LoopClosure) -> tuple[float, float]:
    """The largest of the position and of the rotation."""
    position, rotation = closure.covariance[:3, :3], closure.covariance[3:, 3:]
    return float(np.linalg.eigvalsh(position)[-1]), float(np.linalg.eigvalsh(rotation)[-1])


def is_zero(T: np.ndarray, position_variance: float, rotation_variance: float) -> bool:
    """Whether this motion is within the 99 % bounds of none."""
    is_still = np.sum(T[:3, 3] ** 2) <= CHI2_99_3 * position_variance
    return bool(is_still and rotation_angle(T[:3, :3]) ** 2 <= CHI2_99_3 * rotation_variance)
