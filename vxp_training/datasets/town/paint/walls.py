"""What walls are made of: plaster, brick, stone, panels, boards, timber frames, tiles. Without their openings."""

from math import floor

from ..compiled import inner
from .coat import GLOSS, cover, dim, lay
from .noise import chance, clamp, comb, detail, noise, pulse, rough_noise

# The wall of each facade style.
PLASTER, BRICK, QUOINS, ASHLAR, PANEL, BOARDS, TIMBER, TILES, STRIPES, CURTAIN = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
FLEMISH, STACKED, RUBBLE, STUCCO, MODERN, ENGLISH = 10, 11, 12, 13, 14, 15


@inner
def paint_wall(coat, style, seed, tone, u, v, wu, wv):
    """Lay the wall of a style. tone: its row of numbers (red to storey). u, v: metres; wu, wv: footprint in them."""
    red, green, blue = float(tone[0]), float(tone[1]), float(tone[2])
    lay(coat, red, green, blue)
    w = max(wu, wv)
    if style in (BRICK, FLEMISH, STACKED, ENGLISH):
        _bricks(coat, style, seed, u, v, wu, wv)
        if style == FLEMISH:  # bands of the second colour
            band = 0.8 * comb(v - 0.3, max(float(tone[9]), 1.0), 0.16, wv)  # a blind wall tells no storeys
            cover(coat, band, float(tone[3]), float(tone[4]), float(tone[5]))
    elif style in (ASHLAR, RUBBLE):
        _stones(coat, style, seed, u, v, wu, wv)
    elif style in (PANEL, MODERN, CURTAIN):
        _panels(coat, style, seed, tone, u, v, wu, wv)
    elif style == BOARDS:
        row = floor(v / 0.16)
        dim(coat, 1.0 + 0.16 * (chance(int(row), seed, 3) - 0.5) * detail(0.16, wv))
        dim(coat, 1.0 - 0.55 * comb(v, 0.16, 0.018, wv))
        dim(coat, 1.0 + 0.25 * (noise(u * 1.5, v * 40.0, seed) - 0.5) * detail(0.03, wv))
    elif style == TIMBER:
        _timber_frame(coat, seed, tone, u, v, wu, wv)
    elif style == TILES:
        _tiles(coat, seed, tone, u, v, wu, wv)
    elif style == STRIPES:
        cover(coat, comb(v, 0.9, 0.34, wv), float(tone[3]), float(tone[4]), float(tone[5]))
    elif style == QUOINS:
        _quoins(coat, tone, u, v, wu, wv)
    _weather_stains(coat, style, seed, u, v, w)


@inner
def _weather_stains(coat, style, seed, u, v, w):
    """Dirt above the pavement, streaks of rain, grain."""
    stain = rough_noise(u * 0.35, v * 0.25, seed)
    dim(coat, 0.86 + 0.28 * stain)
    if w < 1.2:
        dim(coat, 1.0 - 0.16 * noise(u * 2.3, v * 0.12, seed + 7) * detail(0.7, w))
    foot = clamp(1.0 - (v + 0.5 * noise(u * 1.1, 3.0, seed + 5)) / 1.1, 0.0, 1.0)
    cover(coat, 0.38 * foot, 0.13, 0.12, 0.10)
    if w < 0.06 and style != 7 and style != 9:
        dim(coat, 1.0 + 0.12 * (noise(u * 35.0, v * 35.0, seed + 9) - 0.5) * detail(0.05, w))


@inner
def _bricks(coat, style, seed, u, v, wu, wv):
    """Courses of 8.3 cm. Running bond, Flemish and English bonds, or stacked slips."""
    course = floor(v / 0.083)
    length, shift = 0.25, 0.125 * (course % 2.0)
    if style == 10:
        length, shift = 0.19, 0.095 * (course % 2.0)
    elif style == 11:
        length, shift = 0.30, 0.0
    elif style == 15 and course % 2.0 == 1.0:
        length, shift = 0.125, 0.0625
    brick = floor((u + shift) / length)
    fine = detail(0.16, max(wu, wv * 1.6))
    if fine > 0.0:
        tint = chance(int(brick), int(course), seed) - 0.5
        dim(coat, 1.0 + 0.55 * tint * fine)
        coat[0] *= 1.0 + 0.22 * (chance(int(course), int(brick), seed + 1) - 0.5) * fine
    joint = 1.0 - (1.0 - comb(v, 0.083, 0.012, wv)) * (1.0 - comb(u + shift, length, 0.012, wu))
    if style == 11:
        cover(coat, joint, 0.06, 0.06, 0.06)
    else:
        cover(coat, joint * 0.85, 0.42, 0.39, 0.34)


