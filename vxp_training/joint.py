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
from .engine import Outcome, Task
from .feature_cache import FeatureCache, Report
from .losses import info_nce
from .mining import FOLDER_GAP_M, Poses, on_other_drives, pair_masks, place_batches, positives_of
from .recipe import JointRecipe
from .samples import Augmentation, image_sample, picture_sample
from .schedule import rise_and_fall
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


class JointStage(Task):
    """Trains a view model whole, or behind the first `frozen_blocks` of its camera trunk.

    Every frame is there twice, the second time mirrored, as a row `len(poses)` further on in a mirrored world.
    """

    title, unit = "joint", 2

    def __init__(self, network: ViewModel, model: Recipe, settings: JointRecipe, data: TrainingData):
        super().__init__()
        self.network, self.model, self.optimiser, self.data = network, model, settings, data
        self.to(memory_format=torch.channels_last)  # nearly twice as fast on a CPU
        self.encoder = network.camera.backbone.encoder
        self.frozen = self.encoder.first(settings.frozen_blocks)
        self.depth = DepthHead(network.camera.backbone.channels)
        self.dropout = nn.Dropout2d(settings.dropout)
        self.count = len(data.poses)
        self.poses = with_mirror_world(data.poses)
        self.trained_rows = np.concatenate([data.train, data.train + self.count])
        drives = np.concatenate(2 * [folder.annotation.drive for folder in data.folders])
        self.positives = on_other_drives(positives_of(self.poses[self.trained_rows]), drives[self.trained_rows])
        self.validated = self.validation(drives)

    def trained(self) -> nn.Module:
        return self

    def prepare(self, folder: Path, device: torch.device, ranks: Ranks, report: Report) -> None:
        """Encode all frames once by the frozen blocks, and draw all scans."""
        rows = np.concatenate([self.data.train, self.data.validate])
        self.maps, self.pictures = (
            FeatureCache(folder / f"{name}.npy", rows, 2, np.float16) for name in ("maps", "pictures")
        )
        if ranks.is_first:
            self.eval()
            self.maps.fill(self.image, self.begin, self.optimiser.batch, device, report)
            self.pictures.fill(self.picture, lambda pictures: pictures, self.optimiser.batch, device, report)
        ranks.wait()
        self.maps.open()
        self.pictures.open()

    def image(self, row: int, mirrored: bool) -> torch.Tensor:
        return image_sample(self.data.frame(row), self.model, Augmentation(), None, mirrored)

    def picture(self, row: int, mirrored: bool) -> torch.Tensor:
        return picture_sample(self.data.frame(row), self.model, mirrored)

    def begin(self, images: torch.Tensor) -> torch.Tensor:
        return self.encoder.begin(images, self.optimiser.frozen_blocks)

    def learning_rate(self, epoch: int, part: float) -> float:
        settings = self.optimiser
        return rise_and_fall((epoch + part) / settings.epochs, settings.lr, settings.min_lr)

    def make_optimiser(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, self.optimiser.lr, weight_decay=self.optimiser.weight_decay)

    def epoch_batches(self, size: int, random: np.random.Generator) -> list[np.ndarray]:
        batches = place_batches(self.poses[self.trained_rows], self.positives, size, random)
        return [self.trained_rows[rows] for rows in batches]

    def validation(self, drives: np.ndarray) -> list[np.ndarray]:
        rows = self.data.validate
        positives = on_other_drives(positives_of(self.poses[rows]), drives[rows])
        batches = place_batches(self.poses[rows], positives, self.optimiser.batch, np.random.default_rng(0))
        return [rows[batch] for batch in batches]

    def validation_batches(self) -> list[np.ndarray]:
        return self.validated

    def sample(self, row: int, random: np.random.Generator | None) -> tuple[int, torch.Tensor, torch.Tensor]:
        mirrored, plain = divmod(row, self.count)
        return row, self.maps.get(plain, bool(mirrored)).float(), self.pictures.get(plain, bool(mirrored)).float()

    def collate(self, samples: list[tuple[int, torch.Tensor, torch.Tensor]]) -> ViewBatch:
        rows, maps, pictures = zip(*samples, strict=True)
        masks = pair_masks(*2 * [self.poses[np.array(rows)]])
        return ViewBatch(torch.stack(maps), torch.stack(pictures), *map(torch.from_numpy, masks))

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
        across = self.contrast(camera, lidar, batch.positives, batch)
        alone = batch.positives & ~torch.eye(len(camera), dtype=torch.bool, device=camera.device)
        within = (self.contrast(camera, camera, alone, batch) + self.contrast(lidar, lidar, alone, batch)) / 2
        depth = depth_error(self.depth(features), pictures)
        loss = across + settings.within * within + settings.depth * depth
        found = share_found(camera @ lidar.T, batch), share_found(lidar @ camera.T, batch)
        numbers = {"across": across, "within": within, "depth": depth, "found_2d3d": found[0], "found_3d2d": found[1]}
        return Outcome(loss, {name: value.item() for name, value in numbers.items()})

    def augmented(self, batch: ViewBatch) -> tuple[torch.Tensor, torch.Tensor]:
        maps, pictures = cropped(batch.maps, batch.pictures, self.optimiser.crop)
        return maps, thinned(pictures)

    def contrast(self, a: torch.Tensor, b: torch.Tensor, positives: torch.Tensor, batch: ViewBatch) -> torch.Tensor:
        return info_nce(a, b, positives, ~batch.negatives, self.optimiser.temperature)


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


def share_found(similarity: torch.Tensor, batch: ViewBatch) -> torch.Tensor:
    """Share of rows whose most similar column, of those not ignored, is a positive."""
    similarity = similarity.masked_fill(~(batch.positives | batch.negatives), -torch.inf)
    return batch.positives.gather(1, similarity.argmax(dim=1, keepdim=True)).float().mean()


def with_mirror_world(poses: Poses) -> Poses:
    """The same samples again, far away from all of the first."""
    shift = 2 * np.abs(poses.positions).max() + FOLDER_GAP_M
    return Poses(np.concatenate([poses.positions, poses.positions + shift]), np.concatenate([poses.yaw, poses.yaw]))
