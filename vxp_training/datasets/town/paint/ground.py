"""The ground: asphalt, paint, slabs, cobbles, grass, and how they wear."""

from math import floor, hypot, log2

import numpy as np

from ..compiled import inner
from .coat import cover, lay
from .noise import chance, clamp, comb, detail, noise, rough_noise, smooth
from .weather import lay_fallen_leaves, lay_snow, make_wet

GRASS, ASPHALT, LINE, PAVEMENT, COBBLES, KERB, EARTH, GRAVEL, PATCH, MANHOLE = range(10)
# Mean linear albedo of each GroundClass.
SOIL = np.array(
    [
        [0.105, 0.150, 0.042],  # grass
        [0.112, 0.110, 0.108],  # asphalt
        [0.580, 0.575, 0.550],  # line
        [0.300, 0.285, 0.262],  # pavement
        [0.200, 0.188, 0.175],  # cobbles
        [0.380, 0.370, 0.350],  # kerb
        [0.170, 0.118, 0.075],  # earth
        [0.360, 0.330, 0.280],  # gravel
        [0.062, 0.061, 0.062],  # patch
        [0.105, 0.100, 0.095],  # manhole
    ]
)
TAPS = 6  # samples of the coarse pictures along a long footprint


@inner
def paint_ground(coat, ground, x, y, ax, ay, bx, by, weather):
    """Lay the ground at (x, y), world metres. (ax, ay), (bx, by): the sides of the pixel's footprint on it."""
    length_a, length_b = hypot(ax, ay), hypot(bx, by)
    long, short = max(length_a, length_b), min(length_a, length_b)
    cell = ground.frame[2]
    far = clamp(long / cell - 1.2, 0.0, 1.0)
    road = _road_distance(ground, x, y)
    if far < 1.0:
        red, green, blue = _near_colour(ground, x, y, max(0.6 * long, short), road)
        lay(coat, red, green, blue)
    else:
        lay(coat, 0.0, 0.0, 0.0)
    if far > 0.0:
        if length_a < length_b:
            ax, ay = bx, by
        red, green, blue = _far_colour(ground, x, y, ax, ay, long, short)
        broad = 0.88 + 0.24 * rough_noise(x * 0.16, y * 0.16, 3)
        cover(coat, far, red * broad, green * broad, blue * broad)
    if weather.autumn > 0.0:
        lay_fallen_leaves(coat, x, y, 0.7 * long, road, weather.autumn)
    if weather.wetness > 0.0:
        make_wet(coat, x, y, long, road, weather.wetness)
    if weather.snow > 0.0:
        lay_snow(coat, x, y, 0.7 * long, road, weather.snow)


@inner
def _road_distance(ground, x, y):
    """Metres from (x, y) on the roadway to its edge, 0 beside it; blended over four cells."""
    kerb, cell = ground.kerb, ground.frame[2]
    fx = clamp((x - ground.frame[0]) / cell, 0.0, kerb.shape[1] - 1.001)
    fy = clamp((y - ground.frame[1]) / cell, 0.0, kerb.shape[0] - 1.001)
    j, i = int(fx), int(fy)
    fx, fy = fx - j, fy - i
    below = (1.0 - fx) * kerb[i, j] + fx * kerb[i, j + 1]
    above = (1.0 - fx) * kerb[i + 1, j] + fx * kerb[i + 1, j + 1]
    return 0.01 * ((1.0 - fy) * below + fy * above)


