"""small_gicp: the exact relative pose of two clouds from a rough one. The only file that imports it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import ModelError
from .geometry import invert, transform_points

SURFACE_NEIGHBOURS = 10  # points that say how the surface runs at a point
ITERATIONS = 15  # right poses settle within ten; wrong ones never do
OVERLAP_RADIUS = 0.5  # metres
STEEP = 0.7  # a surface whose normal's z is below this is no ground


@dataclass(frozen=True)
class Surfaces:
    """A cloud ready for alignment.

    points: [N, 3] float32, z roughly up. is_upright: [N] bool, walls, poles and trees, not ground. cloud, tree:
    small_gicp's, with a covariance per point.
    """

    points: np.ndarray
    is_upright: np.ndarray
    cloud: Any
    tree: Any

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True)
class Alignment:
    """T_target_source: [4, 4] float64. H: [6, 6] Hessian of the error at that pose for a small motion of the source in
    its own frame, rotation first. error: half the sum of squared, weighted distances over `inliers` source points.
    inlier_ratio: share of the source points with a target point within reach. overlap: see there.
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
    small_gicp.estimate_normals_covariances(cloud, tree, num_neighbors=SURFACE_NEIGHBOURS)
    is_upright = np.abs(np.asarray(cloud.normals())[:, 2]) < STEEP
    return Surfaces(points, is_upright, cloud, tree)


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
    """Share of the upright points that have a point of the other cloud within half a metre; the lesser of both ways.

    Ground lies on ground in any two places, and half of a wide cloud may cover all of a narrow one.
    """
    return min(covered(source, target, T_target_source), covered(target, source, invert(T_target_source)))


def covered(cloud: Surfaces, other: Surfaces, T_other_cloud: np.ndarray) -> float:
    upright = cloud.points[cloud.is_upright]
    if len(upright) == 0:
        return 0.0
    _, squared = other.tree.batch_nearest_neighbor_search(transform_points(T_other_cloud, upright))
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
