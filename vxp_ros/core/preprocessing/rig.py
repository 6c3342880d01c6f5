"""A frame of several cameras and a LiDAR to what LCPR and EINet eat. Training and robots use these same functions.

Cameras stand in clockwise order from the one that looks ahead; the range image beside them is turned to match.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..config import MAX_POINTS
from ..datatypes import Frame, Image
from ..errors import BadInput
from ..geometry import rotation_z, yaw_of
from .image import to_tensor
from .pixels import colour_points, depth_map, is_calibrated
from .pointcloud import limit
from .range_image import beside_panorama, elevation_rows, range_image, ring_rows
from .views import heading

if TYPE_CHECKING:
    from ..models.recipe import Recipe

UPRIGHT = 0.9  # cosine of the tilt from which on a LiDAR counts as mounted on its side or its head


def rig_inputs(frame: Frame, recipe: "Recipe", device: str) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Images [1, N, 3, rows, columns] and range image [1, channels, rows, columns] of one frame, as far as the network
    looks at them. Raises BadInput "no_sensor", "bad_image" or "no_point_in_view"."""
    images = None if recipe.modalities == ["lidar"] else rig_images(frame, recipe)[None].to(device)
    scan = None if recipe.modalities == ["camera"] else rig_scan(frame, recipe)[None].to(device)
    return images, scan


def rig_images(frame: Frame, recipe: "Recipe") -> torch.Tensor:
    """[N, 3, rows, columns] float32, normalised. Raises BadInput "no_sensor" or "bad_image"."""
    antialias = not recipe.paper_compat.resize_no_antialias
    pictures = rig_pictures(frame, recipe.rig.cameras)
    return torch.stack([to_tensor(picture.pixels, recipe.image, antialias) for picture in pictures])


def rig_scan(frame: Frame, recipe: "Recipe") -> torch.Tensor:
    """[channels, rows, columns] float32: range as a share of the farthest, then, where the network wants them, red,
    green and blue in [0, 1] and whether any camera saw the point. All 0 where no point fell.

    Raises BadInput "no_sensor" or "no_point_in_view".
    """
    if frame.points is None:
        raise BadInput("no_sensor", "the frame holds no point cloud")
    rig, compat = recipe.rig, recipe.paper_compat
    points = limit(frame.points, MAX_POINTS)
    ahead = points[:, :3] @ ahead_from_lidar(frame.T_base_lidar).T.astype(np.float32)
    if frame.rings is None or compat.lcpr_rows_by_angle:
        rows = elevation_rows(ahead, rig.cells[0], *np.radians(rig.elevation))
    else:
        rows = ring_rows(limit(frame.rings, MAX_POINTS), ahead, rig.cells[0])
    colours = None
    if recipe.scan_channels > 1:
        pictures = related_pictures(frame, rig.cameras)
        colours = np.column_stack(colour_points(points, pictures, frame.T_base_lidar)).astype(np.float32)
    scan = range_image(ahead, rows, rig.cells, rig.farthest, colours)
    is_empty = scan[0] == 0
    if is_empty.all():
        raise BadInput("no_point_in_view", f"no LiDAR point lies between the robot and {rig.farthest:g} m around it")
    if compat.lcpr_raw_range:
        scan[0, is_empty] = -1
    else:
        scan[0] /= rig.farthest
    return torch.from_numpy(scan if compat.lcpr_unaligned_panorama else beside_panorama(scan, rig.cameras))


def rig_depths(frame: Frame, recipe: "Recipe") -> torch.Tensor:
    """What the LiDAR teaches the cameras in training: [N, rows, columns] float32 metres, 0 where no point fell.

    Raises BadInput "no_sensor".
    """
    if frame.points is None:
        raise BadInput("no_sensor", "the frame holds no point cloud")
    size, farthest = recipe.image.size, recipe.rig.farthest
    pictures = related_pictures(frame, recipe.rig.cameras)
    maps = [depth_map(frame.points, picture.camera, frame.T_base_lidar, size, farthest) for picture in pictures]
    return torch.from_numpy(np.stack(maps))


def rig_pictures(frame: Frame, cameras: int) -> list[Image]:
    """The frame's first `cameras` images, clockwise from the camera that looks most ahead.

    Raises BadInput "no_sensor" for fewer, and for several of which one does not say where it looks.
    """
    pictures = list(frame.images.values())[:cameras]
    if len(pictures) < cameras:
        raise BadInput("no_sensor", f"the model wants images of {cameras} cameras, the frame holds {len(pictures)}")
    if cameras == 1:
        return pictures
    if not all(is_calibrated(picture.camera) for picture in pictures):
        raise BadInput("no_sensor", f"the model wants {cameras} calibrated cameras, to know which looks where")
    clockwise = np.array([-heading(picture.camera.T_base_camera) for picture in pictures])
    first = clockwise[np.abs(clockwise).argmin()]
    return [pictures[i] for i in np.argsort((clockwise - first) % (2 * np.pi), kind="stable")]


def related_pictures(frame: Frame, cameras: int) -> list[Image]:
    """`rig_pictures` of which one knows how they stand to the LiDAR. Raises BadInput "no_sensor"."""
    pictures = rig_pictures(frame, cameras)
    if frame.T_base_lidar is None or not all(is_calibrated(picture.camera) for picture in pictures):
        raise BadInput("no_sensor", "the model wants to know where cameras and LiDAR sit: calibrate them, or check TF")
    return pictures


def ahead_from_lidar(T_base_lidar: np.ndarray | None) -> np.ndarray:
    """[3, 3] rotation of LiDAR points to axes whose x looks ahead: the turn about the scanner's own axis.

    A slight tilt stays in, so that a ring stays a row. A scanner on its head or its side is turned wholly; one of
    unknown place looks along its own x.
    """
    if T_base_lidar is None:
        return np.eye(3)
    return rotation_z(yaw_of(T_base_lidar)) if T_base_lidar[2, 2] > UPRIGHT else T_base_lidar[:3, :3]
