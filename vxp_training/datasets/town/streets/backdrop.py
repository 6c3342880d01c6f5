"""Far houses and woods around the town, so that no street looks into nothing."""

import numpy as np

from ..draws import Purpose, draw
from ..scene import Material, Mesh
from ..style import Style
from ..things.shapes import MeshBuilder
from .ground import Hills
from .plan import Plan

# metres beyond the outer junctions, spacing along the ring, share of woods
RINGS = ((64.0, 17.0, 0.35), (100.0, 22.0, 0.5), (150.0, 30.0, 0.9))
BACKDROP_OBJECT = 2
WOOD_COLOUR = (0.055, 0.085, 0.035)
DEPTH_BELOW = 4.0  # that walls reach into the hills


def make_backdrop(plan: Plan, hills: Hills, seed: int, style: Style) -> Mesh:
    """Rings of plain gabled blocks and clumps of trees, facing the town."""
    rng = draw(seed, Purpose.BACKDROP)
    b = MeshBuilder()
    for reach, spacing, woods in RINGS:
        for x, y, yaw in _places(plan, reach, spacing):
            x, y = x + rng.uniform(-4, 4), y + rng.uniform(-4, 4)
            z = float(hills.height(np.array([[x, y]]))[0])
            if rng.uniform() < woods:
                _add_wood(b, rng, x, y, z)
            else:
                _add_house(b, rng, style, (x, y, z), yaw + rng.uniform(-0.2, 0.2))
    return b.build()


def _places(plan: Plan, reach: float, spacing: float) -> list[tuple[float, float, float]]:
    """x, y, heading along a rectangle around the town."""
    low, high = plan.extent()
    (x0, y0), (x1, y1) = low - reach, high + reach
    places = []
    for xa, ya, xb, yb in ((x0, y0, x1, y0), (x1, y0, x1, y1), (x1, y1, x0, y1), (x0, y1, x0, y0)):
        count = int(np.hypot(xb - xa, yb - ya) / spacing)
        yaw = float(np.arctan2(yb - ya, xb - xa))
        places += [(xa + (xb - xa) * i / count, ya + (yb - ya) * i / count, yaw) for i in range(count)]
    return places


def _add_house(b: MeshBuilder, rng: np.random.Generator, style: Style, foot: tuple, yaw: float) -> None:
    wall = style.wall_colours[int(rng.integers(len(style.wall_colours)))]
    roof = style.roof_colours[int(rng.integers(len(style.roof_colours)))]
    width, depth, eaves = rng.uniform(10, 20), rng.uniform(9, 13), rng.uniform(6, 15)
    ridge = eaves + depth * rng.uniform(0.25, 0.45)
    walls, tiles = (
        b.surface(Material.BACKDROP, colour, object=BACKDROP_OBJECT, seed=int(rng.integers(2**31)))
        for colour in (wall, roof)
    )
    c, s = np.cos(yaw), np.sin(yaw)

    def at(u: float, v: float, z: float) -> tuple[float, float, float]:
        return foot[0] + c * u - s * v, foot[1] + s * u + c * v, foot[2] + z

    w, d = width / 2, depth / 2
    for (u0, v0), (u1, v1) in (((-w, -d), (w, -d)), ((w, -d), (w, d)), ((w, d), (-w, d)), ((-w, d), (-w, -d))):
        b.polygon([at(u0, v0, -DEPTH_BELOW), at(u1, v1, -DEPTH_BELOW), at(u1, v1, eaves), at(u0, v0, eaves)], walls)
    b.polygon([at(w, -d, eaves), at(w, d, eaves), at(w, 0, ridge)], walls)
    b.polygon([at(-w, d, eaves), at(-w, -d, eaves), at(-w, 0, ridge)], walls)
    b.polygon([at(-w, -d, eaves), at(w, -d, eaves), at(w, 0, ridge), at(-w, 0, ridge)], tiles)
    b.polygon([at(w, d, eaves), at(-w, d, eaves), at(-w, 0, ridge), at(w, 0, ridge)], tiles)


def _add_wood(b: MeshBuilder, rng: np.random.Generator, x: float, y: float, z: float) -> None:
    """Two or three round crowns close together."""
    shade = rng.uniform(0.75, 1.25)
    colour = tuple(shade * part for part in WOOD_COLOUR)
    for _ in range(int(rng.integers(2, 4))):
        u, v = x + rng.uniform(-6, 6), y + rng.uniform(-6, 6)
        radius, height = rng.uniform(3.5, 6.0), rng.uniform(8, 15)
        crown = b.surface(Material.BACKDROP, colour, object=BACKDROP_OBJECT, seed=int(rng.integers(2**31)))
        b.tube((u, v, z - DEPTH_BELOW), (u, v, z + 0.6 * height), 0.7 * radius, crown, 6, radius)
        b.tube((u, v, z + 0.6 * height), (u, v, z + height), radius, crown, 6, 0.0)
