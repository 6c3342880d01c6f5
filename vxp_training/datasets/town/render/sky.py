"""The sky in any direction, and what panes and wet roads see of it above the roofs."""

from math import atan2

from ..compiled import inner
from ..paint.noise import clamp, noise, smooth


@inner
def paint_sky(light, dx, dy, dz, has_disc, colour):
    """Light of the sky along a unit vector into colour [3]: gradient, clouds, glow and disc of the sun."""
    ways = light.colours
    up = max(dz, 0.0)
    low = (1.0 - up) ** 4
    to_sun = max(dx * ways[0, 0] + dy * ways[0, 1] + dz * ways[0, 2], 0.0)
    glow = 0.0
    if not light.is_night:
        glow = (0.05 * to_sun**4 + 0.16 * to_sun**24) * (2.2 - 1.6 * ways[0, 2])
        if has_disc and light.clouds < 0.8:
            glow += 0.5 * to_sun**160 + 9.0 * smooth(0.9995, 0.99992, to_sun)
    for i in range(3):
        colour[i] = ways[4, i] * (1.0 - low) + ways[5, i] * low + glow * ways[1, i]
    if dz > 0.02:
        _clouds(light, dx, dy, dz, to_sun, colour)


@inner
def _clouds(light, dx, dy, dz, to_sun, colour):
    """Two layers of noise on a plane high above; they close as `clouds` goes to 1."""
    x, y = dx / (dz + 0.10), dy / (dz + 0.10)
    shape = 0.50 * noise(1.1 * x + 7.3, 1.1 * y, 401) + 0.27 * noise(2.7 * x, 2.7 * y, 402)
    shape += 0.15 * noise(6.1 * x, 6.1 * y, 403) + 0.08 * noise(14.0 * x, 14.0 * y, 404)
    edge = 0.70 - 0.50 * light.clouds
    cover = smooth(edge - 0.06, edge + 0.16, shape) * smooth(0.02, 0.16, dz)
    thick = smooth(edge, edge + 0.35, shape)
    ways = light.colours
    for i in range(3):
        bright = 1.5 * ways[2, i] + 0.36 * ways[1, i] * (1.0 - 0.4 * thick) + 0.25 * ways[1, i] * to_sun**8
        bright *= 1.1 - 0.26 * thick
        if light.is_night:  # lit by the town
            bright = 0.55 * ways[5, i]
        colour[i] += 0.9 * cover * (bright - colour[i])


@inner
def paint_reflection(light, dx, dy, dz, colour):
    """What a mirror sees along a unit vector: the sky above a skyline, dim walls below it."""
    azimuth = atan2(dy, dx)
    skyline = 0.16 + 0.30 * noise(azimuth * 3.0, 1.0, 411) + 0.06 * noise(azimuth * 14.0, 2.0, 412)
    above = smooth(skyline - 0.02, skyline + 0.02, dz)
    paint_sky(light, dx, dy, max(dz, 0.05), False, colour)
    if above < 1.0:
        ways = light.colours
        wall = (0.20 + 0.16 * noise(azimuth * 9.0, dz * 7.0, 413)) * clamp(0.6 + dz, 0.3, 1.0)
        for i in range(3):
            dim = wall * (0.9 * ways[2, i] + 0.35 * ways[1, i])
            colour[i] = colour[i] * above + dim * (1.0 - above)
