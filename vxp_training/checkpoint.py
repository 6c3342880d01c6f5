"""Where a training stands, on disk: written whole or not at all, read without running code.

Everything random is drawn from the seed, the epoch and the step, so that no generator's state has to be kept.
"""

import io
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from vxp_ros.core import fsio
from vxp_ros.core.errors import ModelError
from vxp_ros.core.floors import require

require("torch", torch.__version__)
CHECKPOINT, BEST = "checkpoint.pt", "best.pt"


@dataclass
class Progress:
    """epoch: the one under way. step: steps of it that are done. steps: done in all. batch: samples per step in this
    epoch. sums: of this epoch's numbers over its steps. best: smallest score so far, in best_epoch. log_bytes: length
    of the log when this was written."""

    batch: int
    epoch: int = 0
    step: int = 0
    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    best: float = float("inf")
    best_epoch: int = -1
    log_bytes: int = 0


def save_checkpoint(folder: Path, progress: Progress, trained: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    content = {"progress": asdict(progress), "network": trained.state_dict(), "optimiser": optimiser.state_dict()}
    write_tensors(folder / CHECKPOINT, content)


def load_checkpoint(folder: Path, trained: nn.Module, optimiser: torch.optim.Optimizer) -> Progress | None:
    """Fill network and optimiser from the folder's checkpoint, if there is one. Raises ModelError for a misfit."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    content = read_tensors(path)
    try:
        trained.load_state_dict(content["network"])
        optimiser.load_state_dict(content["optimiser"])
        return Progress(**content["progress"])
    except (KeyError, TypeError, ValueError, RuntimeError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise ModelError(f"{path} is of another training: choose another --out, or remove it ({reason})") from problem


def write_tensors(path: Path, content: dict) -> None:
    """Tensors and plain values, in one step. Raises OSError."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    fsio.replace_file(path, [buffer.getbuffer()])


def read_tensors(path: Path) -> dict:
    """What `write_tensors` wrote, on the CPU. Raises ModelError."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as problem:
        reason = " ".join(str(problem).split())[:200] or type(problem).__name__
        raise ModelError(f"{path} cannot be read: {reason}") from problem
