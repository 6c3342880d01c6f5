"""What simulated loop closures make of real odometry: VXP_DATA=DATA python scripts/benchmark_slam_kitti.py --out FILE

Odometry is the S-PTAM or the ORB-SLAM estimate of KITTI 00, a keyframe every 5 m. A keyframe whose true position lies
within 5 m of an older one's, the recent past left out as the loop closer does, is closed with the nearest of these. The
relative pose is the true one plus the error of a pair that registration accepted on Town, drawn at random from those
of the same or of the opposite direction in docs/results/registration.json, with the covariance claimed for that pair.
Of these closures 10 % are wrong: from an older place more than 25 m away, at a random pose within 20 m, as sure of
themselves as the one that they replace. They go to the pose graph as they are ("direct"), or those that odometry and
each other bear out, as the loop closer would publish them ("gated").
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from vxp_ros.core.calibration import Calibration
from vxp_ros.core.config import KeyframeSettings, LoopSettings
from vxp_ros.core.consensus import Consensus, key
from vxp_ros.core.datatypes import LoopClosure, Place
from vxp_ros.core.errors import VxpError
from vxp_ros.core.geometry import invert, make_transform, rotation_z, yaw_of
from vxp_ros.core.json_file import write_json
from vxp_ros.core.keyframes import is_keyframe
from vxp_ros.core.odometry_path import OdometryPath
from vxp_ros.core.pose_graph import PoseGraph
from vxp_ros.sources.kitti import as_transforms, read_numbers
from vxp_training.datasets.town.rig import R_AHEAD_OPTICAL
from vxp_training.loop_drives import LoopDrive
from vxp_training.loop_eval import RADIUS_M, ate, rpe, solved, standing

FOLDER = "trajectories/kitti00_slam_estimates"
ESTIMATES = {"S-PTAM": "KITTI_00_SPTAM.txt", "ORB-SLAM": "KITTI_00_ORB.txt"}
REGISTRATION = Path(__file__).parents[1] / "docs/results/registration.json"
KEYFRAMES = KeyframeSettings(min_travel=5.0, min_turn=6.3)
WRONG_SHARE, WRONG_PLACE_M, WRONG_POSE_M = 0.1, 25.0, 20.0
BELIEVED = 0.5  # weight in the pose graph


@dataclass(frozen=True)
class Accepted:
    """A pair that registration accepted. error: [6] from the true pose, translation and rotation vector in the target's
    axes. covariance: [6, 6], as claimed."""

    error: np.ndarray
    covariance: np.ndarray


def main() -> None:
    options = parse_options()
    folder = Path(os.environ.get("VXP_DATA", "")) / FOLDER
    if not folder.is_dir():
        sys.exit(f"KITTI's estimates are not here: set VXP_DATA to the folder that holds {FOLDER}")
    accepted, rows, drives = accepted_pairs(REGISTRATION), [], []
    try:
        for name, file in ESTIMATES.items():
            drive, odometry = read_drive(name, folder, file)
            drives.append({"odometry": name, **facts(drive, odometry)})
            print(drives[-1], flush=True)
            for seed in range(options.seeds):
                rows.append({"odometry": name, "seed": seed, **measured(drive, odometry, accepted, seed)})
                print(rows[-1], flush=True)
    except VxpError as problem:
        sys.exit(str(problem))
    write_json(options.out, {"drives": drives, "summary": summary(rows), "rows": rows})


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--seeds", type=int, default=20, help="so many draws, from 0 on")
    return parser.parse_args()


def accepted_pairs(path: Path) -> dict[str, list[Accepted]]:
    """By kind, "same" or "reverse"."""
    pairs = [pair for pair in json.loads(path.read_text())["pairs"] if pair["is_accepted"]]
    return {kind: [Accepted(np.array(pair["error"]), np.array(pair["covariance"])) for pair in pairs
                   if pair["kind"] == kind] for kind in ("same", "reverse")}  # fmt: skip


def read_drive(name: str, folder: Path, file: str) -> tuple[LoopDrive, np.ndarray]:
    """The keyframes with their truth, and the poses [N, 4, 4] that the estimate has of them."""
    truth, odometry = (ahead(as_transforms(read_numbers(folder / part, 12))) for part in ("KITTI_00_gt.txt", file))
    stamps_ns = np.rint(1e9 * read_numbers(folder / "KITTI_00_gt_times.txt", 1)[:, 0]).astype(int)
    rows = [0]
    for row, T in enumerate(odometry):
        if is_keyframe(odometry[rows[-1]], T, KEYFRAMES):
            rows.append(row)
    nothing = {"lidar": np.zeros(1)}  # nothing is recognised here, but a place must have a descriptor
    places = tuple(Place(int(stamps_ns[row]), odometry[row], nothing) for row in rows)
    rear = (None,) * len(rows)
    return LoopDrive(name, places, truth[rows], {"lidar": "none"}, Calibration(), rear), odometry[rows]


def ahead(poses: np.ndarray) -> np.ndarray:
    """[N, 4, 4] with x ahead and z up, from a camera's axes."""
    T = make_transform(R_AHEAD_OPTICAL, np.zeros(3))
    return T @ poses @ invert(T)


