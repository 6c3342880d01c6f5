"""Shop fronts: a fascia board with a name, display windows with goods, pilasters, a glazed door."""

from math import floor

from ..compiled import inner
from .coat import GLOW, PANE, cover, dim
from .letters import LENGTHS, ink
from .noise import chance, clamp, comb, pulse, smooth

DEPTH = 0.9  # of the display behind the pane


@inner
def paint_shop(coat, seed, tone, u, v, wu, wv, lean_u, lean_v, bay, storey, is_lit):
    """Cover the ground floor of a facade; u, v from its lower left corner. tone: the surface's numbers."""
    red, green, blue = float(tone[3]), float(tone[4]), float(tone[5])
    board, top = 0.80 * storey, 0.97 * storey
    front = pulse(v, 0.0, top, wv)
    cover(coat, front, 0.8 * red, 0.8 * green, 0.8 * blue)
    if v > board - wv:
        _fascia(coat, seed, tone, u, v, wu, wv, board, top, is_lit)
        return
    column = floor(u / bay)
    x = u - column * bay
    is_door = int(column) == (seed >> 3) % max(int(float(tone[6]) / bay + 0.5), 1)
    low = 0.06 if is_door else 0.48
    share = pulse(x, 0.16, bay - 0.16, wu) * pulse(v, low, board - 0.08, wv)
    frame = 1.0 - pulse(x, 0.22, bay - 0.22, wu) * pulse(v, low + 0.06, board - 0.14, wv)
    frame = max(frame, comb(x - 0.5 * bay + 0.03, bay, 0.06, wu))
    if is_door:
        frame = max(frame, pulse(v, 2.06, 2.14, wv))
    cover(coat, share * frame, 0.10, 0.10, 0.10)
    share *= 1.0 - frame
    if share > 0.0:
        _display(
            coat, share, seed, x + DEPTH * lean_u, v + DEPTH * lean_v, bay, board, int(column), is_door, is_lit, wu
        )
    dim(coat, 1.0 - 0.45 * pulse(v, board - 0.22, board, wv))


@inner
def _fascia(coat, seed, tone, u, v, wu, wv, board, top, is_lit):
    """The board above the windows, with the shop's name in the middle."""
    red, green, blue = float(tone[3]), float(tone[4]), float(tone[5])
    share = pulse(v, board, top, wv)
    cover(coat, share, red, green, blue)
    dim(coat, 1.0 - 0.5 * (pulse(v, board, board + 0.04, wv) + pulse(v, top - 0.03, top, wv)))
    word = int(chance(seed, 41, 2) * LENGTHS.shape[0])
    rise = (top - board) * 0.62
    dot = rise / 5.0
    left = 0.5 * (float(tone[6]) - 6.0 * dot * LENGTHS[word])
    write = ink(word, (u - left) / dot, (v - board - 0.19 * (top - board)) / dot, max(wu, wv) / dot)
    if 0.4 * red + 0.5 * green + 0.1 * blue < 0.3:
        ink_red, ink_green, ink_blue = 0.78, 0.74, 0.60
    else:
        ink_red, ink_green, ink_blue = 0.05, 0.045, 0.06
    cover(coat, 0.92 * write * share, ink_red, ink_green, ink_blue)
    if is_lit and chance(seed, 42, 2) < 0.7:
        for i in range(3):
            coat[GLOW + i] += share * (0.15 + 0.5 * write) * coat[i]


@inner
def _display(coat, share, seed, x, y, bay, board, column, is_door, is_lit, w):
    """Behind the pane: shelves of goods in front of a pale wall, lit from above in the evening."""
    shelf = clamp(floor((y - 0.5) / 0.55), -1.0, 4.0)
    item = floor(x / 0.42)
    height = (y - 0.5) - 0.55 * shelf
    tall = 0.18 + 0.3 * chance(int(item), int(shelf) + 8 * column, seed)
    gap = pulse(x - 0.42 * item, 0.05, 0.34, w)
    goods = gap * pulse(height, 0.0, tall, w)
    hue = chance(int(item), int(shelf) + 8 * column, seed + 1)
    back = 0.16 + 0.10 * smooth(0.0, 3.0, y)
    red, green, blue = back * 1.1, back, back * 0.85
    if not is_door:
        tint = chance(seed, 43, int(shelf))
        shade = 0.08 + 0.32 * chance(int(item), int(shelf) + 8 * column, seed + 2)
        red += goods * (shade * (0.75 + 0.5 * hue) - red)
        green += goods * (shade * (0.75 + 0.35 * abs(hue - tint)) - green)
        blue += goods * (shade * (0.95 - 0.45 * hue) - blue)
    cover(coat, share, 0.55 * red, 0.55 * green, 0.55 * blue)
    coat[PANE] += share
    if is_lit and chance(seed, 44, 2) < 0.75:
        glow = share * 0.42 * (0.5 + 0.5 * smooth(0.0, board, y))
        coat[GLOW] += glow * red * 1.15
        coat[GLOW + 1] += glow * green
        coat[GLOW + 2] += glow * blue * 0.78
