"""LiDAR points as the camera would see them: a small picture of depth, height and intensity, nearest point per cell.

The idea of ModaLink and RangeBEV (IROS 2024, IV 2025): both sensors meet as images of one view, so that cells of the
two feature maps show the same piece of the world.
"""

import numpy as np

CHANNELS = 4  # mask, depth, height, intensity
NEAREST_M, FARTHEST_M = 1.0, 100.0
DEPTH_UNIT_M = 10.0  # depth d becomes log(d / unit): one step is a factor, near as far
HEIGHT_UNIT_M = 3.0
BRIGHT_SHARE = 0.9  # this quantile of a scan's intensities counts as 1: scanners have no common scale


def view_image(points: np.ndarray, intrinsics: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """Project points into the camera's image and keep the nearest of each cell, as a camera does.

    points: [N, 4] x y z intensity in the view frame (at the camera, x forward, y left, z up, metres). intrinsics: [4]
    as `projection.normalised_intrinsics`. cells: rows and columns. Returns [4, rows, columns] float32: whether a point
    fell into the cell, log depth, height over the camera, intensity; all zero where none fell. The order of the points
    does not matter.
    """
    rows, columns = cells
    fx, fy, cx, cy = intrinsics
    points = points[(points[:, 0] > NEAREST_M) & (points[:, 0] < FARTHEST_M)]
    x, y, z = points[:, :3].T
    u, v = columns * (cx - fx * y / x), rows * (cy - fy * z / x)
    is_seen = (u >= 0) & (u < columns) & (v >= 0) & (v < rows)
    points = points[is_seen]
    cell = v[is_seen].astype(np.int64) * columns + u[is_seen].astype(np.int64)
    order = np.lexsort((points[:, 3], points[:, 2], points[:, 1], -points[:, 0]))  # the nearest come last and stay
    image = np.zeros((rows * columns, CHANNELS), np.float32)
    image[cell[order]] = _values(points)[order]
    return image.T.reshape(CHANNELS, rows, columns)


def _values(points: np.ndarray) -> np.ndarray:
    x, _, z, intensity = points.T
    bright = np.quantile(intensity, BRIGHT_SHARE) if len(intensity) else 1.0
    shade = np.clip(intensity / max(bright, 1e-6), 0.0, 1.0)
    return np.stack([np.ones_like(x), np.log(x / DEPTH_UNIT_M), z / HEIGHT_UNIT_M, shade], axis=1)
