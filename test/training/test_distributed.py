"""Two real processes, connected as torchrun connects them, train what one process trains."""

import json
import multiprocessing
import os
import socket

import numpy as np
import pytest
import torch
from torch import nn

from vxp_training.distributed import joined_ranks
from vxp_training.engine import Engine, Outcome, Task
from vxp_training.recipe import OptimiserRecipe

FORK = multiprocessing.get_context("fork")


class Fit(Task):
    """A line through twelve samples. Its loss is a mean, so the mean of two halves is that of the whole."""

    title, unit = "fit", 2
    optimiser = OptimiserRecipe(epochs=2, batch=8, lr=0.05)

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer, self.idle = nn.Linear(1, 1), nn.Linear(1, 1)  # `idle` gets no gradient

    def trained(self):
        return self

    def epoch_batches(self, size, random):
        rows = random.permutation(12)
        return [rows[:8], rows[8:], rows[:1]]  # one row cannot be shared by pairs: left out

    def validation_batches(self):
        return [np.arange(4), np.arange(4, 8), np.arange(8, 12)]  # an odd number for two processes

    def sample(self, row, random):
        return torch.tensor([row / 10 + (random.normal(0, 0.05) if random else 0.0), row / 5 + 1])

    def collate(self, samples):
        return torch.stack(samples)

    def forward(self, batch):
        return Outcome((self.layer(batch[:, :1]) - batch[:, 1:]).square().mean(), {"rows": float(len(batch))})


def train_here(folder) -> Fit:
    with joined_ranks(use_cuda=False) as ranks:
        task = Fit()
        Engine(torch.device("cpu"), ranks).train(task, folder)
    return task


def train_as(rank: int, port: int, folder) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }  # fmt: skip
    train_here(folder)


def epochs_of(folder) -> list[dict]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: entry[key] for key in ("loss", "validation_loss")} for entry in entries if entry["kind"] == "epoch"]


def test_two_processes_train_what_one_does(tmp_path):
    alone = train_here(tmp_path / "one")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [FORK.Process(target=train_as, args=(rank, port, tmp_path / "two")) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    best = torch.load(tmp_path / "two" / "best.pt", weights_only=True)
    torch.testing.assert_close(best["layer.weight"], alone.layer.weight.detach())
    for one, two in zip(epochs_of(tmp_path / "one"), epochs_of(tmp_path / "two"), strict=True):
        assert two == pytest.approx(one, rel=1e-5)
