"""KISS-Matcher: a rough relative pose of two clouds without any initial guess. The only file that imports it."""

import numpy as np

from .errors import ModelError
from .geometry import make_transform
from .gicp import knows_neighbours
from .preprocessing.pointcloud import thin

# KISS-Matcher ends the process on clouds whose points have no neighbours to make a feature of (3 points do it, and
# 2,000 scattered ones). So many voxels must hold a point with so many neighbours within so many voxels.
MIN_FEATURES, NEIGHBOURS, REACH = 100, 5, 2.5
MAX_MATCHES = 1500  # a flat field matches everywhere, and its thousands of matches take seconds to sort out


def match_globally(source: np.ndarray, target: np.ndarray, voxel: float) -> np.ndarray | None:
    """T_target_source [4, 4] within about a metre and some degrees, or None when no pose explains the features.

    source, target: [N, 3] float32, finite. voxel: metres; 1.0 is quick, 0.5 finds more and takes longer.
    Raises ModelError when KISS-Matcher is not installed.
    """
    kiss_matcher = load_kiss_matcher()
    if min(count_features(cloud, voxel) for cloud in (source, target)) < MIN_FEATURES:
        return None
    settings = kiss_matcher.KISSMatcherConfig(voxel_size=voxel, num_max_corr=MAX_MATCHES)
    solution = kiss_matcher.KISSMatcher(settings).estimate(list(source), list(target))
    T = make_transform(np.asarray(solution.rotation, np.float64), np.asarray(solution.translation, np.float64).ravel())
    return T if solution.valid and np.isfinite(T).all() else None


def count_features(cloud: np.ndarray, voxel: float) -> int:
    """How many voxels hold a point that has neighbours to make a feature of."""
    return int(knows_neighbours(thin(cloud, voxel), NEIGHBOURS, REACH * voxel).sum())


def load_kiss_matcher():
    try:
        import kiss_matcher
    except ImportError as problem:
        raise ModelError(
            f"registration needs kiss-matcher ({problem}): pip install 'vxp_ros[slam]' on Python 3.10 to 3.12 "
            "(there is no wheel for 3.13)"
        ) from problem
    return kiss_matcher
