"""What moves: cars and buses on round trips through the streets, and people (see `walkers`).

Everything is a closed formula of the time, so that any moment of any day can be asked for alone. Where two would meet,
the one with the higher number is left out.
"""

from itertools import pairwise

import numpy as np

from ..draws import Purpose, draw
from ..scene import Day, Mesh, merge, move, with_object
from ..streets.lanes import STEP, lane_path
from ..streets.lines import left, overlaps, rectangle, unit
from ..things.vehicles import Car
from .circuits import choose_circuits
from .poses import on_slope
from .rings import REACH, Ring
from .walkers import Walkers

CAR_GAP = 30.0  # metres of a round trip per car in heavy traffic (traffic = 1)
BUSES, TRUCKS_AND_VANS = 0.07, 0.30  # shares of moving vehicles
CAR_SPEED = (6.0, 9.5)  # m/s, of a whole round trip
AHEAD, BEHIND = 12.0, 9.0  # metres that stay free in the car's lane, from the base to the next bumper
BESIDE = 1.45  # half width of what stays free around the car; the oncoming lane is not part of it
KEEP_APART = 2.0  # metres between vehicles
SECOND = 1_000_000_000


class Traffic:
    """All that moves in a world on one day."""

    def __init__(self, world, day: Day) -> None:
        self.day = day
        self._world = world
        self._roads = self._make_roads()
        self._walkers = Walkers(world, day)

    def mesh(self, stamp_ns: int, near: np.ndarray, first_object: int) -> Mesh:
        """Everything within REACH of the pose `near`, out of its way; object numbers count from `first_object`."""
        seconds = stamp_ns % (86_400 * SECOND) / SECOND
        parts = []
        for number, car, pose in self.vehicles(seconds, near):
            mesh = self._world.library.car(car, self.day.is_night)
            parts.append(with_object(move(mesh, pose), first_object + number))
        first_person = first_object + 100_000
        for number, person, phase, pose in self._walkers.people(seconds, near):
            parts.append(with_object(move(self._world.library.person(person, phase), pose), first_person + number))
        return merge(parts)

    def vehicles(self, seconds: float, near: np.ndarray) -> list[tuple[int, Car, np.ndarray]]:
        """(number, car, T_world_car) of the vehicles that are shown; none overlaps another one or the way of `near`."""
        found, first = [], 0
        taken = np.zeros((0, 3))  # circles: x, y, radius
        for ring in self._roads:
            xy, yaw = ring.place(seconds)
            gaps = np.hypot(*(xy - near[:2, 3]).T)
            for i in np.flatnonzero(gaps < REACH):
                car = ring.things[i]
                circles = _circles(xy[i], yaw[i], car)
                is_blocking = gaps[i] < AHEAD + BEHIND and _is_in_the_way(near, xy[i], yaw[i], car)
                if not is_blocking and not _touch(circles, taken):
                    taken = np.concatenate([taken, circles])
                    found.append((first + int(i), car, xy[i], yaw[i]))
            first += len(ring.things)
        if not found:
            return []
        numbers, cars, xy, yaw = zip(*found, strict=True)
        return list(zip(numbers, cars, on_slope(self._world.height, np.array(xy), np.array(yaw)), strict=True))

    def _make_roads(self) -> list[Ring]:
        """Round trips with their cars."""
        world, rings = self._world, []
        library = world.library
        heavy = [car for car in library.cars if car.kind in ("van", "truck")] or library.cars
        for number, tour in enumerate(choose_circuits(world, self.day)):
            rng = draw(world.seed, Purpose.TRAFFIC, self.day.number, number)
            lanes = [_draw_lane(world, step, rng) for step in pairwise(tour)]
            path = lane_path(world.plan, tour, lanes, is_closed=True)
            points = path.points[:-1]
            length = STEP * len(points)
            count = int(length / CAR_GAP * self.day.traffic)
            if count == 0:
                continue
            offsets = (np.arange(count) + rng.uniform(0.0, 0.45, count)) * length / count
            cars = []
            for chance in rng.uniform(size=count):
                pool = library.buses if chance < BUSES else heavy if chance < BUSES + TRUCKS_AND_VANS else library.cars
                cars.append(pool[int(rng.integers(len(pool)))])
            rings.append(Ring(points, STEP, offsets, tuple(cars), float(rng.uniform(*CAR_SPEED))))
        return rings


def _draw_lane(world, step: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    street = world.plan.streets[world.plan.neighbours[step[0]][step[1]]]
    lane = int(rng.integers(2))
    return (lane, lane) if street.is_one_way else (0, 0)


def _circles(xy: np.ndarray, yaw: float, car: Car) -> np.ndarray:
    """[K, 3] x, y, radius of circles that cover a vehicle with half of KEEP_APART lengthwise."""
    length, width, _ = car.size
    radius = width / 2 + 0.15
    reach = max(0.0, length / 2 + KEEP_APART / 2 - radius)
    along = np.linspace(-reach, reach, max(2, int(np.ceil(2 * reach / radius)) + 1))
    d = np.array([np.cos(yaw), np.sin(yaw)])
    return np.column_stack([xy + along[:, None] * d, np.full(len(along), radius)])


def _touch(circles: np.ndarray, taken: np.ndarray) -> bool:
    if len(taken) == 0:
        return False
    gaps = np.linalg.norm(circles[:, None, :2] - taken[None, :, :2], axis=2)
    return bool((gaps < circles[:, None, 2] + taken[None, :, 2]).any())


def _is_in_the_way(near: np.ndarray, xy: np.ndarray, yaw: float, car: Car) -> bool:
    """Whether the vehicle reaches into what stays free before, behind and beside the pose `near`."""
    length, width, _ = car.size
    d = np.array([np.cos(yaw), np.sin(yaw)])
    body = rectangle(xy - d * length / 2 - left(d) * width / 2, d, length, width)
    forward = unit(near[:2, 0])
    free = rectangle(near[:2, 3] - BEHIND * forward - BESIDE * left(forward), forward, BEHIND + AHEAD, 2 * BESIDE)
    return overlaps(free, body[None])
