"""What a LiDAR's receiver makes of the surfaces that its rays hit: weak echoes, lost ones, glass, weather.

One number per ray throughout; all randomness comes from the generator that is handed in, always in the same order.
"""

from dataclasses import dataclass

import numpy as np

from .rig import Lidar
from .scene import Day

# Nothing is measured nearer; and nothing farther than this many times the range to a dark wall, however bright.
MIN_RANGE_M, FAR_RATIO = 0.9, 1.25
DARK_WALL = 0.1  # reflectance at which a square hit from `Lidar.max_range` away has strength 1
# An echo of this strength is heard every second time.
HALF_STRENGTH = 0.25
RETRO_GAIN = 30.0
RANDOM_LOSS = 0.005
GLASS_LOSS, GLASS_LATE = 0.7, 0.5
LATE_MEAN_M = 2.0
GHOSTS = 0.006
GHOST_MEAN_M = 4.0
RAIN_EXTINCTION, SNOW_EXTINCTION = 0.004, 0.008  # per metre, beside the day's fog
INTENSITY_SIGMA = 0.05


@dataclass(frozen=True)
class Hits:
    """What N rays hit. ranges: [N] float32 metres, inf for the sky. cosines: of the angle of incidence. reflectance,
    glass, retro: [N] float32, 0 to 1. faces: [N] int32 of the scene's mesh, -1 for things that move and for the sky."""

    ranges: np.ndarray
    cosines: np.ndarray
    reflectance: np.ndarray
    glass: np.ndarray
    retro: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True)
class Echoes:
    """What was heard of N rays. ranges: [N] float32, 0 for nothing. intensity: [N] float32, 0 to 1. faces: as in Hits,
    -1 for weather too."""

    ranges: np.ndarray
    intensity: np.ndarray
    faces: np.ndarray


def receive_exactly(hits: Hits, lidar: Lidar) -> Echoes:
    """Every hit within range, without noise and loss."""
    heard = is_near(hits.ranges, lidar)
    return Echoes(np.where(heard, hits.ranges, 0.0).astype(np.float32), intensity_of(hits), hits.faces)


def receive(hits: Hits, lidar: Lidar, day: Day, rng: np.random.Generator) -> Echoes:
    """What a real receiver hears on this day."""
    count = len(hits.ranges)
    chance = rng.random((5, count), dtype=np.float32)
    noise = rng.standard_normal((2, count), dtype=np.float32)
    depth = rng.standard_exponential((2, count), dtype=np.float32)
    intensity = intensity_of(hits) * (1 + INTENSITY_SIGMA * noise[1])

    is_late = chance[0] < GLASS_LATE * hits.glass
    ranges = hits.ranges + lidar.range_sigma * noise[0] + np.where(is_late, LATE_MEAN_M * depth[0], 0)
    intensity[is_late] *= 0.3
    heard = is_near(ranges, lidar) & (chance[1] < loudness(hits, lidar, day))
    heard &= (chance[2] > GLASS_LOSS * hits.glass) & (chance[3] > RANDOM_LOSS)
    ranges = np.where(heard, ranges, 0)

    ghost_ranges = MIN_RANGE_M + GHOST_MEAN_M * depth[1]
    is_ghost = (chance[4] < GHOSTS * max(day.rain, day.snowfall)) & (ghost_ranges < hits.ranges)
    ranges[is_ghost] = ghost_ranges[is_ghost]
    intensity[is_ghost] = (0.2 if day.snowfall > day.rain else 0.05) * chance[0][is_ghost]
    faces = np.where(is_ghost, np.int32(-1), hits.faces)
    return Echoes(ranges.astype(np.float32), np.clip(intensity, 0, 1).astype(np.float32), faces)


def is_near(ranges: np.ndarray, lidar: Lidar) -> np.ndarray:
    return (ranges > MIN_RANGE_M) & (ranges < FAR_RATIO * lidar.max_range)


def intensity_of(hits: Hits) -> np.ndarray:
    """[N] float32, 0 to 1: reflectance times the cosine of incidence, as a receiver reports it that corrects for range;
    retro-reflecting faces saturate it."""
    plain = hits.reflectance * hits.cosines * (1 - hits.glass)
    return np.clip(plain + RETRO_GAIN * hits.retro * hits.reflectance, 0, 1).astype(np.float32)


def loudness(hits: Hits, lidar: Lidar, day: Day) -> np.ndarray:
    """[N], the chance that each echo is heard: falls with range, dark and oblique surfaces, and weather on the way."""
    extinction = day.fog + RAIN_EXTINCTION * day.rain + SNOW_EXTINCTION * day.snowfall
    ranges = np.minimum(hits.ranges, 1e3)
    light = hits.reflectance * (hits.cosines + RETRO_GAIN * hits.retro)
    strength = light / DARK_WALL * (lidar.max_range / ranges) ** 2 * np.exp(-2 * extinction * ranges)
    return strength**2 / (strength**2 + HALF_STRENGTH**2)
