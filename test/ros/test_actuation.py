"""What the localizer does to the robot once its poses are confirmed, and when it does nothing."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

sys.path.append(str(Path(__file__).parents[1] / "core"))

from geometry_msgs.msg import PoseWithCovarianceStamped
from live_rig import LATCHED, SpinningNode, cloud_message, localizer_parameters, odometry_message
from rclpy.parameter import Parameter
from scan_samples import pose
from std_srvs.srv import Trigger
from verified_rig import FAR_AWAY, HERE, STEPS, T_MAP_ODOM, ask, drive, gate, needs_libraries, see

from vxp_ros.msg import LocalizationStatus, PlaceCandidates
from vxp_ros.ros import actuation
from vxp_ros.ros.conversions import to_matrix
from vxp_ros.ros.localizer import Localizer
from vxp_ros.srv import LoadMap, Localize

pytestmark = pytest.mark.ros


@pytest.mark.slow
@needs_libraries
def test_initialpose_is_published_once_enough_poses_agree(robot, start_verifying, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    start_verifying(output__publish_initialpose=True)
    drive(robot, candidates, clouds, [0, 1])
    assert robot.spin_until(lambda: gate(robot) == "closed: 2 of 3 verified poses agree")
    assert initial == []
    drive(robot, candidates, clouds, [2, 1])
    assert robot.spin_until(lambda: gate(robot) == "open" and initial)
    robot.spin(0.3)
    assert len(initial) == 1  # of the third; the fourth adds nothing
    assert (initial[0].header.frame_id, initial[0].header.stamp) == ("map", candidates[2].header.stamp)
    assert initial[0].pose == candidates[2].candidates[0].pose
    assert np.allclose(to_matrix(initial[0].pose.pose), HERE @ STEPS[2], atol=0.1)
    assert robot.call(Trigger, "/vxp_localizer/clear").success
    assert robot.spin_until(lambda: gate(robot) == "closed: 0 of 3 verified poses agree")
    drive(robot, candidates, clouds, [0, 1, 2])
    assert robot.spin_until(lambda: len(initial) == 2)
    assert robot.call(LoadMap, "/vxp_localizer/load_map", LoadMap.Request(name="town")).success
    assert robot.spin_until(lambda: gate(robot) == "closed: 0 of 3 verified poses agree")


@needs_libraries
def test_nothing_moves_unasked(robot, start_verifying, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    spinning = start_verifying(output__min_consistent=1)
    drive(robot, candidates, clouds, [0])
    assert robot.spin_until(lambda: gate(robot) == "open")
    assert initial == []
    spinning.do(lambda: spinning.node.set_parameters([Parameter("output.publish_initialpose", value=True)]))
    drive(robot, candidates, clouds, [1])
    assert robot.spin_until(lambda: initial)


@needs_libraries
def test_a_pose_that_disagrees_closes_the_gate(robot, start_verifying, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    start_verifying(output__publish_initialpose=True, output__initialpose_once=False, output__min_consistent=2)
    drive(robot, candidates, clouds, [0, 1])
    assert robot.spin_until(lambda: gate(robot) == "closed: 2 verified poses agree, over 5 of 10 m")
    drive(robot, candidates, clouds, [2])
    assert robot.spin_until(lambda: len(initial) == 1)
    drive(robot, candidates, clouds, [0], T_map_odom=pose(14, -7, 1.0))  # the wheels slipped, or the match is wrong
    assert robot.spin_until(lambda: gate(robot) == "closed: 1 of 2 verified poses agree")
    assert len(initial) == 1
    drive(robot, candidates, clouds, [2], T_map_odom=pose(14, -7, 1.0))
    assert robot.spin_until(lambda: len(initial) == 2)


@needs_libraries
def test_without_odometry_nothing_moves_and_everybody_hears_why(robot, start_verifying, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    states = robot.listen(LocalizationStatus, "/vxp_localizer/status", LATCHED)
    start_verifying(output__publish_initialpose=True, output__min_consistent=1)
    assert ask(robot, candidates, clouds["step0"]).candidates[0].verified
    assert robot.spin_until(lambda: states and "need odometry" in states[-1].reason)
    assert robot.spin_until(lambda: robot.level("search") == 1)
    assert "need odometry" in robot.diagnostics["search"].message
    assert gate(robot) == "closed: no odometry at the stamps of answers"
    assert initial == []


def test_without_clouds_several_places_in_a_row_must_agree(robot, start_verifying):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    start_verifying(input__modality="camera", match__query="camera", output__publish_initialpose=True,
          output__min_consistent_places=2)  # fmt: skip
    for metres in (0.0, 0.1, 3.0):
        see(robot, candidates, 0, HERE @ pose(metres, 0, 0))
    assert robot.spin_until(lambda: gate(robot) == "closed: 1 of 2 recognised places agree")
    assert initial == []
    see(robot, candidates, 1, FAR_AWAY)
    assert robot.spin_until(lambda: gate(robot) == "open" and initial)
    assert np.allclose(to_matrix(initial[0].pose.pose), FAR_AWAY)
    assert (initial[0].pose.covariance[0], initial[0].pose.covariance[35]) == pytest.approx((5.0**2, 3.14**2))


def test_places_move_nothing_unless_asked(robot, start_verifying):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    start_verifying(input__modality="camera", match__query="camera", output__publish_initialpose=True)
    for number, T in enumerate((HERE, FAR_AWAY)):
        see(robot, candidates, number, T)
    assert robot.spin_until(lambda: "output.min_consistent_places" in robot.diagnostics["search"].message)
    assert "min_consistent_places is 0" in gate(robot)
    assert initial == []


@needs_libraries
def test_a_request_with_a_cloud_of_its_own_moves_nothing(robot, start_verifying, clouds):
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    start_verifying(output__continuous=False, output__publish_initialpose=True, output__min_consistent=1)
    now = robot.now_ns()
    robot.odometry.publish(odometry_message(np.eye(4), now))
    robot.spin(0.3)
    for _ in range(2):
        answer = robot.call(
            Localize, "/vxp_localizer/localize", Localize.Request(points=cloud_message(clouds["step1"], now))
        )
        assert answer.result.candidates[0].verified, answer.message
    robot.spin(0.5)
    assert initial == [] and gate(robot).startswith("closed")


@needs_libraries
def test_map_to_odom_is_broadcast_and_does_not_jump(robot, start_verifying, clouds, monkeypatch):
    sent = []
    broadcaster = SimpleNamespace(sendTransform=sent.append)
    monkeypatch.setattr(actuation, "tf2_ros", SimpleNamespace(TransformBroadcaster=lambda _node: broadcaster))
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    start_verifying(output__publish_tf=True, output__min_consistent=2)
    drive(robot, candidates, clouds, [0])
    robot.spin(0.3)
    assert sent == []
    drive(robot, candidates, clouds, [2])
    assert robot.spin_until(lambda: len(sent) > 3)
    drive(robot, candidates, clouds, [1], T_map_odom=pose(14, -7, 1.0))
    before = len(sent)
    assert robot.spin_until(lambda: len(sent) > before + 3)
    assert all((entry.header.frame_id, entry.child_frame_id) == ("map", "odom") for entry in sent)
    assert all(np.allclose(to_matrix(entry.transform), T_MAP_ODOM, atol=0.2) for entry in sent)
    assert robot.call(Trigger, "/vxp_localizer/clear").success
    before = len(sent)
    robot.spin(0.5)
    assert len(sent) == before


@pytest.mark.skipif(actuation.tf2_ros is not None, reason="tf2_ros is installed")
def test_tf_without_tf2_is_refused_with_the_fix(robot, start_verifying, model, scan_root):
    spinning = start_verifying()
    changes = [Parameter("output.publish_tf", value=True)]
    (result,) = spinning.do(lambda: spinning.node.set_parameters(changes))
    assert not result.successful and "needs tf2_ros" in result.reason
    parameters = {**localizer_parameters(model, scan_root), "output__publish_tf": True}
    other = SpinningNode(Localizer, "vxp_other", **parameters)
    try:
        other.do(other.node.trigger_configure)
        assert other.node.state == "unconfigured"
        assert "needs tf2_ros" in other.node.failure and "set output.publish_tf to false" in other.node.failure
    finally:
        other.close()


@needs_libraries
def test_a_clock_that_jumps_back_closes_the_gate(robot, start_verifying, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start_verifying()
    drive(robot, candidates, clouds, [0, 1])
    node = spinning.node
    assert len(node.actuator._verified) == 2
    epoch = node.actuator.epoch
    spinning.do(node.sensors.reset)
    assert len(node.actuator._verified) == 0
    node.actuator.add(None, np.eye(4), epoch)  # one that was being verified meanwhile
    assert len(node.actuator._verified) == 0
