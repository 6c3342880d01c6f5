"""Maps of two drives through one made-up town, in frames of their own."""

import numpy as np
from scan_samples import block, pose, scan

from vxp_ros.core.datatypes import Place
from vxp_ros.core.geometry import invert, make_transform, rotation_z
from vxp_ros.core.place_map import PlaceMap

MODELS = {"lidar": "test"}
T_A_B = make_transform(rotation_z(2.1), np.array([120.0, -35.0, 4.0]))  # of the second map in the first
FIRST = [(-6, -5, 0.3), (-1, 1, 0.4), (5, 3, 1.2), (6, -3, 2.9), (1, -6, -2.0)]
SECOND = [(4, 5, -2.5), (6, -2, -1.6), (2, -5, 3.0), (-3, -3, 2.0), (-5, 4, 0.1)]


def drive(town: int, way: list, T_map_town: np.ndarray, clouds: bool = True) -> PlaceMap:
    """A map of the town of this seed; its descriptors tell where in the town the places are."""
    place_map, scene = PlaceMap(MODELS), block(town)
    for number, (x, y, yaw) in enumerate(way):
        T = pose(x, y, yaw)
        cloud = scan(scene, T, 100 * len(way) + number) if clouds else None
        descriptors = {"lidar": np.array([x, y, 1.0], np.float32)}
        place_map.add(Place(number, T_map_town @ T, descriptors, cloud=cloud))
    return place_map


def first_map() -> PlaceMap:
    return drive(0, FIRST, np.eye(4))


def second_map(town: int = 0, clouds: bool = True) -> PlaceMap:
    return drive(town, SECOND, invert(T_A_B), clouds)
