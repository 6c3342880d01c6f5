"""People: around every block on its pavement, and there and back over the zebras."""

import numpy as np

from ..draws import Purpose, draw
from ..scene import Day
from ..streets.ground import KERB_HEIGHT
from ..streets.kerbside import Crossing
from ..streets.library import pose_on
from ..streets.lines import left, lengths, resample, shift, split
from .rings import REACH, Ring

PERSON_GAP = 26.0  # metres of pavement per person on a busy day (traffic = 1)
NIGHT_SHARE = 0.3  # of the people who are still out
PEOPLE = 40  # different ones
WALK_SPEED = (0.9, 1.6)  # m/s
STRIDE = 1.4  # metres of a full stride
CROSSING_SHARE = 0.6  # of zebras with somebody, traffic = 1
CROSSING_PERIOD = 60.0  # seconds for there and back, rests included
CROSSING_SPEED = 1.3
CLEAR_AHEAD, CLEAR_BESIDE = 14.0, 2.2  # metres before and beside the driving car where nobody is on the road

Person = tuple[int, int, int, np.ndarray]  # its number, who it is, phase of the stride (0-7), T_world_person


class Walkers:
    """All people of a world on one day."""

    def __init__(self, world, day: Day) -> None:
        self._world, self._day = world, day
        self._rings = self._make_rings()
        self._zebras = self._draw_zebras()

    def people(self, seconds: float, near: np.ndarray) -> list[Person]:
        """Everybody within REACH of the pose `near` at that second of the day; nobody stands in its way."""
        found, first = [], 0
        for ring in self._rings:
            xy, yaw = ring.place(seconds)
            for i in np.flatnonzero(np.hypot(*(xy - near[:2, 3]).T) < REACH):
                phase = int((seconds * abs(ring.speed) / STRIDE + i / 7) * 8) % 8
                found.append((first + int(i), int(ring.things[i]), phase, xy[i], float(yaw[i]), KERB_HEIGHT))
            first += len(ring.things)
        found += self._people_on_zebras(seconds, near, first)
        ground = self._world.height(np.array([row[3] for row in found]).reshape(-1, 2))
        return [
            (number, person, phase, pose_on(float(z) + rise, spot, yaw))
            for (number, person, phase, spot, yaw, rise), z in zip(found, ground, strict=True)
        ]

    def _people_on_zebras(self, seconds: float, near: np.ndarray, first: int) -> list[tuple]:
        """One person at some zebras: over in one half of the period, back in the other, with rests between. Rows of
        number, person, phase, spot [2], heading, height above the road."""
        found = []
        for number, (crossing, start, person) in enumerate(self._zebras):
            if np.hypot(*(crossing.centre - near[:2, 3])) > REACH:
                continue
            t, far = (seconds + start) % CROSSING_PERIOD, crossing.half + 1.3
            walked = min(2 * far, CROSSING_SPEED * (t % (CROSSING_PERIOD / 2)))
            way = left(crossing.direction) * (1 if t < CROSSING_PERIOD / 2 else -1)
            spot = crossing.centre + (walked - far) * way + (start % 1.6 - 0.8) * crossing.direction
            is_on_road = abs(walked - far) < crossing.half
            if not (is_on_road and _is_before(near, spot)):
                rise = 0.0 if is_on_road else KERB_HEIGHT
                phase = int(walked / STRIDE * 8) % 8
                found.append((first + number, person, phase, spot, float(np.arctan2(way[1], way[0])), rise))
        return found

    def _draw_zebras(self) -> list[tuple[Crossing, float, int]]:
        """Zebras with somebody: when in the period they begin, and who it is."""
        zebras = []
        for number, crossing in enumerate(self._world.crossings):
            rng = draw(self._world.seed, Purpose.WALKERS, 9, self._day.number, number)
            chance, start, person = rng.uniform(), rng.uniform(0, CROSSING_PERIOD), int(rng.integers(PEOPLE))
            if chance < CROSSING_SHARE * self._day.traffic:
                zebras.append((crossing, float(start), person))
        return zebras

    def _make_rings(self) -> list[Ring]:
        """Around every block one ring of people in each direction."""
        rings = []
        share = self._day.traffic * (NIGHT_SHARE if self._day.is_night else 1.0)
        for block in self._world.plan.blocks:
            for way, inward in ((1, 0.58), (-1, 0.72)):
                rng = draw(self._world.seed, Purpose.WALKERS, self._day.number, block.number, way + 1)
                line = resample(shift(split(block.outline, 4.0), inward * block.pavement), 1.0, is_closed=True)
                length = lengths(np.vstack([line, line[:1]]))[-1]
                count = int(length / 2 / PERSON_GAP * share)
                people, offsets = rng.integers(PEOPLE, size=count), rng.uniform(0, length, count)
                speed = way * float(rng.uniform(*WALK_SPEED))
                rings.append(Ring(line, length / len(line), offsets, tuple(people), speed))
        return rings


def _is_before(near: np.ndarray, spot: np.ndarray) -> bool:
    x, y = (spot - near[:2, 3]) @ near[:2, :2]
    return bool(-3.0 < x < CLEAR_AHEAD and abs(y) < CLEAR_BESIDE)
