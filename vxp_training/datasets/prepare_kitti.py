"""KITTI odometry, real or of `vxp town --layout kitti`: the files stay where they are."""

import json
from pathlib import Path

import cv2
import numpy as np

from vxp_ros.core.datatypes import Camera
from vxp_ros.core.errors import SourceError
from vxp_ros.sources.kitti import KittiSource, require

from .annotation import Annotation
from .prepare import Part, planar, rows_apart
from .prepared import Drive


def read(source: str, spacing: float | None) -> Part:
    """source: kitti:ROOT:SEQUENCE. The days of a town share a world; KITTI's own sequences do not."""
    root, _, sequence = source.partition(":")[2].rpartition(":")
    kitti = KittiSource(root, sequence)
    if kitti.truth is None:
        raise SourceError(f"KITTI data: {Path(root) / 'poses' / (kitti.sequence + '.txt')} is missing; the benchmark "
                          "publishes poses for sequences 00 to 10, others need some of your own")  # fmt: skip
    day = town_day(Path(root).expanduser(), kitti.sequence)
    name = day or kitti.sequence
    numbers = np.array(kitti.numbers)
    numbers = numbers[rows_apart(kitti.truth[numbers][:, :3, 3], spacing)]
    T_odom_base = kitti.truth[numbers]
    north, east, yaw = planar(T_odom_base)
    annotation = Annotation(
        drive=np.full(len(numbers), name),
        stamp_ns=np.array([kitti.stamp_ns(number) for number in numbers], np.int64),
        northing=north, easting=east, yaw=yaw,
        image=paths(kitti, kitti.image_path, numbers), cloud=paths(kitti, kitti.points_path, numbers),
    )  # fmt: skip
    drive = Drive(
        kitti.folder.resolve(), source, camera_of(kitti.image_path(numbers[0]), kitti.calibration.K), np.eye(4)
    )
    T_base_camera = np.tile(kitti.calibration.T_base_camera, (len(numbers), 1, 1))
    return Part({name: drive}, str(Path(root).resolve()) + ("" if day else f":{name}"), annotation,
                T_odom_base, T_base_camera)  # fmt: skip


def paths(kitti: KittiSource, path_of, numbers: np.ndarray) -> np.ndarray:
    return np.array([path_of(number).relative_to(kitti.folder).as_posix() for number in numbers])


def camera_of(image: Path, K: np.ndarray) -> Camera:
    """For images of this one's size."""
    pixels = cv2.imread(str(require(image)))
    if pixels is None:
        raise SourceError(f"KITTI data: {image} cannot be decoded")
    return Camera(pixels.shape[1], pixels.shape[0], K)


def town_day(root: Path, sequence: str) -> str:
    """TOWN-DAY where the folder was written by `vxp town`, else ""."""
    try:
        facts = json.loads((root / "town.json").read_text())
        day = facts["days"][int(sequence)]
        return f"{day['task']['split']['name']}-{day['name']}"
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return ""
