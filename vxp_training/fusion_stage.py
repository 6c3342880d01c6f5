"""Training of the view model's fused descriptor, on trunks that stay as they are.

Frames of one place, taken on different days, must be nearest to each other, whatever each of them lacks: while training
some lose a sensor, or some of their cameras.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vxp_ros.core.errors import SourceError
from vxp_ros.core.models.recipe import Recipe
from vxp_ros.core.models.view import ViewModel
from vxp_ros.core.models.view_fusion import added, each_view, in_colour
from vxp_ros.core.preprocessing.views import Views, frame_views

from .distributed import Ranks
from .engine import Outcome
from .feature_cache import FeatureCache, Filling
from .joint import thinned
from .place_task import PlaceTask, others, share_found
from .recipe import FusionRecipe
from .training_data import TrainingData

BLACK = 0.5  # where cameras fail one by one, each does with this probability


@dataclass(frozen=True)
class FusionBatch:
    """B frames of V views. maps: [B, V, C, h, w] of the camera's trunk. colours: [B, V, 3, rows, columns], the images
    as small as the pictures. pictures: [B, V, 4, rows, columns]. yaw: [B, V]. sees: [B, V, 2] bool, see `Views`.
    positives, negatives: [B, B] bool."""

    maps: torch.Tensor
    colours: torch.Tensor
    pictures: torch.Tensor
    yaw: torch.Tensor
    sees: torch.Tensor
    positives: torch.Tensor
    negatives: torch.Tensor


class FusionStage(PlaceTask):
    """Frames with fewer views than others get blind ones."""

    title = "fusion"

    def __init__(self, network: ViewModel, model: Recipe, settings: FusionRecipe, data: TrainingData):
        super().__init__(network, model, settings, data)
        self.to(memory_format=torch.channels_last)  # as the joint stage leaves it: the same sums after a restart
        self.frozen = (network.camera, network.lidar)
        self.views = max(map(self.count_views, first_rows(drives_of(data), self.cached_rows)))

    def trained(self) -> nn.Module:
        return self.network.fused

    def count_views(self, row: int) -> int:
        return len(frame_views(self.data.frame(row), self.model).yaw)

    def train(self, mode: bool = True) -> "FusionStage":
        """Norms keep the sensors' own statistics: blind views would blur them."""
        super().train(mode)
        for module in self.network.fused.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def prepare(self, folder: Path, ranks: Ranks, filling: Filling) -> None:
        """Encode all images once, and draw all scans."""
        names = {"maps": 2, "seen": 1, "layout": 1}  # what changes with the mirror only by being mirrored is there once
        caches = [FeatureCache(folder / f"{name}.npy", self.cached_rows, n, np.float16) for name, n in names.items()]
        self.maps, self.seen, self.layout = caches
        if ranks.is_first:
            self.eval()
            self.maps.fill(lambda row, mirrored: self.views_of(row, mirrored).images, self.camera_maps, filling)
            self.seen.fill(lambda row, _: what_is_seen(self.views_of(row), self.model), as_it_is, filling)
            self.layout.fill(lambda row, _: layout_of(self.views_of(row)), as_it_is, filling)
        ranks.wait()
        for cache in caches:
            cache.open()

    def views_of(self, row: int, mirrored: bool = False) -> Views:
        views = padded(frame_views(self.data.frame(row), self.model), self.views)
        return views.mirrored() if mirrored else views

    def camera_maps(self, images: torch.Tensor) -> torch.Tensor:
        return each_view(self.network.camera.backbone, images)

    def sample(self, row: int, random: np.random.Generator | None) -> tuple[int, torch.Tensor, ...]:
        mirrored, plain = divmod(row, self.count)
        maps = self.maps.get(plain, bool(mirrored)).float()
        seen, layout = (cache.get(plain, False).float() for cache in (self.seen, self.layout))
        yaw, sees = layout[:, 0], layout[:, 1:] > 0
        return row, maps, *((seen.flip(-1), -yaw) if mirrored else (seen, yaw)), sees

    def collate(self, samples: list[tuple[int, torch.Tensor, ...]]) -> FusionBatch:
        rows, *columns = zip(*samples, strict=True)
        maps, seen, yaw, sees = map(torch.stack, columns)
        return FusionBatch(maps, seen[:, :, :3], seen[:, :, 3:], yaw, sees, *self.masks(rows))

    def forward(self, batch: FusionBatch) -> Outcome:
        if self.training:
            pictures = thinned(batch.pictures.flatten(0, 1)).view_as(batch.pictures)
            return self.outcome(batch, pictures, with_gaps(batch.sees, self.optimiser.missing), "found")
        tests = {"found": (True, True), "found_camera": (True, False), "found_lidar": (False, True)}
        outcomes = [
            self.outcome(batch, batch.pictures, batch.sees & torch.tensor(sensors, device=batch.sees.device), name)
            for name, sensors in tests.items()
        ]
        numbers = {name: value for outcome in outcomes for name, value in outcome.numbers.items()}
        return Outcome(torch.stack([outcome.loss for outcome in outcomes]).mean(), numbers)

    def outcome(self, batch: FusionBatch, pictures: torch.Tensor, sees: torch.Tensor, name: str) -> Outcome:
        with torch.no_grad():
            lidar = each_view(self.network.lidar.trunk, pictures)
        vectors = added(self.network.fused(batch.maps, lidar, in_colour(batch.colours, pictures), batch.yaw, sees))
        is_there = sees.flatten(1).any(dim=1)  # a frame in which nothing was seen has no descriptor
        vectors = vectors[is_there]
        pairs = others(batch.positives)[is_there][:, is_there], batch.negatives[is_there][:, is_there]
        return Outcome(self.contrast(vectors, vectors, *pairs), {name: share_found(vectors @ vectors.T, *pairs).item()})


