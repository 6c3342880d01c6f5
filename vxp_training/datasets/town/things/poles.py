"""What stands on a pole: street lamps, traffic signs and lights, street names. Frame as in furniture."""

from math import cos, pi, sin

import numpy as np

from ..scene import Material, Mesh
from .shapes import Colour, MeshBuilder

STEEL: Colour = (0.30, 0.32, 0.33)
DARK: Colour = (0.035, 0.045, 0.042)
ROOT = 0.5  # metres that posts reach into the ground


def lamp_mesh(style: int = 0, height: float = 6.5) -> tuple[Mesh, np.ndarray]:
    """A street lamp. Returns the mesh and its head's position [3]. style: 0 a mast with an arm towards -y, 1 a slim
    mast with a flat head, 2 a lantern on a cast-iron post (lower)."""
    b = MeshBuilder()
    if style == 2:
        return _lantern(b, 0.62 * height)
    steel = b.surface(Material.METAL, STEEL if style == 0 else (0.16, 0.17, 0.18), height=height)
    glow = b.surface(Material.LIGHT, (0.95, 0.86, 0.62))
    out = 1.3 if style == 0 else 0.7
    b.tube((0, 0, -ROOT), (0, 0, 1.0), 0.09, steel, 6, lids="end")
    b.tube((0, 0, 1.0), (0, 0, height - 0.4), 0.065, steel, 6, 0.045)
    b.tube((0, 0, height - 0.4), (0, -out + 0.25, height), 0.04, steel, 4)
    b.box((-0.14, -out - 0.3, height), (0.14, -out + 0.3, height + 0.11), steel, without="z")
    b.polygon(
        [
            (-0.14, -out + 0.3, height),
            (0.14, -out + 0.3, height),
            (0.14, -out - 0.3, height),
            (-0.14, -out - 0.3, height),
        ],
        glow,
    )
    return b.build(), np.array([0.0, -out, height - 0.05])


def _lantern(b: MeshBuilder, height: float) -> tuple[Mesh, np.ndarray]:
    """A six-sided lantern on a post with a base."""
    iron = b.surface(Material.METAL, DARK, height=height)
    glow = b.surface(Material.LIGHT, (0.95, 0.80, 0.50))
    b.tube((0, 0, -ROOT), (0, 0, 0.8), 0.12, iron, 6, 0.09, "end")
    b.tube((0, 0, 0.8), (0, 0, height - 0.5), 0.055, iron, 5, 0.045)
    b.tube((0, 0, height - 0.5), (0, 0, height), 0.12, glow, 6, 0.20, "start")
    b.tube((0, 0, height), (0, 0, height + 0.28), 0.27, iron, 6, 0.0, "start")
    return b.build(), np.array([0.0, 0.0, height - 0.2])


def sign_mesh(style: int, seed: int) -> Mesh:
    """A traffic sign on a post, facing -y. style: 0-7, as SIGN's; shape and size vary with the seed."""
    b = MeshBuilder()
    steel, back = b.surface(Material.METAL, STEEL), b.surface(Material.METAL, (0.38, 0.39, 0.40))
    b.tube((0, 0.05, -ROOT), (0, 0.05, 2.75), 0.035, steel, 5, lids="end")
    count = 2 if seed % 4 == 0 else 1
    for i in range(count):
        z = 2.38 - 0.72 * i
        shape = (seed >> (4 + i)) % 4
        face = b.surface(
            Material.SIGN,
            *_SIGN_COLOURS[(seed >> 2) % 3],
            style=style,
            seed=seed + i,
            width=0.62,
            height=0.62,
            bay=shape,
        )
        corners = _sign_outline(shape)
        b.polygon(
            [(0.31 * x, 0.0, z + 0.31 * y) for x, y in corners], face, [((x + 1) / 2, (y + 1) / 2) for x, y in corners]
        )
        b.polygon([(0.31 * x, 0.012, z + 0.31 * y) for x, y in corners[::-1]], back)
    return b.build()


_SIGN_COLOURS = (
    ((0.80, 0.80, 0.78), (0.55, 0.03, 0.03)),
    ((0.03, 0.12, 0.42), (0.80, 0.80, 0.78)),
    ((0.75, 0.50, 0.03), (0.05, 0.05, 0.05)),
)


def _sign_outline(shape: int) -> list[tuple[float, float]]:
    """Corners (x, z) in -1..1, counter-clockwise seen from -y: circle, triangle, diamond or board."""
    if shape == 0:
        return [(cos(2 * pi * i / 10), sin(2 * pi * i / 10)) for i in range(10)]
    if shape == 1:
        return [(-1.0, -0.8), (1.0, -0.8), (0.0, 0.95)]
    if shape == 2:
        return [(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]
    return [(-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95)]


def street_name_mesh(seed: int) -> Mesh:
    """Two name plates at a right angle on a post at a corner."""
    b = MeshBuilder()
    plate = b.surface(Material.METAL, ((0.02, 0.07, 0.25), (0.75, 0.75, 0.72), (0.02, 0.18, 0.08))[seed % 3], seed=seed)
    b.tube((0, 0, -ROOT), (0, 0, 2.8), 0.035, b.surface(Material.METAL, STEEL), 5, lids="end")
    b.box((0.05, -0.015, 2.45), (0.95, 0.015, 2.65), plate, without="")
    b.box((-0.015, 0.05, 2.2), (0.015, 0.95, 2.4), plate, without="")
    return b.build()


def traffic_light_mesh() -> Mesh:
    """A traffic light facing -y, green lit, with a backboard."""
    b = MeshBuilder()
    steel, black = b.surface(Material.METAL, STEEL), b.surface(Material.METAL, (0.02, 0.022, 0.022))
    b.tube((0, 0.12, -ROOT), (0, 0.12, 3.3), 0.055, steel, 6, lids="end")
    b.box((-0.17, -0.15, 2.3), (0.17, 0.06, 3.25), black, without="")
    for z, colour in ((3.08, (0.12, 0.01, 0.01)), (2.78, (0.12, 0.07, 0.01)), (2.48, (0.05, 0.60, 0.25))):
        is_lit = colour[1] > 0.5
        b.disc((0, -0.16, z), (0, -1, 0), 0.10, b.surface(Material.LIGHT if is_lit else Material.GLASS, colour), 8)
    b.box((-0.09, -0.02, 0.95), (0.09, 0.07, 1.2), b.surface(Material.METAL, (0.60, 0.45, 0.03)), without="")
    return b.build()
