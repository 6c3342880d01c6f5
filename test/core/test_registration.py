"""Relative poses of clouds with known truth, with the real KISS-Matcher and small_gicp."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from scan_samples import CORRIDOR, FIELD, block, point_symmetric, pose, scan

from vxp_ros.core.errors import BadInput, ModelError
from vxp_ros.core.geometry import invert, make_transform, rotation_angle, rotation_z, transform_points
from vxp_ros.core.gicp import refine, surfaces
from vxp_ros.core.registration import register, usable

needs_packages = pytest.mark.skipif(sys.version_info >= (3, 13), reason="kiss-matcher has no wheel for Python 3.13")
CHI2_99_6 = 16.81  # of a squared Mahalanobis distance with six degrees of freedom
AT = pose(0, 0, 0)
VISITS = {"beside": pose(3, -1, 0.05), "turned": pose(4, 2, 0.5), "reverse": pose(-3, 1, np.pi)}


def errors(T: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Metres and degrees between two poses."""
    off = invert(truth) @ T
    return float(np.linalg.norm(off[:3, 3])), float(np.degrees(rotation_angle(off[:3, :3])))


def squared_distance(found, truth: np.ndarray) -> float:
    """Of the error, in ROS's terms: translation and small turns about the target's axes."""
    R = found.T_target_source[:3, :3] @ truth[:3, :3].T
    turn = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / 2
    error = np.concatenate([found.T_target_source[:3, 3] - truth[:3, 3], turn])
    return float(error @ np.linalg.solve(found.covariance, error))


@needs_packages
@pytest.mark.parametrize("visit", VISITS)
def test_a_known_pose_is_found_and_accepted(visit):
    scene = block(0)
    found = register(scan(scene, VISITS[visit], 1), scan(scene, AT, 0))
    metres, degrees = errors(found.T_target_source, VISITS[visit])
    assert metres < 0.05 and degrees < 0.2
    assert found.is_accepted, found.reason
    assert found.T_target_source.dtype == np.float64


@needs_packages
@pytest.mark.parametrize("visit", VISITS)
def test_a_guess_is_refined_and_judged_by_the_same_gates(visit, monkeypatch):
    monkeypatch.setattr("vxp_ros.core.registration.search", lambda *_: pytest.fail("sought everywhere"))
    scene, truth = block(0), VISITS[visit]
    clouds = scan(scene, truth, 1), scan(scene, AT, 0)
    found = register(*clouds, T_guess=truth @ pose(1.0, -1.0, 0.05))
    assert max(errors(found.T_target_source, truth)) < 0.2 and found.is_accepted, found.reason
    assert not register(*clouds, T_guess=truth @ pose(15.0, 0.0, 1.0)).is_accepted
    assert not register(clouds[0], scan(block(5), AT, 2), T_guess=truth).is_accepted


@needs_packages
@pytest.mark.parametrize("visit", VISITS)
@pytest.mark.parametrize(
    ("scene", "reason"), [(CORRIDOR, "degenerate"), (FIELD, "degenerate")], ids=["corridor", "field"]
)
def test_where_nothing_holds_the_clouds_in_some_direction_nothing_is_accepted(scene, reason, visit):
    found = register(scan(scene, VISITS[visit], 1), scan(scene, AT, 0))
    assert not found.is_accepted
    assert reason in found.reason


@needs_packages
def test_a_scene_that_looks_the_same_turned_round_is_refused():
    scene = point_symmetric(block(3, boxes=15))
    found = register(scan(scene, pose(0.5, 0.2, 0.1), 1), scan(scene, AT, 0))
    assert not found.is_accepted
    assert "turned round" in found.reason


@needs_packages
@pytest.mark.parametrize("seed", range(4))
def test_another_place_is_refused(seed):
    found = register(scan(block(10 + seed), AT, 1), scan(block(20 + seed), AT, 0))
    assert not found.is_accepted
    assert found.reason


@needs_packages
def test_the_covariance_is_symmetric_positive_and_wide_where_nothing_was_found():
    scene = block(0)
    found = register(scan(scene, VISITS["turned"], 1), scan(scene, AT, 0))
    assert found.covariance.shape == (6, 6) and np.allclose(found.covariance, found.covariance.T)
    assert (np.linalg.eigvalsh(found.covariance) > 0).all()
    lost = register(scan(FIELD, AT, 1), scan(scene, AT, 0))
    assert not lost.is_accepted
    assert (np.linalg.eigvalsh(lost.covariance) > 0).all()


@needs_packages
def test_the_covariance_has_the_order_and_the_axes_of_ros():
    """In a corridor the position along it is what nobody knows, in the target's axes, however the source is turned."""
    for turn in (0.0, np.pi / 2):
        target = transform_points(pose(0, 0, turn), scan(CORRIDOR, AT, 0))
        sigma = np.sqrt(np.diag(register(scan(CORRIDOR, pose(0, 0, 0.7), 1), target).covariance))
        along, across = (sigma[0], sigma[1]) if turn == 0 else (sigma[1], sigma[0])
        assert along > 3 * across
        assert along > 3 * sigma[2]
        assert sigma[3:].max() < 0.1 * along  # radians, not metres


