"""The demo's data: two bags cut from KITTI, one to build the map from and one to ask with, and the truth of both."""

import os
from pathlib import Path

import numpy as np

from ..core.datatypes import Frame
from ..core.errors import SourceError
from ..core.geometry import make_transform, transform_points
from ..sources.bag_writer import SEQUENCE_SPACING_M, BagWriter
from ..sources.kitti import RECORDED_NS, KittiSource
from .record import Moment

SEQUENCES = ("00", "01", "02", "03", "04", "05")
MAP_FRAMES, QUERY_FRAMES = slice(0, 10, 2), slice(1, 10, 2)
# The bag is replayed in real time, so a pause between drives is waited through.
PAUSE_NS = 1_000_000_000


def find_kitti() -> Path:
    """The KITTI root under VXP_DATA. Raises SourceError that says what is needed and how to name it."""
    need = (
        "vxp demo needs KITTI odometry frames: set VXP_DATA to a folder that holds kitti/sequences/00 to 05 "
        "(image_2, velodyne, calib.txt, times.txt; ten frames each are enough) and kitti/poses, "
        "e.g. export VXP_DATA=/data"
    )
    if not os.environ.get("VXP_DATA"):
        raise SourceError(need)
    root = Path(os.environ["VXP_DATA"]).expanduser() / "kitti"
    if not (root / "sequences").is_dir():
        raise SourceError(f"{root / 'sequences'} is missing; {need}")
    return root


def write_bag(root: Path, frames: slice, out: Path) -> list[Moment]:
    """Write the given frames of all sequences into one bag; returns what was written, in order.

    The sequences lie a kilometre apart in the map, so that none can be taken for another; odometry is the truth.
    """
    moments, start_ns = [], RECORDED_NS
    with BagWriter(out) as bag:
        for row, sequence in enumerate(SEQUENCES):
            T_map_start = make_transform(np.eye(3), np.array([0.0, row * SEQUENCE_SPACING_M, 0.0]))
            source = KittiSource(root, sequence, frames, T_map_start, start_ns)
            for number in source.numbers:
                frame = source.frame(number)
                bag.write_frame(frame)
                moments.append(moment_of(frame))
            start_ns = source.stamp_ns(source.numbers[-1]) + PAUSE_NS
    return moments


def moment_of(frame: Frame) -> Moment:
    points = transform_points(frame.T_base_lidar, frame.points[:, :3])
    return Moment(frame.stamp_ns, frame.T_odom_base, frame.images["camera"].pixels, points)


def extrinsics(root: Path) -> dict[str, np.ndarray]:
    """{"lidar": T_base_lidar, "camera": T_base_camera} [4, 4] of the first sequence.

    The drives' calibrations differ by some millimetres; parameters can only say one.
    """
    source = KittiSource(root, SEQUENCES[0], MAP_FRAMES)
    return {"lidar": np.eye(4), "camera": source.calibration.T_base_camera}
