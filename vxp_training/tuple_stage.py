"""Training of LCPR and EINet on NUSC-PR: by the split's tuples (EINet) or by triplets mined every epoch (LCPR).

A row is a keyframe of the split. A tuple is so many rows side by side: a query, its positives, its negatives.
"""

import os
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vxp_ros.core.models.einet import Einet
from vxp_ros.core.models.lcpr import Lcpr
from vxp_ros.core.models.recipe import Recipe

from .datasets.nusc_pr.supervised import planar
from .distributed import Ranks
from .engine import Outcome, Task
from .feature_cache import Filling
from .fusion_losses import MARGIN, lazy_triplet
from .loading import load
from .recipe import MinedRecipe, StepRecipe, TuplesRecipe
from .rig_samples import RigCache, RigFrames, recoloured
from .rig_stage import RigDescriber
from .samples import to_device
from .schedule import halved
from .split_tuples import NEGATIVES, NONE, answerable, as_rows, mine, padded, tuple_sets
from .training_data import TrainingData


@dataclass(frozen=True)
class TupleBatch:
    """frames: of all tuples. number: [T, K] int64, which of them stands where in a tuple, -1 for none."""

    frames: RigFrames
    number: torch.Tensor


class TupleTask(Task):
    """What both stages share. positives: how many follow the query in a tuple. validated: [V, unit] rows."""

    positives = 1
    optimiser: StepRecipe
    validated: np.ndarray

    def __init__(self, network: Lcpr | Einet, model: Recipe, settings: StepRecipe, data: TrainingData, depth: float):
        super().__init__()
        self.network, self.model, self.optimiser, self.data = network, model, settings, data
        self.describer = RigDescriber(network, model, depth)
        self.to(memory_format=torch.channels_last)  # faster; set before a checkpoint is read: the same sums after it

    def trained(self) -> nn.Module:
        return self.describer

    @abstractmethod
    def used_rows(self) -> np.ndarray:
        """Of all frames that this training looks at."""

    def prepare(self, folder: Path, ranks: Ranks, filling: Filling) -> None:
        self.folder, self.ranks, self.filling = folder, ranks, filling
        self.cache = RigCache(folder, self.used_rows(), self.data, self.model, self.describer.learns_depth)
        self.cache.fill(ranks, filling)

    def learning_rate(self, epoch: int, part: float) -> float:
        return halved(epoch, self.optimiser.lr_step, self.optimiser.lr)

    def validation_batches(self) -> list[np.ndarray]:
        return batches_of(self.validated, self.optimiser.batch)

    def sample(self, row: int, random: np.random.Generator | None) -> RigFrames | None:
        return None if row == NONE else self.cache.get(row)

    def collate(self, samples: list[RigFrames | None]) -> TupleBatch:
        is_there = torch.tensor([sample is not None for sample in samples])
        number = torch.where(is_there, is_there.cumsum(0) - 1, NONE)
        frames = RigFrames.stack([sample for sample in samples if sample is not None])
        return TupleBatch(frames, number.view(-1, self.unit))

    def described(self, batch: TupleBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Descriptors [T, K, D], anything where a tuple has none, and the depth's error."""
        frames = self.augmented(batch.frames.float())
        vectors, depth = self.describer(frames)
        return vectors.float()[batch.number.clamp(min=0)], depth

    def augmented(self, frames: RigFrames) -> RigFrames:
        return frames

    def share_found(self, vectors: torch.Tensor, number: torch.Tensor) -> float:
        """Share of the tuples whose query is nearest to a positive."""
        apart = (vectors[:, :1] - vectors[:, 1:]).norm(dim=2).masked_fill(number[:, 1:] == NONE, torch.inf)
        return (apart.argmin(dim=1) < self.positives).float().mean().item()

    def score(self, epoch: int, means: dict[str, float]) -> float:
        """How well places are told apart; depth only helps to learn it."""
        return means["triplet"]


class TuplesStage(TupleTask):
    """EINet's: the tuples of the split, a lazy triplet, and depth as the LiDAR saw it."""

    title, positives, unit = "tuples", 2, 7

    def __init__(self, network: Lcpr | Einet, model: Recipe, settings: TuplesRecipe, data: TrainingData):
        super().__init__(network, model, settings, data, settings.depth)
        self.tuples, self.validated = map(as_rows, tuple_sets(data.split))

    def used_rows(self) -> np.ndarray:
        return np.union1d(self.tuples, self.validated)

    def make_optimiser(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Trunks that may start from ImageNet learn by `trunk` times the learning rate."""
        trunks = [self.network.backbone, self.network.scan_stages]
        slow = {id(parameter) for trunk in trunks if trunk is not None for parameter in trunk.parameters()}
        groups = [
            {"params": [p for p in parameters if id(p) in slow], "lr_factor": self.optimiser.trunk},
            {"params": [p for p in parameters if id(p) not in slow]},
        ]
        return torch.optim.Adam(groups, self.optimiser.lr, weight_decay=self.optimiser.weight_decay)

    def epoch_batches(self, size: int, random: np.random.Generator) -> list[np.ndarray]:
        return batches_of(random.permutation(self.tuples), size)

    def augmented(self, frames: RigFrames) -> RigFrames:
        """Another exposure. A turn of the rig would change nothing: neither network knows which camera looks ahead."""
        return recoloured(frames) if self.training else frames

    def forward(self, batch: TupleBatch) -> Outcome:
        vectors, depth = self.described(batch)
        triplet = lazy_triplet(vectors[:, 0], vectors[:, 1:3], vectors[:, 3:])
        found = self.share_found(vectors, batch.number)
        numbers = {"triplet": triplet.item(), "depth": depth.item(), "found": found}
        return Outcome(triplet + self.optimiser.depth * depth, numbers)


class MinedStage(TupleTask):
    """LCPR's: every epoch all frames are described, and each query gets the triplets that are wrong so far.

    mined.npz in the run folder holds the epoch's triplets and the negatives that queries remember, so that a training
    that was killed inside an epoch goes on with the same ones although its weights have moved since.
    """

    title, unit = "mined", 2 + NEGATIVES

    def __init__(self, network: Lcpr | Einet, model: Recipe, settings: MinedRecipe, data: TrainingData):
        super().__init__(network, model, settings, data, depth=0.0)
        self.split, self.queries = data.split, answerable(data.split)
        self.described_rows = np.concatenate(
            [np.union1d(data.split.districts[name].database, queries.query) for name, queries in self.queries.items()]
        )
        given = as_rows(tuple_sets(data.split)[1])
        self.validated = np.array([[row[0], row[1], *padded(row[3:])] for row in given])

    def used_rows(self) -> np.ndarray:
        return np.setdiff1d(np.union1d(self.described_rows, self.validated), [NONE])

    def epoch_batches(self, size: int, random: np.random.Generator) -> list[np.ndarray]:
        """The first process mines, the others wait and read."""
        key, path = int(random.integers(2**62)), self.folder / "mined.npz"  # the key is the epoch's own
        if self.ranks.is_first and not (path.exists() and int(read_arrays(path)["key"]) == key):
            self.mine_into(path, key, random)
        self.ranks.wait()
        return batches_of(read_arrays(path)["tuples"], size)

    def mine_into(self, path: Path, key: int, random: np.random.Generator) -> None:
        """Where nothing violates the margin any more, the triplets of the epoch before stay."""
        before = read_arrays(path) if path.exists() else {}
        vectors, xy, found, remembered = self.describe_all(), planar(self.split.keyframes), [], {}
        for name, queries in self.queries.items():
            known = before.get(f"remembered_{name}", np.full((len(queries), NEGATIVES), NONE))
            found.append(mine(queries, self.split.districts[name].database, xy, vectors, known, random))
            remembered[f"remembered_{name}"] = known
        tuples = random.permutation(np.concatenate(found))
        write_arrays(path, key=np.array(key), tuples=tuples if len(tuples) else before.get("tuples", tuples),
                     **remembered)  # fmt: skip

    @torch.no_grad()
    def describe_all(self) -> np.ndarray:
        """[N, D] float32 by row of the keyframes, NaN for those that are not looked at; by the weights as they are."""
        self.eval()
        rows, how = self.described_rows, self.filling
        vectors = np.full((len(self.split.keyframes), self.model.length_of("fused")), np.nan, np.float32)
        size = self.unit * how.batch
        parts = [rows[i : i + size] for i in range(0, len(rows), size)]
        frames = load(self.cache, parts, how.workers, RigFrames.stack)
        for done, (part, batch) in enumerate(zip(parts, frames, strict=True), start=1):
            vectors[part] = self.describer.network.fuse(*to_device(batch, how.device).float().network_inputs()).cpu()
            how.report("descriptors", done, len(parts))
        return vectors

    def forward(self, batch: TupleBatch) -> Outcome:
        vectors, _ = self.described(batch)
        query, positive, negatives = vectors[:, :1], vectors[:, 1:2], vectors[:, 2:]
        is_there = batch.number[:, 2:] != NONE
        anchors, right = (part.expand_as(negatives)[is_there] for part in (query, positive))
        loss = F.triplet_margin_loss(anchors, right, negatives[is_there], margin=MARGIN)
        return Outcome(loss, {"triplet": loss.item(), "found": self.share_found(vectors, batch.number)})


def batches_of(tuples: np.ndarray, size: int) -> list[np.ndarray]:
    """Rows of `size` tuples at a time, one tuple after the other. tuples: [T, K]."""
    return [tuples[i : i + size].reshape(-1) for i in range(0, len(tuples), size)]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Whole or not at all."""
    scratch = path.with_suffix(".part")
    with scratch.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(scratch, path)
