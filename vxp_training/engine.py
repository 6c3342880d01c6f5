"""The loop that trains: steps, validation, best weights, checkpoints. What it trains is a `Task`.

Killed at any moment it goes on from its last checkpoint, and on a CPU its losses are those of an unbroken run: batches,
augmentation and whatever else is random follow from the seed, the epoch and the step alone.
"""

import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from vxp_ros.core import fsio
from vxp_ros.core.errors import ModelError, SourceError

from .checkpoint import BEST, Progress, load_checkpoint, read_tensors, save_checkpoint, write_tensors
from .distributed import Ranks
from .feature_cache import Filling
from .loading import load
from .recipe import OptimiserRecipe
from .run_log import RunLog
from .samples import to_device
from .schedule import lr_factor


class Outcome(NamedTuple):
    """loss: scalar tensor. numbers: what else to log of one batch."""

    loss: torch.Tensor
    numbers: dict[str, float]


class Task(nn.Module, ABC):
    """What is trained, on which samples, by which loss. `forward` takes what `collate` made and returns an Outcome.

    title: for logs. optimiser: its settings. frozen: modules that stay in eval mode; their parameters get no gradient.
    unit: samples of a batch that must stay together when processes share it.
    """

    title = ""
    optimiser: OptimiserRecipe
    frozen: tuple[nn.Module, ...] = ()
    unit = 1

    @abstractmethod
    def trained(self) -> nn.Module:
        """The module whose weights checkpoints hold."""

    @abstractmethod
    def epoch_batches(self, size: int, random: np.random.Generator) -> list[np.ndarray]:
        """Rows of every batch of one epoch."""

    @abstractmethod
    def validation_batches(self) -> list[np.ndarray]:
        """The same in every epoch."""

    @abstractmethod
    def sample(self, row: int, random: np.random.Generator | None) -> Any:
        """One sample, on the CPU, augmented by `random`; None: not augmented."""

    @abstractmethod
    def collate(self, samples: list) -> Any: ...

    def prepare(self, folder: Path, ranks: Ranks, filling: Filling) -> None:
        """Called once before the first step, in each process. filling: for what is made of all samples once."""

    def next_batch_size(self, size: int, means: dict[str, float]) -> int:
        """After an epoch with these mean numbers."""
        return size

    def learning_rate(self, epoch: int, part: float) -> float:
        """After `part` in [0, 1) of this epoch's steps."""
        settings = self.optimiser
        return settings.lr * lr_factor(epoch, settings.lr_step, settings.lr, settings.min_lr)

    def make_optimiser(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, self.optimiser.lr, weight_decay=self.optimiser.weight_decay)

    def score(self, epoch: int, means: dict[str, float]) -> float:
        """The weights of the epoch with the smallest score are kept. means: of the validation."""
        return means["loss"]

    def train(self, mode: bool = True) -> "Task":
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self


@dataclass(frozen=True)
class Engine:
    """How to train, whatever the task. checkpoint_s: seconds between checkpoints inside an epoch."""

    device: torch.device
    ranks: Ranks = Ranks()
    seed: int = 0
    precision: str = "float32"
    workers: int = 0
    checkpoint_s: float = 120.0

    def train(self, task: Task, folder: Path) -> Progress:
        """Train to the end, from the folder's checkpoint if it has one; then the task holds the best epoch's weights.

        All processes see the same folder. Raises ModelError, also when the loss is no number; SourceError without data.
        """
        fsio.create_folders(folder)
        with deterministic(self.device):
            return Loop(self, task, folder).run()


