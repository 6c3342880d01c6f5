"""Facades: how bays and storeys are filled with windows, doors and shop fronts, style by style."""

from math import floor

import numpy as np

from ..compiled import inner
from .coat import cover, dim
from .noise import chance, clamp, comb, mix_bits, pulse
from .shops import paint_shop
from .walls import paint_wall
from .windows import paint_door, paint_window

# One row per style. Window: its width as a share of the bay (at most `most` metres), height and sill as shares of the
# storey, panes across and up, recess in metres, frame (row of FRAMES), share with curtains. Around it: surround
# (0 none, 1 flat band, 2 lintel and sill, 3 pediment), shutters (share of houses), coloured panel beside it.
WIDTH, MOST, HEIGHT, SILL, PANES, ROWS, RECESS, FRAME, HIDDEN, SURROUND, SHUTTERS, COLOURED = range(12)
WINDOWS = np.array(
    [
        # width most  high  sill pane row rec.  fr hid  sur shut col
        [0.42, 1.35, 0.52, 0.28, 2.0, 1.0, 0.14, 0, 0.7, 1.0, 0.4, 0.0],  # plaster
        [0.40, 1.25, 0.55, 0.27, 2.0, 2.0, 0.12, 0, 0.7, 2.0, 0.0, 0.0],  # red brick
        [0.40, 1.20, 0.58, 0.24, 2.0, 3.0, 0.16, 0, 0.6, 1.0, 0.9, 0.0],  # quoins
        [0.42, 1.40, 0.58, 0.25, 1.0, 2.0, 0.22, 2, 0.6, 2.0, 0.0, 0.0],  # ashlar
        [0.68, 2.40, 0.46, 0.32, 3.0, 1.0, 0.06, 0, 0.8, 0.0, 0.0, 0.0],  # concrete panel
        [0.44, 1.30, 0.50, 0.28, 2.0, 2.0, 0.06, 0, 0.7, 1.0, 0.6, 0.0],  # boards
        [0.46, 1.30, 0.44, 0.31, 2.0, 2.0, 0.07, 2, 0.8, 0.0, 0.3, 0.0],  # half-timbered
        [0.40, 1.25, 0.60, 0.22, 2.0, 1.0, 0.12, 0, 0.6, 1.0, 0.0, 0.0],  # tiles
        [0.50, 1.60, 0.50, 0.29, 2.0, 1.0, 0.10, 1, 0.6, 0.0, 0.0, 0.0],  # stripes
        [0.97, 9.00, 0.80, 0.17, 2.0, 1.0, 0.03, 1, 0.3, 0.0, 0.0, 0.0],  # curtain wall
        [0.40, 1.25, 0.56, 0.26, 2.0, 2.0, 0.13, 0, 0.7, 2.0, 0.0, 0.0],  # buff brick, Flemish bond
        [0.62, 2.20, 0.62, 0.20, 2.0, 1.0, 0.18, 1, 0.5, 0.0, 0.0, 0.0],  # stacked slips
        [0.34, 1.00, 0.44, 0.32, 2.0, 2.0, 0.25, 2, 0.6, 2.0, 0.8, 0.0],  # rubble
        [0.38, 1.25, 0.60, 0.22, 2.0, 2.0, 0.18, 0, 0.6, 3.0, 0.2, 0.0],  # stucco
        [0.52, 1.80, 0.60, 0.20, 2.0, 1.0, 0.12, 1, 0.5, 0.0, 0.0, 1.0],  # modern
        [0.42, 1.30, 0.56, 0.26, 2.0, 3.0, 0.12, 0, 0.7, 2.0, 0.0, 0.0],  # brick, English bond
    ]
)


@inner
def paint_facade(coat, style, is_shop, seed, tone, u, v, wu, wv, lean_u, lean_v, is_night):
    """Lay a wall with its openings. tone: the surface's numbers from `red` on. Lean: see `paint_window`."""
    paint_wall(coat, style, seed, tone, u, v, wu, wv)
    length, height = float(tone[6]), float(tone[7])
    bay, storey = max(float(tone[8]), 0.5), max(float(tone[9]), 1.0)
    storeys, bays = floor(height / storey + 0.15), max(floor(length / bay + 0.5), 1.0)
    lit = float(tone[10]) if is_night else 0.0
    if style == 13:
        _stucco_order(coat, tone, u, v, wu, wv, bay, storey)
    if v < 0.0 or u < 0.0 or u > length:
        return
    level, column = floor(v / storey), clamp(floor(u / bay), 0.0, bays - 1.0)
    if level >= storeys:
        return
    if level == 0.0 and is_shop:
        paint_shop(coat, seed, tone, u, v, wu, wv, lean_u, lean_v, bay, storey, lit > 0.0)
        return
    x, y = u - column * bay, v - level * storey
    if level == 0.0 and int(column) == seed % int(bays):
        wide, high = min(1.15, 0.7 * bay), min(2.55, 0.86 * storey)
        left = 0.5 * (bay - wide)
        share = pulse(x, left, left + wide, wu) * pulse(y, 0.0, high, wv)
        frame = pulse(x, left - 0.16, left + wide + 0.16, wu) * pulse(y, 0.0, high + 0.18, wv)
        cover(coat, 0.8 * frame * (1.0 - share), 0.55, 0.52, 0.46)
        if share > 0.0:
            red, green, blue = float(tone[3]), float(tone[4]), float(tone[5])
            paint_door(coat, share, x - left, y, wide, high, wu, wv, red, green, blue, seed)
        return
    _window_of_cell(coat, style, seed, tone, x, y, wu, wv, lean_u, lean_v, bay, storey, int(column), int(level), lit)


