"""Cars, vans, trucks and buses. Local frame: origin on the road below the centre, x forward, y left, z up.

A body is a few stations from nose to tail: below the crease the sides with wheel arches, above it the shoulders up to
bonnet, boot or roof; a car has a cabin of glass and pillars on top. People and bicycles are in `people`.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..scene import Material, Mesh
from ..style import Style
from .car_bodies import add_body, add_cabin
from .car_details import add_cargo, add_lamps, add_panes, add_wheels
from .car_shapes import SHAPES
from .people import bicycle_mesh, cyclist_mesh, person_mesh
from .shapes import Colour, MeshBuilder

__all__ = ["CAR_KINDS", "Car", "bicycle_mesh", "car_mesh", "cyclist_mesh", "draw_car", "person_mesh"]

CAR_KINDS: tuple[str, ...] = tuple(SHAPES)


@dataclass(frozen=True)
class Car:
    """kind: one of CAR_KINDS. paint: of the body. second: of a truck's box or a bus's band."""

    kind: str
    paint: Colour
    second: Colour
    seed: int = 0

    @property
    def size(self) -> tuple[float, float, float]:
        """Length, width, height in metres."""
        shape = SHAPES[self.kind]
        return shape.length, shape.width, shape.height


def draw_car(style: Style, rng: np.random.Generator, kind: str | None = None) -> Car:
    """A car as this style set parks and drives them, or of the kind given. The rest of the draw is the same."""
    kinds, shares = zip(*style.car_mix, strict=True)
    drawn = str(rng.choice(kinds, p=np.array(shares) / sum(shares)))
    paint = style.car_colours[int(rng.integers(len(style.car_colours)))]
    second = style.cloth_colours[int(rng.integers(len(style.cloth_colours)))]
    variant = {"sedan": ("sedan", "sedan", "estate"), "hatchback": ("hatchback", "hatchback", "suv")}
    drawn = variant.get(drawn, (drawn,) * 3)[int(rng.integers(3))]
    return Car(kind or drawn, paint, second, int(rng.integers(2**31)))


def car_mesh(car: Car, is_lit: bool = False) -> Mesh:
    """The vehicle, at most 200 triangles (300 for truck and bus). is_lit: its lamps shine (Material.LIGHT)."""
    mesh = _shape_mesh(car.kind, is_lit)
    surfaces = mesh.surfaces.copy()
    for number, colour in ((_PAINT, car.paint), (_SECOND, car.second)):
        surfaces[number]["red"], surfaces[number]["green"], surfaces[number]["blue"] = colour
    surfaces["seed"] = car.seed % 2**32
    return Mesh(mesh.vertices, mesh.faces, mesh.uv, mesh.surface, surfaces)


_PAINT, _SECOND = 0, 1  # rows that take a car's colours


@lru_cache(maxsize=32)
def _shape_mesh(kind: str, is_lit: bool) -> Mesh:
    """The kind in grey: all cars of a kind share it."""
    shape = SHAPES[kind]
    b = MeshBuilder()
    paint = b.surface(Material.CAR_BODY, (0.5, 0.5, 0.5), height=shape.height)
    second = b.surface(Material.CAR_BODY, (0.5, 0.5, 0.5), height=shape.height)
    glass = b.surface(Material.CAR_GLASS, (0.03, 0.035, 0.04))
    black = b.surface(Material.TYRE, (0.018, 0.018, 0.019))
    add_body(b, shape, paint, black)
    if shape.cabin:
        add_cabin(b, shape, paint, glass)
    add_panes(b, shape, glass, second)
    add_cargo(b, shape, second, black)
    add_wheels(b, shape, black)
    add_lamps(b, shape, is_lit, black)
    return b.build()
