"""`vxp eval loops|slam` on a small made-up drive: a round past blocks of houses that ends where it began."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "core"))

from scan_samples import block, pose, scan

pytest.importorskip("gtsam", reason="gtsam is not installed (extra slam, Python 3.11 or later)")
pytest.importorskip("evo", reason="evo is not installed (extra train)")
from vxp_ros.core.calibration import Calibration
from vxp_ros.core.datatypes import Place
from vxp_ros.core.errors import SourceError
from vxp_ros.core.registration import register
from vxp_training import loop_eval
from vxp_training.datasets.town.motion.odometry import drifted
from vxp_training.loop_drives import LoopDrive, Memory
from vxp_training.loop_eval import ate, evaluate_loops, evaluate_slam, rpe, with_random_ones

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 13), reason="kiss-matcher has no wheel for Python 3.13")

SECOND = 1_000_000_000
SIDE = [(x, 0.0, 0.0) for x in range(0, 60, 10)] + [(60.0, y, np.pi / 2) for y in range(0, 60, 10)]
ROUND = [
    *SIDE,
    *[(60 - x, 60 - y, yaw + np.pi) for x, y, yaw in SIDE],
    (0.5, -0.5, 0.1),
    (4.0, -0.5, 0.1),
    (9.0, 0.0, 0.0),
]


@pytest.fixture(scope="module")
def drive() -> LoopDrive:
    """27 keyframes in 260 m; the first and the last two or three see the same houses."""
    home = block(0)
    places = []
    for number, (x, y, yaw) in enumerate(ROUND):
        is_home = np.hypot(x, y) < 12
        cloud = scan(home, pose(x, y, yaw), number) if is_home else None
        angle = 0.0 if is_home else 1.0 + 0.05 * number
        look = np.array([np.cos(angle), np.sin(angle)], np.float32)
        places.append(Place(number * 5 * SECOND, np.eye(4), {"lidar": look}, cloud=cloud))
    truth = np.array([pose(*entry) for entry in ROUND])
    return LoopDrive("round", tuple(places), truth, {"lidar": "test"}, Calibration(), (None,) * len(places))


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory()


def test_loops_of_a_round(drive, memory):
    report = evaluate_loops(drive, memory)
    assert (report["keyframes"], report["revisits"]) == (27, 3)
    assert report["candidates"]["max_f1"] > 0.5
    thresholds, precision, recall = report["candidates"]["precision_recall"].T
    assert 1 < len(thresholds) <= 27 and (np.diff(thresholds) > 0).all() and (np.diff(recall) >= 0).all()
    assert recall[precision == 1].max(initial=0.0) == report["candidates"]["recall_at_full_precision"]
    closures = report["closures"]
    assert closures["published"] >= 2 and closures["recall"] >= 2 / 3
    assert closures["wrong"] == closures["far_off"] == 0 and closures["worst_m"] < 0.2


def test_slam_is_better_with_closures_and_bears_random_ones(drive, memory):
    rows = evaluate_slam(drive, memory, range(3), 1.0, lambda rows: rows)
    assert [row["seed"] for row in rows] == [0, 1, 2]
    for row in rows:
        assert row["closures"] >= 2
        assert row["ate_with"] < 0.7 * row["ate_without"]
        assert row["ate_half_random"] < 1.2 * row["ate_without"]
    assert rows[0]["ate_without"] != rows[1]["ate_without"]


def test_the_same_clouds_are_registered_once(drive, memory, monkeypatch):
    evaluate_loops(drive, memory)
    guesses = []

    def refine_only(source, target, T_guess=None):
        guesses.append(T_guess)
        return register(source, target, T_guess=T_guess)

    monkeypatch.setattr("vxp_training.loop_drives.register", refine_only)
    evaluate_loops(drive, memory)
    assert guesses and all(guess is not None for guess in guesses)  # a guess is another question each time


def test_errors_of_the_truth_and_of_a_shifted_end(drive):
    assert ate(drive, drive.truth) == pytest.approx(0.0, abs=1e-9)
    shifted = drive.truth.copy()
    shifted[13:, 2, 3] += 1.0
    assert 0.1 < ate(drive, shifted) < 1.0
    assert rpe(drive, drive.truth) == pytest.approx(0.0, abs=1e-9)
    assert rpe(drive, drive.truth[0] @ drifted(drive.truth, [0])) == pytest.approx(1.0, abs=0.7)


def test_keyframes_too_far_apart_or_too_few_have_no_rpe(drive, memory):
    short = part(drive, 8)  # 70 m
    assert rpe(short, short.truth) is None
    (row,) = evaluate_slam(short, memory, [0], 1.0, lambda rows: rows)
    assert row["rpe_without"] is row["rpe_with"] is None and "100 m" in row["rpe_left_out"]
    assert row["ate_without"] > 0
    sparse = part(drive, 24, step=12)  # 120 m from one to the next
    assert rpe(sparse, sparse.truth) is None


@pytest.mark.parametrize("keyframes", [1, 2, 6])
def test_a_drive_on_one_line_is_refused_in_a_sentence(drive, memory, keyframes):
    with pytest.raises(SourceError, match=f"round: all keyframes .{keyframes}. lie on one line"):
        evaluate_slam(part(drive, keyframes), memory, [0], 1.0, lambda rows: rows)


def part(drive: LoopDrive, end: int, step: int = 1) -> LoopDrive:
    """Every step-th keyframe up to one."""
    keep = slice(0, end, step)
    return replace(drive, places=drive.places[keep], truth=drive.truth[keep], rear=drive.rear[keep])


def test_half_of_the_errors_drift_half_as_far(drive):
    end = (np.linalg.inv(drive.truth[0]) @ drive.truth[-1])[:3, 3]
    far, half = (np.linalg.norm(drifted(drive.truth, [1], share)[-1, :3, 3] - end) for share in (1.0, 0.5))
    assert half == pytest.approx(far / 2, rel=0.1)


def test_random_closures_replace_half(drive, memory):
    told = [replace(closure_at(row), to_id=row) for row in range(10)]
    spoilt = with_random_ones(told, np.random.default_rng(0))
    is_same = [np.allclose(a.T_from_to, b.T_from_to) for a, b in zip(told, spoilt, strict=True)]
    assert sum(is_same) == 5


def closure_at(row: int):
    return loop_eval.LoopClosure(0, row, 0, 0, np.eye(4), np.eye(6), 1.0, 1.0)
