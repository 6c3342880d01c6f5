"""Training on a disk that becomes full: said in one sentence; the run goes on to the same end when there is room."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_engine import log_of, run

from vxp_ros.core import fsio


def fill(disk: Path, free: int) -> Path:
    filler = disk / "filler"
    filler.write_bytes(bytes(max(0, os.statvfs(disk).f_bavail * 4096 - free)))
    return filler


def weights_of(task) -> list[torch.Tensor]:
    return [tensor.detach().clone() for tensor in task.parameters()]


def same_run(folder: Path, other: Path, task, weights: list[torch.Tensor]) -> bool:
    return log_of(folder) == log_of(other) and all(map(torch.equal, weights_of(task), weights))


def train_on_full_disks(disk: Path, tmp_path: Path, levels: int) -> tuple[int, int]:
    """Train with ever more room, and again with enough. Returns how many runs the full disk ended, and how many ended
    as the unbroken one."""
    weights = weights_of(run(tmp_path / "whole"))
    used = sum(file.stat().st_blocks * 512 for file in (tmp_path / "whole").rglob("*") if file.is_file())
    ended, same = 0, 0
    for level in range(levels):
        filler = fill(disk, level * 2 * used // levels)
        try:
            run(disk / "run")
        except OSError as problem:
            ended += 1
            assert problem.errno == errno.ENOSPC and str(disk) in str(problem.filename)
        filler.unlink()
        same += same_run(disk / "run", tmp_path / "whole", run(disk / "run"), weights)
        shutil.rmtree(disk / "run")
    return ended, same


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of TensorBoard's own thread
def test_a_full_disk_ends_a_run_in_words_and_costs_no_step(make_disk, tmp_path, count, record_property):
    levels = count(10, 40)
    ended, same = train_on_full_disks(make_disk(2), tmp_path, levels)
    record_property("fill levels", levels)
    record_property("runs that the full disk ended", ended)
    record_property("went on to the same losses and weights", same)
    assert same == levels
    assert levels / 3 < ended < levels


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_full_disk_harness_catches_the_forgetful_engine(make_disk, tmp_path, forgetful, count, record_property):
    levels = count(10, 40)
    ended, same = train_on_full_disks(make_disk(2), tmp_path, levels)
    record_property("fill levels", levels)
    record_property("runs that the full disk ended", ended)
    record_property("the same losses and weights by the naive engine", same)
    assert same < levels


def steps_of_a_run(folder: Path, monkeypatch, fail_at: int = -1) -> int:
    """Train with call number `fail_at` to the disk failing. Returns how many calls there were."""
    calls = []

    def before_step(operation: str, path: Path) -> None:
        calls.append(operation)
        if len(calls) - 1 == fail_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(fsio, "before_step", before_step)
        run(folder)
    return len(calls)


def resumed_after_failing_calls(tmp_path: Path, monkeypatch, calls: range) -> int:
    """How many runs, each of which failed at one of these calls, went on to the end of the unbroken run."""
    weights, same = weights_of(run(tmp_path / "whole")), 0
    for number in calls:
        folder = tmp_path / "failed"
        with pytest.raises(OSError, match="No space left"):
            steps_of_a_run(folder, monkeypatch, number)
        same += same_run(folder, tmp_path / "whole", run(folder), weights)
        shutil.rmtree(folder)
    return same


def test_any_failing_call_costs_no_step(tmp_path, monkeypatch, count, record_property):
    total = steps_of_a_run(tmp_path / "count", monkeypatch)
    calls = range(0, total, count(8, 2))
    same = resumed_after_failing_calls(tmp_path, monkeypatch, calls)
    record_property("failing calls", len(calls))
    record_property("went on to the same losses and weights", same)
    assert same == len(calls)


def test_the_harness_catches_an_engine_that_forgets_its_optimiser(tmp_path, monkeypatch, forgetful, record_property):
    total = steps_of_a_run(tmp_path / "count", monkeypatch)
    calls = range(0, total, 8)
    same = resumed_after_failing_calls(tmp_path, monkeypatch, calls)
    record_property("failing calls", len(calls))
    record_property("the same losses by the naive engine", same)
    assert same < len(calls) / 2


ARRAY = """
import sys
from pathlib import Path
import numpy as np
from vxp_ros.core import fsio
path, way = Path(sys.argv[1]), sys.argv[2]
array = np.lib.format.open_memmap(path, "w+", np.float32, (1 << 20,)) if way == "naive" else \
    fsio.create_array(path, np.float32, (1 << 20,))
array[:] = 1
"""


@pytest.mark.parametrize("way", ["naive", "reserved"])
def test_an_array_on_a_full_disk_is_an_error_and_not_the_end_of_the_process(make_disk, way):
    """4 MB on a disk of 2: numpy makes a file with holes, and a store into one that cannot be filled is SIGBUS."""
    disk = make_disk(2)
    command = [sys.executable, "-c", ARRAY, str(disk / "array.npy"), way]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    if way == "naive":  # the control
        assert done.returncode == -signal.SIGBUS
    else:
        assert done.returncode == 1 and "No space left on device" in done.stderr and "array.npy" in done.stderr
        assert not list(disk.iterdir())


def test_space_is_reserved_without_touching_what_is_there(tmp_path):
    path = tmp_path / "array.npy"
    array = fsio.create_array(path, np.dtype(np.int64), (1 << 16,))
    assert path.stat().st_blocks * 512 >= path.stat().st_size
    array[:3] = 1, 2, 3
    array.flush()
    fsio.reserve(path)
    assert np.load(path)[:4].tolist() == [1, 2, 3, 0]
