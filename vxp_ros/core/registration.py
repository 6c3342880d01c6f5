"""Relative pose of two LiDAR clouds of one place, how sure it is, and whether to believe it.

Nothing is known beforehand but the guess that both saw the same place: KISS-Matcher finds the rough pose, small_gicp
the exact one, and gates fitted on a town that no test uses refuse what may be wrong.
"""

from dataclasses import dataclass

import numpy as np

from .config import RegistrationSettings
from .errors import BadInput, ModelError
from .geometry import HALF_TURN
from .gicp import Alignment, Surfaces, load_small_gicp, refine, surfaces
from .global_matching import load_kiss_matcher, match_globally
from .preprocessing.pointcloud import limit, thin

THINNING = 0.3  # metres; what maps keep of a cloud, and all that a verification needs
MIN_POINTS = 500  # after thinning; a scan of 16 rings in a street leaves some thousands
MOST_POINTS = 40_000  # a scan of 64 rings leaves half as many
QUICK_VOXEL, THOROUGH_VOXEL = 1.0, 0.5  # metres
REACHES = (3.0, 1.0)  # metres between partners: the rough pose is off by one or two, rarely by three
FLIP_REACHES, FLIP_ITERATIONS = (3.0, 1.0), 10  # a wrong turn never settles, and need not
HOPELESS_OVERLAP = 0.15  # after the first round: of 140 pairs of town-val no pose was lost that the gates accept
# The Hessian per inlier in a direction in which a straight corridor or an open field holds nothing: it is the part of
# each point's covariance along its surface, and says nothing about the pose.
NO_HOLD = 1.5
LEAST_INFORMATION = 1.0


@dataclass(frozen=True)
class Registration:
    """The pose of `source` in `target` and what it is worth.

    T_target_source: [4, 4] float64; the identity when nothing was found. covariance: [6, 6] float64 in ROS's order
    x y z rot_x rot_y rot_z (metres, radians), about the fixed axes of `target`. inlier_ratio: share of the source
    points with a partner within a metre. overlap: share of the points off the ground with a partner within half a
    metre, the lesser of both ways. smallest_eigenvalue: of GICP's Hessian for one inlier: 0.5 where nothing holds the
    source in some direction, dozens where walls do. flip_ratio: the inlier ratio of the best pose with the source
    turned round. reason: in words, why it was refused, or that it was not.
    """

    T_target_source: np.ndarray
    covariance: np.ndarray
    inlier_ratio: float
    overlap: float
    smallest_eigenvalue: float
    flip_ratio: float
    is_accepted: bool
    reason: str


def register(
    source: np.ndarray,
    target: np.ndarray,
    settings: RegistrationSettings | None = None,
    T_guess: np.ndarray | None = None,
) -> Registration:
    """Find and judge the relative pose of two clouds.

    source, target: [N, 3 or more] float, x y z in metres, finite, z roughly up; clouds denser than those of maps are
    thinned. T_guess: [4, 4] T_target_source, right within two metres and some degrees; it is then refined, and takes a
    third of the time. None: the pose is sought everywhere. Raises BadInput ("bad_cloud", "not_finite",
    "too_few_points"), and ModelError when KISS-Matcher or small_gicp is missing.
    """
    settings = settings or RegistrationSettings()
    source, target = usable(source, "source"), usable(target, "target")
    seen, known = surfaces(source), surfaces(target)
    found = search(seen, known, settings) if T_guess is None else refine(seen, known, T_guess, REACHES)
    if found is None:
        return nothing_found()
    turned = refine(seen, known, found.T_target_source @ HALF_TURN, FLIP_REACHES, FLIP_ITERATIONS)
    if turned.inlier_ratio > found.inlier_ratio:
        found, turned = refine(seen, known, turned.T_target_source, REACHES), found
    return judged(found, turned.inlier_ratio, settings)


def missing_library() -> str:
    """Why `register` cannot run here, and what to install; "" when it can."""
    try:
        load_kiss_matcher()
        load_small_gicp()
    except ModelError as problem:
        return str(problem)
    return ""


def usable(points: np.ndarray, name: str) -> np.ndarray:
    """The cloud as registration takes it: [N, 3] float32, one point per 0.3 m."""
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind != "f":
        shape = f"{points.dtype} {list(points.shape)}"
        raise BadInput("bad_cloud", f"the {name} cloud must be float [N, 3 or more], got {shape}")
    if not np.isfinite(points[:, :3]).all():
        raise BadInput("not_finite", f"the {name} cloud holds points that are not finite: drop them first")
    thinned = limit(thin(points, THINNING), MOST_POINTS)
    if len(thinned) < MIN_POINTS:
        raise BadInput(
            "too_few_points",
            f"the {name} cloud has {len(thinned)} points {THINNING} m apart; registration needs {MIN_POINTS}",
        )
    return thinned