def facts(drive: LoopDrive, odometry: np.ndarray) -> dict:
    metres = float(np.linalg.norm(np.diff(drive.truth[:, :3, 3], axis=0), axis=1).sum())
    return {"keyframes": len(drive), "metres": metres, "ate": ate(drive, odometry), "rpe": rpe(drive, odometry)}


def measured(drive: LoopDrive, odometry: np.ndarray, accepted: dict[str, list[Accepted]], seed: int) -> dict:
    rng, path = np.random.default_rng(seed), OdometryPath(drive.as_map(odometry))
    closures, wrong = simulated(drive, path, accepted, rng)
    published = gated(path, closures)
    row = {"closures": len(closures), "wrong": len(wrong), "ate_before": ate(drive, odometry)}
    for name, told in (("direct", closures), ("gated", published)):
        start = time.process_time()
        graph = solved(drive, odometry, told)
        row[name] = {**outcome(graph, wrong), "ate": ate(drive, graph.poses), "cpu_s": time.process_time() - start}
    return row


def simulated(
    drive: LoopDrive, path: OdometryPath, accepted: dict[str, list[Accepted]], rng: np.random.Generator
) -> tuple[list[LoopClosure], set[tuple[int, int]]]:
    """Closures in the order of the drive, and the keys of the wrong ones."""
    closures, wrong, pairs = [], set(), pairs_of(drive, path)
    spoilt = set(rng.permutation(len(pairs))[: round(WRONG_SHARE * len(pairs))].tolist())
    for number, (old, new) in enumerate(pairs):
        truth = invert(drive.truth[old]) @ drive.truth[new]
        kind = "same" if abs(yaw_of(truth)) < np.pi / 2 else "reverse"
        drawn = accepted[kind][rng.integers(len(accepted[kind]))]
        T = with_error(truth, drawn.error)
        if number in spoilt:
            old, T = wrong_place(drive, path, new, rng), random_pose(rng)
            wrong.add((old, new))
        stamps = drive.places[old].stamp_ns, drive.places[new].stamp_ns
        closures.append(LoopClosure(old, new, *stamps, T, drawn.covariance, score=1.0, inlier_ratio=1.0))
    return closures, wrong


def pairs_of(drive: LoopDrive, path: OdometryPath) -> list[tuple[int, int]]:
    """Each keyframe that is at an old place again, with the nearest such place."""
    pairs = []
    for new in range(len(drive)):
        metres = distances(drive, path, new)
        if len(metres) and metres.min() <= RADIUS_M:
            pairs.append((int(metres.argmin()), new))
    return pairs


def distances(drive: LoopDrive, path: OdometryPath, new: int) -> np.ndarray:
    """[M] true metres from the keyframe to all that are no recent past."""
    old = path.old_places(new, LoopSettings())
    return np.linalg.norm(drive.truth[old.start : old.stop, :3, 3] - drive.truth[new, :3, 3], axis=1)


def wrong_place(drive: LoopDrive, path: OdometryPath, new: int, rng: np.random.Generator) -> int:
    return int(rng.choice(np.flatnonzero(distances(drive, path, new) > WRONG_PLACE_M)))


def random_pose(rng: np.random.Generator) -> np.ndarray:
    aside = np.append(rng.uniform(-WRONG_POSE_M, WRONG_POSE_M, 2), 0.0)
    return make_transform(rotation_z(rng.uniform(-np.pi, np.pi)), aside)


def with_error(truth: np.ndarray, error: np.ndarray) -> np.ndarray:
    return make_transform(Rotation.from_rotvec(error[3:]).as_matrix() @ truth[:3, :3], truth[:3, 3] + error[:3])


def gated(path: OdometryPath, closures: Sequence[LoopClosure]) -> list[LoopClosure]:
    """What the loop closer would have published and not withdrawn."""
    settings = LoopSettings()
    consensus = Consensus(path, settings)
    plausible = (closure for closure in closures if path.is_plausible(closure, settings))
    return standing([change for closure in plausible for change in consensus.add(closure)])


def outcome(graph: PoseGraph, wrong: set[tuple[int, int]]) -> dict:
    believed = {pair for pair, weight in graph.weights.items() if weight > BELIEVED}
    told = {key(closure) for closure in graph.closures}
    return {
        "published": len(told),
        "wrong_published": len(told & wrong),
        "wrong_believed": len(believed & wrong),
        "right_doubted": len(told - wrong - believed),
    }


def summary(rows: Sequence[dict]) -> list[dict]:
    """Per odometry and way: median and worst ATE, and sums over the seeds."""
    table = []
    for name in ESTIMATES:
        chosen = [row for row in rows if row["odometry"] == name]
        for way in ("direct", "gated"):
            ates = [row[way]["ate"] for row in chosen]
            sums = {fact: sum(row[way][fact] for row in chosen)
                    for fact in ("published", "wrong_published", "wrong_believed", "right_doubted")}  # fmt: skip
            spread = {"median": float(np.median(ates)), "least": min(ates), "most": max(ates)}
            better = sum(row[way]["ate"] < row["ate_before"] for row in chosen)
            table.append({"odometry": name, "way": way, "seeds": len(chosen), "better": better, "ate": spread, **sums})
            print(table[-1])
    return table


if __name__ == "__main__":
    main()
