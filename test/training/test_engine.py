"""The loop: schedule, best weights, batch growth, resuming at any step, what goes wrong in words."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from vxp_ros.core.errors import ModelError, SourceError
from vxp_training.checkpoint import CHECKPOINT, read_tensors
from vxp_training.distributed import Ranks
from vxp_training.engine import Engine, Loop, Outcome, Task
from vxp_training.recipe import OptimiserRecipe

CPU = torch.device("cpu")
SETTINGS = OptimiserRecipe(epochs=3, batch=4, lr=0.05, min_lr=0.04, lr_step=1)


class Line(Task):
    """Fits a line to ten points that each sample jitters; dropout makes torch's generator matter too."""

    title = "line"

    def __init__(self, optimiser: OptimiserRecipe = SETTINGS):
        super().__init__()
        self.optimiser = optimiser
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.sizes: list[int] = []

    def trained(self) -> nn.Module:
        return self.layer

    def epoch_batches(self, size, random):
        self.sizes.append(size)
        rows = random.permutation(10)
        return [rows[i : i + size] for i in range(0, 10, size)]

    def validation_batches(self):
        return [np.arange(5), np.arange(5, 10)]

    def sample(self, row, random):
        x = row / 10 + (random.normal(0, 0.05) if random else 0.0)
        return torch.tensor([x, 2 * row / 10 + 1])

    def collate(self, samples):
        return torch.stack(samples)

    def forward(self, batch):
        loss = (self.layer(batch[:, :1]) - batch[:, 1:]).square().mean()
        return Outcome(loss, {"rows": float(len(batch))})


class Killed(Exception):
    pass


def log_of(folder) -> list[dict]:
    """Without the times, which no two runs share."""
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


def run(folder, task: Task | None = None, **settings):
    task = task or Line()
    Engine(CPU, checkpoint_s=0, **settings).train(task, folder)
    return task


def stop_at(monkeypatch, method: str, call: int) -> None:
    """Leave the loop before the `call`-th call of one of its methods, as a kill would."""
    original, calls = getattr(Loop, method), iter(range(call))

    def stopping(self, *arguments):
        if next(calls, None) is None:
            raise Killed
        return original(self, *arguments)

    monkeypatch.setattr(Loop, method, stopping)


@pytest.mark.parametrize(
    "method, call", [("step", 0), ("step", 1), ("step", 4), ("finish_epoch", 1), ("save", 3), ("validate", 2)]
)
def test_a_stopped_run_goes_on_to_the_same_end(tmp_path, monkeypatch, method, call):
    whole = run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, method, call)
        with pytest.raises(Killed):
            run(tmp_path / "stopped")
    resumed = run(tmp_path / "stopped")
    assert log_of(tmp_path / "stopped") == log_of(tmp_path / "whole")
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_log_holds_every_step_and_epoch(tmp_path):
    run(tmp_path)
    entries = log_of(tmp_path)
    assert [entry["kind"] for entry in entries] == ["step", "step", "step", "epoch"] * 3
    steps = [entry for entry in entries if entry["kind"] == "step"]
    assert [entry["lr"] for entry in steps[::3]] == pytest.approx([0.05, 0.0475, 0.045125])
    assert [entry["rows"] for entry in steps[:3]] == [4, 4, 2]
    for epoch in range(3):
        own = [entry["loss"] for entry in steps if entry["epoch"] == epoch]
        assert entries[4 * epoch + 3]["loss"] == pytest.approx(np.mean(own))
    assert all(entry["validation_rows"] == 5 for entry in entries[3::4])


def test_the_seed_decides(tmp_path):
    curves = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, seed=seed)
        curves.append(log_of(tmp_path / name))
    assert curves[0] == curves[1] != curves[2]


def test_worker_processes_make_the_same_samples(tmp_path):
    run(tmp_path / "alone")
    run(tmp_path / "two", workers=2)
    assert log_of(tmp_path / "alone") == log_of(tmp_path / "two")


class Scored(Line):
    """The second of three epochs is the best."""

    def score(self, epoch, means):
        self.seen = [*getattr(self, "seen", []), self.layer[0].weight.detach().clone()]
        return [2.0, 1.0, 3.0][epoch]

    def next_batch_size(self, size, means):
        return size + 1


def test_the_best_epochs_weights_are_kept_and_batches_may_grow(tmp_path):
    task = run(tmp_path, Scored())
    assert torch.equal(task.layer[0].weight, task.seen[1]) and not torch.equal(task.seen[1], task.seen[2])
    assert task.sizes == [4, 5, 6]
    assert not task.training
    epochs = [entry for entry in log_of(tmp_path) if entry["kind"] == "epoch"]
    assert [entry["is_best"] for entry in epochs] == [True, True, False]


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = run(tmp_path)
    before = (tmp_path / "log.jsonl").read_bytes()
    again = run(tmp_path)
    assert again.sizes == [] and (tmp_path / "log.jsonl").read_bytes() == before
    assert torch.equal(first.layer[0].weight, again.layer[0].weight)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    class Broken(Line):
        def forward(self, batch):
            return Outcome(super().forward(batch).loss * float("nan"), {})

    with pytest.raises(ModelError, match="line: the loss is nan in epoch 1, step 1: a smaller lr"):
        run(tmp_path, Broken())


def test_no_batch_is_said(tmp_path):
    class Empty(Line):
        def epoch_batches(self, size, random):
            return []

    with pytest.raises(SourceError, match="line: the data make no batch of 4"):
        run(tmp_path, Empty())


def test_another_trainings_checkpoint_is_refused(tmp_path):
    run(tmp_path)

    class Wide(Line):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

    with pytest.raises(ModelError, match="another training"):
        run(tmp_path, Wide())
    (tmp_path / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(ModelError, match="cannot be read"):
        run(tmp_path)


def test_checkpoints_hold_no_code(tmp_path):
    run(tmp_path)
    content = read_tensors(tmp_path / CHECKPOINT)  # weights_only
    assert content["progress"]["epoch"] == 3 and set(content) == {"progress", "network", "optimiser"}


def test_bfloat16_runs(tmp_path):
    class Typed(Line):
        def forward(self, batch):
            self.kind = self.layer(batch[:, :1]).dtype
            return super().forward(batch)

    task = run(tmp_path, Typed(replace(SETTINGS, epochs=1)), precision="bfloat16")
    assert task.kind == torch.bfloat16


def test_event_files_are_written_where_tensorboard_is(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("step/loss")] == list(range(1, 10))
    assert [event.value for event in events.Scalars("step/loss")] == pytest.approx(
        [entry["loss"] for entry in log_of(tmp_path) if entry["kind"] == "step"], rel=1e-5
    )


def test_shares_are_equal_and_keep_pairs_together():
    rows = np.arange(22)
    shares = [Ranks(rank, 4).share(rows, unit=2) for rank in range(4)]
    assert [share.tolist() for share in shares] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]
    assert Ranks().share(rows, unit=2).tolist() == rows.tolist()
    assert len(Ranks(0, 16).share(rows, unit=2)) == 0
