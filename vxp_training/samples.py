"""Frames to what the networks eat, the robot's way (`Encoder`), with augmentation on the way.

Order as in section 3 of our specification: joint flip, image augmentation, image preprocessing; cloud motion, voxels.
"""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch

from vxp_ros.core.config import MAX_POINTS
from vxp_ros.core.datatypes import Frame
from vxp_ros.core.encoder import first_calibrated, first_image
from vxp_ros.core.errors import SourceError
from vxp_ros.core.geometry import transform_points
from vxp_ros.core.models.recipe import Recipe
from vxp_ros.core.models.vxp import VoxelBatch
from vxp_ros.core.preprocessing.image import to_tensor
from vxp_ros.core.preprocessing.pointcloud import Voxels, limit, voxelise
from vxp_ros.core.preprocessing.projection import normalised_intrinsics, view_from_lidar
from vxp_ros.core.preprocessing.view_image import view_image

from .augment import jitter_colours, mirror_cloud, mirror_image, random_affine, random_motion


@dataclass(frozen=True)
class Augmentation:
    """Which random changes a stage makes; none in validation."""

    colours: bool = False
    affine: bool = False
    flip: bool = False
    motion: bool = False
    flip_keeps_cx: bool = False

    @property
    def changes_image(self) -> bool:
        """More than by mirroring it."""
        return self.colours or self.affine


@dataclass(frozen=True)
class Scan:
    """One scan for the LiDAR network. intrinsics: [4] normalised, of the camera that it is described for."""

    voxels: Voxels
    intrinsics: np.ndarray


@dataclass(frozen=True)
class ScanBatch:
    """voxels: of B scans. intrinsics: [B, 4] float32."""

    voxels: VoxelBatch
    intrinsics: torch.Tensor

    @classmethod
    def collate(cls, scans: list[Scan]) -> "ScanBatch":
        intrinsics = torch.from_numpy(np.stack([scan.intrinsics for scan in scans]).astype(np.float32))
        return cls(VoxelBatch.collate([scan.voxels for scan in scans]), intrinsics)


def image_sample(
    frame: Frame, recipe: Recipe, augmentation: Augmentation, random: np.random.Generator, mirrored: bool = False
) -> torch.Tensor:
    """[3, rows, columns] float32, normalised. Raises SourceError for a frame without an image."""
    image = first_image(frame)
    if image is None:
        raise SourceError(f"the frame at {frame.stamp_ns} ns has no image to learn from")
    pixels = mirror_image(image.pixels) if mirrored else image.pixels
    if augmentation.colours:
        pixels = jitter_colours(pixels, random)
    if augmentation.affine:
        pixels = random_affine(np.ascontiguousarray(pixels), random)
    return to_tensor(pixels, recipe.image, antialias=not recipe.paper_compat.resize_no_antialias)


def scan_sample(
    frame: Frame, recipe: Recipe, augmentation: Augmentation, random: np.random.Generator, mirrored: bool = False
) -> Scan:
    """Voxels in the camera's view frame. Raises SourceError for a frame without a cloud or a calibrated camera."""
    points, intrinsics = seen_points(frame)
    if mirrored:
        points, intrinsics = mirror_cloud(points, intrinsics, augmentation.flip_keeps_cx)
    if augmentation.motion:
        points[:, :3] = transform_points(random_motion(random), points[:, :3])
    return Scan(voxelise(points, recipe.lidar, recipe.paper_compat.voxel_cap_scan_order), intrinsics)


def picture_sample(frame: Frame, recipe: Recipe, mirrored: bool = False) -> torch.Tensor:
    """[4, rows, columns] float32, the scan as `view_image` draws it. Raises SourceError as `scan_sample`."""
    points, intrinsics = seen_points(frame)
    if mirrored:
        points, intrinsics = mirror_cloud(points, intrinsics)
    return torch.from_numpy(view_image(points, intrinsics, tuple(recipe.view.cells)))


def seen_points(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """(points [N, 4] in the view frame of the camera, its normalised intrinsics [4])."""
    camera = first_calibrated(frame)
    if frame.points is None or camera is None:
        lack = "cloud" if frame.points is None else "calibrated camera (intrinsics, T_base_camera, T_base_lidar)"
        raise SourceError(f"the frame at {frame.stamp_ns} ns has no {lack} to learn from")
    points = limit(frame.points, MAX_POINTS).copy()
    points[:, :3] = transform_points(view_from_lidar(camera.T_base_camera, frame.T_base_lidar), points[:, :3])
    return points, normalised_intrinsics(camera)


def to_device(batch: Any, device: torch.device) -> Any:
    """The same tensors, in dataclasses, on another device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if is_dataclass(batch):
        return replace(batch, **{item.name: to_device(getattr(batch, item.name), device) for item in fields(batch)})
    return batch
