"""Random numbers of the town: one generator per purpose and thing, so that no draw depends on the order of others."""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a generator is for. The numbers are part of every town: never change one, add new ones at the end."""

    NODES = 1
    STREETS = 2
    TOUR = 3
    BLOCKS = 4
    LOTS = 5
    HOUSE = 6
    TREES = 7
    FURNITURE = 8
    PARKED = 9
    CHANGES = 10
    HILLS = 11
    PICTURE = 12
    BACKDROP = 13
    DRIVE = 14
    TRAFFIC = 15
    WALKERS = 16
    GARDEN = 17
    MOVED = 18
    CAR = 19
    PERSON = 20


def draw(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """The generator for one purpose in the town of this seed; `key` names the thing (non-negative numbers)."""
    return np.random.default_rng([seed, int(purpose), *(int(part) for part in key)])
