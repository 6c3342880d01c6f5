"""Shared by the tests of sources: the real data, small bags made from it, and a tiny KITTI folder made by hand."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from vxp_ros.sources.bag_writer import write_kitti_bag


@pytest.fixture(scope="session")
def real_data() -> Path:
    if "VXP_DATA" not in os.environ:
        pytest.skip("VXP_DATA is not set: it names the folder with the real KITTI and nuScenes data")
    return Path(os.environ["VXP_DATA"])


@pytest.fixture(scope="session")
def tiny_kitti(tmp_path_factory) -> Path:
    """Two sequences of six frames: 32 x 24 pixel images, 1200 points, a straight drive at 1 m per frame."""
    root = tmp_path_factory.mktemp("kitti")
    rng = np.random.default_rng(0)
    for sequence in ("00", "01"):
        folder = root / "sequences" / sequence
        (folder / "image_2").mkdir(parents=True)
        (folder / "velodyne").mkdir()
        for number in range(6):
            cv2.imwrite(str(folder / f"image_2/{number:06d}.png"), rng.integers(0, 255, (24, 32, 3), dtype=np.uint8))
            rng.uniform(-20, 20, (1200, 4)).astype("<f4").tofile(folder / f"velodyne/{number:06d}.bin")
        # Camera 0 looks along the Velodyne's x axis, 0.3 m in front of it; camera 2 is 0.06 m to the right of camera 0.
        (folder / "calib.txt").write_text(
            "P0: 20 0 16 0 0 20 12 0 0 0 1 0\nP2: 20 0 16 -1.2 0 20 12 0 0 0 1 0\nTr: 0 -1 0 0 0 0 -1 0 1 0 0 -0.3\n"
        )
        (folder / "times.txt").write_text("".join(f"{0.1 * number:e}\n" for number in range(8)))
        poses = root / "poses" / f"{sequence}.txt"
        poses.parent.mkdir(exist_ok=True)
        poses.write_text("".join(f"1 0 0 0 0 1 0 0 0 0 1 {number}\n" for number in range(8)))
    return root


@pytest.fixture(scope="session", params=["mcap", "sqlite3"])
def tiny_bag(request, tiny_kitti, tmp_path_factory) -> Path:
    """Both sequences as a bag, in either storage."""
    out = tmp_path_factory.mktemp(request.param) / "bag"
    return write_kitti_bag(tiny_kitti, ["00", "01"], out, storage=request.param)
