"""Drives: the route of the town, driven on one day, with exact poses at every moment."""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .days import start_ns
from .draws import Purpose, draw
from .motion.poses import on_slope
from .motion.speeds import travel_times
from .rig import interpolate_poses
from .scene import Day
from .streets.lanes import STEP, LanePath, lane_path
from .streets.lines import left, lengths, unit
from .streets.plan import Plan

# Share of the one-way streets on which a day's drive takes the other lane than the map's drive (hardened).
OTHER_LANE = {"sunny": 0.0, "sameday": 0.3, "reverse": 0.1}
OTHER_LANE_ELSE = 0.65
LANE_CHANGES = 0.2  # share of one-way streets with a lane change halfway
STOPS = 0.3  # share of junctions at which the car has to wait
STOP_BEFORE = 4.0  # metres before the turn begins
WAIT = (1.5, 5.0)  # seconds
LEAD = 8.0  # metres of the path before and after the drive, so that poses are known a little earlier and later
UNMAPPED_TRIM = 45.0  # metres of the unmapped streets that can be seen from the mapped ones
PAUSE_NS = 2_000_000_000  # between the last frame of one drive and the first of the next
MARGIN_NS = 500_000_000  # of the way before the first and after the last frame: longer than half a sweep
DRIFT_LENGTHS = (40.0, 150.0)  # wave lengths along the path of sway across the lane, metres
SHAKE_LENGTHS = (6.0, 40.0)  # and of roll and pitch
SWAY_WAVES = 6
MOST_LATERAL = 0.4  # metres off the lane's middle, at most: parked trucks reach into the lane
EASY_LATERAL = 0.15  # metres, standard deviation in the easy world


@dataclass(frozen=True)
class Drive:
    """stamps_ns: [N] int64 since 1970. T_world_base: [N, 4, 4] float64; the base is the point on the ground below the
    middle of the rear axle, x forward (REP-103). knots_ns [K], knots [K, 4, 4]: the way in small steps."""

    stamps_ns: np.ndarray
    T_world_base: np.ndarray
    knots_ns: np.ndarray
    knots: np.ndarray

    def __len__(self) -> int:
        return len(self.stamps_ns)

    def poses_at(self, stamps_ns: np.ndarray) -> np.ndarray:
        """T_world_base [M, 4, 4] at any times [M] (int64 nanoseconds); before the first and after the last knot the car
        stands still."""
        stamps_ns = np.clip(stamps_ns, self.knots_ns[0], self.knots_ns[-1])
        first = max(0, int(np.searchsorted(self.knots_ns, stamps_ns.min(), side="right")) - 1)
        last = min(len(self.knots), int(np.searchsorted(self.knots_ns, stamps_ns.max())) + 2)
        seconds = (self.knots_ns[first:last] - self.knots_ns[first]) * 1e-9
        return interpolate_poses(self.knots[first:last], seconds, (stamps_ns - self.knots_ns[first]) * 1e-9)


def drive(
    world, day: Day, spacing: float | None = None, rate_hz: float | None = None, length: float | None = None,
    start: float = 0.0, route: str = "main",
) -> Drive:  # fmt: skip
    """Drive a route of the world on a day, with a stamp every `spacing` metres, or at `rate_hz`.

    start, length: the part of the route, in metres from where the drive begins; by default all of it. route: "main", or
    "unmapped": streets that "main" never takes. Raises ValueError unless exactly one of spacing and rate_hz is given,
    positive, and the route is known and long enough.
    """
    if (spacing is None) == (rate_hz is None) or not (spacing or rate_hz) > 0:
        raise ValueError(f"a drive needs either a spacing or a rate above 0, got spacing={spacing}, rate_hz={rate_hz}")
    if route not in ("main", "unmapped"):
        raise ValueError(f"no route named {route!r}, expected 'main' or 'unmapped'")
    path = _plan_path(world, day, route)
    reaching, leaving = _time_path(world, day, path)
    along = STEP * np.arange(len(path.points))
    first = LEAD + start
    last = min(along[-1] - LEAD, first + (np.inf if length is None else length))
    if not last > first:
        raise ValueError(f"the drive begins at {start} m, but the route is {along[-1] - 2 * LEAD:.0f} m long")
    if spacing is not None:
        at = np.interp(first + spacing * np.arange(int((last - first) / spacing + 1e-9) + 1), along, reaching)
    else:
        begin, end = np.interp((first, last), along, reaching)
        at = begin + np.arange(int((end - begin) * rate_hz) + 1) / rate_hz
    waits = np.flatnonzero(leaving > reaching)
    poses = _pose_path(world, day, path)
    knots = np.insert(poses, waits + 1, poses[waits], axis=0)
    knots_ns = start_ns(day) + _nanoseconds(np.insert(reaching, waits + 1, leaving[waits]))
    way = Drive(start_ns(day) + _nanoseconds(at), np.zeros((0, 4, 4)), knots_ns, knots)
    return replace(way, T_world_base=way.poses_at(way.stamps_ns))


