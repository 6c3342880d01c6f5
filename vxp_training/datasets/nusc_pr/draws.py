"""Draws that anybody can repeat: uniform numbers of PCG64 under a seed and a purpose, the smallest ones win.

Only `Generator.random` is used, whose stream numpy keeps; its `choice` and `permutation` may change between versions.
"""

from zlib import crc32

import numpy as np

NEVER = 2.0  # above every uniform number


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A stream of its own for every purpose, such as "bs negatives", so that no draw depends on another's length."""
    return np.random.default_rng([seed, crc32(purpose.encode())])


def draw_order(random: np.random.Generator, count: int) -> np.ndarray:
    """[count] the numbers 0..count-1 in random order."""
    return np.argsort(random.random(count), kind="stable")


def draw_distinct(random: np.random.Generator, is_allowed: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """From each row of is_allowed [Q, P] bool, `count` columns drawn evenly without replacement, in order of the draw.

    Each row takes P uniform numbers; its allowed columns with the smallest are drawn. Returns columns [Q, count] int64
    and [Q] bool, whether the row allowed so many; the columns of the others mean nothing.
    """
    keys = np.where(is_allowed, random.random(is_allowed.shape), NEVER)
    is_drawn = is_allowed.sum(axis=1) >= count
    if is_allowed.shape[1] < count:
        return np.zeros((len(is_allowed), count), np.int64), is_drawn
    columns = np.argpartition(keys, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(keys, columns, axis=1), axis=1)
    return np.take_along_axis(columns, order, axis=1).astype(np.int64), is_drawn


def draw_repeated(random: np.random.Generator, is_allowed: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The same with replacement: each row takes `count` uniform numbers u, the column is number floor(u n) of its n
    allowed ones. One allowed column is enough."""
    allowed = is_allowed.sum(axis=1)
    numbers = (random.random((len(is_allowed), count)) * allowed[:, None]).astype(np.int64)
    columns = np.zeros((len(is_allowed), count), np.int64)
    for row in np.flatnonzero(allowed):
        columns[row] = np.flatnonzero(is_allowed[row])[numbers[row]]
    return columns, allowed > 0
