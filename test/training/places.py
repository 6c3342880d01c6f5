"""A made-up street for the tests of training: each place has a picture and a cloud that belong together."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from vxp_ros.core.datatypes import Camera, Frame, Image
from vxp_ros.core.geometry import make_transform
from vxp_ros.core.json_file import write_json
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import ImageRecipe, LidarRecipe, Recipe
from vxp_ros.core.models.vxp import Vxp
from vxp_training.datasets.annotation import Annotation, write_annotation
from vxp_training.datasets.prepared import CAMERA_POSES, DRIVES, FORMAT, POSES, TABLE, Drive, describe_drive

SIZE = (48, 32)  # columns and rows of the pictures
K = np.array([[30.0, 0, 23], [0, 30, 15], [0, 0, 1]])
T_BASE_CAMERA = make_transform(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.array([0.2, 0.0, 0.1]))


def tiny_model(**changes) -> Recipe:
    """The smallest network that a recipe can describe: pictures of 32 x 48, a grid of 24 x 24 x 24 voxels."""
    lidar = LidarRecipe(
        range=[0.0, -12.0, -6.0, 24.0, 12.0, 6.0], voxel=[1.0, 1.0, 0.5], max_points=5, max_voxels=400, vfe=[8, 16],
        channels=[8, 8, 8, 16, 16, 16, 16, 16, 112], cells=[2, 3],
    )  # fmt: skip
    image = ImageRecipe(backbone="efficientnet_lite0", size=[32, 48])
    return replace(Recipe(name="tiny", dimension=16, image=image, lidar=lidar), **changes)


class TinyTrunk(nn.Module):
    """An image trunk with the shape of EfficientNet-Lite0's and a fraction of its work; it has norms, as that has."""

    channels, stride = 112, 16

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 24, 4, 4), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, self.channels, 4, 4)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)


def tiny_network(model: Recipe, seed: int = 0) -> Vxp:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_model(model)
        network.camera.backbone = TinyTrunk()
    return network


class Street:
    """Stands in for PreparedData: `count` places `spacing` metres apart, each seen in `views` frames 1 m apart."""

    def __init__(self, count: int = 8, views: int = 2, spacing: float = 40.0, seed: int = 0):
        self.places = np.repeat(np.arange(count), views)
        self.seed = seed
        ahead = np.tile(np.arange(views, dtype=float), count)
        size = len(self.places)
        self.annotation = Annotation(
            np.full(size, "street"), np.arange(size, dtype=np.int64), self.places * spacing + ahead, np.zeros(size),
            np.zeros(size), np.full(size, "a.png"), np.full(size, "a.bin"),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.places)

    def frame(self, row: int) -> Frame:
        place = np.random.default_rng([self.seed, int(self.places[row])])
        view = np.random.default_rng([self.seed, int(self.places[row]), row])
        pixels = np.kron(place.integers(0, 256, (4, 6, 3)), np.ones((8, 8, 1)))
        pixels = np.clip(pixels + view.normal(0, 20, pixels.shape), 0, 255).astype(np.uint8)
        points = place.uniform([3, -8, -4, 0], [23, 8, 4, 1], (200, 4)) + view.normal(0, 0.02, (200, 4))
        camera = Camera(*SIZE, K, T_base_camera=T_BASE_CAMERA)
        return Frame(int(row), {"camera": Image(pixels, camera)}, points.astype(np.float32), T_base_lidar=np.eye(4))


def write_street(folder: Path, street: Street) -> Path:
    """The street as a prepared folder on disk."""
    (folder / "frames").mkdir(parents=True)
    count = len(street)
    for row in range(count):
        frame = street.frame(row)
        cv2.imwrite(str(folder / "frames" / f"{row}.png"), frame.images["camera"].pixels[:, :, ::-1])
        frame.points.tofile(folder / "frames" / f"{row}.bin")
    names = [np.array([f"frames/{row}.{end}" for row in range(count)]) for end in ("png", "bin")]
    write_annotation(folder / TABLE, replace(street.annotation, image=names[0], cloud=names[1]))
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 1, 3] = street.annotation.northing
    np.save(folder / POSES, poses)
    np.save(folder / CAMERA_POSES, np.tile(T_BASE_CAMERA, (count, 1, 1)))
    drive = Drive(Path("."), "made up", Camera(*SIZE, K), np.eye(4))
    write_json(folder / DRIVES, {"format": FORMAT, "drives": {"street": describe_drive(drive)}})
    return folder
