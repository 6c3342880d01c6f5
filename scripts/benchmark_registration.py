"""Relative poses of revisits on Town with known truth: python scripts/benchmark_registration.py --out FILE.json

Each frame of another day is registered to a frame of the sunny day about 5 m away (the nearest to that, at most 10 m),
and to one that is more than 25 m away, where nothing may be accepted. The clouds are those that maps keep, 0.3 m apart,
as measured while driving; each source cloud is turned by a random angle first. A pose is right below 0.5 m and
2 degrees. Beside ours: GICP alone from a guess that is 5 m and 30 degrees off, KISS-Matcher alone, and, where open3d is
installed, its FPFH + RANSAC with point-to-plane ICP. Milliseconds are CPU time.

The gates of `RegistrationSettings` were fitted with --towns town-val --days rain,night --sunny 20 --queries 70.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from open3d_ransac import load_open3d

from vxp_ros.core.geometry import invert, make_transform, rotation_angle, rotation_z, transform_points, yaw_of
from vxp_ros.core.gicp import refine, surfaces
from vxp_ros.core.global_matching import match_globally
from vxp_ros.core.json_file import write_json
from vxp_ros.core.recognizer import small_cloud
from vxp_ros.core.registration import Registration, register
from vxp_training.datasets.town_days import RIG, Spacing, record_days

MAP_DAY, VOXEL = "sunny", 0.3
START_M, NEAR_M, FAR_M = 5.0, 10.0, 25.0
RIGHT_M, RIGHT_DEG = 0.5, 2.0
GUESS_OFF_M, GUESS_OFF = 5.0, np.radians(30)
CHI2_99_6 = 16.81  # 99 % of a squared Mahalanobis distance with six degrees of freedom
FAR_OFF_M, FAR_OFF_DEG = 5.0, 10.0


@dataclass(frozen=True)
class Pair:
    """Two clouds [N, 3] of the base frame and the truth. kind: "same", "reverse", or "other" for another place."""

    town: str
    day: str
    kind: str
    distance: float
    source: np.ndarray
    target: np.ndarray
    T_target_source: np.ndarray


def main() -> None:
    options = parse_options()
    by_open3d = load_open3d()
    rng = np.random.default_rng(options.seed)
    records = []
    for pair in (pair for town in options.towns for pair in pairs_of(town, options, rng)):
        records.append(measured(pair, rng, by_open3d))
        print(len(records), describe(records[-1]), flush=True)
    facts = {name: getattr(options, name) for name in ("towns", "days", "sunny", "queries", "seed")}
    result = {**facts, "rows": summary(records), "ranges": ranges(records)}
    write_json(options.out, {**result, "pairs": [written(record) for record in records]})
    print_summary(result)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: tuple(text.split(","))  # noqa: E731
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--towns", type=names, default=("town-test-1",))
    parser.add_argument("--days", type=names, default=("sameday", "rain", "night", "snow", "reverse"))
    parser.add_argument("--sunny", type=float, default=5.0, help="metres between the frames of the sunny day")
    parser.add_argument(
        "--queries", type=int, default=200, help="frames of the other days in each town, drawn at random"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def pairs_of(town: str, options: argparse.Namespace, rng: np.random.Generator) -> Iterator[Pair]:
    days = {MAP_DAY: Spacing(options.sunny), **{day: Spacing(20.0, 2.5) for day in options.days}}
    frames = record_days([town], days, rig=RIG)
    poses = {day: frames.poses(f"{town}-{day}") for day in days}
    rows = {day: frames.annotation.rows_of(f"{town}-{day}") for day in days}
    asked = [(day, number) for day in options.days for number in range(len(rows[day]))]
    for day, number in (asked[i] for i in rng.permutation(len(asked))[: options.queries]):
        T = poses[day][number]
        distances = np.linalg.norm(poses[MAP_DAY][:, :3, 3] - T[:3, 3], axis=1)
        near, far = int(np.argmin(np.abs(distances - START_M))), int(rng.choice(np.flatnonzero(distances > FAR_M)))
        turn = make_transform(rotation_z(rng.uniform(-np.pi, np.pi)), np.zeros(3))
        source = transform_points(turn, small_cloud(frames.frame(rows[day][number]), VOXEL))
        for to in [near] * int(distances[near] <= NEAR_M) + [far]:
            truth = invert(poses[MAP_DAY][to]) @ T
            kind = "other" if to == far else "same" if abs(yaw_of(truth)) < np.pi / 2 else "reverse"
            target = small_cloud(frames.frame(rows[MAP_DAY][to]), VOXEL)
            yield Pair(town, day, kind, float(distances[to]), source, target, truth @ invert(turn))


def measured(pair: Pair, rng: np.random.Generator, by_open3d: Callable | None) -> dict:
    record = {name: getattr(pair, name) for name in ("town", "day", "kind", "distance")}
    found, ms = timed(lambda: register(pair.source, pair.target))
    record["ours"] = errors(found.T_target_source, pair) | verdict(found, pair) | {"ms": ms}
    if pair.kind == "other":
        return record
    guess = pair.T_target_source @ guess_error(rng)
    methods = {
        "gicp alone": lambda: gicp_alone(pair, guess),
        "kiss-matcher alone, 1.0 m": lambda: match_globally(pair.source, pair.target, 1.0),
        "kiss-matcher alone, 0.5 m": lambda: match_globally(pair.source, pair.target, 0.5),
    }
    if by_open3d is not None:
        methods["open3d fpfh + ransac + icp"] = lambda: by_open3d(pair.source, pair.target)
    for name, method in methods.items():
        T, ms = timed(method)
        record[name] = errors(np.eye(4) if T is None else T, pair) | {"ms": ms}
    return record


def timed(method: Callable):
    start = time.process_time()
    result = method()
    return result, 1e3 * (time.process_time() - start)


def guess_error(rng: np.random.Generator) -> np.ndarray:
    angle, turn = rng.uniform(-np.pi, np.pi), rng.choice([-GUESS_OFF, GUESS_OFF])
    return make_transform(rotation_z(turn), GUESS_OFF_M * np.array([np.cos(angle), np.sin(angle), 0.0]))


def gicp_alone(pair: Pair, guess: np.ndarray) -> np.ndarray:
    return refine(surfaces(pair.source), surfaces(pair.target), guess, (6.0, 1.0)).T_target_source


def errors(T: np.ndarray, pair: Pair) -> dict:
    off = invert(pair.T_target_source) @ T
    metres, degrees = float(np.linalg.norm(off[:3, 3])), float(np.degrees(rotation_angle(off[:3, :3])))
    return {"metres": metres, "degrees": degrees, "is_right": metres < RIGHT_M and degrees < RIGHT_DEG}


def verdict(found: Registration, pair: Pair) -> dict:
    names = ("inlier_ratio", "overlap", "smallest_eigenvalue", "flip_ratio", "is_accepted", "reason")
    sigma = np.sqrt(np.diag(found.covariance))
    return {name: getattr(found, name) for name in names} | {
        "error": (error := error_of(found.T_target_source, pair.T_target_source)),
        "covariance": found.covariance,
        "distance_squared": float(error @ np.linalg.solve(found.covariance, error)),
        "sigma_xy": float(sigma[:2].max()),
        "sigma_yaw_deg": float(np.degrees(sigma[5])),
        "is_far_off": is_far_off(found.T_target_source, pair),
    }


def is_far_off(T: np.ndarray, pair: Pair) -> bool:
    off = errors(T, pair)
    return off["metres"] > FAR_OFF_M or off["degrees"] > FAR_OFF_DEG


def error_of(T: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[6] translation and rotation vector from the true pose to the found one, in the target's axes."""
    R = T[:3, :3] @ truth[:3, :3].T
    angle = rotation_angle(R)
    axis = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / 2
    rotation = axis if angle < 1e-4 else axis * angle / np.sin(angle)
    return np.concatenate([T[:3, 3] - truth[:3, 3], rotation])


