"""A yard made by hand: flat ground, one wall ahead, things to put up in it. Its distances can be read off."""

import numpy as np

from vxp_ros.core.geometry import make_transform
from vxp_training.datasets.town.days import make_day
from vxp_training.datasets.town.scene import SURFACE, Ground, GroundClass, Material, Mesh, Scene, merge

WALL_X = 20.0


def quad(material: Material, corners, grey: float = 0.5) -> Mesh:
    """Two triangles. corners: [4, 3], counter-clockwise seen from outside."""
    surfaces = np.zeros(1, SURFACE)
    surfaces["material"] = material
    for name in ("red", "green", "blue", "red2", "green2", "blue2"):
        surfaces[name] = grey
    surfaces["width"], surfaces["height"], surfaces["bay"], surfaces["storey"] = 10, 6, 2.5, 3
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return Mesh(np.array(corners, np.float32), faces, uv[faces], np.zeros(2, np.int32), surfaces)


def ground(half: float = 150.0) -> Mesh:
    return quad(Material.GROUND, [[-half, -half, 0], [half, -half, 0], [half, half, 0], [-half, half, 0]])


def wall(x: float = WALL_X, material: Material = Material.CONCRETE, half: float = 6.0, grey: float = 0.5) -> Mesh:
    """Across the x axis, 6 m high, facing -x."""
    return quad(material, [[x, half, 0], [x, -half, 0], [x, -half, 6], [x, half, 6]], grey)


def yard(*meshes: Mesh, day=None) -> Scene:
    picture = Ground(np.full((301, 301), GroundClass.ASPHALT, np.uint8), -150.0, -150.0, 1.0)
    return Scene(merge([ground(), *meshes]), picture, day or make_day("sunny", 0))


def standing(columns: int) -> np.ndarray:
    """[columns, 4, 4] poses of a car that stands at the origin."""
    return np.tile(np.eye(4), (columns, 1, 1))


def driving(lidar, metres_per_s: float) -> np.ndarray:
    """[columns, 4, 4] poses of a car that passes the origin at the stamp."""
    return np.array([make_transform(np.eye(3), np.array([metres_per_s * t, 0, 0])) for t in lidar.column_times()])
