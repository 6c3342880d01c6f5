"""`vxp doctor --overlay`: LiDAR points drawn on the images, so that people see whether the calibration is right."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from ..core import fsio
from ..core.datatypes import Frame, Image
from ..core.errors import SourceError
from ..core.preprocessing.pixels import Sighting, is_calibrated, sight
from ..sources import Source

HEIGHT = 540  # pixels of each picture in the row
NEAR_M, FAR_M = 2.0, 60.0  # red and blue
FRAMES_TRIED = 200
DOT = np.array([-1, 0, 1])  # a point is three pixels wide


@dataclass(frozen=True)
class Overlay:
    """picture: [HEIGHT, W, 3] uint8 RGB, one camera beside the other. seen: camera name -> points in its image."""

    picture: np.ndarray
    seen: dict[str, int]


def draw_overlay(source: Source) -> Overlay:
    """The first frame of the source with calibrated images and points. Raises SourceError that says what is missing."""
    frame, images = first_usable(source)
    sightings = {name: sight(frame.points, image.camera, frame.T_base_lidar) for name, image in images.items()}
    pictures = [draw_points(name, images[name].pixels, seen) for name, seen in sightings.items()]
    return Overlay(np.concatenate(pictures, axis=1), {name: len(seen.row) for name, seen in sightings.items()})


def write_picture(picture: np.ndarray, path: Path) -> None:
    """Raises SourceError when OpenCV does not know the file's ending, OSError when it cannot be written."""
    try:
        _, data = cv2.imencode(path.suffix, picture[:, :, ::-1])
    except cv2.error as problem:
        raise SourceError(f"{path} is no picture's name: let it end in .png or .jpg") from problem
    fsio.replace_file(path, [data.tobytes()])


def first_usable(source: Source) -> tuple[Frame, dict[str, Image]]:
    """A frame and those of its images that have a calibration."""
    missing = f"{source.description} gives no frame"
    for frame in islice(source, FRAMES_TRIED):
        images = {name: image for name, image in frame.images.items() if is_calibrated(image.camera)}
        missing = what_is_missing(frame, images)
        if not missing:
            return frame, images
    raise SourceError(f"nothing to draw: {missing}")


def what_is_missing(frame: Frame, images: dict[str, Image]) -> str:
    if frame.points is None or len(frame.points) == 0:
        return "the source has no LiDAR points; name the topic of a bag with --points-topic"
    if not frame.images:
        return "the source has no camera; name the topic of a bag with --image-topic"
    if frame.T_base_lidar is None:
        return "nobody says where the LiDAR sits: the bag needs /tf_static from the base to the LiDAR's frame"
    if not images:
        return "no camera is calibrated: a bag needs camera_info beside the images and /tf_static to the camera's frame"
    return ""


def draw_points(name: str, pixels: np.ndarray, seen: Sighting) -> np.ndarray:
    """The image [HEIGHT, W, 3] uint8 with the points on it, near ones red and on top, far ones blue."""
    scale = HEIGHT / pixels.shape[0]
    picture = cv2.resize(pixels, (max(1, round(pixels.shape[1] * scale)), HEIGHT), interpolation=cv2.INTER_AREA)
    order = np.argsort(-seen.depth)
    rows, columns = ((place[order, None] * scale).astype(np.int64) + DOT for place in (seen.v, seen.u))  # [N, 3]
    rows, columns = np.broadcast_arrays(rows[:, :, None], columns[:, None])  # [N, 3, 3], the nearest last
    rows, columns = rows.clip(0, HEIGHT - 1), columns.clip(0, picture.shape[1] - 1)
    picture[rows, columns] = shades_of(seen.depth[order])[:, None, None]
    cv2.rectangle(picture, (0, 0), (14 * (len(name) + 14), 36), (0, 0, 0), cv2.FILLED)
    label = f"{name}: {len(seen.row)} points"
    cv2.putText(picture, label, (8, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def shades_of(depth: np.ndarray) -> np.ndarray:
    """[N, 3] uint8 RGB from red (near) to blue (far), one step of colour per factor of depth."""
    if len(depth) == 0:
        return np.zeros((0, 3), np.uint8)
    nearness = 1 - np.log(depth / NEAR_M) / np.log(FAR_M / NEAR_M)
    grey = (255 * nearness.clip(0, 1)).astype(np.uint8)[:, None]
    return cv2.applyColorMap(grey, cv2.COLORMAP_TURBO)[:, 0, ::-1]
