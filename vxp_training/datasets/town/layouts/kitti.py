"""KITTI odometry: a day is a sequence, numbered in the order of the days.

KITTI's world is what camera 0 sees when the sequence starts. Here it is the same for all days: what camera 0 would see
from a car whose LiDAR has the axes and the origin of the town. `KittiSource`, whose base is the LiDAR, therefore gives
exact poses of the LiDAR in the town, and days can be compared. Points are deskewed, as KITTI's are.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from vxp_ros.core.geometry import invert

from ..rig import MAIN_CAMERA
from ..store.master import Recording

OWN_FILES = r"sequences/\d\d/(image_2/\d{6}\.png|velodyne/\d{6}\.bin|calib\.txt|times\.txt)|poses/\d\d\.txt"
PNG_EFFORT = 1  # four times faster than the default for a tenth more bytes


def write(recordings: list[Recording], folder: Path, step: Callable[[], None]) -> None:
    """Write all days under `folder`; step is called once per frame."""
    (folder / "poses").mkdir()
    for row, recording in enumerate(recordings):
        sequence = folder / "sequences" / f"{row:02d}"
        (sequence / "image_2").mkdir(parents=True)
        (sequence / "velodyne").mkdir()
        write_text(recording, sequence, folder / "poses" / f"{row:02d}.txt")
        deskewed = Recording(recording.folder, is_deskewed=True)
        for number, source in enumerate(recording.numbers):
            frame = deskewed.frame(source)
            picture = cv2.cvtColor(frame.images[MAIN_CAMERA].pixels, cv2.COLOR_RGB2BGR)
            options = [cv2.IMWRITE_PNG_COMPRESSION, PNG_EFFORT]
            write_bytes(sequence / "image_2" / f"{number:06d}.png", cv2.imencode(".png", picture, options)[1])
            write_bytes(sequence / "velodyne" / f"{number:06d}.bin", frame.points.astype("<f4"))
            step()


def write_text(recording: Recording, sequence: Path, poses: Path) -> None:
    """calib.txt, times.txt and the poses of camera 0, which is the colour camera."""
    camera = recording.rig.cameras[MAIN_CAMERA]
    T_base_lidar = recording.rig.lidar.T_base_lidar
    T_camera_lidar = invert(camera.T_base_camera) @ T_base_lidar
    P = np.hstack([camera.K, np.zeros((3, 1))])
    rows = {**dict.fromkeys(("P0", "P1", "P2", "P3"), P), "Tr": T_camera_lidar[:3]}
    (sequence / "calib.txt").write_text("".join(f"{name}: {numbers(row)}\n" for name, row in rows.items()))
    stamps = recording.stamps_ns[recording.numbers]
    (sequence / "times.txt").write_text("".join(f"{(stamp - stamps[0]) / 1e9:.9e}\n" for stamp in stamps))
    T_world_camera = T_camera_lidar @ recording.poses[recording.numbers] @ camera.T_base_camera
    poses.write_text("".join(f"{numbers(T[:3])}\n" for T in T_world_camera))


def numbers(matrix: np.ndarray) -> str:
    return " ".join(f"{number:.12e}" for number in matrix.reshape(-1))


def write_bytes(path: Path, data: np.ndarray) -> None:
    path.write_bytes(np.ascontiguousarray(data).tobytes())
