"""Small towns and plane geometry for the tests of town's world."""

from functools import cache

import numpy as np

from vxp_training.datasets.town.days import make_day
from vxp_training.datasets.town.scene import GroundClass
from vxp_training.datasets.town.world import World

ROAD = (GroundClass.ASPHALT, GroundClass.LINE, GroundClass.COBBLES, GroundClass.PATCH, GroundClass.MANHOLE)


@cache
def make_world(seed: int = 7, style: str = "train", size: tuple[int, int] = (3, 3), is_hardened: bool = True) -> World:
    return World(seed, style, size, is_hardened)


@cache
def make_scene(day: str, seed: int = 7):
    return make_world(seed).scene(make_day(day, seed))


def ground_at(world: World, points: np.ndarray) -> np.ndarray:
    """GroundClass of each point [N, 2]."""
    ground = world.ground
    column = np.round((points[:, 0] - ground.x0) / ground.cell).astype(int)
    row = np.round((points[:, 1] - ground.y0) / ground.cell).astype(int)
    return ground.classes[row, column]


def footprint(T: np.ndarray, length: float, width: float, count: int = 7) -> np.ndarray:
    """Points [N, 2] all around the edge of a rectangle centred on the pose."""
    s = np.linspace(-0.5, 0.5, count)
    edge = np.concatenate([
        np.column_stack([s, np.full(count, 0.5)]), np.column_stack([s, np.full(count, -0.5)]),
        np.column_stack([np.full(count, 0.5), s]), np.column_stack([np.full(count, -0.5), s]),
    ])  # fmt: skip
    return edge * (length, width) @ T[:2, :2].T + T[:2, 3]


def is_within(points: np.ndarray, T: np.ndarray, length: float, width: float) -> np.ndarray:
    """Which points [N, 2] lie in the rectangle centred on the pose."""
    local = (points - T[:2, 3]) @ T[:2, :2]
    return (np.abs(local) < (length / 2, width / 2)).all(1)


def vertices_of(mesh, first: int, last: int) -> np.ndarray:
    """[F, 3, 3] corners of the faces whose object number is in [first, last)."""
    objects = mesh.surfaces["object"][mesh.surface]
    return mesh.vertices[mesh.faces[(objects >= first) & (objects < last)]]
