"""How good the loop closures of a drive are, and what they do to a trajectory that drifts."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vxp_ros.core.datatypes import LoopClosure
from vxp_ros.core.errors import SourceError
from vxp_ros.core.evaluate import precision_recall
from vxp_ros.core.geometry import invert, make_transform, rotation_angle, rotation_z
from vxp_ros.core.loops import LoopFinder
from vxp_ros.core.pose_graph import PoseGraph

from .datasets.town.motion.odometry import drifted
from .evaluate import curve_points
from .loop_drives import LoopDrive, Memory

RADIUS_M = 5.0  # a loop's other end lies within so many metres
WRONG_M, WRONG_DEG = 0.5, 2.0
FAR_M, FAR_DEG = 5.0, 10.0
REPLACED = 0.5
RPE_M = 100.0
NO_RPE = f"no two keyframes have {RPE_M:g} m of the way between them, within 10 %"


def evaluate_loops(drive: LoopDrive, memory: Memory, bar: Callable = lambda rows: rows) -> dict:
    """Numbers of one drive, with odometry that is exact: candidates alone, and the closures that are published."""
    finder = loop_finder(drive, drive.truth, memory)
    near = [has_loop(drive, finder, row) for row in range(len(drive))]
    told = [closure for row in bar(range(len(drive))) for closure in finder.find(row, drive.rear[row])]
    return {
        "drive": drive.name,
        "keyframes": len(drive),
        "revisits": int(np.sum(near)),
        "candidates": candidate_numbers(drive, finder, np.array(near)),
        "closures": closure_numbers(drive, standing(told), np.array(near)),
    }


def loop_finder(drive: LoopDrive, poses: np.ndarray, memory: Memory) -> LoopFinder:
    """As in the loop closer, with its settings. poses: [N, 4, 4] by odometry."""
    return LoopFinder(drive.as_map(poses), calibration=drive.calibration, register=memory.register)


def has_loop(drive: LoopDrive, finder: LoopFinder, row: int) -> bool:
    """Whether an older place that is no recent past lies within the radius."""
    old = drive.truth[: finder.path.first_recent(row, finder.loop), :3, 3]
    return bool((np.linalg.norm(old - drive.truth[row, :3, 3], axis=1) <= RADIUS_M).any())


def candidate_numbers(drive: LoopDrive, finder: LoopFinder, is_answerable: np.ndarray) -> dict:
    """Of the best candidate of every keyframe, by descriptor distance. EP: (precision at the first recall + recall at
    full precision) / 2, as in Ferrarini et al., "Exploring performance bounds of visual place recognition" (2020)."""
    blind = LoopFinder(finder.place_map, loop=replace(finder.loop, drift=1.0))  # nothing is out of odometry's reach
    best = [next(iter(blind.candidates(row)), None) for row in range(len(drive))]
    distances = np.array([np.inf if entry is None else entry.distance for entry in best])
    is_right = np.array([entry is not None and metres_apart(drive, entry.place_id, row) <= RADIUS_M
                         for row, entry in enumerate(best)])  # fmt: skip
    curve = precision_recall(distances, is_right, is_answerable)
    first = float(curve.precision[0]) if len(curve.precision) else 0.0
    return {
        "average_precision": curve.average_precision,
        "max_f1": curve.max_f1,
        "extended_precision": (first + curve.recall_at_full_precision) / 2,
        "recall_at_full_precision": curve.recall_at_full_precision,
        "precision_recall": curve_points(curve),
    }


def metres_apart(drive: LoopDrive, first: int, second: int) -> float:
    return float(np.linalg.norm(drive.truth[first, :3, 3] - drive.truth[second, :3, 3]))


def standing(told: Sequence[LoopClosure]) -> list[LoopClosure]:
    """What was published and not withdrawn."""
    kept = {}
    for closure in told:
        key = (closure.from_id, closure.to_id)
        kept.pop(key, None) if closure.is_retracted else kept.update({key: closure})
    return list(kept.values())


def closure_numbers(drive: LoopDrive, closures: Sequence[LoopClosure], is_answerable: np.ndarray) -> dict:
    """recall: of the keyframes that have a loop, how many have a closure."""
    off = np.array([errors(drive, closure) for closure in closures]).reshape(-1, 2)
    closed = {closure.to_id for closure in closures}
    return {
        "published": len(closures),
        "wrong": int(((off[:, 0] > WRONG_M) | (off[:, 1] > WRONG_DEG)).sum()),
        "far_off": int(((off[:, 0] > FAR_M) | (off[:, 1] > FAR_DEG)).sum()),
        "recall": sum(bool(is_answerable[row]) for row in closed) / max(int(is_answerable.sum()), 1),
        "median_m": float(np.median(off[:, 0])) if len(off) else None,
        "median_deg": float(np.median(off[:, 1])) if len(off) else None,
        "worst_m": float(off[:, 0].max(initial=0.0)),
        "worst_deg": float(off[:, 1].max(initial=0.0)),
    }


def errors(drive: LoopDrive, closure: LoopClosure) -> tuple[float, float]:
    """Metres and degrees from the true relative pose."""
    truth = invert(drive.truth[closure.from_id]) @ drive.truth[closure.to_id]
    off = invert(truth) @ closure.T_from_to
    return float(np.linalg.norm(off[:3, 3])), float(np.degrees(rotation_angle(off[:3, :3])))


# SLAM: odometry drifts, closures come as the loop closer would send them, the pose graph takes both


def evaluate_slam(drive: LoopDrive, memory: Memory, seeds: Sequence[int], drift: float, bar: Callable) -> list[dict]:
    """One row per seed. drift: 1 for 1 % of the way and 0.005 degrees per metre, 0.5 for half of each.

    Raises SourceError for a drive whose trajectories cannot be judged.
    """
    require_shape(drive)
    return [slam_row(drive, memory, seed, drift) for seed in bar(seeds)]


def slam_row(drive: LoopDrive, memory: Memory, seed: int, drift: float) -> dict:
    odometry = drive.truth[0] @ drifted(drive.truth, [seed], drift)
    finder = loop_finder(drive, odometry, memory)
    told = [closure for row in range(len(drive)) for closure in finder.find(row, drive.rear[row])]
    closures = standing(told)
    spoilt = with_random_ones(closures, np.random.default_rng(seed))
    straightened = optimised(drive, odometry, closures)
    drifts = rpe(drive, odometry), rpe(drive, straightened)
    return {
        "drive": drive.name,
        "drift": drift,
        "seed": seed,
        "closures": len(closures),
        "ate_without": ate(drive, odometry),
        "ate_with": ate(drive, straightened),
        "ate_half_random": ate(drive, optimised(drive, odometry, spoilt)),
        "rpe_without": drifts[0],
        "rpe_with": drifts[1],
        **({"rpe_left_out": NO_RPE} if None in drifts else {}),
    }


def require_shape(drive: LoopDrive) -> None:
    """Raises SourceError where the keyframes do not say how a trajectory is to be laid upon the truth."""
    from evo.core.geometry import GeometryException

    try:
        ate(drive, drive.truth)
    except GeometryException as problem:
        raise SourceError(
            f"{drive.name}: all keyframes ({len(drive)}) lie on one line, which no trajectory can be compared with: "
            "choose a smaller --spacing"
        ) from problem


def with_random_ones(closures: Sequence[LoopClosure], rng: np.random.Generator) -> list[LoopClosure]:
    """Half of the closures replaced by poses drawn at random, as sure of themselves as the right ones."""
    spoilt = list(closures)
    for row in rng.permutation(len(spoilt))[: round(REPLACED * len(spoilt))]:
        T = make_transform(rotation_z(rng.uniform(-np.pi, np.pi)), np.append(rng.uniform(-20, 20, 2), 0.0))
        spoilt[row] = replace(spoilt[row], T_from_to=T)
    return spoilt


def optimised(drive: LoopDrive, odometry: np.ndarray, closures: Sequence[LoopClosure]) -> np.ndarray:
    """[N, 4, 4] from the pose graph."""
    return solved(drive, odometry, closures).poses


def solved(drive: LoopDrive, odometry: np.ndarray, closures: Sequence[LoopClosure]) -> PoseGraph:
    """The pose graph, fed in the order of the drive and optimised. odometry: [N, 4, 4]."""
    graph = PoseGraph()
    for row, (place, T) in enumerate(zip(drive.places, odometry, strict=True)):
        graph.add_keyframe(row, place.stamp_ns, T)
    for closure in sorted(closures, key=lambda entry: entry.to_id):
        graph.add_closure(closure)
    graph.optimize()
    return graph


def ate(drive: LoopDrive, poses: np.ndarray) -> float:
    """Root mean square of the positions' errors in metres, trajectories laid upon each other rigidly (evo's APE)."""
    from evo.core import metrics

    reference, estimate = trajectory(drive, drive.truth), trajectory(drive, poses)
    estimate.align(reference)
    metric = metrics.APE(metrics.PoseRelation.translation_part)
    metric.process_data((reference, estimate))
    return float(metric.get_statistic(metrics.StatisticsType.rmse))


def rpe(drive: LoopDrive, poses: np.ndarray, metres: float = RPE_M) -> float | None:
    """Root mean square of the drift over stretches of so many metres, in per cent (evo's RPE); None where the
    keyframes make no such stretch."""
    from evo.core import filters, metrics

    pair = trajectory(drive, drive.truth), trajectory(drive, poses)
    metric = metrics.RPE(metrics.PoseRelation.translation_part, metres, metrics.Unit.meters, all_pairs=True)
    try:
        metric.process_data(pair)
    except filters.FilterException:  # no pairs
        return None
    return 100 * float(metric.get_statistic(metrics.StatisticsType.rmse)) / metres


def trajectory(drive: LoopDrive, poses: np.ndarray):
    from evo.core.trajectory import PoseTrajectory3D

    stamps = np.array([place.stamp_ns for place in drive.places]) / 1e9
    return PoseTrajectory3D(poses_se3=list(np.array(poses)), timestamps=stamps)