@needs_packages
def test_the_covariance_is_honest_on_repeated_noise(record_property):
    scene, inside = block(0), 0
    for seed in range(8):
        truth = pose(*np.random.default_rng(seed).uniform(-3, 3, 3))
        found = register(scan(scene, truth, 100 + seed, noise=0.05), scan(scene, AT, 200 + seed, noise=0.05))
        assert found.is_accepted, found.reason
        inside += squared_distance(found, truth) <= CHI2_99_6
    record_property("inside the 99 % ellipsoid", f"{inside} of 8")
    assert inside == 8


@pytest.mark.slow
@needs_packages
@pytest.mark.skipif("VXP_DATA" not in os.environ, reason="VXP_DATA is not set")
@pytest.mark.parametrize("sequence", ["00", "02"])
def test_kitti_frames_are_registered_from_any_heading(sequence):
    """Frames 0.9 s and 5 to 14 m apart; another sequence is another place."""
    turn = make_transform(rotation_z(2.5), np.zeros(3))
    target, source = kitti_cloud(sequence, 0), kitti_cloud(sequence, 9)
    found = register(transform_points(turn, source), target)
    metres, degrees = errors(found.T_target_source, exact(sequence, 9) @ invert(turn))
    assert metres < 0.1 and degrees < 0.5
    assert found.is_accepted, found.reason
    other = register(kitti_cloud("05", 0), target)
    assert not other.is_accepted


def exact(sequence: str, number: int) -> np.ndarray:
    """T_0_number, aligned from the official pose, which is off by a metre after the first 7.7 m of sequence 00."""
    clouds = [surfaces(usable(kitti_cloud(sequence, n), "frame")) for n in (number, 0)]
    return refine(*clouds, official(sequence, number), (3.0, 1.0)).T_target_source


def official(sequence: str, number: int) -> np.ndarray:
    """T_0_number of the LiDAR; the official poses are the camera's."""
    folder = Path(os.environ["VXP_DATA"]) / "kitti"
    lines = (folder / f"sequences/{sequence}/calib.txt").read_text().splitlines()
    calibration = next(line for line in lines if line.startswith("Tr"))
    T_camera_lidar = four_by_four(np.array(calibration.split()[1:], float))
    poses = np.loadtxt(folder / f"poses/{sequence}.txt")
    return invert(T_camera_lidar) @ four_by_four(poses[number]) @ T_camera_lidar  # frame 0 is at the identity


def four_by_four(numbers: np.ndarray) -> np.ndarray:
    return np.vstack([numbers.reshape(3, 4), [0, 0, 0, 1]])


def kitti_cloud(sequence: str, number: int) -> np.ndarray:
    file = Path(os.environ["VXP_DATA"]) / f"kitti/sequences/{sequence}/velodyne/{number:06d}.bin"
    return np.fromfile(file, np.float32).reshape(-1, 4)[:, :3]


GOOD = scan(block(0), AT, 0)
BAD = {
    "empty": (np.zeros((0, 3), np.float32), "too_few_points"),
    "three points": (np.eye(3, dtype=np.float32), "too_few_points"),
    "one place": (np.ones((5000, 3), np.float32), "too_few_points"),
    "not finite": (np.where(np.arange(len(GOOD))[:, None] == 7, np.nan, GOOD), "not_finite"),
    "two columns": (np.zeros((1000, 2), np.float32), "bad_cloud"),
    "flat": (np.zeros(3000, np.float32), "bad_cloud"),
    "integers": (np.zeros((1000, 3), np.int32), "bad_cloud"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_clouds_are_refused_with_their_reason(name):
    cloud, reason = BAD[name]
    for pair in ((cloud, GOOD), (GOOD, cloud)):
        with pytest.raises(BadInput) as refusal:
            register(*pair)
        assert refusal.value.reason == reason


@needs_packages
@pytest.mark.parametrize("name", ["scattered", "line", "far and wide"])
def test_clouds_without_surfaces_end_no_process(name):
    """KISS-Matcher alone crashes on the first and the last."""
    rng = np.random.default_rng(0)
    line = np.stack([np.linspace(-1000, 1000, 5000), *np.zeros((2, 5000))], axis=1)
    clouds = {
        "scattered": rng.uniform(-400, 400, (2000, 3)),
        "line": line,
        "far and wide": rng.uniform(-1e4, 1e4, (2000, 3)),
    }
    cloud = clouds[name].astype(np.float32)
    for pair in ((cloud, GOOD), (cloud, cloud)):
        assert not register(*pair).is_accepted


@needs_packages
def test_clouds_of_four_columns_and_of_float64_serve_as_well():
    scene = block(0)
    source, target = scan(scene, VISITS["beside"], 1), scan(scene, AT, 0)
    with_intensity = np.column_stack([source, np.full(len(source), np.nan, np.float32)])
    assert register(with_intensity, target.astype(np.float64)).is_accepted


@pytest.mark.parametrize(("module", "package"), [("small_gicp", "small_gicp"), ("kiss_matcher", "kiss-matcher")])
def test_a_missing_package_is_named_with_its_extra(monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModelError, match=rf"{package}.*pip install 'vxp_ros\[slam\]'"):
        register(GOOD, GOOD)
