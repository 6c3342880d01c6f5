"""Building bricks of procedural painting: hashes, smooth noise, and lines that are exact averages over a pixel.

A pattern finer than a pixel's footprint must fade to its mean, or it flickers. `pulse` and `comb` do so by integrating
over the footprint; noise is faded by `detail`.
"""

from math import floor

from ..compiled import inner


@inner
def mix_bits(a: int, b: int, c: int) -> int:
    """32 well-mixed bits from three integers."""
    h = (a * 0x9E3779B1 + b * 0x85EBCA77 + c * 0xC2B2AE3D + 0x27D4EB2F) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    h = ((h ^ (h >> 12)) * 0x297A2D39) & 0xFFFFFFFF
    return h ^ (h >> 15)


@inner
def chance(a: int, b: int, c: int) -> float:
    """A number in [0, 1) that looks random but depends on the three integers only."""
    return mix_bits(a, b, c) * 2.3283064365386963e-10


@inner
def clamp(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


@inner
def smooth(low: float, high: float, x: float) -> float:
    """0 below low, 1 above high, an S between."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@inner
def noise(x: float, y: float, seed: int) -> float:
    """Smooth noise in [0, 1], with features of size 1."""
    column, row = floor(x), floor(y)
    i, j = int(column), int(row)
    fx, fy = x - column, y - row
    fx = fx * fx * (3.0 - 2.0 * fx)
    fy = fy * fy * (3.0 - 2.0 * fy)
    below = chance(i, j, seed) * (1.0 - fx) + chance(i + 1, j, seed) * fx
    above = chance(i, j + 1, seed) * (1.0 - fx) + chance(i + 1, j + 1, seed) * fx
    return below * (1.0 - fy) + above * fy


@inner
def rough_noise(x: float, y: float, seed: int) -> float:
    """Noise of three octaves in [0, 1]: features of size 1, 1/2 and 1/4."""
    return (
        0.57 * noise(x, y, seed) + 0.29 * noise(2.03 * x, 2.03 * y, seed + 1) + 0.14 * noise(4.1 * x, 4.1 * y, seed + 2)
    )


@inner
def detail(size: float, footprint: float) -> float:
    """How much of a feature of this size survives the averaging over a footprint: 1 when fine, 0 when coarse."""
    return clamp(1.6 - footprint / size, 0.0, 1.0)


@inner
def pulse(x: float, low: float, high: float, footprint: float) -> float:
    """Share of the footprint around x that lies between low and high."""
    w = max(footprint, 1e-4)
    return clamp((x - low) / w + 0.5, 0.0, 1.0) - clamp((x - high) / w + 0.5, 0.0, 1.0)


@inner
def comb(x: float, period: float, width: float, footprint: float) -> float:
    """Share of the footprint around x that lies on teeth [k * period, k * period + width] for whole k."""
    half = max(0.5 * footprint, 5e-5)
    right, left = (x + half) / period, (x - half) / period
    whole_right, whole_left = floor(right), floor(left)
    area = (whole_right - whole_left) * width
    area += min((right - whole_right) * period, width) - min((left - whole_left) * period, width)
    return area / (2.0 * half)
