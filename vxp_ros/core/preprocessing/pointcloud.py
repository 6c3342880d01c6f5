"""LiDAR points to voxels: crop, hard voxelisation with caps, and thinning for the clouds that maps keep."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..models.recipe import LidarRecipe


SHUFFLE_SEED = 0  # the caps must choose the same points for the same scan, today and after a restart
FARTHEST = 1e4  # metres; a point beyond is no measurement
FINEST = 0.01  # metres


@dataclass(frozen=True)
class Voxels:
    """The occupied voxels of one scan, in rising order of (z, y, x), whatever the order of the points.

    points: [P, 3] float32 x y z, the points of one voxel side by side. counts: [V] int64, points per voxel.
    coordinates: [V, 3] int32, index (z, y, x).
    """

    points: np.ndarray
    counts: np.ndarray
    coordinates: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)


def voxelise(points: np.ndarray, recipe: "LidarRecipe", scan_order: bool = False) -> Voxels:
    """Sort the points inside `recipe.range` into voxels. points: [N, 3 or more] in the view frame, finite.

    At most `max_points` per voxel and `max_voxels` per scan are kept: a random choice with a fixed seed, or, with
    `scan_order`, whatever the scanner saw first, as in the authors' release.
    """
    points = crop(points, recipe.range)
    if not scan_order:
        points = np.take(points, np.random.default_rng(SHUFFLE_SEED).permutation(len(points)), axis=0)
    keys = voxel_keys(points, recipe)
    order, starts, counts = group(keys)
    is_kept, counts = _apply_caps(order, starts, counts, recipe)
    is_used = counts > 0
    coordinates = np.stack(np.unravel_index(keys[order[starts[is_used]]], recipe.grid), axis=1)
    return Voxels(np.take(points, order[is_kept], axis=0), counts[is_used], coordinates.astype(np.int32))


def crop(points: np.ndarray, bounds: list[float]) -> np.ndarray:
    """The x y z of the points inside [low, high): [M, 3] float32. bounds: x y z low, x y z high in metres."""
    columns = np.array(points[:, :3].T, dtype=np.float32, order="C")  # three times faster to compare than rows
    is_inside = np.ones(len(points), dtype=bool)
    for values, low, high in zip(columns, bounds[:3], bounds[3:], strict=True):
        is_inside &= values >= low
        is_inside &= values < high
    return np.ascontiguousarray(np.compress(is_inside, columns, axis=1).T)


def voxel_keys(points: np.ndarray, recipe: "LidarRecipe") -> np.ndarray:
    """The voxel of each point inside the range as one number, (z, y, x) in mixed radix: [N] int64."""
    shape = recipe.grid
    keys = np.zeros(len(points), np.int64)
    for axis, n in zip((2, 1, 0), shape, strict=True):
        index = ((points[:, axis] - np.float32(recipe.range[axis])) / np.float32(recipe.voxel[axis])).astype(np.int64)
        keys = keys * n + np.clip(index, 0, n - 1)  # rounding may step over the edge
    return keys


def group(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring equal keys together. keys: [N] int64, >= 0. Returns (order [N], starts [G], counts [G]).

    keys[order] rises, equal keys keep their order, and group g is order[starts[g] : starts[g] + counts[g]].
    """
    bits = len(keys).bit_length()
    if len(keys) and int(keys.max()) < 1 << (62 - bits):  # key and position in one number sort five times faster
        packed = np.sort(keys << bits | np.arange(len(keys)))
        order, ordered = packed & ((1 << bits) - 1), packed >> bits
    else:
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    return order, starts, np.diff(starts, append=len(keys))


def _apply_caps(order: np.ndarray, starts: np.ndarray, counts: np.ndarray, recipe: "LidarRecipe"):
    """Returns (which entries of `order` stay [N] bool, points per voxel after both caps [V], 0 for a dropped voxel)."""
    kept_counts = np.minimum(counts, recipe.max_points)
    if len(counts) > recipe.max_voxels:
        first_seen = order[starts]
        latest = np.partition(first_seen, recipe.max_voxels - 1)[recipe.max_voxels - 1]
        kept_counts[first_seen > latest] = 0
    rank = np.arange(len(order)) - np.repeat(starts, counts)  # 0, 1, 2 ... inside each voxel
    return rank < np.repeat(kept_counts, counts), kept_counts


def limit(points: np.ndarray, most: int) -> np.ndarray:
    """At most `most` rows of points [N, ...], spread evenly over the scan; all of them when they are no more."""
    return points if len(points) <= most else points[np.arange(most) * len(points) // most]


def thin(points: np.ndarray, voxel: float) -> np.ndarray:
    """One point, the centroid, per voxel of `voxel` metres. points: [N, 3 or more], any float dtype, finite.

    Returns [M, 3] float32. Points more than 10 km away are dropped. Raises ValueError for a voxel below 1 cm.
    """
    if not FINEST <= voxel <= FARTHEST:
        raise ValueError(f"the voxel size must lie in [{FINEST:g}, {FARTHEST:g}] metres, got {voxel}")
    points = crop(points, [-FARTHEST] * 3 + [FARTHEST] * 3)
    if len(points) == 0:
        return points
    index = np.floor(points.T.copy() / np.float32(voxel)).astype(np.int64)  # [3, M]
    index -= index.min(axis=1, keepdims=True)
    size = index.max(axis=1) + 1  # at most 2e6 each: three of them fit into 63 bits
    order, starts, counts = group((index[0] * size[1] + index[1]) * size[2] + index[2])
    sums = np.add.reduceat(np.take(points, order, axis=0), starts, axis=0, dtype=np.float64)
    return (sums / counts[:, None]).astype(np.float32)