@inner
def _near_colour(ground, x, y, w, road):
    """Colour from the nine cells around: a smooth blend of each class (a quadratic spline), sharpened again, rounds off
    the steps of slanting edges."""
    cell = ground.frame[2]
    fx, fy = (x - ground.frame[0]) / cell, (y - ground.frame[1]) / cell
    rows, columns = ground.classes.shape
    j, i = min(max(floor(fx + 0.5), 1), columns - 2), min(max(floor(fy + 0.5), 1), rows - 2)
    fx, fy = clamp(fx - j, -0.5, 0.5), clamp(fy - i, -0.5, 0.5)
    here = ground.classes[i, j]
    if _is_uniform(ground.classes, i, j):
        return _soil(here, x, y, w, road)
    sharp = clamp(1.5 * cell / (w + 0.01), 1.5, 8.0)
    red, green, blue, total = 0.0, 0.0, 0.0, 0.0
    for a in range(9):
        kind, share, is_new = ground.classes[i - 1 + a // 3, j - 1 + a % 3], 0.0, True
        for b in range(9):
            if ground.classes[i - 1 + b // 3, j - 1 + b % 3] == kind:
                share += _spline(fy, b // 3) * _spline(fx, b % 3)
                is_new = is_new and b >= a
        share = clamp((share - 0.5) * sharp + 0.5, 0.0, 1.0)
        if is_new and share > 1e-3:
            soil = _soil(kind, x, y, w, road)
            red += share * soil[0]
            green += share * soil[1]
            blue += share * soil[2]
            total += share
    if total <= 0.0:
        return _soil(here, x, y, w, road)
    return red / total, green / total, blue / total


@inner
def _is_uniform(classes, i, j):
    same = 0
    for b in range(9):
        same += classes[i - 1 + b // 3, j - 1 + b % 3] == classes[i, j]
    return same == 9


@inner
def _spline(t, k):
    """Weight of neighbour k (0 before, 1 here, 2 after) at t, -0.5 to 0.5 cells from this one's middle."""
    if k == 0:
        return 0.5 * (0.5 - t) * (0.5 - t)
    if k == 1:
        return 0.75 - t * t
    return 0.5 * (0.5 + t) * (0.5 + t)


@inner
def _far_colour(ground, x, y, ax, ay, long, short):
    """Mean colour of the coarse pictures along a long, thin footprint."""
    reach = max(short, long / TAPS)
    level = min(max(int(log2(reach / ground.frame[2]) - 0.3), 0), ground.levels.shape[0] - 1)
    start, rows, columns = ground.levels[level, 0], ground.levels[level, 1], ground.levels[level, 2]
    size, half = ground.frame[2] * 2.0 ** (level + 1), 0.5 * ground.frame[2]
    red, green, blue = 0.0, 0.0, 0.0
    for tap in range(TAPS):
        along = (tap + 0.5) / TAPS - 0.5
        j = floor((x + along * ax - ground.frame[0] + half) / size)
        i = floor((y + along * ay - ground.frame[1] + half) / size)
        place = start + min(max(i, 0), rows - 1) * columns + min(max(j, 0), columns - 1)
        red += (ground.far[place, 0] / 255.0) ** 2
        green += (ground.far[place, 1] / 255.0) ** 2
        blue += (ground.far[place, 2] / 255.0) ** 2
    return red / TAPS, green / TAPS, blue / TAPS


@inner
def _soil(kind, x, y, w, road):
    """Colour of one class at a point."""
    red, green, blue = SOIL[kind, 0], SOIL[kind, 1], SOIL[kind, 2]
    broad = 0.88 + 0.24 * rough_noise(x * 0.16, y * 0.16, 3)
    if kind in (ASPHALT, PATCH):
        shade = broad * _asphalt(x, y, w, road)
    elif kind == LINE:
        return _road_paint(x, y, w, road, broad)
    elif kind == PAVEMENT:
        shade = broad * _slabs(x, y, w)
    elif kind == COBBLES:
        shade = broad * _cobbles(x, y, w)
    elif kind == KERB:
        shade = broad * (1.0 - 0.4 * comb(x + y, 1.1, 0.02, w))
    elif kind == GRASS:
        tuft = noise(x * 2.1, y * 2.1, 21)
        blade = (noise(x * 24.0, y * 24.0, 22) - 0.5) * detail(0.06, w)
        shade = (0.6 + 0.8 * broad * broad * (0.6 + 0.4 * tuft)) * (1.0 + 0.9 * blade)
        dry = smooth(0.5, 0.8, rough_noise(x * 0.09, y * 0.09, 23)) * 0.6 + 0.25 * tuft
        red += dry * 0.075
        green += dry * 0.03
        blue += dry * 0.012
        return red * shade, green * shade, blue * shade
    elif kind == MANHOLE:
        shade = 1.0 - 0.5 * comb(x, 0.06, 0.03, w) * comb(y, 0.06, 0.03, w)
    else:
        grain = 0.7 * noise(x * 18.0, y * 18.0, 31) + 0.3 * noise(x * 3.0, y * 3.0, 32)
        shade = broad * (1.0 + 0.8 * (grain - 0.5) * detail(0.08, w))
    return red * shade, green * shade, blue * shade


@inner
def _asphalt(x, y, w, road):
    """Relative brightness of asphalt: grain, stains, cracks, dust in the gutter, oil in the lane's middle."""
    stain = rough_noise(x * 0.9, y * 0.9, 41)
    shade = 0.86 + 0.28 * stain
    if w < 0.12:
        shade *= 1.0 + 0.7 * (noise(x * 55.0, y * 55.0, 42) - 0.5) * detail(0.02, w)
        shade *= 1.0 + 0.4 * (noise(x * 17.0, y * 17.0, 43) - 0.5) * detail(0.07, w)
    if w < 0.5 and stain > 0.42:
        vein = abs(noise(x * 0.55 + 0.3 * stain, y * 0.55, 44) + 0.16 * noise(x * 5.0, y * 5.0, 45) - 0.58)
        crack = clamp(1.0 - vein / 0.006 * 0.5, 0.0, 1.0) * clamp(0.02 / (w + 0.004), 0.0, 1.0)
        shade *= 1.0 - 0.55 * crack * smooth(0.42, 0.55, stain)
    if road < 0.7:
        shade *= 1.0 + 0.16 * (0.7 - road) * noise(x * 1.5, y * 1.5, 46)
    oil = clamp(1.0 - abs(road - 3.9) / 0.5, 0.0, 1.0)
    return shade * (1.0 - 0.12 * oil)


@inner
def _road_paint(x, y, w, road, broad):
    """White paint, chipped more in some places than in others; asphalt shows through."""
    worn = 0.16 + 0.24 * smooth(0.35, 0.8, noise(x * 0.21, y * 0.21, 51))
    chips = (
        0.40 * noise(x * 16.0, y * 16.0, 52) + 0.40 * noise(x * 47.0, y * 47.0, 53) + 0.2 * noise(x * 3.0, y * 3.0, 55)
    )
    kept = smooth(worn - 0.12, worn + 0.14, chips)
    fine = detail(0.06, w)
    kept = kept * fine + (1.06 - 0.9 * worn) * (1.0 - fine)
    kept *= 0.92
    shade = broad * _asphalt(x, y, w, road)
    white = 0.9 + 0.2 * noise(x * 1.3, y * 1.3, 54)
    red = kept * SOIL[LINE, 0] * white + (1.0 - kept) * SOIL[ASPHALT, 0] * shade
    green = kept * SOIL[LINE, 1] * white + (1.0 - kept) * SOIL[ASPHALT, 1] * shade
    blue = kept * SOIL[LINE, 2] * white + (1.0 - kept) * SOIL[ASPHALT, 2] * shade
    return red, green, blue


@inner
def _slabs(x, y, w):
    """Relative brightness of pavement slabs 60 x 40 cm in running bond."""
    row = floor(y / 0.4)
    x += 0.3 * (row % 2.0)
    fine = detail(0.35, w)
    shade = 1.0 + 0.30 * (chance(floor(x / 0.6), int(row), 61) - 0.5) * fine
    joint = 1.0 - (1.0 - comb(x, 0.6, 0.014, w)) * (1.0 - comb(y, 0.4, 0.014, w))
    shade *= 1.0 - 0.5 * joint
    if w < 0.1:
        shade *= 1.0 + 0.2 * (noise(x * 40.0, y * 40.0, 62) - 0.5) * detail(0.03, w)
        gum = smooth(0.86, 0.9, noise(x * 6.0, y * 6.0, 63))
        shade *= 1.0 - 0.3 * gum * detail(0.08, w)
    return shade * (0.9 + 0.2 * noise(x * 0.8, y * 0.8, 64))


@inner
def _cobbles(x, y, w):
    """Relative brightness of granite cobbles, 12 x 14 cm, rounded at their edges."""
    row = floor(y / 0.12)
    x += 0.07 * (row % 2.0) + 0.02 * chance(int(row), 1, 71)
    column = floor(x / 0.14)
    fine = detail(0.13, w)
    shade = 1.0 + 0.5 * (chance(int(column), int(row), 72) - 0.5) * fine
    joint = 1.0 - (1.0 - comb(x - 0.07, 0.14, 0.02, max(w, 0.02))) * (1.0 - comb(y - 0.01, 0.12, 0.02, max(w, 0.02)))
    return shade * (1.0 - 0.6 * joint) * (1.0 + 0.15 * (y / 0.12 - row - 0.5) * fine)
