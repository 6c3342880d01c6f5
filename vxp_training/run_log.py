"""What a training tells while it runs: log.jsonl, TensorBoard, a progress bar and a line per epoch on stderr."""

import json
import logging
import os
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vxp_ros.core import fsio
from vxp_ros.core.json_file import plain

logger = logging.getLogger(__name__)

LOG, TENSORBOARD = "log.jsonl", "tensorboard"


class RunLog:
    """The log of one stage. is_silent: write and show nothing, for all processes but the first.

    Entries after a checkpoint are cut off when the training goes on from it, so that each step stands there once.
    """

    def __init__(self, folder: Path, title: str, is_silent: bool = False):
        self.folder, self.title, self.is_silent = folder, title, is_silent
        self.console = Console(stderr=True, quiet=is_silent)
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=self.console, transient=True, disable=is_silent,
        )  # fmt: skip
        self.row = self.bar.add_task(title, total=None)

    def open(self, length: int, steps: int) -> None:
        """Go on after `length` bytes of the log and `steps` steps."""
        if self.is_silent:
            return
        self.file = open(self.folder / LOG, "ab")  # noqa: SIM115  # closed by `close`
        self.file.truncate(length)
        self.file.seek(0, os.SEEK_END)
        self.board = EventFiles(self.folder / TENSORBOARD, steps)
        self.bar.start()

    def close(self) -> None:
        self.bar.stop()
        if not self.is_silent:
            self.board.close()
            with fsio.named_errors(self.folder / LOG):
                self.file.close()

    def flush(self) -> int:
        """Bring everything to the disk; returns the log's length in bytes."""
        if self.is_silent:
            return 0
        self.file.flush()
        os.fsync(self.file.fileno())
        return self.file.tell()

    def preparing(self, what: str, done: int, total: int) -> None:
        self.bar.update(self.row, description=f"{self.title}: {what}", total=total, completed=done)

    def begin_epoch(self, epoch: int, steps: int, done: int) -> None:
        self.bar.update(self.row, description=f"{self.title} epoch {epoch + 1}", total=steps, completed=done)

    def step(self, steps: int, entry: dict) -> None:
        self._write("step", steps, entry)
        self.bar.advance(self.row)

    def epoch(self, steps: int, entry: dict) -> None:
        self._write("epoch", steps, entry)
        shown = ", ".join(f"{key} {value:.4g}" for key, value in entry.items() if isinstance(value, float))
        self.console.print(f"{self.title} epoch {entry['epoch'] + 1}: {shown}", highlight=False)

    def _write(self, kind: str, steps: int, entry: dict) -> None:
        if self.is_silent:
            return
        with fsio.named_errors(self.folder / LOG):
            self.file.write(json.dumps(plain({"kind": kind, **entry}), allow_nan=False).encode() + b"\n")
            self.file.flush()  # so that it can be followed; `flush` brings it to the disk
        self.board.add({f"{kind}/{key}": value for key, value in entry.items()}, steps)


class EventFiles:
    """TensorBoard's files, going on after `steps`. log.jsonl has the same numbers, so what fails here costs a warning
    and no training."""

    def __init__(self, folder: Path, steps: int):
        self.writer = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder), purge_step=steps)
        except ImportError:
            logger.warning("no TensorBoard files are written: pip install tensorboard (log.jsonl has the same numbers)")
        except OSError as problem:
            self._give_up(problem)

    def add(self, values: dict[str, float], steps: int) -> None:
        try:
            for name, value in values.items() if self.writer else ():
                self.writer.add_scalar(name, value, steps)
        except OSError as problem:
            self._give_up(problem)

    def close(self) -> None:
        try:
            if self.writer:
                self.writer.close()
        except OSError as problem:
            self._give_up(problem)

    def _give_up(self, problem: OSError) -> None:
        self.writer = None
        logger.warning("TensorBoard files end here (log.jsonl has the same numbers): %s", problem.strerror or problem)
