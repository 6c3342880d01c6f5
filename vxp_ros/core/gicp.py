"""small_gicp: the exact relative pose of two clouds from a rough one. The only file that imports it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import ModelError

SURFACE_NEIGHBOURS = 10  # points that say how the surface runs at a point
ITERATIONS = 15  # right poses settle within ten; wrong ones never do
OVERLAP_RADIUS = 0.5  # metres


@dataclass(frozen=True)
class Surfaces:
    """A cloud ready for alignment. points: [N, 3] float32. cloud, tree: small_gicp's, with a covariance per point."""

    points: np.ndarray
    cloud: Any
    tree: Any

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class Alignment:
    """T_target_source: [4, 4] float64. H: [6, 6] Hessian of the error at that pose for a small motion of the source in
    its own frame, rotation first. error: half the sum of squared, weighted distances over `inliers` source points.
    inlier_ratio: share of the source points with a target point within reach. overlap: within half a metre.
    """

    T_target_source: np.ndarray
    H: np.ndarray
    error: float
    inliers: int
    inlier_ratio: float
    overlap: float


def surfaces(points: np.ndarray) -> Surfaces:
    """points: [N, 3] float32, thinned. Raises ModelError when small_gicp is not installed."""
    small_gicp = load_small_gicp()
    cloud = small_gicp.PointCloud(points.astype(np.float64))
    tree = small_gicp.KdTree(cloud)
    small_gicp.estimate_covariances(cloud, tree, num_neighbors=SURFACE_NEIGHBOURS)
    return Surfaces(points, cloud, tree)


def refine(
    source: Surfaces,
    target: Surfaces,
    T_target_source: np.ndarray,
    reaches: tuple[float, ...],
    iterations: int = ITERATIONS,
) -> Alignment:
    """Align by GICP from a rough pose [4, 4]. reaches: metres between partners, round after round.

    iterations: at most, in each round.
    """
    small_gicp = load_small_gicp()
    for reach in reaches:
        result = small_gicp.align(
            target.cloud, source.cloud, target.tree, T_target_source, "GICP", reach, max_iterations=iterations
        )
        T_target_source = np.array(result.T_target_source)
    inliers = int(result.num_inliers)
    return Alignment(
        T_target_source=T_target_source,
        H=np.array(result.H),
        error=float(result.error),
        inliers=inliers,
        inlier_ratio=inliers / len(source),
        overlap=overlap(source, target, T_target_source),
    )


def overlap(source: Surfaces, target: Surfaces, T_target_source: np.ndarray) -> float:
    """Share of the source points that have a target point within half a metre."""
    moved = source.points @ T_target_source[:3, :3].T + T_target_source[:3, 3]
    _, squared = target.tree.batch_nearest_neighbor_search(moved)
    return float(np.mean(np.asarray(squared) < OVERLAP_RADIUS**2))


def knows_neighbours(points: np.ndarray, count: int, radius: float) -> np.ndarray:
    """[N] bool: which of the points [N, 3] have at least `count` others within `radius` metres."""
    if len(points) <= count:
        return np.zeros(len(points), bool)
    small_gicp = load_small_gicp()
    tree = small_gicp.KdTree(points.astype(np.float64))
    _, squared = tree.batch_knn_search(points.astype(np.float64), count + 1)  # the first is the point itself
    return np.asarray(squared)[:, -1] < radius**2


def load_small_gicp():
    try:
        import small_gicp
    except ImportError as problem:
        raise ModelError(f"registration needs small_gicp ({problem}): pip install 'vxp_ros[slam]'") from problem
    return small_gicp