def summary(records: list[dict]) -> dict[str, dict]:
    """kind -> method -> numbers; ours with its gate and its covariance."""
    table = {}
    for kind in ("same", "reverse", "other"):
        chosen = [record for record in records if record["kind"] == kind]
        methods = [name for name in (chosen[0] if chosen else {}) if isinstance(chosen[0][name], dict)]
        table[kind] = {name: numbers([record[name] for record in chosen]) for name in methods}
        if chosen:
            table[kind]["ours"] |= gate_numbers([record["ours"] for record in chosen])
    return table


def numbers(answers: list[dict]) -> dict:
    right = [answer for answer in answers if answer["is_right"]]
    return {
        "pairs": len(answers),
        "right": len(right),
        "median_ms": float(np.median([answer["ms"] for answer in answers])),
        "median_metres_of_right": float(np.median([answer["metres"] for answer in right])) if right else None,
    }


def gate_numbers(answers: list[dict]) -> dict:
    accepted = [answer for answer in answers if answer["is_accepted"]]
    wrong = [answer for answer in answers if not answer["is_right"]]
    return {
        "accepted": len(accepted),
        "wrong": len(wrong),
        "wrong_and_accepted": sum(answer["is_accepted"] for answer in wrong),
        "accepted_and_far_off": sum(answer["is_far_off"] for answer in accepted),
        "accepted_inside_99": sum(answer["distance_squared"] <= CHI2_99_6 for answer in accepted),
        "median_sigma_xy": float(np.median([answer["sigma_xy"] for answer in accepted])) if accepted else None,
        "p95_ms": float(np.percentile([answer["ms"] for answer in answers], 95)),
    }


