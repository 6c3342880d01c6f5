"""The kinds of vehicles in numbers: stations from nose to tail."""

from dataclasses import dataclass

import numpy as np

SILL = 0.24  # metres above the road
OFFSET = 0.012  # of panes and lamps from the body


@dataclass(frozen=True)
class Shape:
    """Metres. top: (x, z, half-width as a share) from nose to tail, the edge where the sides end. cabin: x of the
    windscreen's foot and top, of the roof's rear end and the rear window's foot. panes: of side windows on the body
    itself (x0, x1, z0, z1). wheels: x of the axles. box: x from, to, z from, to of a truck's load."""

    length: float
    width: float
    height: float
    crease: float
    top: tuple[tuple[float, float, float], ...]
    wheels: tuple[float, ...]
    radius: float = 0.32
    cabin: tuple[float, float, float, float] | None = None
    panes: tuple[tuple[float, float, float, float], ...] = ()
    windscreen: tuple[int, ...] = ()  # pieces of `top` that are glass
    box: tuple[float, float, float, float] | None = None
    band: tuple[float, float] | None = None  # z of a bus's band in the second colour


SHAPES: dict[str, Shape] = {
    "hatchback": Shape(
        4.0, 1.74, 1.47, 0.62,
        (
            (2.0, 0.76, 0.84), (1.82, 0.82, 0.94), (0.95, 0.98, 1.0),
            (-1.55, 1.02, 0.98), (-1.9, 0.98, 0.92), (-2.0, 0.86, 0.86),
        ),
        (1.25, -1.25), 0.30, (1.0, 0.28, -1.25, -1.82),
    ),
    "sedan": Shape(
        4.6, 1.80, 1.44, 0.62,
        (
            (2.3, 0.72, 0.82), (2.1, 0.79, 0.94), (1.0, 0.96, 1.0),
            (-1.25, 1.0, 1.0), (-2.12, 0.97, 0.94), (-2.3, 0.84, 0.86),
        ),
        (1.42, -1.38), 0.32, (1.05, 0.35, -0.85, -1.55),
    ),
    "estate": Shape(
        4.7, 1.80, 1.48, 0.63,
        (
            (2.35, 0.73, 0.82), (2.15, 0.80, 0.94), (1.08, 0.97, 1.0),
            (-1.6, 1.02, 1.0), (-2.2, 1.0, 0.94), (-2.35, 0.84, 0.88),
        ),
        (1.45, -1.40), 0.32, (1.06, 0.40, -1.72, -2.14),
    ),
    "suv": Shape(
        4.5, 1.86, 1.68, 0.74,
        (
            (2.25, 0.92, 0.84), (2.1, 1.0, 0.95), (1.05, 1.12, 1.0),
            (-1.6, 1.16, 1.0), (-2.1, 1.12, 0.95), (-2.25, 0.98, 0.90),
        ),
        (1.38, -1.36), 0.36, (1.1, 0.48, -1.6, -2.08),
    ),
    "van": Shape(
        5.3, 1.98, 2.22, 0.78,
        (
            (2.65, 0.92, 0.84), (2.5, 1.02, 0.94), (1.85, 1.22, 0.97),
            (1.05, 2.12, 0.86), (-2.5, 2.22, 0.88), (-2.65, 2.12, 0.86),
        ),
        (1.72, -1.62), 0.34, None, ((0.55, 1.25, 1.28, 1.85), (-0.6, 0.4, 1.28, 1.9)), (2,),
    ),
    "truck": Shape(
        7.2, 2.2, 3.15, 0.95,
        (
            (3.6, 1.30, 0.88), (3.52, 1.42, 0.96), (3.25, 2.42, 0.92),
            (2.9, 2.55, 0.92), (1.75, 2.55, 0.92), (1.7, 2.5, 0.92),
        ),
        (2.6, -1.9), 0.41, None, ((2.15, 3.05, 1.5, 2.25),), (1,), (-3.6, 1.55, 0.85, 3.15),
    ),
    "bus": Shape(
        11.6, 2.5, 3.1, 0.95,
        (
            (5.8, 1.15, 0.96), (5.76, 1.25, 0.98), (5.65, 2.85, 0.96),
            (5.4, 3.1, 0.92), (-5.6, 3.1, 0.92), (-5.8, 2.9, 0.94),
        ),
        (3.9, -2.6), 0.48, None,
        ((1.35, 3.2, 1.25, 2.55), (-0.65, 1.25, 1.25, 2.55), (-2.65, -0.75, 1.25, 2.55), (-5.2, -2.75, 1.25, 2.55),
         (3.35, 5.3, 0.95, 2.65)),
        (1,), None, (0.62, 0.95),
    ),
}  # fmt: skip


def half_width(shape: Shape, x: float) -> float:
    """Half the body's width at the crease: full in the middle, narrower at nose and tail."""
    stations = shape.top[::-1]
    ends = {station[0]: 1.0 if 0 < i < len(stations) - 1 else 0.9 for i, station in enumerate(stations)}
    return shape.width / 2 * float(np.interp(x, list(ends), list(ends.values())))


def half_edge(shape: Shape, share: float) -> float:
    """Half the width of bonnet, boot or roof."""
    return shape.width / 2 * share - 0.05
