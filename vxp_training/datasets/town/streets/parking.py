"""Who parks where on which day."""

import numpy as np

from ..draws import Purpose, draw
from ..motion.poses import on_slope
from ..scene import Day
from ..things.vehicles import Car
from .kerbside import Slot

BACKWARDS = 0.15  # share of cars parked against the traffic
KERB_GAP = (0.14, 0.24)  # metres between the kerb and the wheels
ALONG, YAW = 0.12, 0.015  # how far off the slot's middle and direction, at most; metres, radians


def park_cars(world, day: Day) -> list[tuple[Slot, Car, np.ndarray]]:
    """(slot, car, T_world_car [4, 4]) of every taken slot. Days of one car set park the same cars, but for the share
    `moved_cars` of slots, which are drawn anew."""
    parked = []
    for slot in world.slots:
        rng = draw(world.seed, Purpose.PARKED, 1000 + day.car_set, slot.number)
        if day.moved_cars > 0:
            moved = draw(world.seed, Purpose.MOVED, day.number, slot.number)
            rng = moved if moved.uniform() < day.moved_cars else rng
        if rng.uniform() < day.parked:
            parked.append((slot, *_park(world, slot, rng)))
    return parked


def _park(world, slot: Slot, rng: np.random.Generator) -> tuple[Car, np.ndarray]:
    """A car and its pose. Trucks are longer than a slot: only every other slot may have one."""
    cars = world.library.cars
    pick = int(rng.integers(len(cars)))
    while cars[pick].kind == "truck" and slot.number % 2:
        pick = (pick + 1) % len(cars)
    turn = np.pi if rng.uniform() < BACKWARDS else 0.0
    yaw = slot.yaw + turn + rng.uniform(-YAW, YAW)
    side = world.plan.blocks[slot.block].sides[slot.side]
    inward = -rng.uniform(*KERB_GAP) - cars[pick].size[1] / 2
    spot = side.at(slot.along + rng.uniform(-ALONG, ALONG), inward)
    return cars[pick], on_slope(world.height, spot[None], np.array([yaw]))[0]
