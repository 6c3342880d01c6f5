"""Meshes of things by kind and arguments, each made once; and the heads of the lamps."""

from functools import cached_property

import numpy as np

from ..draws import Purpose, draw
from ..scene import Mesh
from ..style import Style
from ..things import furniture, plants, vehicles

CARS = 90  # different ones that a town's people own
BUSES = 4


class Library:
    """Everything that a town of this seed and style is furnished with."""

    def __init__(self, seed: int, style: Style) -> None:
        self._seed, self._style = seed, style
        self._meshes: dict[tuple, Mesh] = {}
        lamp, self.lamp_head = furniture.lamp_mesh(style=seed % 3)
        self._meshes["lamp", ()] = lamp

    def thing(self, kind: str, arguments: tuple) -> Mesh:
        """The mesh of a `things.Thing` in its local frame."""
        key = (kind, arguments)
        if key not in self._meshes:
            self._meshes[key] = self._make(kind, *arguments)
        return self._meshes[key]

    def _make(self, kind: str, *arguments) -> Mesh:
        if kind == "tree":
            tree, variant, height = arguments
            number = plants.TREE_KINDS.index(tree)
            return plants.tree_mesh(tree, draw(self._seed, Purpose.TREES, number, variant, int(height)), height)
        if kind == "bush":
            return plants.bush_mesh(draw(self._seed, Purpose.TREES, 99, *arguments))
        if kind == "hedge":
            length, height, number = arguments
            return plants.hedge_mesh(length, height, seed=number)
        if kind == "wall":
            length, height, number = arguments
            return furniture.wall_mesh(length, height, seed=number)
        if kind == "fence":
            length, look, height, number = arguments
            return furniture.fence_mesh(length, look, height, number)
        if kind == "sign":
            return furniture.sign_mesh(self._style.signs[arguments[0] % len(self._style.signs)], arguments[0])
        return getattr(furniture, f"{kind}_mesh")(*arguments)

    @cached_property
    def cars(self) -> list[vehicles.Car]:
        """The cars of the town, trucks included."""
        return [vehicles.draw_car(self._style, draw(self._seed, Purpose.CAR, i)) for i in range(CARS)]

    @cached_property
    def buses(self) -> list[vehicles.Car]:
        """Town buses, which never park."""
        palette = self._style.cloth_colours
        return [vehicles.Car("bus", palette[i % len(palette)], (0.75, 0.75, 0.72), 7 * i + 1) for i in range(BUSES)]

    def car(self, car: vehicles.Car, is_lit: bool) -> Mesh:
        """The mesh of a car."""
        key = ("car", car, is_lit)
        if key not in self._meshes:
            self._meshes[key] = vehicles.car_mesh(car, is_lit)
        return self._meshes[key]

    def person(self, number: int, phase: int) -> Mesh:
        """One of the town's people in one of eight phases of a stride."""
        key = ("person", number, phase)
        if key not in self._meshes:
            self._meshes[key] = vehicles.person_mesh(draw(self._seed, Purpose.PERSON, number), phase / 8)
        return self._meshes[key]


def pose_on(ground: float, foot: np.ndarray, yaw: float) -> np.ndarray:
    """[4, 4] T_world_thing, upright."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0, foot[0]], [s, c, 0, foot[1]], [0, 0, 1, ground], [0, 0, 0, 1]], dtype=np.float64)
