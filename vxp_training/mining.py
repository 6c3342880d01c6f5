"""Which samples meet in a batch of the image network's training, and which of them show the same place.

Section 3.2 of our specification of VXP: batches are made of pairs, and grow when too few triplets are still violated.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

POSITIVE_M, NEGATIVE_M = 10.0, 25.0
POSITIVE_YAW = 0.5  # radians: beyond it two views of one place show different things
SMALLEST_BATCH = 4  # two pairs: fewer hold no negative


@dataclass(frozen=True)
class Poses:
    """Where samples were taken. northing, easting: [N] float64 metres. yaw: [N] float64 radians. world: [N] int64.

    Positions can only be compared inside one world (one town, one campaign); samples of two worlds are never the same
    place and always far apart.
    """

    northing: np.ndarray
    easting: np.ndarray
    yaw: np.ndarray
    world: np.ndarray

    def __len__(self) -> int:
        return len(self.yaw)

    def __getitem__(self, rows: np.ndarray) -> "Poses":
        return Poses(self.northing[rows], self.easting[rows], self.yaw[rows], self.world[rows])


def yaw_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smaller angle between headings in radians, in [0, pi]."""
    return np.abs((a - b + np.pi) % (2 * np.pi) - np.pi)


def pair_masks(a: Poses, b: Poses) -> tuple[np.ndarray, np.ndarray]:
    """(positives, negatives) between two sets of samples, each [len(a), len(b)] bool.

    positive: at most 10 m apart and headings less than 0.5 rad apart. negative: more than 25 m apart or in two worlds.
    Other pairs, such as opposite views of one place, are neither. A sample is its own positive: see `batch_masks`.
    """
    apart = np.hypot(a.northing[:, None] - b.northing, a.easting[:, None] - b.easting)
    is_same_world = a.world[:, None] == b.world
    is_aligned = yaw_difference(a.yaw[:, None], b.yaw) < POSITIVE_YAW
    return is_same_world & (apart <= POSITIVE_M) & is_aligned, ~is_same_world | (apart > NEGATIVE_M)


def batch_masks(poses: Poses, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`pair_masks` of a batch with itself; a sample is no positive of itself, also where it is in the batch twice."""
    batch = poses[rows]
    positives, negatives = pair_masks(batch, batch)
    return positives & (rows[:, None] != rows), negatives


def positives_of(poses: Poses) -> list[np.ndarray]:
    """For each sample the rows of its positives, itself excluded, rising."""
    found: list[np.ndarray] = [np.zeros(0, np.int64)] * len(poses)
    for row, near in neighbours(poses, POSITIVE_M):
        is_aligned = yaw_difference(poses.yaw[near], poses.yaw[row]) < POSITIVE_YAW
        found[row] = near[is_aligned & (near != row)]
    return found


def neighbours(poses: Poses, radius: float) -> Iterator[tuple[int, np.ndarray]]:
    """For each sample (row, rows of the same world within `radius` metres, rising, itself included).

    Samples are sorted into squares of `radius` metres, so that only nine squares are searched.
    """
    square = np.stack([poses.world, *np.floor_divide([poses.northing, poses.easting], radius)], axis=1).astype(np.int64)
    members: dict[tuple[int, ...], list[int]] = {}
    for row, key in enumerate(map(tuple, square.tolist())):
        members.setdefault(key, []).append(row)
    around = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    for (world, i, j), rows in members.items():
        near = np.array(sorted(row for di, dj in around for row in members.get((world, i + di, j + dj), [])))
        for row in rows:
            apart = np.hypot(poses.northing[near] - poses.northing[row], poses.easting[near] - poses.easting[row])
            yield row, near[apart <= radius]


def pair_batches(positives: list[np.ndarray], size: int, random: np.random.Generator) -> list[np.ndarray]:
    """One epoch of batches [size] int64, each made of pairs (anchor, positive) side by side.

    Anchors come in random order, each sample that was in no pair yet; the partner is a random positive, one that was
    in no pair yet if there is any. Samples without positives are left out, as is a last batch of fewer than 4.
    """
    is_used = np.zeros(len(positives), bool)
    batches, batch = [], []
    for anchor in random.permutation(len(positives)):
        if is_used[anchor] or len(positives[anchor]) == 0:
            continue
        fresh = positives[anchor][~is_used[positives[anchor]]]
        partner = random.choice(fresh if len(fresh) else positives[anchor])
        is_used[[anchor, partner]] = True
        batch += [anchor, partner]
        if len(batch) >= size:
            batches.append(np.array(batch))
            batch = []
    return batches + ([np.array(batch)] if len(batch) >= SMALLEST_BATCH else [])


def grown_batch(size: int, non_zero: float, mined: float, *, rate: float, threshold: float, largest: int) -> int:
    """The next epoch's batch size: `rate` times as large when less than `threshold` of the mined triplets violated."""
    if mined == 0 or non_zero / mined >= threshold:
        return size
    return min(int(size * rate), max(largest, size))
