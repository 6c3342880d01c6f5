"""Made-up scenes, and short bags of them."""

from pathlib import Path

import numpy as np

from vxp_ros.core.datatypes import Camera, Frame, Image
from vxp_ros.core.geometry import make_transform, pose_from_vector

STEP_M = 4.0


def scene(number: int, points: int = 4000) -> Frame:
    """Coloured blocks and a few walls of points, unlike those of any other number; `STEP_M` metres further along x."""
    random = np.random.default_rng(number)
    pixels = np.kron(random.integers(0, 255, (6, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    centers = random.uniform([-20, -20, -1], [20, 20, 3], (12, 3))
    cloud = centers[random.integers(0, 12, points)] + random.normal(0, [2.0, 0.3, 1.0], (points, 3))
    cloud = np.column_stack([cloud, random.uniform(0, 1, points)]).astype(np.float32)
    K = np.array([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]])
    camera = Camera(128, 96, K, T_base_camera=pose_from_vector([0, 0, 0, -0.5, 0.5, -0.5, 0.5]))
    T_odom_base = make_transform(np.eye(3), np.array([STEP_M * number, 0.0, 0.0]))
    stamp_ns = 1_700_000_000_000_000_000 + number * 200_000_000
    return Frame(stamp_ns, {"camera": Image(pixels, camera)}, cloud, None, np.eye(4), T_odom_base)


def write(path: Path, frames: list[Frame], storage: str = "mcap") -> str:
    """A bag of these frames, as the commands' SOURCE."""
    from vxp_ros.sources.bag_writer import BagWriter

    with BagWriter(path, storage=storage) as bag:
        for frame in frames:
            bag.write_frame(frame)
    return f"bag:{path}"