def one_after_the_other(first: Drive, second: Drive) -> Drive:
    """Both drives as one, with a pause between them in which the car is carried to where the second begins."""
    first, second = _without_ends(first), _without_ends(second)
    later = first.stamps_ns[-1] + PAUSE_NS - second.stamps_ns[0]
    return Drive(
        np.concatenate([first.stamps_ns, second.stamps_ns + later]),
        np.concatenate([first.T_world_base, second.T_world_base]),
        np.concatenate([first.knots_ns, second.knots_ns + later]),
        np.concatenate([first.knots, second.knots]),
    )


def _without_ends(way: Drive) -> Drive:
    """The drive without what lies before its first frame and behind its last, as the rest of a route that was cut."""
    begin, end = way.stamps_ns[0] - MARGIN_NS, way.stamps_ns[-1] + MARGIN_NS
    inner = way.knots_ns[(way.knots_ns > begin) & (way.knots_ns < end)]
    knots_ns = np.concatenate([[begin], inner, [end]])
    return replace(way, knots_ns=knots_ns, knots=way.poses_at(knots_ns))


def _nanoseconds(seconds: np.ndarray) -> np.ndarray:
    return np.round(seconds * 1e9).astype(np.int64)


def _plan_path(world, day: Day, route: str) -> LanePath:
    """The lanes that this day's drive takes, in its direction."""
    plan: Plan = world.plan
    tour = plan.tours.main if route == "main" else plan.tours.unmapped
    lanes = _choose_lanes(world, day, tour)
    if day.is_reverse:
        tour, lanes = tour[::-1], lanes[::-1]
    path = lane_path(plan, tour, lanes)
    if route == "main":
        return path
    trim = round((UNMAPPED_TRIM - LEAD) / STEP)
    return LanePath(path.points[trim:-trim], [(s - trim * STEP, node) for s, node in path.junctions])


def _choose_lanes(world, day: Day, tour: tuple[int, ...]) -> list[tuple[int, int]]:
    """(first, last) lane of each leg, in the order of `tour`. The map's drive takes the right lane, and on one-way
    streets the left one when it comes again; other days often take the other one of the two."""
    rng = draw(world.seed, Purpose.DRIVE, day.number)
    visits: Counter = Counter()
    lanes = []
    for step in pairwise(tour):
        chance, change = rng.uniform(size=2)
        street = world.plan.streets[world.plan.neighbours[step[0]][step[1]]]
        if not street.is_one_way:
            lanes.append((0, 0))
            continue
        lane = min(visits[step], 1)
        visits[step] += 1
        if chance < OTHER_LANE.get(day.name, OTHER_LANE_ELSE):
            lane = 1 - lane
        has_change = change < LANE_CHANGES and day.name != "sunny"
        lanes.append((lane, 1 - lane) if has_change else (lane, lane))
    return lanes


def _time_path(world, day: Day, path: LanePath) -> tuple[np.ndarray, np.ndarray]:
    """Seconds [P] since the drive's beginning at which each point is reached and left; stops at some junctions."""
    rng = draw(world.seed, Purpose.DRIVE, day.number, 1)
    stops = {}
    for metres, _ in path.junctions:
        chance, wait = rng.uniform(), rng.uniform(*WAIT)
        point = round((metres - STOP_BEFORE) / STEP)
        if chance < STOPS and 2 * LEAD / STEP < point < len(path.points) - 2 * LEAD / STEP:
            stops[point] = float(wait)
    heading = np.unwrap(_headings(path.points))
    return travel_times(np.gradient(heading, STEP), STEP, stops)


def _headings(points: np.ndarray) -> np.ndarray:
    """[P] radians, by central differences."""
    d = np.gradient(points, axis=0)
    return np.arctan2(d[:, 1], d[:, 0])


def _pose_path(world, day: Day, path: LanePath) -> np.ndarray:
    """T_world_base [P, 4, 4] along the path: sway across the lane, the ground's slope, a little roll and pitch."""
    rng = draw(world.seed, Purpose.DRIVE, day.number, 2)
    jitter = world.style.rig
    along = lengths(path.points)
    lateral = jitter.lateral if world.is_hardened else EASY_LATERAL
    offset = MOST_LATERAL * np.tanh(lateral / MOST_LATERAL * _sway(rng, along, DRIFT_LENGTHS))
    points = path.points + offset[:, None] * left(unit(np.gradient(path.points, axis=0)))
    pitch, roll = (size * _sway(rng, along, SHAKE_LENGTHS) for size in (jitter.pitch, jitter.roll))
    return on_slope(world.height, points, _headings(points), pitch, roll)


def _sway(rng: np.random.Generator, along: np.ndarray, wave_lengths: tuple[float, float]) -> np.ndarray:
    """Smooth noise [P] of standard deviation 1 over metres along the path."""
    waves = 2 * np.pi / rng.uniform(*wave_lengths, SWAY_WAVES)
    phases = rng.uniform(0, 2 * np.pi, SWAY_WAVES)
    return np.sin(along[:, None] * waves + phases).sum(1) * np.sqrt(2 / SWAY_WAVES)
