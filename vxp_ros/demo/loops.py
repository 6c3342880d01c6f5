"""The demo's second act: a drive with loops, odometry that drifts, and closures that pull its trajectory straight."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import ModelError, VxpError
from ..core.geometry import invert, pose_from_vector, rotation_angle
from ..core.pose_graph import load_gtsam
from ..core.registration import missing_library
from .data import Moment, frame_rate
from .processes import Processes
from .record import Recording
from .replay import MAPPING_HZ, Workspace, replay
from .summary import Replay

NAME = "loops"
# A closure off by more is wrong: registration's own limits.
WRONG_M, WRONG_DEG = 0.5, 2.0


@dataclass(frozen=True)
class Closure:
    """One that stands at the end. first, second: rows of its keyframes. metres, degrees: off the true relative pose."""

    first: int
    second: int
    metres: float
    degrees: float

    @property
    def is_right(self) -> bool:
        return self.metres <= WRONG_M and self.degrees <= WRONG_DEG


@dataclass(frozen=True)
class LoopAct:
    """What came of it. truth, odometry, path: [N, 4, 4] T_map_base of the keyframes, by the recording, by odometry
    alone and by the pose graph; all three begin at the true pose."""

    replay: Replay
    truth: np.ndarray
    odometry: np.ndarray
    path: np.ndarray
    closures: list[Closure]

    def numbers(self) -> dict:
        """For summary.json. rms_m: root mean square of the distance from the truth over the keyframes."""
        told = self.replay.recording.closures
        steps = np.linalg.norm(np.diff(self.truth[:, :3, 3], axis=0), axis=1)
        off = {
            name: metres_off(poses, self.truth) for name, poses in (("odometry", self.odometry), ("path", self.path))
        }
        return {
            "keyframes": len(self.truth),
            "metres": float(steps.sum()),
            "looked_at": int(self.replay.values("closures").get("looked_at", 0)),
            "closures": len(self.closures),
            "retracted": sum(line["is_retracted"] for line in told),
            "wrong": sum(not closure.is_right for closure in self.closures),
            "median_m": float(np.median([closure.metres for closure in self.closures])) if self.closures else None,
            "rms_m": {name: float(np.sqrt(np.mean(metres**2))) for name, metres in off.items()},
            "end_m": {name: float(metres[-1]) for name, metres in off.items()},
        }


def missing_part() -> str:
    """Why this act cannot be played here, in one sentence; "" when it can."""
    try:
        load_gtsam()
    except ModelError as problem:
        return str(problem)
    return missing_library() or ""


def close_loops(space: Workspace, processes: Processes, bag: Path, moments: list[Moment]) -> LoopAct:
    """Replay the drive to the loop closer, whose keyframes and closures go to the pose graph."""
    folder = space.out / "slam"
    with space.phase(NAME):
        graph = processes.start(
            f"{NAME}.graph", "vxp_ros.ros.pose_graph", "--ros-args", "-p", f"output.save_to:={folder}",
            "-r", "keyframes:=/vxp_loop_closer/keyframes", "-r", "loop_closures:=/vxp_loop_closer/loop_closures",
        )  # fmt: skip
        rate = MAPPING_HZ / frame_rate(moments)
        result = replay(space, processes, NAME, "loop_closer", bag, ["keyframe.min_travel:=0.0"], rate)
        processes.stop_well(graph)
    result.children.append(graph)
    return make_act(result, moments, read_path(folder / "trajectory.tum"))


def read_path(file: Path) -> np.ndarray:
    """[N, 4, 4] of a trajectory in TUM format; none where there is no file, as of a graph without keyframes."""
    if not file.exists():
        return np.empty((0, 4, 4))
    return np.array([pose_from_vector(row) for row in np.loadtxt(file, ndmin=2)[:, 1:]]).reshape(-1, 4, 4)


def make_act(result: Replay, moments: list[Moment], path: np.ndarray) -> LoopAct:
    """Lay the three trajectories upon each other at their first pose. Raises VxpError when the pose graph missed some
    keyframes."""
    keyframes = result.recording.keyframes
    if not keyframes or len(path) != len(keyframes):
        raise VxpError(f"demo failed: of {len(keyframes)} keyframes the pose graph has {len(path)}; see logs/")
    by_stamp = {moment.stamp_ns: moment.T_map_base for moment in moments}
    truth = np.array([by_stamp[line["stamp_ns"]] for line in keyframes])
    odometry = np.array([pose_from_vector(line["pose"]) for line in keyframes])
    T_map_odom = truth[0] @ invert(odometry[0])
    rows = {line["id"]: row for row, line in enumerate(keyframes)}
    return LoopAct(result, truth, T_map_odom @ odometry, T_map_odom @ path, standing(result.recording, rows, truth))


def standing(recording: Recording, rows: dict[int, int], truth: np.ndarray) -> list[Closure]:
    """The closures that were told and not taken back. rows: {id of a keyframe: its row of truth}."""
    kept: dict[tuple[int, int], np.ndarray] = {}
    for line in recording.closures:
        key = rows[line["from_id"]], rows[line["to_id"]]
        kept.pop(key, None)
        if not line["is_retracted"]:
            kept[key] = pose_from_vector(line["pose"])
    return [make_closure(first, second, T, truth) for (first, second), T in kept.items()]


def make_closure(first: int, second: int, T_first_second: np.ndarray, truth: np.ndarray) -> Closure:
    off = invert(invert(truth[first]) @ truth[second]) @ T_first_second
    return Closure(first, second, float(np.linalg.norm(off[:3, 3])), float(np.degrees(rotation_angle(off[:3, :3]))))


def metres_off(poses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(poses[:, :3, 3] - truth[:, :3, 3], axis=1)
