"""The days of a town: the map's sunny morning and what changed when the car came back."""

from dataclasses import replace
from datetime import datetime, timezone
from math import radians

import numpy as np

from .scene import Day

DAYS = ("sunny", "sameday", "rain", "night", "snow", "reverse")

# When each drive begins. NUSC-PR splits by such dates, so the other days lie weeks to months after the map.
START = {
    "sunny": datetime(2024, 6, 12, 10, 30, tzinfo=timezone.utc),
    "sameday": datetime(2024, 6, 12, 16, 40, tzinfo=timezone.utc),
    "rain": datetime(2024, 10, 21, 11, 15, tzinfo=timezone.utc),
    "night": datetime(2024, 11, 29, 21, 5, tzinfo=timezone.utc),
    "snow": datetime(2025, 1, 17, 12, 20, tzinfo=timezone.utc),
    "reverse": datetime(2025, 4, 3, 18, 10, tzinfo=timezone.utc),
}

CHANGED = {"rain": 0.25, "night": 0.15, "snow": 0.25, "reverse": 0.25}  # share of houses, against the map day
TRAFFIC = 1.0
EASY_TRAFFIC = 0.25
EASY_PARKED = 0.35
SUN_JITTER = radians(8.0)  # of azimuth, between towns

_LOOKS = {
    "sunny": {"sun_azimuth": radians(-48), "sun_elevation": radians(44), "parked": 0.62},
    "sameday": {
        "sun_azimuth": radians(-138), "sun_elevation": radians(33), "clouds": 0.35, "parked": 0.62, "moved_cars": 0.15,
        "car_set": 0,
    },
    "rain": {
        "sun_azimuth": radians(-75), "sun_elevation": radians(28), "sun": 0.08, "sky": (0.40, 0.42, 0.45),
        "clouds": 1.0, "fog": 0.007, "wetness": 1.0, "rain": 0.7, "leaves": 0.65, "autumn": 0.8, "parked": 0.72,
    },
    "night": {
        "sun_azimuth": radians(-120), "sun_elevation": radians(38), "sun": 0.0, "sky": (0.010, 0.012, 0.020),
        "clouds": 0.4, "fog": 0.0015, "is_night": True, "leaves": 0.25, "autumn": 1.0, "parked": 0.85,
    },
    "snow": {
        "sun_azimuth": radians(-95), "sun_elevation": radians(17), "sun": 0.25, "sky": (0.50, 0.53, 0.58),
        "clouds": 0.9, "fog": 0.0025, "snow": 1.0, "snowfall": 0.4, "leaves": 0.0, "parked": 0.55,
    },
    "reverse": {
        "sun_azimuth": radians(168), "sun_elevation": radians(9), "sun": 0.75, "sky": (0.38, 0.38, 0.46), "clouds": 0.3,
        "fog": 0.002, "leaves": 0.85, "parked": 0.66, "is_reverse": True,
    },
}  # fmt: skip


def make_day(name: str, seed: int, is_hardened: bool = True) -> Day:
    """The day of this name in the town of this seed. Raises ValueError for a name that is not in `DAYS`.

    Without hardening no house changes, few cars park and drive: the easy world of the first baselines.
    """
    if name not in DAYS:
        raise ValueError(f"no day named {name!r}, expected one of {', '.join(DAYS)}")
    number = DAYS.index(name) + 1
    looks = {"car_set": number, "changed": CHANGED.get(name, 0.0), "traffic": TRAFFIC, **_LOOKS[name]}
    if name == "sunny":
        looks["car_set"] = 0
    day = Day(name=name, number=number, **looks)
    turn = np.random.default_rng([seed, number]).uniform(-SUN_JITTER, SUN_JITTER)
    day = replace(day, sun_azimuth=day.sun_azimuth + float(turn))
    if is_hardened:
        return day
    return replace(day, changed=0.0, parked=min(day.parked, EASY_PARKED), traffic=EASY_TRAFFIC)


def start_ns(day: Day) -> int:
    """Nanoseconds since 1970 at which the drive of this day begins."""
    return int(START[day.name].timestamp()) * 1_000_000_000
