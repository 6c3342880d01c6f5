"""Open3D's registration, for comparison in `benchmark_registration.py`: FPFH + RANSAC, then point-to-plane ICP.

No dependency of the project (907 MB): pip install open3d into an environment of its own.
"""

from collections.abc import Callable

import numpy as np

VOXEL = 1.0  # metres
NORMAL_RADIUS, FEATURE_RADIUS, MATCH_DISTANCE = 2 * VOXEL, 5 * VOXEL, 1.5 * VOXEL
EDGE_LENGTH = 0.9  # the lesser of two edges by the larger, at least
ITERATIONS, CONFIDENCE = 100_000, 0.999
ICP_REACH, ICP_NORMAL_RADIUS = 1.0, 1.0  # metres


def load_open3d() -> Callable | None:
    """(source [N, 3], target [M, 3]) -> T_target_source [4, 4]; None, and a printed sentence, without Open3D."""
    try:
        import open3d
    except ImportError as problem:
        print(f"Open3D's row is left out ({problem}): pip install open3d to have it")
        return None
    open3d.utility.set_verbosity_level(open3d.utility.VerbosityLevel.Error)
    open3d.utility.random.seed(0)  # RANSAC's draws
    return lambda source, target: refined(open3d, source, target, by_features(open3d, source, target))


def by_features(open3d, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[4, 4] rough pose, by RANSAC over matched FPFH of clouds 1 m apart."""
    part = open3d.pipelines.registration
    (seen, features), (known, known_features) = with_features(open3d, source), with_features(open3d, target)
    checkers = [
        part.CorrespondenceCheckerBasedOnEdgeLength(EDGE_LENGTH),
        part.CorrespondenceCheckerBasedOnDistance(MATCH_DISTANCE),
    ]
    found = part.registration_ransac_based_on_feature_matching(
        seen,
        known,
        features,
        known_features,
        mutual_filter=True,
        max_correspondence_distance=MATCH_DISTANCE,
        estimation_method=part.TransformationEstimationPointToPoint(False),
        ransac_n=3,
        checkers=checkers,
        criteria=part.RANSACConvergenceCriteria(ITERATIONS, CONFIDENCE),
    )
    return np.array(found.transformation)


def with_features(open3d, points: np.ndarray) -> tuple:
    cloud = as_cloud(open3d, points).voxel_down_sample(VOXEL)
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamHybrid(NORMAL_RADIUS, 30))
    around = open3d.geometry.KDTreeSearchParamHybrid(FEATURE_RADIUS, 100)
    return cloud, open3d.pipelines.registration.compute_fpfh_feature(cloud, around)


def refined(open3d, source: np.ndarray, target: np.ndarray, T_rough: np.ndarray) -> np.ndarray:
    """[4, 4] by ICP on all points."""
    part, known = open3d.pipelines.registration, as_cloud(open3d, target)
    known.estimate_normals(open3d.geometry.KDTreeSearchParamHybrid(ICP_NORMAL_RADIUS, 30))
    method = part.TransformationEstimationPointToPlane()
    found = part.registration_icp(as_cloud(open3d, source), known, ICP_REACH, T_rough, method)
    return np.array(found.transformation)


def as_cloud(open3d, points: np.ndarray):
    return open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.astype(np.float64)))
