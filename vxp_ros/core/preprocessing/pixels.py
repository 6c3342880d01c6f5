"""LiDAR points in a camera's image: which pixel sees which point, depth maps, colours from pictures.

Pixels are those of OpenCV: the centre of the first one is (0, 0). A point counts as seen when it is more than a metre
in front of the camera and more than a pixel inside the image, as in the nuScenes devkit. What hides a point is not
known.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from ..datatypes import Camera, Image
from ..geometry import invert, transform_points

NEAREST_M = 1.0
BORDER = 1.0  # pixels
STEEPEST = 1.5  # radians off the axis up to which a lens is asked where it bends back


@dataclass(frozen=True)
class Sighting:
    """The points that a camera sees.

    row: [M] int64, which point, rising. u, v: [M] float64, column and row in pixels. depth: [M] float64, metres along
    the optical axis.
    """

    row: np.ndarray
    u: np.ndarray
    v: np.ndarray
    depth: np.ndarray


def is_calibrated(camera: Camera | None) -> bool:
    return camera is not None and camera.T_base_camera is not None


def sight(points: np.ndarray, camera: Camera, T_base_lidar: np.ndarray) -> Sighting:
    """Where the points are in the camera's image, lens distortion included. points: [N, 3 or more] in the LiDAR frame.

    The camera needs its `T_base_camera`; a camera that fired at another moment has that motion in it
    (`geometry.seen_from_now`).
    """
    T_camera_lidar = invert(camera.T_base_camera) @ T_base_lidar
    ahead = transform_points(T_camera_lidar, points[:, :3].astype(np.float64))
    row = np.flatnonzero(ahead[:, 2] > NEAREST_M)
    ahead = ahead[row]
    u, v, is_clear = through_lens(ahead, camera)
    is_inside = (u > BORDER) & (u < camera.width - BORDER) & (v > BORDER) & (v < camera.height - BORDER) & is_clear
    return Sighting(row[is_inside], u[is_inside], v[is_inside], ahead[is_inside, 2])


def through_lens(ahead: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (u [N], v [N]) of points [N, 3] in front of the camera, optical frame.

    The third array [N] bool is False for rays so far off the axis that the lens model, which is no model there, bends
    them back into the image.
    """
    K = np.asarray(camera.K, dtype=np.float64)
    rays = ahead[:, :2] / ahead[:, 2:]
    if not np.any(camera.distortion):
        u, v = (rays @ K[:2, :2].T + K[:2, 2]).T
        return u, v, np.ones(len(rays), bool)
    slopes = np.tan(np.linspace(0.0, STEEPEST, 300))
    edge = _distort(np.stack([slopes, np.zeros_like(slopes)], axis=1), K, camera)[:, 0]
    bends_back = np.flatnonzero(np.diff(edge) <= 0)
    limit = slopes[bends_back[0]] if len(bends_back) else np.inf
    u, v = _distort(rays, K, camera).T
    return u, v, np.linalg.norm(rays, axis=1) < limit


def _distort(rays: np.ndarray, K: np.ndarray, camera: Camera) -> np.ndarray:
    """Pixels [N, 2] of rays [N, 2] (x / z, y / z)."""
    if len(rays) == 0:
        return np.zeros((0, 2))
    if camera.distortion_model == "equidistant":
        flat = cv2.fisheye.distortPoints(rays[:, None], np.eye(3), camera.distortion)[:, 0]
        return flat @ K[:2, :2].T + K[:2, 2]
    homogeneous = np.column_stack([rays, np.ones(len(rays))])
    return cv2.projectPoints(homogeneous, np.zeros(3), np.zeros(3), K, camera.distortion)[0][:, 0]


def depth_map(
    points: np.ndarray, camera: Camera, T_base_lidar: np.ndarray, size: tuple[int, int], farthest: float
) -> np.ndarray:
    """[rows, columns] float32: depth in metres of the nearest point that falls into each cell of a resized image.

    size: rows and columns. 0 where no point nearer than `farthest` metres falls.
    """
    rows, columns = size
    seen = sight(points, camera, T_base_lidar)
    u, v = np.floor(seen.u * columns / camera.width), np.floor(seen.v * rows / camera.height)
    cell = (v * columns + u).astype(np.int64)
    order = np.argsort(-seen.depth)  # the nearest is written last
    order = order[seen.depth[order] < farthest]
    depth = np.zeros(rows * columns, np.float32)
    depth[cell[order]] = seen.depth[order]
    return depth.reshape(rows, columns)


def colour_points(
    points: np.ndarray, pictures: Iterable[Image], T_base_lidar: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The colour that the cameras see at each point: RGB [N, 3] float32 in [0, 1], and whether any sees it [N] bool.

    points: [N, 3 or more] in the LiDAR frame. pictures: images of calibrated cameras. Colours are interpolated
    between pixels; of several cameras the one counts whose principal point is nearer in the horizontal, as a share of
    the image's width. Points that no camera sees are black.
    """
    colours = np.zeros((len(points), 3), np.float32)
    nearest = np.full(len(points), np.inf)
    for picture in pictures:
        camera = picture.camera
        seen = sight(points, camera, T_base_lidar)
        aside = np.abs(seen.u - camera.K[0, 2]) / camera.width
        is_better = aside < nearest[seen.row]
        row = seen.row[is_better]
        nearest[row] = aside[is_better]
        across, down = picture.pixels.shape[1] / camera.width, picture.pixels.shape[0] / camera.height  # 1 as a rule
        colours[row] = between_pixels(picture.pixels, across * seen.u[is_better], down * seen.v[is_better]) / 255
    return colours, np.isfinite(nearest)


def between_pixels(pixels: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Bilinear values [M, channels] float64 of an image [H, W, channels] at places [M] between its pixels' centres."""
    left = np.minimum(u.astype(np.int64), pixels.shape[1] - 2)
    top = np.minimum(v.astype(np.int64), pixels.shape[0] - 2)
    x, y = (u - left)[:, None], (v - top)[:, None]
    upper = pixels[top, left] * (1 - x) + pixels[top, left + 1] * x
    lower = pixels[top + 1, left] * (1 - x) + pixels[top + 1, left + 1] * x
    return upper * (1 - y) + lower * y
