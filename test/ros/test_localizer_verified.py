"""The localizer where point clouds can confirm its candidates, and what it then may do to the robot."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

sys.path.append(str(Path(__file__).parents[1] / "core"))

from geometry_msgs.msg import PoseWithCovarianceStamped
from live_rig import (
    LATCHED,
    K,
    SpinningNode,
    assert_accounted,
    camera_info_message,
    cloud_message,
    image_message,
    localizer_parameters,
    odometry_message,
    scene,
)
from rclpy.parameter import Parameter
from scan_samples import block, pose, scan
from std_srvs.srv import Trigger

from vxp_ros.core.config import KeyframeSettings
from vxp_ros.core.datatypes import Frame, Image
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.geometry import invert
from vxp_ros.core.map_store import save_map
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.recognizer import PlaceRecognizer
from vxp_ros.msg import LocalizationStatus, PlaceCandidate, PlaceCandidates
from vxp_ros.ros import actuation
from vxp_ros.ros.conversions import stamp_to_ns, to_matrix
from vxp_ros.ros.localizer import Localizer
from vxp_ros.srv import LoadMap, Localize

pytestmark = pytest.mark.ros
needs_libraries = pytest.mark.skipif(sys.version_info >= (3, 13), reason="kiss-matcher has no wheel for Python 3.13")
OK, AMBIGUOUS = PlaceCandidates.STATUS_OK, PlaceCandidates.STATUS_AMBIGUOUS
HERE, FAR_AWAY = pose(50, 20, 0.7), pose(-80, 0, 0)
STEPS = [pose(-5, -1, 0.2), pose(0, -1, 0.1), pose(5.5, -0.5, 0.0)]  # past HERE, in its frame
T_MAP_ODOM = pose(12, -7, 1.0)


@pytest.fixture(scope="module")
def clouds() -> dict[str, np.ndarray]:
    """[N, 4] float32 by name: the two places of the map, the drive past the first of them, and somewhere else."""
    here = block(0)
    scans = {"here": scan(here, pose(0, 0, 0), 0), "far": scan(block(7), pose(0, 0, 0), 1)}
    scans |= {f"step{i}": scan(here, T, 10 + i) for i, T in enumerate(STEPS)}
    scans["elsewhere"] = scan(block(3), pose(0, 0, 0), 2)
    return {name: np.hstack([points, np.zeros((len(points), 1), np.float32)]) for name, points in scans.items()}


@pytest.fixture(scope="module")
def scan_root(tmp_path_factory, model, clouds) -> Path:
    """A map root with the map "town": HERE and FAR_AWAY."""
    encoder = Encoder.load(model, "cpu")
    place_map = PlaceMap(dict.fromkeys(encoder.modalities, encoder.model_id))
    for number, (name, T) in enumerate((("here", HERE), ("far", FAR_AWAY))):
        frame = Frame(number + 1, {"camera": Image(scene(number)[0])}, clouds[name], None, np.eye(4))
        place_map.add(PlaceRecognizer(encoder).make_place(frame, T, KeyframeSettings()))
    root = tmp_path_factory.mktemp("scans")
    save_map(place_map, root / "town")
    return root


@pytest.fixture
def start(start, scan_root):
    """As the other one, with verification."""

    def start_verifying(**parameters):
        given = {"verify__enable": True, "verify__max_rate": 0.0, "match__query": "lidar", "map__root": str(scan_root)}
        return start(**{**given, **parameters})

    return start_verifying


def ask(robot, heard, cloud, T_odom_base=None):
    """The answer to one moment."""
    before = len(heard)
    robot.show_cloud(cloud, T_odom_base)
    assert robot.spin_until(lambda: len(heard) > before, 20), "no answer"
    return heard[-1]


def drive(robot, heard, clouds, numbers, T_map_odom=T_MAP_ODOM):
    """Past HERE, with the odometry that belongs to it; each step must be confirmed."""
    for number in numbers:
        answer = ask(robot, heard, clouds[f"step{number}"], invert(T_map_odom) @ HERE @ STEPS[number])
        assert answer.candidates[0].verified, answer.message


def stamp_of(message) -> int:
    return stamp_to_ns(message.header.stamp)


def gate(robot) -> str:
    return robot.values("search").get("gate", "")


@needs_libraries
def test_a_confirmed_place_gives_the_pose_of_the_robot(robot, start, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    poses = robot.listen(PoseWithCovarianceStamped, "/vxp_localizer/pose")
    spinning = start()
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
def test_the_pose_is_that_of_the_querys_stamp(robot, start, clouds):
    """A metre of driving between image and cloud."""
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start(match__query="camera")
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
def test_refused_by_all_clouds_it_is_ambiguous(robot, start, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    poses = robot.listen(PoseWithCovarianceStamped, "/vxp_localizer/pose")
    start()
    answer = ask(robot, candidates, clouds["elsewhere"])
    assert (answer.status, len(answer.candidates)) == (AMBIGUOUS, 2)
    assert "the point clouds confirm no candidate" in answer.message
    assert all(entry.pose_type == PlaceCandidate.POSE_OF_PLACE for entry in answer.candidates)
    assert all(entry.pose.covariance[0] == 25 for entry in answer.candidates)
    robot.spin(0.3)
    assert poses == []


@needs_libraries
def test_other_frames_do_not_wait_and_each_is_answered_once(robot, start, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start(verify__max_rate=0.01)
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
def test_a_query_without_a_cloud_says_that_its_pose_is_the_places(robot, start):
    start(match__query="auto")
    request = Localize.Request(image=image_message(scene(1)[0], robot.now_ns()))
    answer = robot.call(Localize, "/vxp_localizer/localize", request)
    assert answer.success and answer.result.modality == PlaceCandidates.MODALITY_CAMERA
    best = answer.result.candidates[0]
    assert (best.place_id, best.verified, best.pose_type) == (1, False, PlaceCandidate.POSE_OF_PLACE)
    assert "the place's pose, not verified: no point cloud" in answer.message


@needs_libraries
def test_requests_are_verified_while_they_wait(robot, start, clouds):
    start(output__continuous=False, verify__max_rate=0.01)
    for _ in range(2):
        request = Localize.Request(points=cloud_message(clouds["step1"], robot.now_ns()))
        answer = robot.call(Localize, "/vxp_localizer/localize", request)
        assert answer.success, answer.message
        assert answer.result.candidates[0].verified


@pytest.mark.slow
@needs_libraries
def test_initialpose_is_published_once_enough_poses_agree(robot, start, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    start(output__publish_initialpose=True)
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
def test_nothing_moves_unasked(robot, start, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    spinning = start(output__min_consistent=1)
    drive(robot, candidates, clouds, [0])
    assert robot.spin_until(lambda: gate(robot) == "open")
    assert initial == []
    spinning.do(lambda: spinning.node.set_parameters([Parameter("output.publish_initialpose", value=True)]))
    drive(robot, candidates, clouds, [1])
    assert robot.spin_until(lambda: initial)


@needs_libraries
def test_a_pose_that_disagrees_closes_the_gate(robot, start, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    start(output__publish_initialpose=True, output__initialpose_once=False, output__min_consistent=2)
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
def test_without_odometry_nothing_moves_and_everybody_hears_why(robot, start, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    states = robot.listen(LocalizationStatus, "/vxp_localizer/status", LATCHED)
    start(output__publish_initialpose=True, output__min_consistent=1)
    assert ask(robot, candidates, clouds["step0"]).candidates[0].verified
    assert robot.spin_until(lambda: states and "need odometry" in states[-1].reason)
    assert robot.spin_until(lambda: robot.level("search") == 1)
    assert "need odometry" in robot.diagnostics["search"].message
    assert gate(robot) == "closed: no odometry at the stamps of answers"
    assert initial == []


def test_without_clouds_several_places_in_a_row_must_agree(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    start(input__modality="camera", match__query="camera", output__publish_initialpose=True,
          output__min_consistent_places=2)  # fmt: skip
    for metres in (0.0, 0.1, 3.0):
        see(robot, candidates, 0, HERE @ pose(metres, 0, 0))
    assert robot.spin_until(lambda: gate(robot) == "closed: 1 of 2 recognised places agree")
    assert initial == []
    see(robot, candidates, 1, FAR_AWAY)
    assert robot.spin_until(lambda: gate(robot) == "open" and initial)
    assert np.allclose(to_matrix(initial[0].pose.pose), FAR_AWAY)
    assert (initial[0].pose.covariance[0], initial[0].pose.covariance[35]) == pytest.approx((5.0**2, 3.14**2))


def test_places_move_nothing_unless_asked(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    start(input__modality="camera", match__query="camera", output__publish_initialpose=True)
    for number, T in enumerate((HERE, FAR_AWAY)):
        see(robot, candidates, number, T)
    assert robot.spin_until(lambda: "output.min_consistent_places" in robot.diagnostics["search"].message)
    assert "min_consistent_places is 0" in gate(robot)
    assert initial == []


@needs_libraries
def test_a_request_with_a_cloud_of_its_own_moves_nothing(robot, start, clouds):
    initial = robot.listen(PoseWithCovarianceStamped, "/initialpose")
    start(output__continuous=False, output__publish_initialpose=True, output__min_consistent=1)
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


def see(robot, heard, place, T_map_base):
    """The answer to the picture of a place, when odometry says that the robot is at this pose."""
    before, now = len(heard), robot.now_ns()
    robot.odometry.publish(odometry_message(invert(T_MAP_ODOM) @ T_map_base, now))
    robot.spin(0.2)
    robot.infos.publish(camera_info_message(128, 96, K, now))
    robot.images.publish(image_message(scene(place)[0], now))
    assert robot.spin_until(lambda: len(heard) > before, 20), "no answer"
    assert (heard[-1].status, heard[-1].candidates[0].place_id) == (OK, place), heard[-1].message


@needs_libraries
def test_map_to_odom_is_broadcast_and_does_not_jump(robot, start, clouds, monkeypatch):
    sent = []
    broadcaster = SimpleNamespace(sendTransform=sent.append)
    monkeypatch.setattr(actuation, "tf2_ros", SimpleNamespace(TransformBroadcaster=lambda _node: broadcaster))
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    start(output__publish_tf=True, output__min_consistent=2)
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
def test_tf_without_tf2_is_refused_with_the_fix(robot, start, model, scan_root):
    spinning = start()
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


def test_missing_libraries_leave_answers_unverified(robot, start, clouds, monkeypatch):
    monkeypatch.setitem(sys.modules, "kiss_matcher", None)
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start()
    assert "pip install 'vxp_ros[slam]'" in spinning.node.verifier.problem
    answer = ask(robot, candidates, clouds["step0"])
    assert (answer.status, answer.candidates[0].verified) == (OK, False)
    assert "not verified: the registration libraries are missing" in answer.message
    assert_accounted(robot, spinning.node, bundles=1)


@needs_libraries
def test_a_registration_process_that_dies_costs_one_verification(robot, start, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start()
    assert ask(robot, candidates, clouds["step0"]).candidates[0].verified
    spinning.node.verifier._process._process.kill()
    answer = ask(robot, candidates, clouds["step1"])
    assert (answer.status, answer.candidates[0].verified) == (OK, False)
    assert "not verified: the registration failed" in answer.message
    assert ask(robot, candidates, clouds["step2"]).candidates[0].verified
    assert robot.spin_until(lambda: robot.values("search").get("verify_failures") == "1")
    assert_accounted(robot, spinning.node, bundles=3)


@needs_libraries
def test_a_clock_that_jumps_back_closes_the_gate(robot, start, clouds):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start()
    drive(robot, candidates, clouds, [0, 1])
    node = spinning.node
    assert len(node.actuator._verified) == 2
    epoch = node.actuator.epoch
    spinning.do(node.sensors.reset)
    assert len(node.actuator._verified) == 0
    node.actuator.add(None, np.eye(4), epoch)  # one that was being verified meanwhile
    assert len(node.actuator._verified) == 0


@needs_libraries
def test_a_node_that_ends_while_it_verifies_accounts_for_the_frame(robot, start, clouds):
    spinning = start()
    robot.show_cloud(clouds["elsewhere"])
    node = spinning.node
    assert robot.spin_until(lambda: node.verifier._is_busy)
    bundles = node.sensors.bundles
    spinning.do(node.close)
    account = bundles.snapshot()
    assert (account["received"], account["in_flight"], account["dropped"]) == (1, 0, {"inactive": 1})
