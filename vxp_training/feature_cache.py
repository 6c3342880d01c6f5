"""What frozen layers make of every sample, once, in a file that is read by row."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

Report = Callable[[str, int, int], None]  # of what is being made: its name, how much is done, how much there is


class FeatureCache:
    """dtype [variants, N, ...]: plain, then mirrored samples of N rows. Encoded in the order of the rows and in fixed
    batches, so that a training that was killed finds the same numbers again."""

    def __init__(self, path: Path, rows: np.ndarray, variants: int, dtype: type = np.float32):
        self.path, self.rows, self.variants, self.dtype = path, rows, variants, dtype
        self.position = {int(row): i for i, row in enumerate(rows)}

    def fill(
        self, sample: Callable[[int, bool], torch.Tensor], encode: Callable[[torch.Tensor], torch.Tensor],
        batch: int, device: torch.device, report: Report,
    ) -> None:  # fmt: skip
        """Encode everything, unless the file is there. sample: the tensor of (row, mirrored). report: see `Report`."""
        if self.path.exists():
            return
        scratch, features = self.path.with_suffix(".part"), None
        for variant in range(self.variants):
            for start in range(0, len(self.rows), batch):
                samples = torch.stack([sample(int(row), bool(variant)) for row in self.rows[start : start + batch]])
                with torch.no_grad():
                    part = encode(samples.to(device)).float().cpu().numpy()
                if features is None:
                    shape = (self.variants, len(self.rows), *part.shape[1:])
                    features = np.lib.format.open_memmap(scratch, "w+", self.dtype, shape)
                features[variant, start : start + len(part)] = part
                report(self.path.stem, variant * len(self.rows) + start + len(part), self.variants * len(self.rows))
        features.flush()
        del features
        os.replace(scratch, self.path)

    def open(self) -> None:
        self.features = np.load(self.path, mmap_mode="r", allow_pickle=False)

    def get(self, row: int, mirrored: bool) -> torch.Tensor:
        return torch.from_numpy(self.features[int(mirrored), self.position[row]].copy())
