"""What the painter of the ground needs besides the ground's picture: distances from the kerb, and coarser pictures."""

from typing import NamedTuple

import cv2
import numpy as np

from ..scene import Ground, GroundClass
from .ground import SOIL

ROADWAY = (GroundClass.ASPHALT, GroundClass.COBBLES, GroundClass.LINE, GroundClass.PATCH, GroundClass.MANHOLE)
CENTIMETRES = 100
LEVELS = 6  # coarser pictures: cells of 2, 4, ... 64 times the width


class GroundMaps(NamedTuple):
    """classes: [R, C] uint8. kerb: [R, C] uint16, centimetres to the nearest edge of the roadway, 0 beside it. far:
    [P, 3] uint8, the coarser pictures row after row: square root of the albedo times 255. levels: [LEVELS, 3] int64,
    first row in `far`, rows, columns. frame: [3] float64 x0, y0, cell."""

    classes: np.ndarray
    kerb: np.ndarray
    far: np.ndarray
    levels: np.ndarray
    frame: np.ndarray


def make_ground_maps(ground: Ground) -> GroundMaps:
    """The maps of a ground's picture."""
    classes = np.ascontiguousarray(ground.classes, dtype=np.uint8)
    is_road = np.isin(classes, ROADWAY).astype(np.uint8)
    kerb = cv2.distanceTransform(is_road, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) * ground.cell
    kerb = np.minimum(kerb * CENTIMETRES, 65535).astype(np.uint16)
    picture = SOIL.astype(np.float32)[classes]
    pictures, levels, start = [], [], 0
    for _ in range(LEVELS):
        picture = cv2.resize(
            picture, ((picture.shape[1] + 1) // 2, (picture.shape[0] + 1) // 2), interpolation=cv2.INTER_AREA
        )
        pictures.append(np.round(np.sqrt(picture) * 255).astype(np.uint8).reshape(-1, 3))
        levels.append((start, *picture.shape[:2]))
        start += len(pictures[-1])
    frame = np.array([ground.x0, ground.y0, ground.cell], np.float64)
    return GroundMaps(classes, kerb, np.concatenate(pictures), np.array(levels, np.int64), frame)
