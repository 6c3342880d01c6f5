"""A frame as all its cameras see it: one image and one LiDAR picture per view, and which of them hold anything."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..config import MAX_POINTS
from ..datatypes import Camera, Frame, Image
from ..geometry import transform_points
from .image import to_tensor
from .pointcloud import limit
from .projection import usable_intrinsics, view_from_lidar
from .view_image import CHANNELS, view_image

if TYPE_CHECKING:
    from ..models.recipe import Recipe

BLANK_SPREAD = 2.0  # grey levels: an image whose pixels deviate less shows nothing (a covered lens, a dead sensor)


@dataclass(frozen=True)
class Views:
    """V views. images: [V, 3, rows, columns] float32, normalised. pictures: [V, 4, view rows, view columns] float32, as
    `view_image`. yaw: [V] float32 radians from the base's x axis to where the view looks, left positive. sees: [V, 2]
    bool: whether the camera's image and the LiDAR's picture hold anything; without, they are zero."""

    images: torch.Tensor
    pictures: torch.Tensor
    yaw: torch.Tensor
    sees: torch.Tensor

    def mirrored(self) -> "Views":
        """The world seen in a mirror."""
        return Views(self.images.flip(-1), self.pictures.flip(-1), -self.yaw, self.sees)


def frame_views(frame: Frame, recipe: "Recipe") -> Views:
    """The views of the frame's calibrated cameras in order of name; without any, its first image and the LiDAR straight
    ahead, which nothing relates. Raises BadInput "bad_camera_info"."""
    cameras = calibrated_cameras(frame)
    if cameras:
        views = [
            one_view(frame.images.get(name), frame.points, view_of_lidar(camera, frame), camera, recipe)
            for name, camera in cameras.items()
        ]
        yaw = [heading(camera.T_base_camera) for camera in cameras.values()]
    else:
        views = [one_view(next(iter(frame.images.values()), None), frame.points, np.eye(4), None, recipe)]
        yaw = [0.0]
    images, pictures, sees = zip(*views, strict=True)
    return Views(torch.stack(images), torch.stack(pictures), torch.tensor(yaw, dtype=torch.float32), torch.tensor(sees))


def calibrated_cameras(frame: Frame) -> dict[str, Camera]:
    """Of cameras with and without an image, by name. None where no image is of a calibrated camera, or nobody knows
    where the LiDAR sits: then nothing relates the two."""
    cameras = {name: image.camera for name, image in frame.images.items()} | frame.cameras
    known = {name: camera for name, camera in cameras.items() if camera and camera.T_base_camera is not None}
    has_lost_image = bool(frame.images) and not set(frame.images) & set(known)
    has_lost_lidar = frame.points is not None and frame.T_base_lidar is None
    return {} if has_lost_image or has_lost_lidar else dict(sorted(known.items()))


def view_of_lidar(camera: Camera, frame: Frame) -> np.ndarray:
    """T_view_lidar [4, 4]; of no use without points."""
    return np.eye(4) if frame.points is None else view_from_lidar(camera.T_base_camera, frame.T_base_lidar)


def one_view(
    image: Image | None,
    points: np.ndarray | None,
    T_view_lidar: np.ndarray,
    camera: Camera | None,
    recipe: "Recipe",
) -> tuple[torch.Tensor, torch.Tensor, tuple[bool, bool]]:
    """(image tensor, picture, whether each of them holds anything)."""
    tensor, picture = torch.zeros(3, *recipe.image.size), torch.zeros(CHANNELS, *recipe.view.cells)
    has_image = image is not None and not is_blank(image.pixels)
    if has_image:
        tensor = to_tensor(image.pixels, recipe.image)
    if points is not None:
        points = limit(points, MAX_POINTS).copy()
        points[:, :3] = transform_points(T_view_lidar, points[:, :3])
        intrinsics = np.array(recipe.lidar.nominal_view) if camera is None else usable_intrinsics(camera)
        picture = torch.from_numpy(view_image(points, intrinsics, tuple(recipe.view.cells)))
    return tensor, picture, (has_image, bool(picture[0].any()))


def is_blank(pixels: np.ndarray) -> bool:
    """Whether an image shows nothing. pixels: [H, W, 3] uint8."""
    return pixels.size == 0 or float(pixels[::4, ::4].std()) < BLANK_SPREAD


def heading(T_base_camera: np.ndarray) -> float:
    """Where the optical axis points, in radians from the base's x axis, left positive."""
    x, y = T_base_camera[:2, 2]
    return float(np.arctan2(y, x))
