"""Queries and places along a line, whose answers can be worked out by hand."""

import numpy as np

from vxp_training.datasets.annotation import Annotation
from vxp_training.evaluate import answer
from vxp_training.protocols.trial import Trial


def table(positions: np.ndarray, stamps_s=None) -> Annotation:
    count = len(positions)
    stamps = np.arange(count) if stamps_s is None else np.asarray(stamps_s)
    none = np.full(count, "")
    return Annotation(np.full(count, "a"), (stamps * 1e9).astype(np.int64), positions[:, 0], positions[:, 1],
                      np.zeros(count), none, none)  # fmt: skip


def on_a_line(query_at: list[float], right: list[list[int]], group: str = "g"):
    """Queries at these descriptor values, places at 0, 1, 2, 3 (10 m apart); one-dimensional descriptors."""
    count = len(query_at)
    positions = np.column_stack([np.zeros(count + 4), np.concatenate([np.zeros(count), 10.0 * np.arange(4)])])
    trial = Trial(group, "t", np.arange(count), np.arange(count, count + 4), [np.array(r, np.int64) for r in right])
    return answer(trial, table(positions), np.array(query_at, np.float32)[:, None],
                  np.arange(4, dtype=np.float32)[:, None])  # fmt: skip