@inner
def _window_of_cell(coat, style, seed, tone, x, y, wu, wv, lean_u, lean_v, bay, storey, column, level, lit):
    """Everything of one bay of one storey: shutters, surround, coloured panel, window."""
    row = WINDOWS[style]
    width = min(row[0] * bay, row[1])
    high, sill = row[2] * storey, row[3] * storey
    left = 0.5 * (bay - width)
    x, y = x - left, y - sill  # from here in the opening
    red, green, blue = float(tone[3]), float(tone[4]), float(tone[5])
    dark = chance(seed, 31, 1) < row[10]
    if dark and 2.0 * width < 0.92 * bay:
        leaf = 0.5 * width
        shutter = pulse(x, -leaf - 0.04, -0.04, wu) + pulse(x, width + 0.04, width + leaf + 0.04, wu)
        shutter *= pulse(y, -0.02, high + 0.02, wv)
        slats = 0.78 + 0.22 * comb(y, 0.07, 0.035, wv)
        cover(coat, shutter, red * slats, green * slats, blue * slats)
    elif row[11] > 0.0:
        side = 1.0 if chance(seed, column, level) < 0.5 else -1.0
        start = width if side > 0.0 else -0.5 * width
        panel = pulse(x, start, start + 0.5 * width, wu) * pulse(y, 0.0, high, wv)
        cover(coat, panel, red, green, blue)
    if row[9] > 0.0:
        _surround(coat, row[9], x, y, wu, wv, width, high, level)
    share = pulse(x, 0.0, width, wu) * pulse(y, 0.0, high, wv)
    if share > 0.0:
        number = mix_bits(seed, 16 * level + 3, column)
        frame = int(row[7])
        if frame == 0 and chance(seed, 32, 1) < 0.2:
            frame = 2
        paint_window(
            coat, share, x, y, width, high, wu, wv, lean_u, lean_v, row[6], frame, row[4], row[5], row[8], number, lit
        )


@inner
def _surround(coat, kind, x, y, wu, wv, width, high, level):
    """Bands, lintel and sill, or a pediment, in pale stone, with a line of shade below."""
    if kind == 2.0:
        trim = pulse(x, -0.12, width + 0.12, wu) * (pulse(y, high, high + 0.2, wv) + pulse(y, -0.1, 0.0, wv))
    else:
        trim = pulse(x, -0.13, width + 0.13, wu) * pulse(y, -0.08, high + 0.13, wv)
        if kind == 3.0 and level > 0:
            rise = 0.13 + 0.30 * (1.0 - abs(2.0 * x / width - 1.0)) if level % 2 == 1 else 0.26
            trim = max(trim, pulse(x, -0.2, width + 0.2, wu) * pulse(y, high + 0.06, high + rise, wv))
    cover(coat, 0.9 * trim, 0.62, 0.59, 0.53)
    shade = pulse(x, -0.13, width + 0.13, wu) * pulse(y, -0.2, -0.09, wv)
    dim(coat, 1.0 - 0.35 * shade)


@inner
def _stucco_order(coat, tone, u, v, wu, wv, bay, storey):
    """A rusticated ground floor, pilasters above it, a cornice under the eaves."""
    if v < storey:
        dim(coat, 1.0 - 0.5 * comb(v, 0.42, 0.04, wv))
    else:
        pilaster = comb(u + 0.18, bay, 0.36, wu)
        cover(coat, 0.6 * pilaster, 0.66, 0.63, 0.56)
        dim(coat, 1.0 - 0.25 * comb(u - 0.18, bay, 0.05, wu))
    band = pulse(v, storey - 0.12, storey + 0.12, wv) + pulse(v, float(tone[7]) - 0.4, float(tone[7]) + 0.1, wv)
    cover(coat, 0.8 * min(band, 1.0), 0.66, 0.63, 0.56)
    dim(coat, 1.0 - 0.4 * pulse(v, float(tone[7]) - 0.5, float(tone[7]) - 0.4, wv))
