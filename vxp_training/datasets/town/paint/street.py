"""Cars, lights and loose panes."""

from ..compiled import inner
from .coat import GLOSS, GLOW, PANE, cover, dim, lay
from .noise import clamp, comb, detail, noise, pulse, smooth


@inner
def paint_car(coat, seed, tone, u, v, wu, wv):
    """Paint with gaps between doors, a rubbing strip, dirt below."""
    lay(coat, float(tone[0]), float(tone[1]), float(tone[2]))
    gap = comb(u - 0.35, 1.05, 0.014, wu) * pulse(v, 0.35, 0.95, wv) + pulse(v, 0.335, 0.35, wv)
    dim(coat, 1.0 - 0.7 * min(gap, 1.0))
    handle = comb(u - 0.55, 1.05, 0.16, wu) * pulse(v, 0.80, 0.83, wv)
    dim(coat, 1.0 - 0.5 * handle)
    sill = clamp((0.42 - v) / 0.2, 0.0, 1.0)
    cover(coat, 0.75 * sill, 0.035, 0.034, 0.033)
    dirt = clamp((0.75 - v) / 0.6, 0.0, 1.0) * (0.3 + 0.5 * noise(u * 2.0, v * 3.0, seed))
    cover(coat, 0.5 * dirt, 0.13, 0.115, 0.095)
    coat[GLOSS] = 0.95 * (1.0 - 0.8 * dirt)


@inner
def paint_car_glass(coat, tone, u, v):
    """Tinted panes; the seats behind show as darker shapes."""
    lay(coat, 0.022, 0.024, 0.026)
    dim(coat, 0.6 + 0.8 * smooth(0.3, 0.7, noise(u * 2.3, v * 2.3, 5)))
    coat[PANE] = 1.0


@inner
def paint_pane(coat, tone):
    """A pane of a shelter: a faint tint over what would be behind it."""
    lay(coat, 0.06 + 0.1 * float(tone[0]), 0.07 + 0.1 * float(tone[1]), 0.07 + 0.1 * float(tone[2]))
    coat[PANE] = 1.0


@inner
def paint_tyre(coat, u, v, w):
    """Rubber."""
    lay(coat, 0.024, 0.023, 0.022)
    dim(coat, 1.0 + 0.8 * (noise(u * 14.0, v * 14.0, 3) - 0.5) * detail(0.1, w))


@inner
def paint_light(coat, tone, is_night):
    """A lamp's lens: pale by day, of its colour at night."""
    red, green, blue = float(tone[0]), float(tone[1]), float(tone[2])
    lay(coat, 0.15 + 0.5 * red, 0.15 + 0.5 * green, 0.15 + 0.5 * blue)
    coat[GLOSS] = 0.8
    strength = 5.0 if is_night else 0.35
    coat[GLOW], coat[GLOW + 1], coat[GLOW + 2] = strength * red, strength * green, strength * blue
