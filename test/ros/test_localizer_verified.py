"""The localizer where point clouds can confirm its candidates."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

sys.path.append(str(Path(__file__).parents[1] / "core"))

from geometry_msgs.msg import PoseWithCovarianceStamped
from live_rig import K, assert_accounted, camera_info_message, cloud_message, image_message, odometry_message, scene
from scan_samples import pose
from verified_rig import AMBIGUOUS, HERE, OK, STEPS, T_MAP_ODOM, ask, needs_libraries, stamp_of

from vxp_ros.core.geometry import invert
from vxp_ros.msg import PlaceCandidate, PlaceCandidates
from vxp_ros.ros.conversions import to_matrix
from vxp_ros.srv import Localize

pytestmark = pytest.mark.ros


@needs_libraries
def test_a_confirmed_place_gives_the_pose_of_the_robot(robot, start_verifying, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    poses = robot.listen(PoseWithCovarianceStamped, "/vxp_localizer/pose")
    spinning = start_verifying()
    answer = ask(robot, candidates, clouds["step0"])
    best = answer.candidates[0]
    assert (answer.status, best.pose_type, best.verified) == (OK, PlaceCandidate.POSE_REGISTERED, True), answer.message
    assert (best.place_id, len(answer.candidates)) == (0, 2)
    assert np.allclose(to_matrix(best.pose.pose), HERE @ STEPS[0], atol=0.1)
    assert best.inlier_ratio > 0.5
    assert not answer.candidates[1].verified
    assert robot.spin_until(lambda: poses)
    assert poses[0].pose == best.pose and poses[0].header == answer.header
    assert 0 < poses[0].pose.covariance[0] < 1
    assert robot.spin_until(lambda: robot.values("search").get("verified") == "1")
    values = robot.values("search")
    assert float(values["last_inlier_ratio"]) == pytest.approx(best.inlier_ratio, abs=0.001)
    assert float(values["verified_s_ago"]) < 20
    assert "verify_ms_p50" in robot.values("encoder")
    assert_accounted(robot, spinning.node, bundles=1)


@needs_libraries
def test_the_pose_is_that_of_the_querys_stamp(robot, start_verifying, clouds):
    """A metre of driving between image and cloud."""
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start_verifying(match__query="camera")
    now = robot.now_ns()
    before = STEPS[1] @ pose(-1, 0, 0.1)
    for stamp_ns, T in ((now, before), (now + 40_000_000, STEPS[1])):
        robot.odometry.publish(odometry_message(invert(T_MAP_ODOM) @ HERE @ T, stamp_ns))
    assert robot.spin_until(lambda: spinning.node.sensors.odom.ledger.processed == 2)
    robot.infos.publish(camera_info_message(128, 96, K, now))
    robot.images.publish(image_message(scene(0)[0], now))
    robot.clouds.publish(cloud_message(clouds["step1"], now + 40_000_000))
    assert robot.spin_until(lambda: candidates, 20)
    best = candidates[0].candidates[0]
    assert best.verified, candidates[0].message
    assert stamp_of(candidates[0]) == now
    assert np.allclose(to_matrix(best.pose.pose), HERE @ before, atol=0.1)


@needs_libraries
def test_refused_by_all_clouds_it_is_ambiguous(robot, start_verifying, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    poses = robot.listen(PoseWithCovarianceStamped, "/vxp_localizer/pose")
    start_verifying()
    answer = ask(robot, candidates, clouds["elsewhere"])
    assert (answer.status, len(answer.candidates)) == (AMBIGUOUS, 2)
    assert "the point clouds confirm no candidate" in answer.message
    assert all(entry.pose_type == PlaceCandidate.POSE_OF_PLACE for entry in answer.candidates)
    assert all(entry.pose.covariance[0] == 25 for entry in answer.candidates)
    robot.spin(0.3)
    assert poses == []


@needs_libraries
def test_other_frames_do_not_wait_and_each_is_answered_once(robot, start_verifying, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start_verifying(verify__max_rate=0.01)
    stamps, end = [], time.monotonic() + 30
    is_told = lambda: any("verify.max_rate" in answer.message for answer in candidates)  # noqa: E731
    while not is_told() and time.monotonic() < end:
        stamps.append(robot.show_cloud(clouds["elsewhere"]))  # to refuse a place takes longest
        robot.spin(0.25)
    account = spinning.node.sensors.bundles.snapshot
    assert robot.spin_until(lambda: account()["in_flight"] == 0, 20)
    assert robot.spin_until(lambda: len(candidates) == account()["processed"])
    heard = [stamp_of(answer) for answer in candidates]
    assert len(set(heard)) == len(heard) and set(heard) <= set(stamps)
    tried = [answer for answer in candidates if answer.status == AMBIGUOUS]
    others = [answer for answer in candidates if answer.status == OK]
    assert len(tried) == 1 and len(tried) + len(others) == len(candidates)
    asked = [answer.message.rpartition("not verified: ")[2] for answer in others]
    assert asked.count("another one is being verified") > 1 < heard.index(stamp_of(tried[0]))  # they overtook it
    assert {"another one is being verified", "verify.max_rate"} == set(asked)
    assert_accounted(robot, spinning.node)


@needs_libraries
def test_a_query_without_a_cloud_says_that_its_pose_is_the_places(robot, start_verifying):
    start_verifying(match__query="auto")
    request = Localize.Request(image=image_message(scene(1)[0], robot.now_ns()))
    answer = robot.call(Localize, "/vxp_localizer/localize", request)
    assert answer.success and answer.result.modality == PlaceCandidates.MODALITY_CAMERA
    best = answer.result.candidates[0]
    assert (best.place_id, best.verified, best.pose_type) == (1, False, PlaceCandidate.POSE_OF_PLACE)
    assert "the place's pose, not verified: no point cloud" in answer.message


@needs_libraries
def test_requests_are_verified_while_they_wait(robot, start_verifying, clouds):
    start_verifying(output__continuous=False, verify__max_rate=0.01)
    for _ in range(2):
        request = Localize.Request(points=cloud_message(clouds["step1"], robot.now_ns()))
        answer = robot.call(Localize, "/vxp_localizer/localize", request)
        assert answer.success, answer.message
        assert answer.result.candidates[0].verified


def test_missing_libraries_leave_answers_unverified(robot, start_verifying, clouds, monkeypatch):
    monkeypatch.setitem(sys.modules, "kiss_matcher", None)
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start_verifying()
    assert "pip install 'vxp_ros[slam]'" in spinning.node.verifier.problem
    answer = ask(robot, candidates, clouds["step0"])
    assert (answer.status, answer.candidates[0].verified) == (OK, False)
    assert "not verified: the registration libraries are missing" in answer.message
    assert_accounted(robot, spinning.node, bundles=1)


@needs_libraries
def test_a_registration_process_that_dies_costs_one_verification(robot, start_verifying, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start_verifying()
    assert ask(robot, candidates, clouds["step0"]).candidates[0].verified
    spinning.node.verifier._process._process.kill()
    answer = ask(robot, candidates, clouds["step1"])
    assert (answer.status, answer.candidates[0].verified) == (OK, False)
    assert "not verified: the registration failed" in answer.message
    assert ask(robot, candidates, clouds["step2"]).candidates[0].verified
    assert robot.spin_until(lambda: robot.values("search").get("verify_failures") == "1")
    assert_accounted(robot, spinning.node, bundles=3)


@needs_libraries
def test_a_node_that_ends_while_it_verifies_accounts_for_the_frame(robot, start_verifying, clouds):
    spinning = start_verifying()
    robot.show_cloud(clouds["elsewhere"])
    node = spinning.node
    assert robot.spin_until(lambda: node.verifier._is_busy)
    bundles = node.sensors.bundles
    spinning.do(node.close)
    account = bundles.snapshot()
    assert (account["received"], account["in_flight"], account["dropped"]) == (1, 0, {"inactive": 1})
