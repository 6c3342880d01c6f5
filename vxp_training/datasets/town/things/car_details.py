"""What is fixed to a vehicle's body: panes, a truck's box, wheels, lamps, number plates."""

from math import cos, pi, sin

import numpy as np

from ..scene import Material
from .car_bodies import add_panel
from .car_shapes import OFFSET, Shape, half_edge, half_width
from .shapes import MeshBuilder


def add_panes(b: MeshBuilder, shape: Shape, glass: int, second: int) -> None:
    """Side windows of vans, trucks and buses, the rear window, a bus's coloured band."""
    for x0, x1, z0, z1 in shape.panes:
        for is_left in (True, False):
            add_panel(b, [_on_side(shape, *p) for p in ((x1, z0), (x0, z0), (x0, z1), (x1, z1))], glass, is_left)
    if shape.band:
        (low, high), (x0, x1), w = shape.band, (-2.0, 3.3), shape.width / 2 + OFFSET
        for is_left in (True, False):
            add_panel(b, [(x1, w, low), (x0, w, low), (x0, w, high), (x1, w, high)], second, is_left)
    if not shape.cabin and not shape.box:
        x, z, share = shape.top[-1]
        w = 0.8 * half_edge(shape, share)
        low, high = shape.crease + 0.5 * (z - shape.crease), z - 0.1 * (z - shape.crease)
        b.polygon([(x - OFFSET, w, low), (x - OFFSET, -w, low), (x - OFFSET, -w, high), (x - OFFSET, w, high)], glass)


def _on_side(shape: Shape, x: float, z: float) -> tuple[float, float, float]:
    """A point just outside the left side above the crease."""
    stations = shape.top[::-1]
    xs = [s[0] for s in stations]
    top = float(np.interp(x, xs, [s[1] for s in stations]))
    edge = float(np.interp(x, xs, [half_edge(shape, s[2]) for s in stations]))
    share = min((z - shape.crease) / (top - shape.crease), 1.0)
    return x, half_width(shape, x) * (1 - share) + edge * share + 2 * OFFSET, z


def add_cargo(b: MeshBuilder, shape: Shape, second: int, black: int) -> None:
    """A truck's box on its frame."""
    if not shape.box:
        return
    x0, x1, z0, z1 = shape.box
    w = shape.width / 2 + 0.06
    b.box((x0, -w, z0), (x1, w, z1), second, without="")
    b.box((x0 + 0.1, -0.45, 0.5), (x1 + 0.4, 0.45, z0), black, without="Z")


def add_wheels(b: MeshBuilder, shape: Shape, black: int) -> None:
    """Per wheel: an eight-sided outer face, a hub cap, the running surface (its lower half below a body)."""
    hub = b.surface(Material.METAL, (0.33, 0.34, 0.35))
    r = shape.radius
    for x in shape.wheels:
        for side in (1, -1):
            out, inner = side * (shape.width / 2 - 0.035), side * (shape.width / 2 - 0.24)
            b.disc((x, out, r), (0, side, 0), r, black, 8)
            b.disc((x, out + side * OFFSET, r), (0, side, 0), 0.58 * r, hub, 6)
            high, low = max(out, inner), min(out, inner)
            for k in range(4 if x > shape.top[-1][0] else 8):
                a, c = pi + k * pi / 4, pi + (k + 1) * pi / 4
                (xa, za), (xc, zc) = ((x + r * cos(t), r + r * sin(t)) for t in (a, c))
                b.polygon([(xa, high, za), (xc, high, zc), (xc, low, zc), (xa, low, za)], black)


def add_lamps(b: MeshBuilder, shape: Shape, is_lit: bool, black: int) -> None:
    """Head and tail lamps, number plates, a grille."""
    material = Material.LIGHT if is_lit else Material.METAL
    white = b.surface(material, (0.95, 0.93, 0.82) if is_lit else (0.62, 0.63, 0.64))
    red = b.surface(material, (0.70, 0.02, 0.015) if is_lit else (0.28, 0.012, 0.012))
    plate = b.surface(Material.METAL, (0.72, 0.72, 0.68))
    nose, tail = shape.top[0][0], -shape.length / 2
    w, c = shape.width / 2, shape.crease
    for x, side, lamp in ((nose, 1, white), (tail, -1, red)):
        out = x + side * OFFSET
        for low, high in ((0.50, 0.80), (-0.80, -0.50)):
            _add_facing(b, out, side, (low * w, high * w), (c - 0.06, c + 0.08), lamp)
        _add_facing(b, out, side, (-0.26, 0.26), (0.40, 0.51) if side > 0 else (c - 0.16, c - 0.05), plate)
    _add_facing(b, nose + OFFSET, 1, (-0.42 * w, 0.42 * w), (c - 0.07, c + 0.05), black)


def _add_facing(b: MeshBuilder, x: float, side: int, y: tuple, z: tuple, surface: int) -> None:
    """A rectangle in the plane x that looks forward (side 1) or back (-1)."""
    left, right = (y[0], y[1]) if side > 0 else (y[1], y[0])
    b.polygon([(x, left, z[0]), (x, right, z[0]), (x, right, z[1]), (x, left, z[1])], surface)
