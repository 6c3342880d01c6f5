"""VXP's three stages (Li et al., 3DV 2025; section 3 of our specification): what trains, what is frozen, which loss.

1 teacher: the image network, by triplets. 2 local: the LiDAR network's voxels learn the image feature of the cell that
they are seen in. 3 global: its descriptor learns to equal the image's.
"""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vxp_ros.core.models.recipe import Recipe
from vxp_ros.core.models.view import ViewModel
from vxp_ros.core.models.vxp import Vxp

from .distributed import Ranks
from .engine import Outcome, Task
from .feature_cache import FeatureCache, Filling
from .fusion_stage import FusionStage
from .joint import JointStage
from .losses import batch_hard_triplet, global_alignment, local_alignment
from .mining import batch_masks, grown_batch, pair_batches, positives_of
from .recipe import GlobalRecipe, LocalRecipe, OptimiserRecipe, TeacherRecipe, TrainingRecipe
from .rig_stage import PlacesStage
from .samples import Augmentation, Scan, ScanBatch, image_sample, scan_sample
from .training_data import TrainingData
from .tuple_stage import MinedStage, TuplesStage


def make_stage(name: str, network: Vxp | ViewModel, model: Recipe, recipe: TrainingRecipe, data: TrainingData) -> Task:
    """The stage `name` (recipe.STAGES_OF) of a training recipe."""
    if name == "joint":
        return JointStage(network, model, recipe.joint, data)
    if name == "fusion":
        return FusionStage(network, model, recipe.fusion, data)
    if name == "places":
        return PlacesStage(network, model, recipe.places, data)
    if name == "tuples":
        return TuplesStage(network, model, recipe.tuples, data)
    if name == "mined":
        return MinedStage(network, model, recipe.mined, data)
    if name == "teacher":
        return TeacherStage(network, model, recipe.teacher, data)
    if name == "local":
        return LocalStage(network, model, recipe, data)
    return GlobalStage(network, model, recipe, data)


@dataclass(frozen=True)
class PlaceBatch:
    """images: [B, 3, rows, columns]. positives, negatives: [B, B] bool."""

    images: torch.Tensor
    positives: torch.Tensor
    negatives: torch.Tensor


class TeacherStage(Task):
    """Stage 1. Trains the whole image network, or only pooling and head behind a frozen trunk."""

    title, unit = "teacher", 2

    def __init__(self, network: Vxp, model: Recipe, settings: TeacherRecipe, data: TrainingData):
        super().__init__()
        self.network, self.model, self.optimiser, self.data = network.camera, model, settings, data
        self.frozen = (self.network.backbone,) if settings.freeze_backbone else ()
        self.augmentation = Augmentation(colours=settings.colours, affine=settings.affine)
        self.positives = positives_of(data.poses[data.train])
        validated = positives_of(data.poses[data.validate])
        batches = pair_batches(validated, settings.batch, np.random.default_rng(0))
        self.validated = [data.validate[rows] for rows in batches]

    def trained(self) -> torch.nn.Module:
        return self.network

    def epoch_batches(self, size: int, random: np.random.Generator) -> list[np.ndarray]:
        return [self.data.train[rows] for rows in pair_batches(self.positives, size, random)]

    def validation_batches(self) -> list[np.ndarray]:
        return self.validated

    def sample(self, row: int, random: np.random.Generator | None) -> tuple[int, torch.Tensor]:
        augmentation = self.augmentation if random else Augmentation()
        return row, image_sample(self.data.frame(row), self.model, augmentation, random)

    def collate(self, samples: list[tuple[int, torch.Tensor]]) -> PlaceBatch:
        rows, images = zip(*samples, strict=True)
        masks = batch_masks(self.data.poses, np.array(rows))
        return PlaceBatch(torch.stack(images), *map(torch.from_numpy, masks))

    def forward(self, batch: PlaceBatch) -> Outcome:
        descriptors = self.network(batch.images).float()
        triplets = batch_hard_triplet(descriptors, batch.positives, batch.negatives, self.optimiser.margin)
        return Outcome(triplets.loss, {"mined": float(triplets.mined), "non_zero": float(triplets.non_zero)})

    def next_batch_size(self, size: int, means: dict[str, float]) -> int:
        """Batch expansion. The two means have the same number of steps, so their ratio is that of the sums."""
        settings = self.optimiser
        return grown_batch(
            size, means["non_zero"], means["mined"],
            rate=settings.batch_growth, threshold=settings.grow_below, largest=settings.max_batch,
        )  # fmt: skip

    def score(self, epoch: int, means: dict[str, float]) -> float:
        if self.optimiser.keep == "last":
            return -float(epoch)
        return means["loss"] * (means["non_zero"] if self.optimiser.keep == "loss_and_violations" else 1.0)


@dataclass(frozen=True)
class PairBatch:
    """Images and the scans taken with them. images: [B, 3, rows, columns], or, with is_encoded, what the teacher makes
    of them."""

    images: torch.Tensor
    scans: ScanBatch
    is_encoded: bool


