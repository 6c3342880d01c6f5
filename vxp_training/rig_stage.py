"""Training of LCPR and EINet by places: frames of one place, taken on different days, must be nearest to each other.

EINet's image trunk also learns to tell the depth that the LiDAR measured; the head for it is dropped afterwards.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vxp_ros.core.models.einet import Einet
from vxp_ros.core.models.lcpr import Lcpr
from vxp_ros.core.models.recipe import Recipe

from .depth_decoder import DepthDecoder
from .distributed import Ranks
from .engine import Outcome
from .feature_cache import Filling
from .fusion_losses import depth_loss
from .place_task import PlaceTask, others, share_found
from .recipe import PlacesRecipe
from .rig_samples import RigCache, RigFrames, mirrored, recoloured
from .training_data import TrainingData


@dataclass(frozen=True)
class PlacesBatch:
    """B frames, some of them of the mirrored world. is_mirrored: [B] bool. positives, negatives: [B, B] bool."""

    frames: RigFrames
    is_mirrored: torch.Tensor
    positives: torch.Tensor
    negatives: torch.Tensor


class PlacesStage(PlaceTask):
    title = "places"

    def __init__(self, network: Lcpr | Einet, model: Recipe, settings: PlacesRecipe, data: TrainingData):
        super().__init__(network, model, settings, data)
        self.describer = RigDescriber(network, model, settings.depth)
        self.to(memory_format=torch.channels_last)  # faster; set before a checkpoint is read: the same sums after it

    def prepare(self, folder: Path, ranks: Ranks, filling: Filling) -> None:
        self.cache = RigCache(folder, self.cached_rows, self.data, self.model, self.describer.learns_depth)
        self.cache.fill(ranks, filling)

    def trained(self) -> nn.Module:
        return self.describer

    def sample(self, row: int, random: np.random.Generator | None) -> tuple[int, RigFrames]:
        return row, self.cache.get(row % self.count)

    def collate(self, samples: list[tuple[int, RigFrames]]) -> PlacesBatch:
        rows, frames = zip(*samples, strict=True)
        is_mirrored = torch.tensor(rows) >= self.count
        return PlacesBatch(RigFrames.stack(list(frames)), is_mirrored, *self.masks(rows))

    def forward(self, batch: PlacesBatch) -> Outcome:
        frames = chosen(batch.is_mirrored, mirrored(batch.frames, self.model.rig.cameras), batch.frames).float()
        vectors, depth = self.describer(recoloured(frames) if self.training else frames)
        pairs = others(batch.positives), batch.negatives
        contrast = self.contrast(vectors, vectors, *pairs)
        found = share_found(vectors @ vectors.T, *pairs)
        numbers = {"contrast": contrast.item(), "depth": depth.item(), "found": found.item()}
        return Outcome(contrast + self.optimiser.depth * depth, numbers)

    def score(self, epoch: int, means: dict[str, float]) -> float:
        """How well places are told apart; the depth only helps to learn it."""
        return means["contrast"]


class RigDescriber(nn.Module):
    """A network and, while it learns, EINet's depth head beside it. Frames -> descriptors [B, D] and the depth error,
    which is 0 for a network that learns none. depth: the error's weight; with 0 nothing is learnt of it."""

    def __init__(self, network: Lcpr | Einet, model: Recipe, depth: float):
        super().__init__()
        self.network = network
        self.learns_depth = depth > 0 and model.scan_channels > 1
        self.decoder = DepthDecoder() if self.learns_depth else None

    def forward(self, frames: RigFrames) -> tuple[torch.Tensor, torch.Tensor]:
        images, scans = frames.network_inputs()
        if not self.learns_depth:
            vectors = self.network.fuse(images, scans)
            return vectors, vectors.new_zeros(())
        taps = self.network.backbone.taps(images.flatten(0, 1))
        vectors = self.network.describe(taps[-1].unflatten(0, images.shape[:2]), scans)
        return vectors, depth_loss(self.decoder(taps), frames.depths.flatten(0, 1))


def chosen(is_first: torch.Tensor, first: RigFrames, second: RigFrames) -> RigFrames:
    """Frame by frame the first or the second."""
    return RigFrames(
        *(
            torch.where(is_first.view(-1, *[1] * (a.dim() - 1)), a, b)
            for a, b in zip(vars(first).values(), vars(second).values(), strict=True)
        )
    )