@inner
def _stones(coat, style, seed, u, v, wu, wv):
    """Sawn blocks in courses, or rubble whose joints wander."""
    if style == 12:
        u += 0.16 * (noise(u * 2.2, v * 2.2, seed + 11) - 0.5)
        v += 0.16 * (noise(u * 2.2, v * 2.2, seed + 12) - 0.5)
    rise = 0.38 if style == 3 else 0.24
    course = floor(v / rise)
    length = 0.55 + 0.35 * chance(int(course), seed, 5) if style == 3 else 0.3 + 0.2 * chance(int(course), seed, 5)
    shift = length * chance(int(course), seed, 6)
    block = floor((u + shift) / length)
    fine = detail(rise, max(wu, wv))
    shade = chance(int(block), int(course), seed) - 0.5
    strength = 0.30 if style == 3 else 0.62
    dim(coat, 1.0 + strength * shade * fine)
    coat[2] *= 1.0 + 0.25 * (chance(int(course), int(block), seed + 2) - 0.5) * fine
    width = 0.012 if style == 3 else 0.03
    joint = 1.0 - (1.0 - comb(v, rise, width, wv)) * (1.0 - comb(u + shift, length, width, wu))
    dim(coat, 1.0 - 0.5 * joint)
    if fine > 0.0:
        dim(coat, 1.0 + 0.22 * (noise(u * 9.0, v * 9.0, seed + 3) - 0.5) * fine)


@inner
def _panels(coat, style, seed, tone, u, v, wu, wv):
    """Storey-high concrete panels, smooth modern sheets, or the metal of a curtain wall."""
    bay, storey = max(float(tone[8]), 0.5), max(float(tone[9]), 1.0)
    cell = chance(floor(u / bay), floor(v / storey), seed)
    dim(coat, 1.0 + 0.10 * (cell - 0.5))
    if style == 14:
        bay, storey = 0.5 * bay, 0.5 * storey
    joint = 1.0 - (1.0 - comb(v, storey, 0.025, wv)) * (1.0 - comb(u, bay, 0.025, wu))
    dim(coat, 1.0 - 0.6 * joint)
    if style == 4:
        dim(coat, 1.0 + 0.30 * (noise(u * 14.0, v * 14.0, seed) - 0.5) * detail(0.1, max(wu, wv)))
    if style == 9:
        coat[GLOSS] = 0.12


@inner
def _timber_frame(coat, seed, tone, u, v, wu, wv):
    """Dark posts, rails and braces around plaster."""
    bay, storey = max(float(tone[8]), 0.5), max(float(tone[9]), 1.0)
    a, b = u - bay * floor(u / bay), v - storey * floor(v / storey)
    w = 0.5 * (wu + wv)
    posts = comb(u + 0.09, bay, 0.18, wu)
    rails = comb(v + 0.1, storey, 0.22, wv) + comb(v - 0.78, storey, 0.13, wv) + comb(v - 2.2, storey, 0.12, wv)
    wood = 1.0 - (1.0 - posts) * (1.0 - min(rails, 1.0))
    if v > storey:
        side = min(a, bay - a)
        brace = pulse(side - 0.28 * b, -0.08, 0.08, w) * pulse(b, 0.0, storey * 0.8, w)
        if chance(floor(v / storey), seed, 8) > 0.45:
            wood = 1.0 - (1.0 - wood) * (1.0 - brace * detail(0.3, w))
    grain = 0.8 + 0.4 * noise(u * 5.0, v * 5.0, seed + 4)
    cover(coat, wood, 0.085 * grain, 0.055 * grain, 0.038 * grain)


@inner
def _tiles(coat, seed, tone, u, v, wu, wv):
    """Glazed squares with a figure in the second colour."""
    size = 0.15
    i, j = floor(u / size), floor(v / size)
    w = max(wu, wv)
    a, b = abs(u / size - i - 0.5), abs(v / size - j - 0.5)
    kind = seed % 3
    if kind == 0:
        figure = pulse(a + b, 0.22, 0.42, w / size)
    elif kind == 1:
        figure = pulse(a * a + b * b, -1.0, 0.09, w / size)
    else:
        figure = pulse(abs(a - b), -1.0, 0.09, w / size)
    fine = detail(size, w)
    figure = figure * fine + 0.36 * (1.0 - fine)
    cover(coat, 0.8 * figure, float(tone[3]), float(tone[4]), float(tone[5]))
    joint = 1.0 - (1.0 - comb(v, size, 0.006, wv)) * (1.0 - comb(u, size, 0.006, wu))
    dim(coat, 1.0 - 0.4 * joint)
    dim(coat, 1.0 + 0.18 * (chance(int(i), int(j), seed) - 0.5) * fine)
    coat[GLOSS] = 0.04


@inner
def _quoins(coat, tone, u, v, wu, wv):
    """Render with dressed stones up the two corners and a band at every floor."""
    width, storey = float(tone[6]), max(float(tone[9]), 1.0)
    course = floor(v / 0.32)
    reach = 0.42 if course % 2.0 == 0.0 else 0.28
    corner = max(pulse(u, -1.0, reach, wu), pulse(u, width - reach, width + 1.0, wu))
    cover(coat, 0.9 * corner, 0.58, 0.54, 0.46)
    dim(coat, 1.0 - 0.4 * corner * comb(v, 0.32, 0.015, wv))
    cover(coat, 0.9 * comb(v + 0.12, storey, 0.2, wv), 0.60, 0.57, 0.50)