class AlignmentStage(Task):
    """What stages 2 and 3 share: pairs of image and scan, and a frozen teacher.

    Where no augmentation changes the image but the mirror, the teacher sees each image once (twice with the mirror).
    """

    drops_last_validation = False

    def __init__(
        self, network: Vxp, model: Recipe, settings: OptimiserRecipe, data: TrainingData, augment: Augmentation
    ):
        super().__init__()
        self.teacher, self.student = network.camera, network.lidar
        self.model, self.optimiser, self.data, self.augmentation = model, settings, data, augment
        self.frozen = (self.teacher,)
        self.cache: FeatureCache | None = None

    @abstractmethod
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """What of the teacher the student learns from. Called without gradients."""

    def prepare(self, folder: Path, ranks: Ranks, filling: Filling) -> None:
        if self.augmentation.changes_image:
            return
        rows = np.concatenate([self.data.train, self.data.validate])
        self.cache = FeatureCache(folder / "teacher.npy", rows, variants=1 + self.augmentation.flip)
        if ranks.is_first:
            self.eval()
            self.cache.fill(self.image, self.encode, filling)
        ranks.wait()
        self.cache.open()

    def image(self, row: int, mirrored: bool) -> torch.Tensor:
        return image_sample(self.data.frame(row), self.model, Augmentation(), None, mirrored)

    def epoch_batches(self, size: int, random: np.random.Generator) -> list[np.ndarray]:
        """Whole batches of all training rows in random order; the rest is left out."""
        rows = random.permutation(self.data.train)
        return np.split(rows[: len(rows) // size * size], max(len(rows) // size, 1)) if len(rows) >= size else []

    def validation_batches(self) -> list[np.ndarray]:
        rows, size = self.data.validate, self.optimiser.batch
        if self.drops_last_validation and len(rows) >= size:
            rows = rows[: len(rows) // size * size]
        return [rows[i : i + size] for i in range(0, len(rows), size)]

    def sample(self, row: int, random: np.random.Generator | None) -> tuple[torch.Tensor, Scan]:
        augmentation = self.augmentation if random else Augmentation()
        mirrored = augmentation.flip and random.random() < 0.5
        frame = self.data.frame(row)
        if self.cache:
            image = self.cache.get(row, mirrored)
        else:
            image = image_sample(frame, self.model, augmentation, random, mirrored)
        return image, scan_sample(frame, self.model, augmentation, random, mirrored)

    def collate(self, samples: list[tuple[torch.Tensor, Scan]]) -> PairBatch:
        images, scans = zip(*samples, strict=True)
        return PairBatch(torch.stack(images), ScanBatch.collate(list(scans)), self.cache is not None)

    def target(self, batch: PairBatch) -> torch.Tensor:
        if batch.is_encoded:
            return batch.images
        with torch.no_grad():
            return self.encode(batch.images)


class LocalStage(AlignmentStage):
    """Stage 2. Trains the voxel features; the LiDAR network's pooling and head take no part."""

    title = "local"

    def __init__(self, network: Vxp, model: Recipe, recipe: TrainingRecipe, data: TrainingData):
        settings: LocalRecipe = recipe.local_alignment
        augmentation = Augmentation(
            colours=settings.colours, flip=settings.flip, flip_keeps_cx=recipe.paper_compat.flip_keeps_cx
        )
        super().__init__(network, model, settings, data, augmentation)
        self.nearest_cell = recipe.paper_compat.nearest_cell

    def trained(self) -> torch.nn.Module:
        return self.student.voxel_feat_ext

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return self.teacher.feature_map(images)

    def forward(self, batch: PairBatch) -> Outcome:
        voxels = self.student.voxel_feat_ext(batch.scans.voxels)
        hits = self.student.project(voxels.indices, batch.scans.intrinsics)
        loss = local_alignment(
            self.target(batch), voxels.features, hits, kind=self.optimiser.loss,
            depth_weight=self.optimiser.depth_weight, nearest_cell=self.nearest_cell,
        )  # fmt: skip
        return Outcome(loss, {"voxels_in_view": float(len(hits.row))})


class GlobalStage(AlignmentStage):
    """Stage 3. Trains the whole LiDAR network."""

    title, drops_last_validation = "global", True

    def __init__(self, network: Vxp, model: Recipe, recipe: TrainingRecipe, data: TrainingData):
        settings: GlobalRecipe = recipe.global_alignment
        augmentation = Augmentation(
            settings.colours, settings.affine, settings.flip, settings.motion, recipe.paper_compat.flip_keeps_cx
        )
        super().__init__(network, model, settings, data, augmentation)

    def trained(self) -> torch.nn.Module:
        return self.student

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return self.teacher(images)

    def forward(self, batch: PairBatch) -> Outcome:
        student, is_valid = self.student(batch.scans.voxels, batch.scans.intrinsics)
        loss = global_alignment(self.target(batch), student, is_valid, kind=self.optimiser.loss)
        return Outcome(loss, {"scans_in_view": float(is_valid.sum())})
