"""The pose graph, with the real GTSAM: a round of known truth that odometry bends open."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from scan_samples import pose

from vxp_ros.core.datatypes import LoopClosure
from vxp_ros.core.errors import BadInput, ModelError
from vxp_ros.core.geometry import invert, make_transform, rotation_z
from vxp_ros.core.pose_graph import PoseGraph, is_covariance, to_gtsam

gtsam = pytest.importorskip("gtsam", reason="gtsam is not installed (extra slam, Python 3.11 or later)")

LAP, LAPS, RADIUS = 60, 2, 40.0
COVARIANCE = np.diag(np.repeat([0.05, 0.003], 3) ** 2)
ANGLES = 2 * np.pi * np.arange(LAP * LAPS) / LAP
TRUTH = np.array([pose(RADIUS * np.sin(a), RADIUS * (1 - np.cos(a)), a) for a in ANGLES])
BEND = pose(0.042, 0.0, 0.0008)  # per step of 4.2 m: 1 % of the way and 0.011 degrees per metre


def odometry() -> np.ndarray:
    poses = [TRUTH[0]]
    for row in range(1, len(TRUTH)):
        poses.append(poses[-1] @ invert(TRUTH[row - 1]) @ TRUTH[row] @ BEND)
    return np.array(poses)


def closure(row: int, T: np.ndarray | None = None) -> LoopClosure:
    """Of a keyframe of the second lap with the same of the first."""
    T_from_to = invert(TRUTH[row - LAP]) @ TRUTH[row] if T is None else T
    return LoopClosure(row - LAP, row, row - LAP, row, T_from_to, COVARIANCE, 0.9, 0.8)


def graph_with(*closures: LoopClosure) -> PoseGraph:
    graph = PoseGraph()
    for row, T in enumerate(odometry()):
        graph.add_keyframe(row, row, T)
    for entry in closures:
        graph.add_closure(entry)
    graph.optimize()
    return graph


def error(graph: PoseGraph) -> float:
    """Root mean square of the positions' errors in metres."""
    return float(np.sqrt(np.mean(np.sum((graph.poses[:, :3, 3] - TRUTH[:, :3, 3]) ** 2, axis=1))))


RIGHT = [closure(row) for row in range(LAP, 2 * LAP, 3)]


def spoilt(share: float, seed: int = 0) -> list[LoopClosure]:
    rng = np.random.default_rng(seed)
    wrong = set(rng.permutation(len(RIGHT))[: round(share * len(RIGHT))])
    random = [make_transform(rotation_z(rng.uniform(-3, 3)), np.append(rng.uniform(-20, 20, 2), 0)) for _ in RIGHT]
    return [replace(entry, T_from_to=random[i]) if i in wrong else entry for i, entry in enumerate(RIGHT)]


