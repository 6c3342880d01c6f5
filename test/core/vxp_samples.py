"""Small inputs for the tests of the networks: made-up streets, frames with a camera, the shipped small recipe."""

import os
from pathlib import Path

import numpy as np
import pytest

from vxp_ros.core.datatypes import Camera, Frame, Image
from vxp_ros.core.geometry import invert, make_transform
from vxp_ros.core.model_store import find_recipe
from vxp_ros.core.models.recipe import Recipe, read_recipe

VIEW = np.array([0.58141637, 1.9189833, 0.491184, 0.4597181])  # a KITTI camera
# An optical frame (x right, y down, z forward) at the base's origin, looking along the base's x.
T_BASE_OPTICAL = make_transform(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.zeros(3))


def lite() -> Recipe:
    return read_recipe(find_recipe("vxp_lite"))


def street(seed: int = 0, count: int = 3000) -> np.ndarray:
    """[count, 4] float32 x y z intensity: ground, two walls and clutter; x forward, y left, z up."""
    random = np.random.default_rng(seed)
    third = count // 3
    ground = [random.uniform(1, 43, third), random.uniform(-8, 8, third), random.normal(-1.6, 0.02, third)]
    walls = [random.uniform(2, 43, third), random.choice([-8.0, 8.0], third), random.uniform(-1.6, 5, third)]
    clutter = [random.uniform(1, 43, third), random.uniform(-20, 20, third), random.uniform(-2, 5, third)]
    points = np.concatenate([np.column_stack(part) for part in (ground, walls, clutter)])
    return np.column_stack([points, random.uniform(0, 1, len(points))]).astype(np.float32)


def camera(T_base_camera: np.ndarray | None = T_BASE_OPTICAL, **changes) -> Camera:
    K = np.array([[720.0, 0, 610], [0, 720, 170], [0, 0, 1]])
    return Camera(**{"width": 1240, "height": 376, "K": K, "T_base_camera": T_base_camera} | changes)


def picture(seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 40, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((31, 31, 1), np.uint8))[:376, :1240]


def frame(seed: int = 0, **changes) -> Frame:
    images = {"camera": Image(picture(seed), camera())}
    return Frame(**{"stamp_ns": 0, "images": images, "points": street(seed), "T_base_lidar": np.eye(4)} | changes)


def kitti_frame(sequence: str = "00", number: int = 0) -> Frame:
    """A real frame; base = LiDAR. Skips the test where there is no data."""
    if "VXP_DATA" not in os.environ:
        pytest.skip("VXP_DATA is not set: it names the folder with real KITTI data")
    import cv2

    folder = Path(os.environ["VXP_DATA"], "kitti", "sequences", sequence)
    rows = dict(line.split(":", 1) for line in (folder / "calib.txt").read_text().splitlines() if ":" in line)
    P, Tr = (np.array(rows[key].split(), dtype=float).reshape(3, 4) for key in ("P2", "Tr"))
    K = P[:, :3]
    T_camera_lidar = make_transform(np.eye(3), np.linalg.solve(K, P[:, 3])) @ np.vstack([Tr, [0, 0, 0, 1]])
    pixels = cv2.imread(str(folder / "image_2" / f"{number:06d}.png"))[:, :, ::-1]
    calibration = Camera(pixels.shape[1], pixels.shape[0], K, T_base_camera=invert(T_camera_lidar))
    points = np.fromfile(folder / "velodyne" / f"{number:06d}.bin", np.float32).reshape(-1, 4)
    return Frame(0, {"camera": Image(pixels, calibration)}, points, T_base_lidar=np.eye(4))