def ranges(records: list[dict]) -> dict:
    """What the gates look at, for right poses (least, 5 %, median) and wrong ones (median, 95 %, most)."""
    ours = [record["ours"] for record in records]
    table = {}
    for name in ("inlier_ratio", "overlap", "smallest_eigenvalue", "flip_margin"):
        value = (lambda a: a["inlier_ratio"] - a["flip_ratio"]) if name == "flip_margin" else (lambda a: a[name])  # noqa: B023
        right, wrong = ([value(a) for a in ours if a["is_right"] is is_right] for is_right in (True, False))
        table[name] = {
            "right": np.percentile(right, [0, 5, 50]) if right else [],
            "wrong": np.percentile(wrong, [50, 95, 100]) if wrong else [],
        }
    return table


def written(record: dict) -> dict:
    """A pair's line of the file: what ours found, and of accepted poses the error with the covariance claimed."""
    facts, ours = ({name: value for name, value in part.items() if not isinstance(value, dict)}
                   for part in (record, record["ours"]))  # fmt: skip
    left_out = () if ours["is_accepted"] else ("error", "covariance")
    return facts | {name: value for name, value in ours.items() if name not in left_out}


def describe(record: dict) -> str:
    ours = record["ours"]
    return (
        f"{record['town']} {record['day']} {record['kind']} {record['distance']:.1f} m: off {ours['metres']:.3f} m "
        f"{ours['degrees']:.2f} deg, inliers {ours['inlier_ratio']:.2f} ({ours['flip_ratio']:.2f} turned), overlap "
        f"{ours['overlap']:.2f}, eigenvalue {ours['smallest_eigenvalue']:.1f}, distance2 "
        f"{ours['distance_squared']:.1f}, {ours['ms']:.0f} ms, {ours['reason']}"
    )


def print_summary(result: dict) -> None:
    for kind, methods in result["rows"].items():
        for name, row in methods.items():
            print(f"{kind:8} {name:26} {row}")
    for name, found in result["ranges"].items():
        print(name, {side: np.round(values, 3).tolist() for side, values in found.items()})


if __name__ == "__main__":
    main()
