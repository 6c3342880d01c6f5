"""The view model: camera and LiDAR as two pictures of one view, two light trunks, two heads.

The LiDAR is drawn as the camera would see it (`preprocessing/view_image.py`), so that a cell of one trunk's map shows
what the same cell of the other shows. A head mixes all cells of a map into one descriptor, as MixVPR (Ali-bey et al.,
WACV 2023) does for pictures: where things stand in the view counts, which averages over cells forget.
"""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..datatypes import Frame
from ..errors import BadInput, ModelError
from ..preprocessing.view_image import CHANNELS, view_image
from ..preprocessing.views import frame_views
from .backbones import make_backbone
from .recipe import Recipe, ViewRecipe
from .view_fusion import FusedView, each_view, in_colour, side_by_side
from .vxp import LidarDescriptors

LIDAR_STRIDE = 4


class ViewModel(nn.Module):
    """All networks of a recipe; one that its `modalities` leave out is None. The fused one stands on the other two."""

    def __init__(self, recipe: Recipe):
        super().__init__()
        backbone = make_backbone(recipe.image.backbone)
        cells = [n // LIDAR_STRIDE for n in recipe.view.cells]
        if [n / backbone.stride for n in recipe.image.size] != cells:
            raise ModelError(
                f"{recipe.name}: image.size {recipe.image.size} must be {backbone.stride // LIDAR_STRIDE} times "
                f"view.cells {recipe.view.cells}, and both made of whole cells"
            )
        sensors, channels = recipe.modalities, backbone.channels
        make_head = partial(MixHead, channels, cells[0] * cells[1], recipe.dimension, recipe.view)
        trunk = LidarTrunk(recipe.view.widths, channels)
        self.camera = CameraView(backbone, make_head()) if "camera" in sensors else None
        self.lidar = LidarView(trunk, make_head(), recipe.view.cells) if "lidar" in sensors else None
        make_fused = partial(FusedView, self.camera, self.lidar, channels, cells[1], recipe.dimension, recipe.view)
        self.fused = make_fused() if "fused" in sensors else None
        self.recipe = recipe

    def prepare_frame(self, frame: Frame, device: str) -> tuple[torch.Tensor, ...]:
        """What `fuse` wants of one frame. Raises BadInput: "no_sensor" where no view holds anything, "no_point_in_view"
        where the points lie beside all of them."""
        views = frame_views(frame, self.recipe)
        if not views.sees.any():
            raise BadInput("no_sensor", "no camera shows anything and no LiDAR point lies in a camera's view")
        if frame.points is not None and not views.sees[:, 1].any():
            raise BadInput("no_point_in_view", "no LiDAR point lies in a camera's view: check the extrinsics")
        return tuple(part[None].to(device) for part in (views.images, views.pictures, views.yaw, views.sees))

    def fuse(self, images: torch.Tensor, pictures: torch.Tensor, yaw: torch.Tensor, sees: torch.Tensor) -> torch.Tensor:
        """Fused descriptors [B, 2 D] of B frames, each part [B, V, ...] as `preprocessing.views.Views` has it."""
        camera = each_view(self.camera.backbone, images)
        lidar = each_view(self.lidar.trunk, pictures)
        colours = each_view(partial(F.adaptive_avg_pool2d, output_size=pictures.shape[3:]), images)
        return side_by_side(self.fused(camera, lidar, in_colour(colours, pictures), yaw, sees))


class CameraView(nn.Module):
    """images: [B, 3, rows, columns] float32, normalised. Returns unit descriptors [B, D] float32."""

    def __init__(self, backbone: nn.Module, head: "MixHead"):
        super().__init__()
        self.backbone, self.norm, self.head = backbone, nn.BatchNorm2d(backbone.channels), head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.describe(self.backbone(images))

    def describe(self, features: torch.Tensor) -> torch.Tensor:
        """Descriptors from the trunk's map [B, C, h, w]."""
        return self.head(self.norm(features))


class LidarView(nn.Module):
    """Describes scans as a camera with the given intrinsics at the view frame's origin would be."""

    def __init__(self, trunk: nn.Module, head: "MixHead", cells: list[int]):
        super().__init__()
        self.cells = tuple(cells)
        self.trunk, self.norm, self.head = trunk, nn.BatchNorm2d(trunk.channels), head

    def prepare(self, points: np.ndarray, intrinsics: np.ndarray, device: str) -> tuple[torch.Tensor]:
        """What `forward` wants of one scan. points: [N, 4] x y z intensity in the view frame. intrinsics: [4]."""
        return (torch.from_numpy(view_image(points, intrinsics, self.cells))[None].to(device),)

    def forward(self, pictures: torch.Tensor) -> LidarDescriptors:
        """pictures: [B, 4, rows, columns] as `view_image`. A scan with no point in view has a zero vector and False."""
        is_valid = pictures[:, 0].flatten(1).any(dim=1)
        vectors = self.describe(self.trunk(pictures))
        return LidarDescriptors(torch.where(is_valid[:, None], vectors, 0.0), is_valid)

    def describe(self, features: torch.Tensor) -> torch.Tensor:
        """Descriptors from the trunk's map [B, C, h, w]."""
        return self.head(self.norm(features))


class LidarTrunk(nn.Module):
    """[B, 4, rows, columns] -> [B, channels, rows / 4, columns / 4]."""

    def __init__(self, widths: list[int], channels: int):
        super().__init__()
        first, middle, last = widths
        self.channels = channels
        self.stem = nn.Sequential(nn.Conv2d(CHANNELS, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        self.blocks = nn.Sequential(
            ResidualBlock(first, middle, 2),
            ResidualBlock(middle, middle, 1),
            ResidualBlock(middle, last, 2),
            ResidualBlock(last, channels, 1),
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.stem(pictures))


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a short cut (He et al., 2016)."""

    def __init__(self, channels: int, out: int, stride: int):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.norm2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.short = nn.Sequential()
        if stride > 1 or channels != out:
            self.short = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        body = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(features)))))
        return F.relu(body + self.short(features))


class MixHead(nn.Module):
    """Narrow the channels, mix all cells of each, keep some summaries of them, one linear layer, length 1."""

    def __init__(self, channels: int, cells: int, dimension: int, recipe: ViewRecipe):
        super().__init__()
        self.narrow = nn.Conv2d(channels, recipe.mixed, 1)
        self.mix = nn.Sequential(*[Mixer(cells) for _ in range(recipe.mixers)])
        self.summarise = nn.Linear(cells, recipe.rows)
        self.describe = nn.Linear(recipe.mixed * recipe.rows, dimension)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """features: [B, C, rows, columns]. Returns [B, D] of length 1."""
        mixed = self.mix(self.narrow(features).flatten(2))
        return F.normalize(self.describe(self.summarise(mixed).flatten(1)), dim=1)


class Mixer(nn.Module):
    """One residual perceptron over the cells, the same for every channel."""

    def __init__(self, cells: int):
        super().__init__()
        self.norm = nn.LayerNorm(cells)
        self.fc1, self.fc2 = nn.Linear(cells, cells), nn.Linear(cells, cells)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + self.fc2(F.relu(self.fc1(self.norm(features))))
