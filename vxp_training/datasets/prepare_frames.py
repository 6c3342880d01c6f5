"""Sources whose frames are no files that could be named (rosbag2, nuScenes keyframes): keyframes are written out."""

from pathlib import Path

import cv2
import numpy as np

from vxp_ros.core.config import KeyframeSettings
from vxp_ros.core.datatypes import Camera, Frame, Image
from vxp_ros.core.encoder import first_image, is_calibrated
from vxp_ros.core.errors import SourceError
from vxp_ros.core.json_file import write_json
from vxp_ros.core.keyframes import is_keyframe
from vxp_ros.sources import open_source

from .annotation import Annotation
from .prepare import Part, Progress, planar
from .prepared import BESIDE, CAMERA, Drive, describe_camera

SPACING_M = 1.0
PNG_EFFORT = 1
FRAMES = "frames"
UNKNOWN = np.full((4, 4), np.nan)


def read(source: str, folder: Path, spacing: float | None, progress: Progress) -> Part:
    """Keyframes every `spacing` metres of odometry (or after the turn that the mapper's rule names) as PNG and .bin
    below `folder`. The first calibrated camera is the frame's, the others lie beside it. Each source is a world of
    its own."""
    frames = open_source(source)
    target = folder / FRAMES / frames.name
    target.mkdir(parents=True, exist_ok=True)
    settings = KeyframeSettings(min_travel=SPACING_M if spacing is None else spacing)
    rows, T_last, without_pose = [], None, 0
    for count, frame in enumerate(frames, start=1):
        progress(count, None)
        if frame.T_odom_base is None:
            without_pose += 1
        elif is_keyframe(T_last, frame.T_odom_base, settings):
            rows.append(write_frame(frame, target, folder))
            T_last = frame.T_odom_base
    if not rows:
        skipped = ", ".join(f"{count} x {reason}" for reason, count in sorted(frames.problems.items()))
        raise SourceError(f"{source}: none of {without_pose} frames has a pose; a bag needs odometry on /odom"
                          + (f"; unusable parts: {skipped}" if skipped else ""))  # fmt: skip
    return as_part(source, frames.name, rows)


def write_frame(frame: Frame, target: Path, folder: Path) -> dict:
    """The frame's row: stamp, poses, calibration and the files that were written."""
    row = {"stamp_ns": frame.stamp_ns, "T_odom_base": frame.T_odom_base, "T_base_lidar": frame.T_base_lidar,
           "image": "", "cloud": "", "camera": None}  # fmt: skip
    image = first_image(frame)
    if image is not None:
        path = target / f"{frame.stamp_ns}.png"
        write_png(path, image.pixels)
        write_beside(path, {name: other for name, other in frame.images.items() if other is not image})
        row |= {"image": path.relative_to(folder).as_posix(), "camera": image.camera}
    if frame.points is not None:
        path = target / f"{frame.stamp_ns}.bin"
        path.write_bytes(np.ascontiguousarray(frame.points, dtype="<f4").tobytes())
        row["cloud"] = path.relative_to(folder).as_posix()
    return row


def write_beside(path: Path, images: dict[str, Image]) -> None:
    """The moment's other calibrated cameras, beside the picture `path`: NAME.CAMERA.png and one NAME.cameras.json. One
    that has the main camera's name gets another."""
    known = {name: image for name, image in images.items() if is_calibrated(image.camera)}
    if CAMERA in known:
        known[f"{CAMERA}_beside"] = known.pop(CAMERA)
    for name, image in known.items():
        write_png(path.with_suffix(f".{name}.png"), image.pixels)
    if known:
        cameras = {name: describe_camera(image.camera) for name, image in known.items()}
        write_json(path.with_suffix(BESIDE), cameras)


def write_png(path: Path, pixels: np.ndarray) -> None:
    pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, PNG_EFFORT])[1].tobytes())


def as_part(source: str, name: str, rows: list[dict]) -> Part:
    T_odom_base = np.array([row["T_odom_base"] for row in rows])
    north, east, yaw = planar(T_odom_base)
    annotation = Annotation(
        drive=np.full(len(rows), name),
        stamp_ns=np.array([row["stamp_ns"] for row in rows], np.int64),
        northing=north, easting=east, yaw=yaw,
        image=np.array([row["image"] for row in rows]), cloud=np.array([row["cloud"] for row in rows]),
    )  # fmt: skip
    cameras: list[Camera] = [row["camera"] for row in rows if row["camera"] is not None]
    T_base_lidar = next((row["T_base_lidar"] for row in rows if row["T_base_lidar"] is not None), None)
    drive = Drive(Path("."), source, cameras[0] if cameras else None, T_base_lidar)
    return Part({name: drive}, source, annotation, T_odom_base, np.array([camera_pose(row) for row in rows]))


def camera_pose(row: dict) -> np.ndarray:
    camera = row["camera"]
    return UNKNOWN if camera is None or camera.T_base_camera is None else camera.T_base_camera
