"""One training process, or one of many that torchrun started (gloo on CPUs, nccl on GPUs)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

PATIENCE = timedelta(hours=12)  # the others wait while the first process encodes or writes


@dataclass(frozen=True)
class Ranks:
    """rank: number of this process. world: how many there are. local: number on this computer."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, rows: np.ndarray, unit: int = 1) -> np.ndarray:
        """This process's part of a batch, the same number for each: whole units (pairs), the rest is dropped."""
        size = len(rows) // (self.world * unit) * unit
        return rows[self.rank * size : (self.rank + 1) * size]

    def wrap(self, module: nn.Module, device: torch.device) -> nn.Module:
        """The module with gradients averaged over all processes; some parameters may get none in a step."""
        if self.world == 1:
            return module
        devices = [device] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, devices, find_unused_parameters=True)

    def sum(self, numbers: dict[str, float], device: torch.device) -> dict[str, float]:
        """Sums over all processes; each gives the same keys."""
        if self.world == 1:
            return numbers
        values = torch.tensor(list(numbers.values()), dtype=torch.float64, device=device)
        dist.all_reduce(values)
        return dict(zip(numbers, values.tolist(), strict=True))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()


def is_first_process() -> bool:
    """True also without torchrun."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined_ranks(use_cuda: bool) -> Iterator[Ranks]:
    """The processes of torchrun, connected while the context lasts; without torchrun this process alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    ranks = Ranks(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    if use_cuda:
        torch.cuda.set_device(ranks.local)
    dist.init_process_group("nccl" if use_cuda else "gloo", timeout=PATIENCE)
    try:
        yield ranks
    finally:
        dist.destroy_process_group()