class Loop:
    """One training under way."""

    def __init__(self, engine: Engine, task: Task, folder: Path):
        self.engine, self.task, self.folder = engine, task, folder
        self.device, self.ranks = engine.device, engine.ranks
        settings = task.optimiser
        for module in task.frozen:
            module.requires_grad_(False)
        task.to(self.device)
        parameters = [parameter for parameter in task.trained().parameters() if parameter.requires_grad]
        self.optimiser = task.make_optimiser(parameters)
        found = load_checkpoint(folder, task.trained(), self.optimiser)
        self.at = found or Progress(settings.batch)
        self.log = RunLog(folder, task.title, is_silent=not self.ranks.is_first)

    def run(self) -> Progress:
        self.log.open(self.at.log_bytes, self.at.steps)
        try:
            if self.at.epoch < self.task.optimiser.epochs:
                self.task.prepare(self.folder, self.ranks, self.filling())
                self.parallel = self.ranks.wrap(self.task, self.device)
            while self.at.epoch < self.task.optimiser.epochs:
                self.train_epoch()
                self.finish_epoch()
        finally:
            self.log.close()
        self.task.trained().load_state_dict(read_tensors(self.folder / BEST))
        self.task.eval()
        return self.at

    def filling(self) -> Filling:
        return Filling(self.task.optimiser.batch, self.device, self.log.preparing, self.engine.workers)

    def train_epoch(self) -> None:
        at = self.at
        batches = self.task.epoch_batches(at.batch, np.random.default_rng([self.engine.seed, at.epoch]))
        shares = [share for rows in batches if len(share := self.ranks.share(rows, self.task.unit))]
        if not shares:
            raise SourceError(
                f"{self.task.title}: the data make no batch of {at.batch}: more frames or a smaller batch"
            )
        self.log.begin_epoch(at.epoch, len(shares), at.step)
        self.task.train()
        self.saved = self.epoch_began = time.monotonic()
        for batch in self.load(shares, at.step, is_augmented=True):
            self.step(batch, len(shares))
            if time.monotonic() - self.saved >= self.engine.checkpoint_s:
                self.save()

    def step(self, batch: Any, steps: int) -> None:
        """steps: of the whole epoch."""
        at = self.at
        lr = self.task.learning_rate(at.epoch, at.step / steps)
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group.get("lr_factor", 1.0)
        seed_everything(self.engine.seed, at.epoch, at.step, self.ranks.rank)
        outcome = self.outcome(self.parallel, batch)
        numbers = self.mean({"loss": outcome.loss.item(), **outcome.numbers})
        if not math.isfinite(numbers["loss"]):
            raise ModelError(
                f"{self.task.title}: the loss is {numbers['loss']} in epoch {at.epoch + 1}, step {at.step + 1}: "
                "a smaller lr may help"
            )
        self.optimiser.zero_grad()
        outcome.loss.backward()
        self.optimiser.step()
        at.step, at.steps = at.step + 1, at.steps + 1
        at.sums = {key: at.sums.get(key, 0.0) + value for key, value in numbers.items()}
        self.log.step(at.steps, {"epoch": at.epoch, "step": at.step, **numbers, "lr": lr})

    def finish_epoch(self) -> None:
        at, task = self.at, self.task
        trained = {key: total / at.step for key, total in at.sums.items()}
        validated = self.validate()
        score = task.score(at.epoch, validated)
        is_best = score < at.best
        if is_best:
            at.best, at.best_epoch = score, at.epoch
            if self.ranks.is_first:
                write_tensors(self.folder / BEST, task.trained().state_dict())
        entry = {**trained, **{f"validation_{key}": value for key, value in validated.items()}}
        entry |= {"epoch": at.epoch, "batch": at.batch, "is_best": is_best}
        self.log.epoch(at.steps, entry | {"seconds": round(time.monotonic() - self.epoch_began, 1)})
        at.batch = task.next_batch_size(at.batch, trained)
        at.epoch, at.step, at.sums = at.epoch + 1, 0, {}
        self.save()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Means over the batches, which the processes share out."""
        batches = self.task.validation_batches()
        if not batches:
            raise SourceError(f"{self.task.title}: the validation data make no batch")
        self.task.eval()
        sums: dict[str, float] = {}
        own = batches[self.ranks.rank :: self.ranks.world] or batches[:1]  # more processes than batches
        for batch in self.load(own, 0, is_augmented=False):
            outcome = self.outcome(self.task, batch)
            numbers = {"loss": outcome.loss.item(), **outcome.numbers, "batches": 1.0}
            sums = {key: sums.get(key, 0.0) + value for key, value in numbers.items()}
        sums = self.ranks.sum(sums, self.device)
        if not math.isfinite(sums["loss"]):
            raise ModelError(f"{self.task.title}: the validation loss is {sums['loss']} in epoch {self.at.epoch + 1}")
        count = sums.pop("batches")
        return {key: total / count for key, total in sums.items()}

    def outcome(self, module: nn.Module, batch: Any) -> Outcome:
        use_bfloat16 = self.engine.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=use_bfloat16):
            return module(to_device(batch, self.device))

    def mean(self, numbers: dict[str, float]) -> dict[str, float]:
        sums = self.ranks.sum(numbers, self.device)
        return {key: value / self.ranks.world for key, value in sums.items()}

    def load(self, shares: list[np.ndarray], done: int, is_augmented: bool) -> DataLoader:
        """The batches from number `done` on."""
        jobs = [
            [(i, self.ranks.rank * len(rows) + position, int(row)) for position, row in enumerate(rows)]
            for i, rows in enumerate(shares)
        ]
        seed = (self.engine.seed, self.at.epoch) if is_augmented else None
        return load(Samples(self.task, seed), jobs[done:], self.engine.workers, self.task.collate)

    def save(self) -> None:
        self.at.log_bytes = self.log.flush()
        if self.ranks.is_first:
            save_checkpoint(self.folder, self.at, self.task.trained(), self.optimiser)
        self.saved = time.monotonic()


class Samples(Dataset):
    """Samples by (batch, position in the batch, row). seed: of their augmentation; None: not augmented."""

    def __init__(self, task: Task, seed: tuple[int, int] | None):
        self.task, self.seed = task, seed

    def __getitem__(self, job: tuple[int, int, int]) -> Any:
        batch, position, row = job
        return self.task.sample(
            row, None if self.seed is None else np.random.default_rng([*self.seed, batch, position])
        )


def seed_everything(*numbers: int) -> None:
    """python, numpy and torch, from a few small numbers."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On a CPU, sums whose order does not depend on the moment; GPUs keep their fast ones."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(device.type == "cpu" or before[0], warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
