"""Joint training of the view model: camera and LiDAR learn one space at once, from places that were seen twice.

Where VXP's second sensor copies a frozen first one, here both move, and what is optimised is retrieval itself: of all
frames in the batch, those of the same place must be nearest, from each sensor to each. A small head also learns to tell
the LiDAR's depth from the picture; it is dropped after training and only teaches the camera's trunk to see geometry.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vxp_ros.core.models.recipe import Recipe
from vxp_ros.core.models.view import ViewModel

from .distributed import Ranks
from .engine import Outcome
from .feature_cache import FeatureCache, Filling
from .place_task import PlaceTask, others, share_found
from .recipe import JointRecipe
from .samples import Augmentation, image_sample, picture_sample
from .training_data import TrainingData

LEAST_SHARE = 0.1  # of a cell's points: with fewer its depth is not known
LOST_POINTS, LOST_RINGS = 0.3, 0.3  # augmentation: at most these shares of a scan are left out
GAIN, DARK = 0.4, 0.3  # augmentation: intensity off by up to +-40 %, and left out of this share of the scans


@dataclass(frozen=True)
class ViewBatch:
    """B frames. maps: [B, C, h, w], what the frozen blocks of the camera's trunk made of the image (with no block
    frozen, the image). pictures: [B, 4, rows, columns]. positives, negatives: [B, B] bool."""

    maps: torch.Tensor
    pictures: torch.Tensor
    positives: torch.Tensor
    negatives: torch.Tensor


class JointStage(PlaceTask):
    """Trains both branches of a view model, whole or behind the first `frozen_blocks` of its camera trunk."""

    title = "joint"

    def __init__(self, network: ViewModel, model: Recipe, settings: JointRecipe, data: TrainingData):
        super().__init__(network, model, settings, data)
        self.to(memory_format=torch.channels_last)  # nearly twice as fast on a CPU
        self.encoder = network.camera.backbone.encoder
        self.frozen = (*self.encoder.first(settings.frozen_blocks), *([network.fused] if network.fused else []))
        self.depth = DepthHead(network.camera.backbone.channels)
        self.dropout = nn.Dropout2d(settings.dropout)

    def prepare(self, folder: Path, ranks: Ranks, filling: Filling) -> None:
        """Encode all frames once by the frozen blocks, and draw all scans."""
        self.maps, self.pictures = (
            FeatureCache(folder / f"{name}.npy", self.cached_rows, 2, np.float16) for name in ("maps", "pictures")
        )
        if ranks.is_first:
            self.eval()
            self.maps.fill(self.image, self.begin, filling)
            self.pictures.fill(self.picture, lambda pictures: pictures, filling)
        ranks.wait()
        self.maps.open()
        self.pictures.open()

    def trained(self) -> nn.Module:
        return self

    def image(self, row: int, mirrored: bool) -> torch.Tensor:
        return image_sample(self.data.frame(row), self.model, Augmentation(), None, mirrored)

    def picture(self, row: int, mirrored: bool) -> torch.Tensor:
        return picture_sample(self.data.frame(row), self.model, mirrored)

    def begin(self, images: torch.Tensor) -> torch.Tensor:
        return self.encoder.begin(images, self.optimiser.frozen_blocks)

    def sample(self, row: int, random: np.random.Generator | None) -> tuple[int, torch.Tensor, torch.Tensor]:
        mirrored, plain = divmod(row, self.count)
        return row, self.maps.get(plain, bool(mirrored)).float(), self.pictures.get(plain, bool(mirrored)).float()

    def collate(self, samples: list[tuple[int, torch.Tensor, torch.Tensor]]) -> ViewBatch:
        rows, maps, pictures = zip(*samples, strict=True)
        return ViewBatch(torch.stack(maps), torch.stack(pictures), *self.masks(rows))

    def train(self, mode: bool = True) -> "JointStage":
        """The trunk keeps the statistics of its own training; batches of a few places would only blur them."""
        super().train(mode)
        for module in self.encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, batch: ViewBatch) -> Outcome:
        settings = self.optimiser
        maps, pictures = self.augmented(batch) if self.training else (batch.maps, batch.pictures)
        maps, pictures = (t.contiguous(memory_format=torch.channels_last) for t in (maps, pictures))
        features = self.encoder.finish(maps, settings.frozen_blocks)
        camera = self.network.camera.describe(self.dropout(features))
        lidar = self.network.lidar.describe(self.dropout(self.network.lidar.trunk(pictures)))
        pairs = batch.positives, batch.negatives
        across = self.contrast(camera, lidar, *pairs)
        alone = others(batch.positives), batch.negatives
        within = (self.contrast(camera, camera, *alone) + self.contrast(lidar, lidar, *alone)) / 2
        depth = depth_error(self.depth(features), pictures)
        loss = across + settings.within * within + settings.depth * depth
        found = share_found(camera @ lidar.T, *pairs), share_found(lidar @ camera.T, *pairs)
        numbers = {"across": across, "within": within, "depth": depth, "found_2d3d": found[0], "found_3d2d": found[1]}
        return Outcome(loss, {name: value.item() for name, value in numbers.items()})

    def augmented(self, batch: ViewBatch) -> tuple[torch.Tensor, torch.Tensor]:
        maps, pictures = cropped(batch.maps, batch.pictures, self.optimiser.crop)
        return maps, thinned(pictures)


class DepthHead(nn.Module):
    """Log depth of each cell from the camera's features: [B, C, h, w] -> [B, h, w]."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, 64, 3, 1, 1), nn.ReLU(), nn.Conv2d(64, 1, 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layers(features)[:, 0]


def depth_error(predicted: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Mean SmoothL1 between predicted log depth [B, h, w] and the LiDAR's in each cell that has points."""
    mask, depth = F.adaptive_avg_pool2d(pictures[:, :2], predicted.shape[1:]).unbind(1)
    is_known = mask > LEAST_SHARE
    errors = F.smooth_l1_loss(predicted, depth / mask.clamp(min=LEAST_SHARE), reduction="none", beta=0.2)
    return (errors * is_known).sum() / is_known.sum().clamp(min=1)


def cropped(maps: torch.Tensor, pictures: torch.Tensor, crop: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames as a camera of a longer lens, turned a little, would take them: the same random window of a frame's map
    and picture, at least 1 - crop of each side, enlarged to full size."""
    count, device = len(maps), maps.device
    size = 1 - crop * torch.rand(count, 2, device=device)  # of x and y
    centre = (1 - size) * (2 * torch.rand(count, 2, device=device) - 1)
    window = torch.cat([torch.diag_embed(size), centre[..., None]], dim=2)
    return tuple(
        F.grid_sample(images, F.affine_grid(window, images.shape, align_corners=False), mode, "zeros", False)
        for images, mode in ((maps, "bilinear"), (pictures, "nearest"))
    )


def thinned(pictures: torch.Tensor) -> torch.Tensor:
    """Scans as a poorer LiDAR would give them: some points gone, some rings gone, intensity off by a factor or gone."""
    count, _, rows, columns = pictures.shape
    device = pictures.device
    part = lambda *shape: torch.rand(count, *shape, device=device)  # noqa: E731
    keep = (part(1, rows, columns) > LOST_POINTS * part(1, 1, 1)) & (part(1, rows, 1) > LOST_RINGS * part(1, 1, 1))
    bright = (1 + GAIN * (2 * part(1, 1) - 1)) * (part(1, 1) > DARK)
    pictures = pictures * keep
    pictures[:, 3] = (pictures[:, 3] * bright).clamp(max=1)
    return pictures
