"""What stages that learn by places share: frames of one neighbourhood in pairs, each there twice (plain and mirrored),
and a loss that wants those of one place nearest to each other."""

import numpy as np
import torch
from torch import nn

from vxp_ros.core.models.recipe import Recipe
from vxp_ros.core.models.view import ViewModel

from .engine import Task
from .losses import info_nce
from .mining import FOLDER_GAP_M, Poses, on_other_drives, pair_masks, place_batches, positives_of
from .recipe import ContrastRecipe
from .schedule import rise_and_fall
from .training_data import TrainingData


class PlaceTask(Task):
    """Every frame is there twice, the second time mirrored, as a row `count` further on in a mirrored world."""

    unit = 2
    optimiser: ContrastRecipe

    def __init__(self, network: ViewModel, model: Recipe, settings: ContrastRecipe, data: TrainingData):
        super().__init__()
        self.network, self.model, self.optimiser, self.data = network, model, settings, data
        self.count = len(data.poses)
        self.poses = with_mirror_world(data.poses)
        self.trained_rows = np.concatenate([data.train, data.train + self.count])
        drives = np.concatenate(2 * [folder.annotation.drive for folder in data.folders])
        self.positives = on_other_drives(positives_of(self.poses[self.trained_rows]), drives[self.trained_rows])
        self.validated = self.validation(drives)

    @property
    def cached_rows(self) -> np.ndarray:
        return np.concatenate([self.data.train, self.data.validate])

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

    def masks(self, rows: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """Positives, a row with itself among them, and negatives: each [B, B] bool."""
        return tuple(map(torch.from_numpy, pair_masks(*2 * [self.poses[np.array(rows)]])))

    def contrast(
        self, a: torch.Tensor, b: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor
    ) -> torch.Tensor:
        return info_nce(a, b, positives, ~negatives, self.optimiser.temperature)


def others(positives: torch.Tensor) -> torch.Tensor:
    """Without a row's pair with itself."""
    return positives & ~torch.eye(len(positives), dtype=torch.bool, device=positives.device)


def share_found(similarity: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
    """Share of rows whose most similar column, of those not ignored, is a positive."""
    similarity = similarity.masked_fill(~(positives | negatives), -torch.inf)
    return positives.gather(1, similarity.argmax(dim=1, keepdim=True)).float().mean()


def with_mirror_world(poses: Poses) -> Poses:
    """The same samples again, far away from all of the first."""
    shift = 2 * np.abs(poses.positions).max() + FOLDER_GAP_M
    return Poses(np.concatenate([poses.positions, poses.positions + shift]), np.concatenate([poses.yaw, poses.yaw]))