def search(source: Surfaces, target: Surfaces, settings: RegistrationSettings) -> Alignment | None:
    """The quick global search, and the thorough one where the quick one leaves doubt; the better of what they find."""
    best = None
    for voxel in (QUICK_VOXEL, THOROUGH_VOXEL):
        found = search_once(source, target, voxel, settings)
        if found is not None and (best is None or found.inlier_ratio > best.inlier_ratio):
            best = found
        if best is not None and best.inlier_ratio >= settings.sure_inlier_ratio:
            break
    return best


def search_once(source: Surfaces, target: Surfaces, voxel: float, settings: RegistrationSettings) -> Alignment | None:
    """None where the clouds have nothing in common, which spares another place a quarter of the price."""
    T_rough = match_globally(source.points, target.points, voxel)
    if T_rough is None:
        return None
    near = refine(source, target, T_rough, REACHES[:1])
    is_held = smallest_eigenvalue(near) >= settings.min_eigenvalue  # where nothing holds, let that be the reason
    if is_held and near.overlap < HOPELESS_OVERLAP:
        return None
    return refine(source, target, near.T_target_source, REACHES[1:])


def judged(found: Alignment, flip_ratio: float, settings: RegistrationSettings) -> Registration:
    eigenvalue = smallest_eigenvalue(found)
    objection = find_objection(found, eigenvalue, flip_ratio, settings)
    return Registration(
        T_target_source=found.T_target_source,
        covariance=covariance_of(found, settings),
        inlier_ratio=found.inlier_ratio,
        overlap=found.overlap,
        smallest_eigenvalue=eigenvalue,
        flip_ratio=flip_ratio,
        is_accepted=not objection,
        reason=objection or "all gates passed",
    )


def find_objection(found: Alignment, eigenvalue: float, flip_ratio: float, settings: RegistrationSettings) -> str:
    """Why this pose must not be believed; empty when nothing speaks against it."""
    if found.inlier_ratio < settings.min_inlier_ratio:
        return f"the inlier ratio {found.inlier_ratio:.2f} is below {settings.min_inlier_ratio:g}"
    if eigenvalue < settings.min_eigenvalue:
        return (
            f"degenerate scene: the smallest eigenvalue {eigenvalue:.2f} is below {settings.min_eigenvalue:g}, "
            "nothing holds the clouds in some direction"
        )
    if found.overlap < settings.min_overlap:
        return f"the overlap {found.overlap:.2f} is below {settings.min_overlap:g}"
    if found.inlier_ratio - flip_ratio < settings.min_flip_margin:
        return (
            f"turned round, it fits as well: inlier ratio {found.inlier_ratio:.2f} against {flip_ratio:.2f}, "
            f"less than {settings.min_flip_margin:g} apart"
        )
    return ""


def smallest_eigenvalue(found: Alignment) -> float:
    """Of the Hessian for one inlier, so that dense clouds seem no surer than thin ones."""
    return float(np.linalg.eigvalsh(found.H)[0]) / max(found.inliers, 1)


def covariance_of(found: Alignment, settings: RegistrationSettings) -> np.ndarray:
    """[6, 6] in ROS's order, from the Hessian, the residual and constants that make it honest.

    The Hessian takes every point for independent and every surface for flat. Neither is so, and a scan taken while
    driving is bent as well: the inflation and the floor come from pairs with known truth.
    """
    values, vectors = np.linalg.eigh(found.H)
    residual = found.error / max(found.inliers, 1)
    held = np.maximum(values - NO_HOLD * found.inliers, LEAST_INFORMATION)
    R, zero = found.T_target_source[:3, :3], np.zeros((3, 3))
    to_ros = np.block([[zero, R], [R, zero]]) @ vectors  # small_gicp: rotation first, in the source's own frame
    floor = np.repeat([settings.position_floor, settings.rotation_floor], 3) ** 2
    return settings.inflation * residual * (to_ros / held) @ to_ros.T + np.diag(floor)


def nothing_found() -> Registration:
    unknown = np.diag(np.repeat([1e6, np.pi**2], 3))
    return Registration(np.eye(4), unknown, 0.0, 0.0, 0.0, 0.0, False, "no pose explains both clouds")