def drives_of(data: TrainingData) -> np.ndarray:
    """Of all rows, each folder's drives apart from the others'."""
    names = [np.char.add(f"{i}/", folder.annotation.drive.astype(str)) for i, folder in enumerate(data.folders)]
    return np.concatenate(names)


def first_rows(drives: np.ndarray, rows: np.ndarray) -> list[int]:
    """Of each drive the first of `rows`: a drive keeps its rig."""
    return [int(rows[i]) for i in np.unique(drives[rows], return_index=True)[1]]


def padded(views: Views, count: int) -> Views:
    """With blind views up to `count`. Raises SourceError for a frame of more."""
    lack = count - len(views.yaw)
    if lack < 0:
        raise SourceError(f"a frame has {len(views.yaw)} calibrated cameras, its drive began with at most {count}")
    return Views(*(F.pad(part, (0, 0) * (part.dim() - 1) + (0, lack)) for part in vars(views).values()))


def what_is_seen(views: Views, model: Recipe) -> torch.Tensor:
    """[V, 7, rows, columns]: the images as small as the pictures, and the pictures."""
    return torch.cat([F.adaptive_avg_pool2d(views.images, tuple(model.view.cells)), views.pictures], dim=1)


def layout_of(views: Views) -> torch.Tensor:
    """[V, 3]: yaw and sees."""
    return torch.cat([views.yaw[:, None], views.sees.float()], dim=1)


def as_it_is(values: torch.Tensor) -> torch.Tensor:
    return values


def with_gaps(sees: torch.Tensor, share: float) -> torch.Tensor:
    """sees [B, V, 2] if a `share` of the frames lacked the cameras, the LiDAR, or some cameras, a third each. No frame
    goes blind that was not."""
    draw = torch.rand(len(sees), device=sees.device)[:, None]
    lacks_camera, lacks_lidar = draw < share / 3, (draw >= share / 3) & (draw < 2 * share / 3)
    lacks_some = (draw >= 2 * share / 3) & (draw < share) & (torch.rand(sees.shape[:2], device=sees.device) < BLACK)
    less = sees & ~torch.stack([lacks_camera | lacks_some, lacks_lidar.expand_as(lacks_some)], dim=2)
    return torch.where(less.flatten(1).any(dim=1)[:, None, None], less, sees)
