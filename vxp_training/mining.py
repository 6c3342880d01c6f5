"""Which samples meet in a batch of the image network's training, and which of them show the same place.

Section 3.2 of our specification of VXP: batches are made of pairs, and grow when too few triplets are still violated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .datasets.annotation import Annotation, neighbours, yaw_difference

POSITIVE_M, NEGATIVE_M = 10.0, 25.0
POSITIVE_YAW = 0.5  # radians: beyond it two views of one place show different things
POOL = 8  # times a batch: the neighbourhood that it is drawn from
SMALLEST_BATCH = 4  # two pairs: fewer hold no negative


# Folders that are trained on together share no world: their samples are never the same place and always far apart.
FOLDER_GAP_M = 1e7


@dataclass(frozen=True)
class Poses:
    """Where samples were taken. positions: [N, 2] float64, northing and easting in metres. yaw: [N] float64 radians."""

    positions: np.ndarray
    yaw: np.ndarray

    @classmethod
    def of(cls, folders: Sequence[Annotation]) -> "Poses":
        """The rows of several tables one after the other, each table in a world of its own."""
        positions = [
            table.positions - table.positions.min(axis=0) + i * FOLDER_GAP_M for i, table in enumerate(folders)
        ]
        return cls(np.concatenate(positions), np.concatenate([table.yaw for table in folders]))

    def __len__(self) -> int:
        return len(self.yaw)

    def __getitem__(self, rows: np.ndarray) -> "Poses":
        return Poses(self.positions[rows], self.yaw[rows])


def pair_masks(a: Poses, b: Poses) -> tuple[np.ndarray, np.ndarray]:
    """(positives, negatives) between two sets of samples, each [len(a), len(b)] bool.

    positive: at most 10 m apart and headings less than 0.5 rad apart. negative: more than 25 m apart. Other pairs, such
    as opposite views of one place, are neither. A sample is its own positive: see `batch_masks`.
    """
    apart = np.linalg.norm(a.positions[:, None] - b.positions, axis=2)
    is_aligned = yaw_difference(a.yaw[:, None], b.yaw) < POSITIVE_YAW
    return (apart <= POSITIVE_M) & is_aligned, apart > NEGATIVE_M


def batch_masks(poses: Poses, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`pair_masks` of a batch with itself; a sample is no positive of itself, also where it is in the batch twice."""
    batch = poses[rows]
    positives, negatives = pair_masks(batch, batch)
    return positives & (rows[:, None] != rows), negatives


def positives_of(poses: Poses) -> list[np.ndarray]:
    """For each sample the rows of its positives, itself excluded, rising."""
    near = neighbours(poses.positions, poses.positions, POSITIVE_M)
    return [
        rows[(yaw_difference(poses.yaw[rows], poses.yaw[i]) < POSITIVE_YAW) & (rows != i)]
        for i, rows in enumerate(near)
    ]


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


def on_other_drives(positives: list[np.ndarray], drives: np.ndarray) -> list[np.ndarray]:
    """Of each sample's positives those of another drive, where there are any. drives: [N], whose sample it is."""
    others = [rows[drives[rows] != drives[i]] for i, rows in enumerate(positives)]
    return [other if len(other) else rows for other, rows in zip(others, positives, strict=True)]


def place_batches(
    poses: Poses, positives: list[np.ndarray], size: int, random: np.random.Generator
) -> list[np.ndarray]:
    """One epoch of batches [size] int64 of pairs side by side, as `pair_batches`, but each from one neighbourhood.

    So the negatives are streets of the same town, which are the hard ones. A neighbourhood is the `POOL` times as many
    samples around a random one that were in no pair yet.
    """
    has_partner = np.array([len(rows) > 0 for rows in positives], bool)
    is_left, batches = has_partner.copy(), []
    while is_left.any():
        left = np.flatnonzero(is_left)
        apart = np.linalg.norm(poses.positions[left] - poses.positions[random.choice(left)], axis=1)
        pool = left[np.argsort(apart, kind="stable")[: POOL * size]]
        anchors = random.permutation(pool)[: size // 2]
        partners = [random.choice(positives[anchor]) for anchor in anchors]
        is_left[anchors] = is_left[partners] = False
        batches.append(np.column_stack([anchors, partners]).reshape(-1))
    return [batch for batch in batches if len(batch) >= SMALLEST_BATCH]


def grown_batch(size: int, non_zero: float, mined: float, *, rate: float, threshold: float, largest: int) -> int:
    """The next epoch's batch size: `rate` times as large when less than `threshold` of the mined triplets violated."""
    if mined == 0 or non_zero / mined >= threshold:
        return size
    return min(int(size * rate), max(largest, size))
