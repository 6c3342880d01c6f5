"""What LCPR and EINet learn from: a frame's images, range image and depths, made once; and batches of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from vxp_ros.core.datatypes import Frame
from vxp_ros.core.errors import BadInput, SourceError
from vxp_ros.core.models.recipe import Recipe
from vxp_ros.core.preprocessing.rig import rig_depths, rig_images, rig_scan

from .distributed import Ranks
from .feature_cache import FeatureCache, Filling
from .training_data import TrainingData

GAIN, OFFSET = 0.3, 0.5  # augmentation: contrast by up to +-30 %, brightness by up to half a standard deviation


@dataclass(frozen=True)
class RigFrames:
    """B frames of N cameras, in front of the network: images [B, N, 3, H, W] normalised, scans [B, C, rows, columns],
    depths [B, N, H, W] metres with 0 where nothing is known. What a network has no use for is empty, [B, 0]."""

    images: torch.Tensor
    scans: torch.Tensor
    depths: torch.Tensor

    @classmethod
    def stack(cls, frames: list["RigFrames"]) -> "RigFrames":
        return cls(*(torch.stack(parts) for parts in zip(*(vars(frame).values() for frame in frames), strict=True)))

    def float(self) -> "RigFrames":
        return RigFrames(self.images.float(), self.scans.float(), self.depths.float())

    def network_inputs(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Images and scans as `fuse` of the networks wants them."""
        return tuple(part if part[0].numel() else None for part in (self.images, self.scans))


class RigCache(Dataset):
    """The frames of `rows` in files of a folder, as half floats. with_depths: for a network that learns them."""

    def __init__(self, folder: Path, rows: np.ndarray, data: TrainingData, model: Recipe, with_depths: bool):
        self.rows, self.data, self.model = rows, data, model
        self.makers = {} if model.modalities == ["lidar"] else {"images": rig_images}
        self.makers |= {} if model.modalities == ["camera"] else {"scans": rig_scan}
        self.makers |= {"depths": rig_depths} if with_depths else {}
        self.caches = {name: FeatureCache(folder / f"{name}.npy", rows, 1, np.float16) for name in self.makers}

    def fill(self, ranks: Ranks, filling: Filling) -> None:
        if ranks.is_first:
            for name, cache in self.caches.items():
                cache.fill(lambda row, _, make=self.makers[name]: self.made(row, make), as_it_is, filling)
        ranks.wait()
        for cache in self.caches.values():
            cache.open()

    def made(self, row: int, make: Callable[[Frame, Recipe], torch.Tensor]) -> torch.Tensor:
        """Raises SourceError that says which frame the network cannot learn from."""
        try:
            return make(self.data.frame(row), self.model)
        except BadInput as problem:
            raise SourceError(f"{self.data.name(row)}: {problem}; leave it out of the prepared data") from None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> RigFrames:
        return self.get(int(row))

    def get(self, row: int) -> RigFrames:
        """Of one frame, without the dimension B."""
        parts = {name: cache.get(row, False) for name, cache in self.caches.items()}
        nothing = torch.empty(0)
        return RigFrames(*(parts.get(name, nothing) for name in ("images", "scans", "depths")))


def as_it_is(samples: torch.Tensor) -> torch.Tensor:
    return samples


def mirrored(frames: RigFrames, cameras: int) -> RigFrames:
    """The same frames of a mirrored world: left is right, and what looked right looks left.

    cameras: strips of a panorama, the first of which looks ahead.
    """
    around = [-i % cameras for i in range(cameras)]
    images, depths = (part[:, around].flip(-1) if part[0].numel() else part for part in (frames.images, frames.depths))
    scans = frames.scans
    if scans[0].numel():
        scans = scans.flip(-1).roll(scans.shape[-1] // cameras, -1)
    return RigFrames(images, scans, depths)


def recoloured(frames: RigFrames) -> RigFrames:
    """Every frame's images under another exposure, the same for all its cameras."""
    if not frames.images[0].numel():
        return frames
    count, device = len(frames.images), frames.images.device
    random = 2 * torch.rand(2, count, 1, 1, 1, 1, device=device) - 1
    return replace(frames, images=frames.images * (1 + GAIN * random[0]) + OFFSET * random[1])
