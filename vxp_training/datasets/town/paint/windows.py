"""Windows with depth: reveals, frames, panes, curtains and lit rooms behind them."""

import numpy as np

from ..compiled import inner
from .coat import GLOW, PANE, cover, dim
from .noise import chance, clamp, comb, pulse, smooth

# Frames: white, dark grey, brown.
FRAMES = np.array([[0.72, 0.72, 0.69], [0.05, 0.055, 0.06], [0.11, 0.065, 0.04]])
CURTAINS = np.array([[0.62, 0.60, 0.55], [0.50, 0.42, 0.30], [0.35, 0.12, 0.10], [0.20, 0.26, 0.33]])


@inner
def paint_window(
    coat, share, x, y, width, height, wx, wy, lean_x, lean_y, recess, frame, panes, rows, hidden, seed, lit
):
    """Put a window over a share of the coat. x, y: position in the opening, from its lower left corner; wx, wy:
    footprint. lean_x, lean_y: how far a ray moves per metre that it goes into the wall. recess: depth of the reveal.
    frame: row of FRAMES. panes, rows: how many across and up. hidden: share of
    windows with curtains or blinds. lit: share of windows lit at night, 0 by day.
    """
    px, py = x + recess * lean_x, y + recess * lean_y
    inside = pulse(px, 0.0, width, wx) * pulse(py, 0.0, height, wy)
    if inside < 1.0:  # the ray ends on the reveal: the wall's own colour, in the shade
        side = 0.45 if py > height else 0.75
        cover(coat, share * (1.0 - inside), coat[0] * side, coat[1] * side, coat[2] * side)
    share *= inside
    if share <= 0.0:
        return
    px, py = clamp(px, 0.0, width), clamp(py, 0.0, height)
    bar = 0.06
    pane = pulse(px, bar, width - bar, wx) * pulse(py, bar, height - bar, wy)
    if panes > 1.0:
        pane *= 1.0 - comb(px + 0.5 * bar, width / panes, bar, wx)
    if rows > 1.0:
        pane *= 1.0 - comb(py + 0.5 * bar, height / rows, bar, wy)
    top = 1.0 - 0.4 * smooth(height - 0.35, height, py)  # the lintel's shade
    cover(coat, share * (1.0 - pane), FRAMES[frame, 0] * top, FRAMES[frame, 1] * top, FRAMES[frame, 2] * top)
    share *= pane
    if share > 0.0:
        _pane(coat, share, px, py, width, height, wx, lean_x, lean_y, hidden, seed, lit, top)


@inner
def _pane(coat, share, x, y, width, height, wx, lean_x, lean_y, hidden, seed, lit, top):
    """Glass, and behind it curtains, blinds, plants, or a dark room whose back wall is 3 m away."""
    red, green, blue = 0.028, 0.030, 0.033
    bx, by = x + 2.5 * lean_x, y + 2.5 * lean_y  # where the ray meets the back wall
    if by > -1.0 and by < height + 0.4 and bx > -2.0 and bx < width + 2.0:
        red, green, blue = 0.05, 0.045, 0.04
    draw = chance(seed, 11, 5)
    if draw < hidden:
        kind = chance(seed, 12, 5)
        row = int(4.0 * chance(seed, 13, 5))
        folds = 0.78 + 0.22 * comb(x, 0.13, 0.06, wx)
        cloth = 0.0
        if kind < 0.4:  # drapes at both sides
            drawn = width * (0.12 + 0.25 * chance(seed, 14, 5))
            cloth = 1.0 - pulse(x, drawn, width - drawn, wx)
        elif kind < 0.75:  # net curtains
            cloth = 0.72 * smooth(-0.02, 0.02, y - height * 0.02)
            row = 0
        else:  # a blind, let down part of the way
            cloth = smooth(-0.02, 0.02, y - height * (0.9 - 0.75 * chance(seed, 15, 5)))
            folds = 0.8 + 0.2 * comb(y, 0.06, 0.03, wx)
        cloth *= 0.75
        red += cloth * (CURTAINS[row, 0] * folds - red)
        green += cloth * (CURTAINS[row, 1] * folds - green)
        blue += cloth * (CURTAINS[row, 2] * folds - blue)
    cover(coat, share, red * top, green * top, blue * top)
    coat[PANE] += share
    if chance(seed, 16, 5) < lit:
        warm = chance(seed, 17, 5)
        glow = share * (0.35 + 0.65 * chance(seed, 18, 5)) * (0.55 + 0.45 * smooth(0.0, height, y)) * 0.24
        shape = 0.5 + 3.0 * red
        coat[GLOW] += glow * shape * 1.25
        coat[GLOW + 1] += glow * shape * (0.80 + 0.22 * warm)
        coat[GLOW + 2] += glow * shape * (0.42 + 0.55 * warm * warm)


@inner
def paint_door(coat, share, x, y, width, height, wx, wy, red, green, blue, seed):
    """A front door with panels, a fanlight above and a knob."""
    light = pulse(y, 0.84 * height, 0.97 * height, wy) * pulse(x, 0.1, width - 0.1, wx)
    cover(coat, share, red, green, blue)
    rim = 1.0 - pulse(x, 0.07, width - 0.07, wx) * pulse(y, -1.0, height - 0.07, wy)
    cover(coat, share * rim, 0.55, 0.54, 0.50)
    panels = pulse(x, 0.18, width - 0.18, wx) * (
        pulse(y, 0.18, 0.40 * height, wy) + pulse(y, 0.46 * height, 0.78 * height, wy)
    )
    dim(coat, 1.0 - 0.22 * share * panels)
    cover(coat, share * light, 0.03, 0.03, 0.035)
    coat[PANE] += share * light
    if chance(seed, 21, 3) < 0.4:  # panes in the upper panel
        glass = pulse(x, 0.25, width - 0.25, wx) * pulse(y, 0.48 * height, 0.76 * height, wy)
        cover(coat, share * glass, 0.03, 0.03, 0.035)
        coat[PANE] += share * glass
    knob = pulse(x, width - 0.17, width - 0.11, wx) * pulse(y, 0.47 * height, 0.51 * height, wy)
    cover(coat, share * knob, 0.5, 0.42, 0.2)
