"""What autumn, rain and snow make of the ground."""

from math import floor

from ..compiled import inner
from .coat import GLOSS, cover
from .noise import chance, clamp, detail, noise, rough_noise, smooth


@inner
def lay_fallen_leaves(coat, x, y, w, road, autumn):
    """Leaves on grass, pavement and along the kerb."""
    amount = autumn * 0.36 * smooth(0.45, 0.85, noise(x * 0.13, y * 0.13, 81)) * (1.0 if road < 0.6 else 0.25)
    i, j = floor(x / 0.075), floor(y / 0.075)
    draw = chance(int(i), int(j), 82)
    fine = detail(0.075, w)
    share = amount * (1.0 - fine)
    if draw < amount:
        a, b = x / 0.075 - i - 0.5, y / 0.075 - j - 0.5
        share += fine * clamp(3.0 - 9.0 * (a * a + b * b), 0.0, 1.0)
    tint = chance(int(j), int(i), 83)
    cover(coat, share * 0.85, 0.13 + 0.16 * tint, 0.065 + 0.085 * tint, 0.022)


@inner
def make_wet(coat, x, y, w, road, wetness):
    """Dark when wet, with puddles where the ground is low: in the gutter, in ruts, here and there."""
    low = rough_noise(x * 0.23, y * 0.23, 91)
    gutter = 0.16 * clamp(1.0 - abs(road - 0.4) / 0.6, 0.0, 1.0) if road > 0.0 else -0.03
    rut = 0.05 * max(clamp(1.0 - abs(road - 3.1) / 0.35, 0.0, 1.0), clamp(1.0 - abs(road - 4.7) / 0.35, 0.0, 1.0))
    puddle = wetness * smooth(0.62, 0.70, low + gutter + rut)
    dark = 1.0 - wetness * 0.42
    for i in range(3):
        coat[i] *= dark * (1.0 - 0.35 * puddle)
    is_hard = 1.0 if road > 0.0 else 0.5
    coat[GLOSS] = wetness * is_hard * (0.34 + 0.12 * rough_noise(x * 1.7, y * 1.7, 92)) * (1.0 - puddle) + puddle * 0.97


@inner
def lay_snow(coat, x, y, w, road, snow):
    """White, with tyre tracks down to wet asphalt in the lanes and trodden slush beside the road."""
    drift = rough_noise(x * 0.5, y * 0.5, 101)
    wander = 0.5 * (noise(x * 0.05, y * 0.05, 102) - 0.5)
    if road > 0.3:
        track = 0.0
        for rut in (3.1, 4.65):
            track = max(track, clamp(1.5 - abs(road + wander - rut) / (0.13 + 0.16 * drift), 0.0, 1.0))
        depth = clamp(0.66 + 0.9 * (drift - 0.5) - (0.42 + 0.5 * noise(x * 0.4, y * 0.4, 106)) * track, 0.0, 1.0)
    else:
        depth = clamp(0.93 + 0.5 * (drift - 0.45), 0.0, 1.0)
        depth *= 1.0 - 0.5 * smooth(0.55, 0.8, noise(x * 0.9, y * 0.9, 103)) * smooth(
            0.5, 0.7, noise(x * 7.0, y * 7.0, 104)
        )
    share = snow * smooth(0.12, 0.75, depth)
    for i in range(3):
        coat[i] *= 1.0 - 0.35 * snow  # the melt between
    coat[GLOSS] = 0.25 * snow * (1.0 - share)
    white = 0.80 + 0.12 * (noise(x * 3.1, y * 3.1, 105) - 0.5) - 0.25 * (1.0 - share)
    cover(coat, share, white * 0.97, white * 0.985, white)