def test_closures_pull_a_bent_path_straight():
    before, after = error(graph_with()), error(graph_with(*RIGHT))
    assert before > 2 and after < before / 3  # that its first lap is 1 % too wide, nothing tells
    assert np.allclose(graph_with(*RIGHT).poses[0], TRUTH[0], atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_half_of_the_closures_random_hardly_matter(seed):
    clean, graph = error(graph_with(*RIGHT)), graph_with(*spoilt(0.5, seed))
    assert error(graph) < 1.5 * clean
    right = {(entry.from_id, entry.to_id) for entry in RIGHT} & {
        (entry.from_id, entry.to_id) for entry, given in zip(spoilt(0.5, seed), RIGHT, strict=True) if entry is given
    }
    assert {key for key, weight in graph.weights.items() if weight > 0.5} <= right


@pytest.mark.parametrize("seed", range(5))
def test_closures_that_are_all_far_off_leave_odometry_as_it_is(seed):
    """All of their weights begin near nothing, which must not pass for the end of the graduation."""
    rng = np.random.default_rng(seed)
    far = [make_transform(rotation_z(rng.uniform(-3, 3)), np.append(rng.uniform(80, 130, 2), 0)) for _ in RIGHT]
    graph = graph_with(*(replace(entry, T_from_to=T) for entry, T in zip(RIGHT, far, strict=True)))
    assert set(graph.weights.values()) == {0.0}
    assert np.allclose(graph.poses, odometry(), atol=1e-3)


def test_a_retracted_closure_counts_no_more():
    graph = graph_with(closure(LAP))
    assert graph.retract(0, LAP) and not graph.retract(0, LAP)
    graph.optimize()
    assert np.allclose(graph.poses, odometry(), atol=1e-6)


def test_map_to_odom_carries_the_newest_keyframe_on():
    graph = graph_with(*RIGHT)
    T = graph.poses[-1]
    assert np.allclose(graph.T_map_odom @ odometry()[-1], T)
    graph.add_keyframe(1000, 5, odometry()[-1] @ pose(1, 0, 0))
    assert np.allclose(graph.poses[-1], T @ pose(1, 0, 0))
    assert np.allclose(PoseGraph().T_map_odom, np.eye(4)) and PoseGraph().poses.shape == (0, 4, 4)


def test_a_covariance_in_gtsams_terms_is_that_of_sampled_errors():
    """ROS: translation and small turns about the fixed axes of `from`. GTSAM: local coordinates of the pose."""
    rng, T = (
        np.random.default_rng(0),
        make_transform(gtsam.Rot3.RzRyRx(0.4, -1.1, 2.0).matrix(), np.array([3, 1, -2.0])),
    )
    root = rng.normal(0, 0.02, (6, 6))
    covariance = root @ root.T + 1e-5 * np.eye(6)
    samples = []
    for error_ in rng.multivariate_normal(np.zeros(6), covariance, 20_000):
        noisy = make_transform(gtsam.Rot3.Expmap(error_[3:]).matrix() @ T[:3, :3], T[:3, 3] + error_[:3])
        samples.append(gtsam.Pose3(T).localCoordinates(gtsam.Pose3(noisy)))
    assert np.allclose(to_gtsam(covariance, T), np.cov(np.array(samples).T), atol=0.08 * np.abs(covariance).max())


def test_keyframes_after_an_optimisation_are_where_a_fresh_one_puts_them():
    """A keyframe at the end needs no new solution, a closure to it does."""
    graph, late = PoseGraph(), closure(2 * LAP - 1)
    for row, T in enumerate(odometry()):
        graph.add_keyframe(row, row, T)
        for entry in RIGHT:
            if entry.to_id == row:
                graph.add_closure(entry)
        graph.optimize()
    assert np.allclose(graph.poses, graph_with(*RIGHT).poses, atol=1e-6)
    graph.add_closure(late)
    graph.optimize()
    assert np.allclose(graph.poses, graph_with(*RIGHT, late).poses, atol=1e-6)


def test_g2o_can_be_read_back(tmp_path):
    graph, path = graph_with(*RIGHT), tmp_path / "graph.g2o"
    path.write_text("old")
    graph.write_g2o(path)
    text = path.read_text()
    assert (text.count("VERTEX_SE3:QUAT"), text.count("EDGE_SE3:QUAT")) == (len(TRUTH), len(TRUTH) - 1 + len(RIGHT))
    _, values = gtsam.readG2o(str(path), True)
    assert np.allclose(np.array([values.atPose3(row).matrix() for row in range(len(TRUTH))]), graph.poses, atol=1e-9)
    assert [entry.name for entry in tmp_path.iterdir()] == ["graph.g2o"]


def test_g2o_keeps_ids_covariances_and_centimetres_far_from_the_origin(tmp_path):
    graph, path = PoseGraph(), tmp_path / "graph.g2o"
    start, T = pose(4567890.123, -1234567.891, 0.3), pose(6, 1, 0.4)
    root = np.random.default_rng(0).normal(0, 0.1, (6, 6))
    covariance = root @ root.T + 1e-3 * np.eye(6)
    graph.add_keyframe(7, 0, start)
    graph.add_keyframe(9, 1, start @ T)
    graph.add_closure(LoopClosure(7, 9, 0, 1, T, covariance, 0.9, 0.8))
    graph.write_g2o(path)
    factors, values = gtsam.readG2o(str(path), True)
    assert np.allclose(values.atPose3(9).matrix(), graph.poses[1], rtol=0, atol=1e-6)
    factor = factors.at(factors.size() - 1)
    assert list(factor.keys()) == [7, 9] and np.allclose(factor.measured().matrix(), T, atol=1e-9)
    assert np.allclose(factor.noiseModel().covariance(), to_gtsam(covariance, T), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"to_id": 999}, "unknown_keyframe"),
        ({"to_id": 0}, "bad_closure"),
        ({"T_from_to": np.full((4, 4), np.nan)}, "bad_pose"),
        ({"T_from_to": 2 * np.eye(4)}, "bad_pose"),
        ({"T_from_to": pose(300, 0, 0)}, "too_far"),
        ({"to_stamp_ns": 7}, "other_drive"),
        ({"covariance": 1e-100 * np.eye(6)}, "bad_covariance"),
        ({"covariance": np.zeros((6, 6))}, "bad_covariance"),
        ({"covariance": np.full((6, 6), np.inf)}, "bad_covariance"),
        ({"covariance": np.eye(3)}, "bad_covariance"),
        ({"covariance": np.ones((6, 6))}, "bad_covariance"),
        ({"covariance": 1e-9 * (np.eye(6) + 5 * np.eye(6, k=1))}, "bad_covariance"),  # positive in one triangle only
    ],
)
def test_what_is_no_closure_is_refused_and_leaves_the_graph_whole(change, reason):
    graph = graph_with(*RIGHT)
    with pytest.raises(BadInput) as problem:
        graph.add_closure(replace(RIGHT[0], **change))
    assert problem.value.reason == reason
    assert graph.closures == tuple(RIGHT)


def test_what_is_no_keyframe_is_refused():
    graph = graph_with()
    for keyframe_id, T, reason in (
        (5, np.eye(4), "repeated"),
        (500, np.zeros((4, 4)), "bad_pose"),
        (500, pose(1e300, 0, 0), "bad_pose"),
    ):
        with pytest.raises(BadInput) as problem:
            graph.add_keyframe(keyframe_id, 0, T)
        assert problem.value.reason == reason
    assert len(graph) == len(TRUTH)
    PoseGraph().optimize()  # nothing to do


def test_a_covariance_must_be_positive():
    assert is_covariance(COVARIANCE) and not is_covariance(-COVARIANCE)
    assert not is_covariance(COVARIANCE + np.triu(np.ones((6, 6)), 1))


def test_without_gtsam_a_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gtsam", None)
    with pytest.raises(ModelError, match=r"pip install 'vxp_ros\[slam\]'"):
        PoseGraph()
