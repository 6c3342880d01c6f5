"""What loop closures of other methods are worth: for benchmark_peers.py. Between two keyframes, or two local maps."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from vxp_ros.core.config import LoopSettings
from vxp_ros.core.geometry import invert, rotation_angle
from vxp_training.baselines.scan_context import scan_context
from vxp_training.datasets.town.store.master import Recording
from vxp_training.datasets.town_days import RIG, Spacing, record_days
from vxp_training.loop_eval import FAR_DEG, FAR_M, RADIUS_M

DAY, SPACING_M = "sunny", 5.0


@dataclass(frozen=True)
class Keyframes:
    """stamps_ns: [N]. positions: [N, 3] metres. contexts: of each keyframe Scan Context's [rings, sectors]. older: of
    each the rows that are no recent past. loops: those of them that lie within the radius. ms: to describe one."""

    stamps_ns: np.ndarray
    positions: np.ndarray
    contexts: list[np.ndarray]
    older: list[np.ndarray]
    loops: list[np.ndarray]
    ms: float

    def __len__(self) -> int:
        return len(self.stamps_ns)


def keyframe_sweeps(town: str) -> Recording:
    return record_days([town], {DAY: Spacing(SPACING_M)}, rig=RIG).recordings[0]


def keyframes_of(town: str) -> Keyframes:
    days = record_days([town], {DAY: Spacing(SPACING_M)}, rig=RIG)
    frames = [days.frame(row) for row in range(len(days))]
    contexts, ms = timed(lambda: [scan_context(frame.points, frame.T_base_lidar[2, 3]) for frame in frames])
    stamps, positions = days.annotation.stamp_ns, days.poses(f"{town}-{DAY}")[:, :3, 3]
    older = older_rows(stamps, positions, LoopSettings())
    loops = [rows[apart(positions[rows], positions[row]) <= RADIUS_M] for row, rows in enumerate(older)]
    return Keyframes(stamps, positions, contexts, older, loops, ms / len(frames))


def timed(method: Callable):
    """What the method returns, and the CPU milliseconds of all its threads."""
    start = time.process_time()
    result = method()
    return result, 1e3 * (time.process_time() - start)


def older_rows(stamps_ns: np.ndarray, positions: np.ndarray, loop: LoopSettings) -> list[np.ndarray]:
    way = np.append(0.0, np.cumsum(apart(positions[1:], positions[:-1])))
    is_older = (stamps_ns[:, None] - stamps_ns >= loop.min_time_gap * 1e9) & (way[:, None] - way >= loop.min_travel)
    return [np.flatnonzero(row) for row in is_older]


def apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.linalg.norm(first - second, axis=-1)


@dataclass(frozen=True)
class Closure:
    """Between two keyframes or two local maps by number; metres and degrees off the truth (no degrees without a
    pose)."""

    older: int
    newer: int
    metres: float
    degrees: float | None = None

    @property
    def is_right(self) -> bool:
        return self.metres <= FAR_M and (self.degrees or 0.0) <= FAR_DEG


def pose_closure(older: int, newer: int, T_newer_older: np.ndarray, truth: Sequence[np.ndarray]) -> Closure:
    """truth: T_world_map [4, 4] of every local map."""
    off = T_newer_older @ invert(truth[older]) @ truth[newer]
    return Closure(older, newer, float(np.linalg.norm(off[:3, 3])), float(np.degrees(rotation_angle(off[:3, :3]))))


def numbers(keyframes: Keyframes, closures: Sequence[Closure], units: np.ndarray) -> dict:
    """units: [N] which keyframe or local map, as closures count them, each keyframe lies in. "recall_next" lets a
    closure of the neighbouring one count."""
    right = sum(closure.is_right for closure in closures)
    return {
        "closures": len(closures),
        "right": right,
        "wrong": len(closures) - right,
        "recall": recall(keyframes, closures, units),
        "recall_next": recall(keyframes, closures, units, slack=1),
        "all": [asdict(closure) for closure in closures],
    }


def recall(keyframes: Keyframes, closures: Sequence[Closure], units: np.ndarray, slack: int = 0) -> float:
    """Of the keyframes that have a loop, how many lie in the newer end of a right closure, an older place of theirs
    within the radius in the other end."""
    ends = [(closure.older, closure.newer) for closure in closures if closure.is_right]
    found = [
        any(abs(new - units[row]) <= slack and np.abs(old - units[rows]).min() <= slack for old, new in ends)
        for row, rows in enumerate(keyframes.loops)
        if len(rows)
    ]
    return float(np.mean(found))
