"""What frozen layers make of every sample, once, in a file that is read by row."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from vxp_ros.core import fsio

from .loading import load

Report = Callable[[str, int, int], None]  # of what is being made: its name, how much is done, how much there is
Sample = Callable[[int, bool], torch.Tensor]  # of (row, mirrored)


@dataclass(frozen=True)
class Filling:
    """How caches are filled. batch: samples that are encoded at a time, on `device`. workers: processes that make
    samples; 0: this one."""

    batch: int
    device: torch.device
    report: Report
    workers: int = 0


class FeatureCache:
    """dtype [variants * N, ...]: plain, then mirrored samples of N rows. Encoded in the order of the rows and in fixed
    batches, so that a training that was killed finds the same numbers again."""

    def __init__(self, path: Path, rows: np.ndarray, variants: int, dtype: type = np.float32):
        self.path, self.rows, self.variants, self.dtype = path, rows, variants, dtype
        self.position = {int(row): i for i, row in enumerate(rows)}

    def fill(self, sample: Sample, encode: Callable[[torch.Tensor], torch.Tensor], how: Filling) -> None:
        """Encode everything, unless the file is there."""
        if self.path.exists():
            return
        scratch, features, done = self.path.with_suffix(".part"), None, 0
        total = self.variants * len(self.rows)
        for samples in load(Samples(sample), self.batches(how.batch), how.workers):
            with torch.no_grad():
                part = encode(samples.to(how.device)).float().cpu().numpy()
            if features is None:
                features = fsio.create_array(scratch, self.dtype, (total, *part.shape[1:]))
            features[done : done + len(part)] = part
            done += len(part)
            how.report(self.path.stem, done, total)
        features.flush()
        del features
        os.replace(scratch, self.path)

    def batches(self, size: int) -> list[list[tuple[int, bool]]]:
        """(row, mirrored) of each; none holds plain and mirrored samples."""
        rows = [self.rows[start : start + size] for start in range(0, len(self.rows), size)]
        return [[(int(row), bool(variant)) for row in part] for variant in range(self.variants) for part in rows]

    def open(self) -> None:
        features = np.load(self.path, mmap_mode="r", allow_pickle=False)
        self.features = features.reshape(self.variants, len(self.rows), *features.shape[1:])

    def get(self, row: int, mirrored: bool) -> torch.Tensor:
        return torch.from_numpy(self.features[int(mirrored), self.position[row]].copy())


class Samples(Dataset):
    """By (row, mirrored)."""

    def __init__(self, sample: Sample):
        self.sample = sample

    def __getitem__(self, job: tuple[int, bool]) -> torch.Tensor:
        return self.sample(*job)
