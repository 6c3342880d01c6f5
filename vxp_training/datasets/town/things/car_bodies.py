"""Bodies of vehicles: sides with wheel arches, shoulders, nose and tail, and the cabin of a car."""

from itertools import pairwise

import numpy as np

from ..scene import Material
from .car_shapes import OFFSET, SILL, Shape, half_edge, half_width
from .shapes import MeshBuilder, Point


def add_body(b: MeshBuilder, shape: Shape, paint: int, black: int) -> None:
    """Sides, shoulders, top, nose, tail and the floor."""
    c = shape.crease
    for is_left in (True, False):
        for (x0, z0), (x1, z1) in pairwise(_lower_edge(shape)):
            y0, y1 = half_width(shape, x0), half_width(shape, x1)
            low0, low1 = 0.97 * y0, 0.97 * y1
            add_panel(b, [(x0, low0, z0), (x1, low1, z1), (x1, y1, c), (x0, y0, c)], paint, is_left)
        for (x0, z0, s0), (x1, z1, s1) in pairwise(shape.top):
            (low0, e0), (low1, e1) = (
                (half_width(shape, x), half_edge(shape, share)) for x, share in ((x0, s0), (x1, s1))
            )
            add_panel(b, [(x0, low0, c), (x1, low1, c), (x1, e1, z1), (x0, e0, z0)], paint, is_left)
    for i, ((x0, z0, s0), (x1, z1, s1)) in enumerate(pairwise(shape.top)):
        e0, e1 = half_edge(shape, s0), half_edge(shape, s1)
        add_panel(b, [(x0, e0, z0), (x1, e1, z1), (x1, -e1, z1), (x0, -e0, z0)], paint)
        if i in shape.windscreen:
            _add_windscreen(b, (x0, z0, e0), (x1, z1, e1))
    _add_ends(b, shape, paint, black)


def _lower_edge(shape: Shape) -> list[tuple[float, float]]:
    """(x, z) of the sides' lower edge from nose to tail, with an arch over each wheel."""
    x0, x1 = shape.top[0][0], shape.top[-1][0]
    line = [(x0, SILL)]
    top = min(2 * shape.radius + 0.06, shape.crease - 0.02)
    for x in shape.wheels:
        if x > x1:
            r = shape.radius
            line += [(x + 1.25 * r, SILL), (x + 0.7 * r, top), (x - 0.7 * r, top), (x - 1.25 * r, SILL)]
    return [*line, (x1, SILL)]


def _add_ends(b: MeshBuilder, shape: Shape, paint: int, black: int) -> None:
    """Nose and tail up to the first and last station, the floor, dark wheel wells."""
    c = shape.crease
    for (x, z, share), side in ((shape.top[0], 1), (shape.top[-1], -1)):
        w, e = half_width(shape, x), half_edge(shape, share)
        low = 0.97 * w
        add_panel(b, [(x, -side * low, SILL), (x, side * low, SILL), (x, side * w, c), (x, -side * w, c)], paint)
        add_panel(b, [(x, -side * w, c), (x, side * w, c), (x, side * e, z), (x, -side * e, z)], paint)
    x0, x1, w = shape.top[0][0], shape.top[-1][0], 0.45 * shape.width
    b.polygon([(x1, w, SILL), (x0, w, SILL), (x0, -w, SILL), (x1, -w, SILL)], black)
    for x in shape.wheels:
        if x > x1:
            y, r = shape.width / 2 - 0.14, 1.3 * shape.radius
            for s in (1, -1):
                b.polygon(
                    [
                        (x + s * r, s * y, SILL),
                        (x - s * r, s * y, SILL),
                        (x - s * r, s * y, shape.crease),
                        (x + s * r, s * y, shape.crease),
                    ],
                    black,
                )


def _add_windscreen(b: MeshBuilder, foot: tuple[float, float, float], head: tuple[float, float, float]) -> None:
    """Glass on a sloping piece of a van's or bus's front, inset by 8 %, in front of the body."""
    glass = b.surface(Material.CAR_GLASS, (0.03, 0.035, 0.04))
    (x0, z0, e0), (x1, z1, e1) = foot, head
    slope = np.array([z1 - z0, 0, x0 - x1])
    out = OFFSET * slope / np.linalg.norm(slope)
    corners = []
    for share, side in ((0.08, 1), (0.92, 1), (0.92, -1), (0.08, -1)):
        y = side * 0.94 * (e0 + share * (e1 - e0))
        corners.append((x0 + share * (x1 - x0) + out[0], y, z0 + share * (z1 - z0) + out[2]))
    b.polygon(corners, glass)


def add_cabin(b: MeshBuilder, shape: Shape, paint: int, glass: int) -> None:
    """Windscreen and rear window of glass, sides with pillars and two panes each, a roof that is highest inside."""
    foot, front, rear, tail = shape.cabin
    xs, zs = [s[0] for s in shape.top[::-1]], [s[1] for s in shape.top[::-1]]
    z0, z3 = (float(np.interp(x, xs, zs)) - 0.015 for x in (foot, tail))
    h, low = shape.height, min(z0, z3)

    def at(x: float, z: float, out: float = 0.0) -> tuple[float, float, float]:
        """A point of the left side, a plane that leans inwards."""
        return x, shape.width / 2 - 0.06 - 0.19 * (z - low) / (h - low) + out, z

    roof = [at(front, h - 0.06), at(0.5 * (front + rear), h), at(rear, h - 0.05)]
    for p, q in pairwise(roof):
        add_panel(b, [p, q, _mirrored(q), _mirrored(p)], paint)
    start, end = at(foot, z0), at(tail, z3)
    b.polygon([_mirrored(start), start, roof[0], _mirrored(roof[0])], glass)
    b.polygon([end, _mirrored(end), _mirrored(roof[2]), roof[2]], glass)
    pillar, z_low, z_high = 0.5 * (front + rear), low + 0.09, h - 0.13
    for is_left in (True, False):
        add_panel(b, [start, end, *roof[::-1]], paint, is_left)
        for x0, x1, x2, x3 in (
            (foot - 0.26, pillar + 0.05, pillar + 0.05, front - 0.14),
            (pillar - 0.05, tail + 0.26, rear + 0.12, pillar - 0.05),
        ):
            corners = [at(x0, z_low, OFFSET), at(x1, z_low, OFFSET), at(x2, z_high, OFFSET), at(x3, z_high, OFFSET)]
            add_panel(b, corners, glass, is_left)


def _mirrored(point: Point) -> Point:
    return point[0], -point[1], point[2]


def add_panel(b: MeshBuilder, corners: list[Point], surface: int, is_left: bool = True) -> None:
    """A piece of body; uv = (along, height above the road). Corners are those of the left side seen from outside; for
    the right side they are mirrored."""
    if not is_left:
        corners = [(x, -y, z) for x, y, z in corners[::-1]]
    spread = [abs(corners[0][k] - corners[2][k]) for k in (0, 1)]
    axis = 0 if spread[0] >= spread[1] else 1
    b.polygon(corners, surface, [(p[axis], p[2]) for p in corners])
