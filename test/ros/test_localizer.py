"""The localizer on a real ROS graph: sensors in, answers out, and every message accounted for."""

import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from geometry_msgs.msg import PoseArray, PoseWithCovarianceStamped
from live_rig import (
    LATCHED,
    Robot,
    SpinningNode,
    assert_accounted,
    cloud_message,
    image_message,
    localizer_parameters,
    odometry_message,
    scene,
    show_and_wait,
)
from nav_msgs.msg import Path
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import MarkerArray

from vxp_ros.msg import GlobalDescriptor, LocalizationStatus, PlaceCandidates
from vxp_ros.ros.localizer import Localizer
from vxp_ros.srv import Localize

pytestmark = pytest.mark.ros
OK, BAD_INPUT, NO_MAP = PlaceCandidates.STATUS_OK, PlaceCandidates.STATUS_BAD_INPUT, PlaceCandidates.STATUS_NO_MAP


def wait_for_frames(robot, node, number):
    """Until the node has received so many frames and none of them is in its hands any more; its account of them."""
    account = node.sensors.bundles.snapshot
    assert robot.spin_until(lambda: account()["received"] == number and account()["in_flight"] == 0, 20), account()
    return account()


def dropped(node, stream):
    return node.sensors.account(node.sensors.streams[stream])["dropped"]


