"""Samples in batches, made by this process or by several beside it."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
from torch.utils.data import DataLoader, Dataset


def load(
    dataset: Dataset, batches: Sequence[Sequence], workers: int, collate: Callable[[list], Any] | None = None
) -> DataLoader:
    """The dataset's samples, batch by batch. batches: the keys of each. collate: None stacks tensors."""
    return DataLoader(
        dataset, batch_sampler=batches, collate_fn=collate, num_workers=workers, worker_init_fn=one_thread,
        multiprocessing_context="fork" if workers else None,
    )  # fmt: skip


def one_thread(_worker: int) -> None:
    cv2.setNumThreads(0)
