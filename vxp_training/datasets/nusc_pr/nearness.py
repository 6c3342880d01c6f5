"""Who is near whom, exactly: distances in chunks, so that 9.0 m is within 9 m whatever a tree would round."""

from collections.abc import Iterator
from math import floor, sqrt

import numpy as np

POSITIVE_M, NEGATIVE_M = 9.0, 18.0  # right within the one, wrong beyond the other, neither between them
CHUNK = 256  # queries at a time


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[A, B] float64 metres between rows of a [A, 2 or 3] and b."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.sqrt(sum((a[:, None, axis] - b[None, :, axis]) ** 2 for axis in range(a.shape[1])))


def chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, CHUNK):
        yield slice(start, min(start + CHUNK, count))


def thinned(xy: np.ndarray, spacing: float) -> np.ndarray:
    """Row numbers of xy [N, 2] so that each lies more than `spacing` metres from all before it that were kept.

    Greedy in the order of rows, so it cannot be done at once; a grid of that spacing leaves nine cells to look at.
    """
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    kept = []
    for row, (x, y) in enumerate(xy.astype(np.float64).tolist()):
        column, line = floor(x / spacing), floor(y / spacing)
        around = (cells.get((column + i, line + j), ()) for i in (-1, 0, 1) for j in (-1, 0, 1))
        if all(sqrt((x - u) ** 2 + (y - v) ** 2) > spacing for cell in around for u, v in cell):
            cells.setdefault((column, line), []).append((x, y))
            kept.append(row)
    return np.array(kept, np.int64)
