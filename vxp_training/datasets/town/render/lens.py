"""Lens distortion: from pixels to rays and back, and the wider pinhole image from which a distorted one is cut.

The models and the order of their coefficients are those of ROS (`sensor_msgs/CameraInfo`) and OpenCV: plumb_bob k1 k2
p1 p2 k3, rational_polynomial k1 k2 p1 p2 k3 k4 k5 k6, equidistant k1 k2 k3 k4. Pixel centres lie at whole numbers.
"""

from dataclasses import dataclass

import numpy as np

from vxp_ros.core.datatypes import Camera

WIDEST = 1.45  # radians off the axis; a pinhole image cannot hold more
LARGEST = 2.2  # the pinhole image is at most so many times as wide or high as the camera's


@dataclass(frozen=True)
class Lens:
    """view: [6] float64 fx, fy, cx, cy, width, height of the pinhole image to draw. map_x, map_y: [H, W] float32, where
    in it each pixel of the camera lies (-1 outside the lens's field); None without distortion."""

    view: np.ndarray
    map_x: np.ndarray | None = None
    map_y: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pinhole image."""
        return int(self.view[4]), int(self.view[5])


def has_distortion(camera: Camera) -> bool:
    return (
        camera.distortion_model != "" and bool(np.any(camera.distortion))
    ) or camera.distortion_model == "equidistant"


def make_lens(camera: Camera) -> Lens:
    """The pinhole image that covers a camera's whole field, and the way back."""
    K = np.asarray(camera.K, np.float64)
    if not has_distortion(camera):
        return Lens(np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2], camera.width, camera.height]))
    columns, rows = np.meshgrid(np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64))
    rays = rays_of(camera, np.stack([columns.ravel(), rows.ravel()], axis=1))
    low, high = np.nanmin(rays, axis=0), np.nanmax(rays, axis=0)
    focal = np.array([K[0, 0], K[1, 1]])
    full = (high - low) * focal + 3.0
    focal *= min(1.0, float((LARGEST * np.array([camera.width, camera.height]) / full).min()))
    size = np.ceil((high - low) * focal + 3.0)
    centre = 1.0 - low * focal
    place = np.where(np.isnan(rays), -1e4, rays * focal + centre).astype(np.float32)
    place = place.reshape(camera.height, camera.width, 2)
    view = np.array([*focal, *centre, *size])
    return Lens(view, np.ascontiguousarray(place[..., 0]), np.ascontiguousarray(place[..., 1]))


def rays_of(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """Rays (x, y, 1) in the optical frame through pixels [N, 2]. Returns x, y [N, 2] float64, exact to 1e-9, NaN where
    no ray of less than WIDEST reaches the pixel. Raises ValueError for an unknown distortion model."""
    K = np.asarray(camera.K, np.float64)
    bent = (np.asarray(pixels, np.float64) - [K[0, 2], K[1, 2]]) / [K[0, 0], K[1, 1]]
    bent[:, 0] -= K[0, 1] / K[0, 0] * bent[:, 1]
    if not has_distortion(camera):
        return bent
    radius = np.linalg.norm(bent, axis=1)
    straight = bent.copy()
    if camera.distortion_model == "equidistant":  # the fixed point of Newton starts on the ideal fisheye
        angle = np.minimum(radius, WIDEST)
        straight *= (np.tan(angle) / np.maximum(radius, 1e-12))[:, None]
    for _ in range(25):
        error = distort(camera, straight) - bent
        if np.abs(error).max(initial=0.0) < 1e-13:
            break
        straight -= np.clip(_solve(_slopes(camera, straight), error), -0.5, 0.5)
        length = np.linalg.norm(straight, axis=1)
        straight *= (np.minimum(length, np.tan(WIDEST)) / np.maximum(length, 1e-12))[:, None]
    is_lost = np.abs(distort(camera, straight) - bent).max(axis=1) > 1e-9
    straight[is_lost | (np.linalg.det(_slopes(camera, straight)) <= 0)] = np.nan
    return straight


def distort(camera: Camera, rays: np.ndarray) -> np.ndarray:
    """Where a lens bends rays x, y [N, 2] to, before K. Raises ValueError for an unknown distortion model."""
    d = np.zeros(8)
    coefficients = np.asarray(camera.distortion, np.float64)[:8]
    d[: len(coefficients)] = coefficients
    x, y = rays[:, 0], rays[:, 1]
    if camera.distortion_model == "equidistant":
        radius = np.hypot(x, y)
        angle = np.arctan(radius)
        square = angle**2
        bent = angle * (1 + square * (d[0] + square * (d[1] + square * (d[2] + square * d[3]))))
        return rays * np.where(radius > 1e-9, bent / np.maximum(radius, 1e-12), 1.0)[:, None]
    if camera.distortion_model not in ("plumb_bob", "rational_polynomial"):
        raise ValueError(
            f"unknown distortion model {camera.distortion_model!r}, "
            "expected plumb_bob, rational_polynomial or equidistant"
        )
    square = x * x + y * y
    radial = 1 + square * (d[0] + square * (d[1] + square * d[4]))
    radial /= 1 + square * (d[5] + square * (d[6] + square * d[7]))
    bent_x = x * radial + 2 * d[2] * x * y + d[3] * (square + 2 * x * x)
    bent_y = y * radial + d[2] * (square + 2 * y * y) + 2 * d[3] * x * y
    return np.stack([bent_x, bent_y], axis=1)


def _slopes(camera: Camera, rays: np.ndarray) -> np.ndarray:
    """Derivative of `distort` [N, 2, 2], by central differences."""
    h = 1e-6
    columns = [
        (distort(camera, rays + step) - distort(camera, rays - step)) / (2 * h)
        for step in (np.array([h, 0.0]), np.array([0.0, h]))
    ]
    return np.stack(columns, axis=2)


def _solve(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Solutions of N systems of two equations; a step of the size of the error where one has none."""
    (a, b), (c, d) = matrices[:, 0].T, matrices[:, 1].T
    determinant = a * d - b * c
    safe = np.where(np.abs(determinant) > 1e-6, determinant, 1.0)
    first = (d * vectors[:, 0] - b * vectors[:, 1]) / safe
    second = (a * vectors[:, 1] - c * vectors[:, 0]) / safe
    return np.stack([first, second], axis=1)
