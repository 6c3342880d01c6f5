"""Traffic signs: a field and a border in the surface's colours, and a pictogram by style and seed."""

from ..compiled import inner
from .coat import RETRO, cover, lay
from .letters import ink
from .noise import pulse

CIRCLE, TRIANGLE, DIAMOND, BOARD = 0, 1, 2, 3  # `bay` of a SIGN surface
LIMIT, DANGER, WAY, BAR, PARKING, CAR, WALKER, CROSSED = 0, 1, 2, 3, 4, 5, 6, 7  # styles


@inner
def paint_sign(coat, style, seed, tone, u, v, wu, wv):
    """Lay a sign over uv 0..1. tone: the surface's numbers; its first colour is the field, its second the border."""
    x, y, w = 2.0 * u - 1.0, 2.0 * v - 1.0, 2.0 * max(wu, wv)
    shape = int(tone[8])
    lay(coat, float(tone[0]), float(tone[1]), float(tone[2]))
    border = 1.0 - pulse(_inset(shape, x, y), 0.13, 9.0, w)
    cover(coat, border, float(tone[3]), float(tone[4]), float(tone[5]))
    if shape == TRIANGLE:  # the picture sits lower, and smaller
        x, y, w = 1.35 * x, 1.35 * (y + 0.22), 1.35 * w
    if shape == DIAMOND:
        x, y, w = 1.2 * x, 1.2 * y, 1.2 * w
    black = 0.02 if float(tone[0]) > 0.3 else 0.78
    cover(coat, _pictogram(style, seed, x, y, w), black, black, black)
    coat[RETRO] = 1.0


@inner
def _inset(shape, x, y):
    """How far a point lies inside the sign's edge, half widths."""
    if shape == CIRCLE:
        return 0.97 - (x * x + y * y) ** 0.5
    if shape == TRIANGLE:
        return min(y + 0.8, 0.496 * (0.95 - y - 1.75 * abs(x)))
    if shape == DIAMOND:
        return 0.707 * (1.0 - abs(x) - abs(y))
    return 0.95 - max(abs(x), abs(y))


@inner
def _pictogram(style, seed, x, y, w):
    """Share of ink around (x, y), which run from -1 to 1; the figure fills about the inner half."""
    if style == LIMIT:
        tens = ink(-1 - (2 + seed % 4), (x + 0.52) / 0.09, (y + 0.30) / 0.12, w / 0.1)
        return max(tens, ink(-1, (x - 0.06) / 0.09, (y + 0.30) / 0.12, w / 0.1))
    if style == DANGER:
        return pulse(x, -0.08, 0.08, w) * (pulse(y, -0.18, 0.42, w) + pulse(y, -0.44, -0.28, w))
    if style == WAY:
        if seed % 2 == 1:
            x, y = y, (x if seed % 4 == 1 else -x)
        stem = pulse(x, -0.10, 0.10, w) * pulse(y, -0.52, 0.15, w)
        return max(stem, pulse(abs(x) + y, -9.0, 0.54, w) * pulse(y, 0.10, 0.56, w))
    if style == BAR:
        if seed % 3 == 0:
            x, y = y, x
        return pulse(x, -0.58, 0.58, w) * pulse(y, -0.15, 0.15, w)
    if style == PARKING:
        bow = ((x + 0.05) ** 2 + (y - 0.20) ** 2) ** 0.5
        stem = pulse(x, -0.28, -0.11, w) * pulse(y, -0.50, 0.50, w)
        return max(stem, pulse(bow, 0.13, 0.30, w) * pulse(x, -0.14, 0.9, w))
    if style == CAR:
        body = pulse(x, -0.52, 0.52, w) * pulse(y, -0.14, 0.10, w) + pulse(x, -0.28, 0.26, w) * pulse(y, 0.10, 0.32, w)
        wheel = ((abs(x) - 0.30) ** 2 + (y + 0.18) ** 2) ** 0.5
        return min(body + pulse(wheel, -1.0, 0.12, w), 1.0)
    if style == WALKER:
        head = ((x - 0.04) ** 2 + (y - 0.42) ** 2) ** 0.5
        trunk = pulse(x, -0.10, 0.12, w) * pulse(y, -0.08, 0.30, w)
        leg = pulse(abs(x) + 0.45 * y, -0.12, 0.05, w) * pulse(y, -0.52, -0.06, w)
        return min(pulse(head, -1.0, 0.11, w) + trunk + leg, 1.0)
    cross = pulse(x - y, -0.12, 0.12, w)
    if seed % 2 == 1:
        cross = max(cross, pulse(x + y, -0.12, 0.12, w))
    return cross * pulse((x * x + y * y) ** 0.5, -1.0, 0.62, w)
