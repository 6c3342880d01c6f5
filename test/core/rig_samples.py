"""Small inputs for LCPR and EINet: recipes of small pictures, networks with nothing left at its start value, a rig."""

import numpy as np
import torch
from vxp_samples import T_BASE_OPTICAL

from vxp_ros.core.datatypes import Camera, Frame, Image
from vxp_ros.core.geometry import make_transform, rotation_z
from vxp_ros.core.models import Network, build_model
from vxp_ros.core.models.recipe import Recipe, parse_recipe

YAWS = {"front": 0, "back": 180, "back_left": 110, "back_right": -110, "front_left": 55, "front_right": -55}


def rig_recipe(architecture: str, cameras: int = 3, modality: str = "fused", size=(64, 96), **changes) -> Recipe:
    values = {
        "name": "small", "architecture": architecture, "normalise": True, "modalities": [modality],
        "image": {"backbone": "resnet18", "size": list(size)},
    }  # fmt: skip
    values["rig"] = {"cameras": cameras, "cells": [32, cameras * size[1] // 4], **changes.pop("rig", {})}
    return parse_recipe(values | changes, "test")


def shaken(recipe: Recipe, seed: int = 0) -> Network:
    """A network in eval mode whose biases, norms and running statistics are random too, and which is not as deaf to its
    input as random networks of sigmoids and softmaxes are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_model(recipe).eval()
        for name, tensor in network.state_dict().items():
            if name.endswith(("running_var", "bn1.weight", "bn2.weight", "norm.weight")):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith(("bias", "running_mean")):
                tensor.normal_(0, 0.3)
            elif name.endswith(("weigh.0.weight", "weigh.2.weight", "assign")):
                tensor.mul_(8)
    return network


def rig_tensors(recipe: Recipe, batch: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and range images with coarse patches, other ones in every frame."""
    random = torch.Generator().manual_seed(seed)
    rig, (height, width) = recipe.rig, recipe.image.size
    images = torch.randn(batch, rig.cameras, 3, height // 16, width // 16, generator=random)
    scan = torch.rand(batch, recipe.scan_channels, rig.cells[0] // 8, rig.cells[1] // 4, generator=random)
    return stretched(2 * images, 16, 16), stretched(scan, 8, 4)


def stretched(maps: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    return maps.repeat_interleave(rows, dim=-2).repeat_interleave(columns, dim=-1)


def ring_frame(seed: int = 0, names: tuple[str, ...] = tuple(YAWS), turn: float = 0.0, **changes) -> Frame:
    """Cameras all round in their own colours, and 32 rings that hit a wall 5 to 30 m away. turn: of the LiDAR's mount,
    radians."""
    random = np.random.default_rng(seed)
    elevation, azimuth = np.meshgrid(np.radians(np.linspace(-30.67, 10.67, 32)), np.linspace(-3.14, 3.14, 400))
    distance = random.uniform(5, 30, elevation.shape) * 0.2 + 12 + 6 * np.sin(3 * azimuth + seed)
    x, y = distance * np.cos(azimuth - turn), distance * np.sin(azimuth - turn)
    points = np.stack([x, y, distance * np.tan(elevation), np.ones_like(x)], axis=2).reshape(-1, 4)
    values = {
        "stamp_ns": 0,
        "images": {name: Image(picture_of(name, random), camera_at(YAWS[name])) for name in names},
        "points": points.astype(np.float32),
        "rings": np.tile(np.arange(32, dtype=np.uint16), 400),
        "T_base_lidar": make_transform(rotation_z(turn), np.array([0.9, 0, 1.8])),
    }
    return Frame(**values | changes)


def picture_of(name: str, random: np.random.Generator) -> np.ndarray:
    shade = np.array([40 * list(YAWS).index(name), 100, 250 - 40 * list(YAWS).index(name)])
    return np.clip(shade + random.integers(-5, 6, (90, 160, 3)), 0, 255).astype(np.uint8)


def camera_at(yaw_deg: float) -> Camera:
    K = np.array([[125.0, 0, 80], [0, 125, 45], [0, 0, 1]])
    T = make_transform(rotation_z(np.radians(yaw_deg)), np.array([1.0, 0, 1.5])) @ T_BASE_OPTICAL
    return Camera(160, 90, K, T_base_camera=T)