def test_each_frame_gets_its_place(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    poses = robot.listen(PoseWithCovarianceStamped, "/vxp_localizer/pose")
    arrays = robot.listen(PoseArray, "/vxp_localizer/candidate_poses")
    spinning = start()
    stamps = show_and_wait(robot, candidates, 2, 0, 3)
    robot.spin_until(lambda: len(poses) == len(arrays) == 3)
    assert [answer.candidates[0].place_id for answer in candidates] == [2, 0, 3]
    assert [stamp_of(answer) for answer in candidates] == stamps
    for answer, pose, array in zip(candidates, poses, arrays, strict=True):
        assert (answer.status, answer.modality, answer.metric) == (OK, PlaceCandidates.MODALITY_LIDAR, "l2")
        assert (answer.header.frame_id, answer.reference_frame) == ("map", "base_link")
        best = answer.candidates[0]
        assert best.map_id.startswith("town.v")
        assert best.distance == pytest.approx(0, abs=1e-3)
        assert best.score == pytest.approx(1, abs=1e-3)
        assert best.pose.pose.position.x == pytest.approx(20 * best.place_id)
        assert best.pose.covariance[0] == pytest.approx(25)
        assert math.isnan(best.inlier_ratio)
        assert len(answer.candidates) == len(array.poses) == 4
        assert stamp_of(pose) == stamp_of(answer)
        assert pose.pose.pose == best.pose.pose
        assert answer.processing_time.nanosec > 0
    assert_accounted(robot, spinning.node, bundles=3)


def stamp_of(message) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def test_a_camera_query_is_stamped_with_the_cameras_time(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    start(match__query="camera")
    now = robot.now_ns()
    robot.show(1, now, points=False)
    robot.show(1, now + 20_000_000, image=False)
    assert robot.spin_until(lambda: candidates)
    assert stamp_of(candidates[0]) == now
    assert candidates[0].modality == PlaceCandidates.MODALITY_CAMERA
    assert candidates[0].candidates[0].place_id == 1


@pytest.mark.parametrize(("query", "against"), [("camera", "lidar"), ("lidar", "camera")])
def test_one_sensor_against_the_other_is_answered(robot, start, query, against):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    start(match__query=query, match__against=against)
    show_and_wait(robot, candidates, 1)
    assert candidates[0].status == OK  # which place is no matter: this model has learned nothing
    assert len(candidates[0].candidates) == 4


def test_latched_topics_reach_late_readers(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    start(output__publish_descriptor=True)
    descriptors = robot.listen(GlobalDescriptor, "/vxp_localizer/descriptor")
    robot.spin(0.5)
    show_and_wait(robot, candidates, 0)
    maps = robot.listen(Path, "/vxp_localizer/map_poses", LATCHED)
    states = robot.listen(LocalizationStatus, "/vxp_localizer/status", LATCHED)
    markers = robot.listen(MarkerArray, "/vxp_localizer/markers", LATCHED)
    assert robot.spin_until(lambda: maps and markers and descriptors)
    assert robot.spin_until(lambda: states and states[-1].state == LocalizationStatus.LOCALIZED)
    assert [pose.pose.position.x for pose in maps[0].poses] == [0, 20, 40, 60]
    assert states[-1].map_places == 4
    assert len(markers[-1].markers) == 5  # one clears the old ones
    assert len(descriptors[0].descriptor) > 0
    assert np.isfinite(descriptors[0].descriptor).all()


def test_without_a_map_the_answer_says_so(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    start(map__path="")
    show_and_wait(robot, candidates, 0)
    assert (candidates[0].status, candidates[0].candidates) == (NO_MAP, [])
    assert "map" in candidates[0].message


def test_bad_input_is_answered_with_the_reason(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start()
    show_and_wait(robot, candidates, 0)
    pixels, points = scene(0)
    cases = {
        "too_few_points": (pixels, points[:10]),
        "bad_camera_info": (pixels[:50], points),
    }
    for number, (reason, (image, cloud)) in enumerate(cases.items(), start=1):
        stamp_ns = robot.now_ns()
        robot.images.publish(image_message(image, stamp_ns))
        robot.clouds.publish(cloud_message(cloud, stamp_ns))
        assert robot.spin_until(lambda number=number: len(candidates) > number), reason
        assert candidates[-1].status == BAD_INPUT
        assert candidates[-1].message
        bundles = spinning.node.sensors.bundles
        assert robot.spin_until(lambda reason=reason, bundles=bundles: bundles.snapshot()["dropped"].get(reason) == 1)
    show_and_wait(robot, candidates, 1)
    assert candidates[-1].status == OK
    assert_accounted(robot, spinning.node, bundles=4)


def test_impossible_stamps_are_dropped_and_harm_nothing(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start()
    show_and_wait(robot, candidates, 0)
    pixels, points = scene(1)
    now = robot.now_ns()
    for stamp_ns in (0, now + 3_600_000_000_000, now + 5_000_000_000):
        robot.images.publish(image_message(pixels, stamp_ns))
        robot.clouds.publish(cloud_message(points, stamp_ns))
    broken = cloud_message(points, now)
    broken.header.stamp.nanosec = 2_000_000_000
    robot.clouds.publish(broken)
    broken.header.stamp.sec = -5
    robot.clouds.publish(broken)
    assert robot.spin_until(lambda: spinning.node.sensors.streams["lidar"].ledger.received == 6)
    show_and_wait(robot, candidates, 2)
    assert [answer.candidates[0].place_id for answer in candidates] == [0, 2]
    assert dropped(spinning.node, "lidar") == {"bad_stamp": 3, "future": 2}
    assert dropped(spinning.node, "camera") == {"bad_stamp": 1, "future": 2}
    assert_accounted(robot, spinning.node, bundles=2)


def test_old_frames_are_dropped(robot, start):
    spinning = start(input__max_age=2.0)
    robot.show(0, robot.now_ns() - 60_000_000_000)
    assert wait_for_frames(robot, spinning.node, 1)["dropped"] == {"too_old": 1}


def test_the_rate_gate_counts_what_it_holds_back(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start(input__max_rate=1.0)
    first = robot.now_ns()
    for number in range(10):
        robot.show(0, first + number * 40_000_000)
        account = wait_for_frames(robot, spinning.node, number + 1)
    assert account["dropped"] == {"max_rate": 9}
    assert robot.spin_until(lambda: candidates)
    assert len(candidates) == 1


def test_the_motion_gate_waits_for_travel(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start(input__min_travel=1.0)
    for number, x in enumerate([0.0, 0.2, 0.9, 1.1, 1.3, 2.2]):
        T = np.eye(4)
        T[0, 3] = x
        robot.odometry.publish(odometry_message(T, robot.now_ns()))
        assert robot.spin_until(lambda number=number: spinning.node.sensors.odom.ledger.processed == number + 1)
        robot.show(number % 4)
        account = wait_for_frames(robot, spinning.node, number + 1)
    assert account["dropped"] == {"min_travel": 3}
    assert robot.spin_until(lambda: len(candidates) == 3)


def test_a_busy_encoder_gets_the_newest_frame(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start()
    for number in range(30):
        last = robot.show(number % 4)
        robot.spin(0.01)
    # the last one is never the one that is lost
    assert robot.spin_until(lambda: candidates and stamp_of(candidates[-1]) == last, 20)
    assert candidates[-1].candidates[0].place_id == 29 % 4
    assert_accounted(robot, spinning.node)
    counts = spinning.node.sensors.bundles.snapshot()
    assert counts["dropped"].get("superseded", 0) > 0
    assert counts["received"] == len(candidates) + sum(counts["dropped"].values())


def test_requests_are_answered_from_the_latest_frame(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start(output__continuous=False)
    early = robot.call(Localize, "/vxp_localizer/localize")
    assert (early.success, "no complete frame" in early.message) == (False, True)
    stamp_ns = robot.show(3)
    assert wait_for_frames(robot, spinning.node, 1)["dropped"] == {"paused": 1}
    answer = robot.call(Localize, "/vxp_localizer/localize", Localize.Request(max_candidates=2))
    assert answer.success, answer.message
    assert answer.result.candidates[0].place_id == 3
    assert len(answer.result.candidates) == 2
    assert stamp_of(answer.result) == stamp_ns
    assert robot.call(Trigger, "/vxp_localizer/trigger").success
    assert robot.spin_until(lambda: len(candidates) == 2)  # what is answered on request is published as well
    assert_accounted(robot, spinning.node, bundles=3)


def test_a_request_says_how_old_its_frame_may_be(robot, start):
    spinning = start(output__continuous=False, input__max_age=0.01)
    robot.show(3, robot.now_ns() - 1_000_000_000)
    wait_for_frames(robot, spinning.node, 1)
    late = robot.call(Localize, "/vxp_localizer/localize")
    assert (late.success, "s old, 0.01 s are allowed" in late.message) == (False, True)
    patient = robot.call(Localize, "/vxp_localizer/localize", Localize.Request(max_age=60.0))
    assert patient.success, patient.message
    impatient = robot.call(Localize, "/vxp_localizer/localize", Localize.Request(max_age=0.5))
    assert (impatient.success, "0.5 s are allowed" in impatient.message) == (False, True)
    undecided = robot.call(Localize, "/vxp_localizer/localize", Localize.Request(max_age=float("nan")))
    assert (undecided.success, "nan s are allowed" in undecided.message) == (False, True)
    assert_accounted(robot, spinning.node, bundles=2)


def test_a_request_may_bring_its_own_cloud(robot, start):
    start(output__continuous=False)
    _, points = scene(2)
    request = Localize.Request(points=cloud_message(points, 0))
    answer = robot.call(Localize, "/vxp_localizer/localize", request)
    assert answer.result.modality == PlaceCandidates.MODALITY_LIDAR
    assert answer.result.status == OK, answer.message
    bad = robot.call(Localize, "/vxp_localizer/localize", Localize.Request(points=cloud_message(points[:5], 0)))
    assert (bad.success, bad.result.status) == (False, BAD_INPUT)


def test_enable_pauses_and_resumes(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start()
    assert robot.call(SetBool, "/vxp_localizer/enable", SetBool.Request(data=False)).success
    robot.show(0)
    assert wait_for_frames(robot, spinning.node, 1)["dropped"] == {"paused": 1}
    assert candidates == []
    assert robot.call(SetBool, "/vxp_localizer/enable", SetBool.Request(data=True)).success
    show_and_wait(robot, candidates, 1)
    assert spinning.node.sensors.bundles.snapshot()["dropped"] == {"paused": 1}


def test_parameters_take_effect_at_once(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start()
    show_and_wait(robot, candidates, 1)
    changes = [Parameter("match.top_k", value=2), Parameter("input.min_points", value=2999)]
    results = spinning.do(lambda: spinning.node.set_parameters(changes))
    assert all(result.successful for result in results)
    show_and_wait(robot, candidates, 1)
    assert len(candidates[-1].candidates) == 2
    (result,) = spinning.do(lambda: spinning.node.set_parameters([Parameter("extrinsics.lidar", value=[1.0, 2.0])]))
    assert not result.successful
    assert "extrinsics.lidar" in result.reason


def test_best_effort_drivers_are_heard(ros, model, map_root):
    """The publishers are there first, so `auto` has to choose by them."""
    robot = Robot(profile=QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    spinning = SpinningNode(Localizer, "vxp_localizer", **localizer_parameters(model, map_root))
    try:
        candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
        spinning.bring_up()
        robot.meet()
        assert spinning.node.sensors.streams["lidar"].subscription.reliability == "best_effort"
        assert robot.repeat_until(lambda: robot.show(1), lambda: candidates)  # best effort may lose some
    finally:
        spinning.close()
        robot.close()
