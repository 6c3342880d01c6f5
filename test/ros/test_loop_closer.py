"""The loop closer on a real ROS graph: a round that ends where it began."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

sys.path.append(str(Path(__file__).parents[1] / "core"))

from live_rig import (
    EXTRINSICS,
    LATCHED,
    RELIABLE,
    NodeProcess,
    SpinningNode,
    assert_accounted,
    localizer_parameters,
)
from scan_samples import block, pose, scan
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from vxp_ros.core.geometry import invert
from vxp_ros.core.map_store import load_map
from vxp_ros.msg import Keyframe, LoopClosure
from vxp_ros.ros import loop_closer
from vxp_ros.ros.conversions import to_matrix
from vxp_ros.ros.loop_closer import LoopCloser

pytestmark = pytest.mark.ros
needs_libraries = pytest.mark.skipif(sys.version_info >= (3, 13), reason="kiss-matcher has no wheel for Python 3.13")

# Keyframes at home, elsewhere, and at home again, where odometry has drifted by a metre.
HOME, BACK = [pose(0, 0, 0), pose(2, 0, 0.05)], [pose(1, -1, 0.1), pose(3, -1, 0.1), pose(5, -1, 0.1)]
DRIFT = pose(0.8, -0.6, 0.005)
ROUND = [*HOME, pose(40, 0, 1.5), pose(40, 40, 3.0), *[DRIFT @ T for T in BACK]]


@pytest.fixture(scope="module")
def clouds() -> list[np.ndarray]:
    """[N, 4] float32 of each keyframe of the round."""
    home = block(0)
    scans = [scan(home, T, i) for i, T in enumerate(HOME)]
    scans += [scan(block(5 + i), pose(0, 0, 0), i) for i in range(2)]
    scans += [scan(home, T, 10 + i) for i, T in enumerate(BACK)]
    return [np.hstack([points, np.zeros((len(points), 1), np.float32)]) for points in scans]


@pytest.fixture
def closer(robot, model, tmp_path):
    started = []

    def start(**parameters):
        given = {**localizer_parameters(model, tmp_path / "maps"), "loop__min_time_gap": 0.0, "loop__min_travel": 60.0}
        given |= {"verify__max_rate": 0.0, "match__query": "lidar", **parameters}
        given.pop("map__path")
        spinning = SpinningNode(LoopCloser, "vxp_loop_closer", **given)
        started.append(spinning)
        spinning.bring_up()
        robot.meet(has_lidar=given.get("input__modality") != "camera")
        return spinning

    yield start
    for spinning in started:
        errors = [*(spinning.node.worker.errors if spinning.node.worker else []), *spinning.node.closing.errors]
        spinning.close()
        assert errors == []


def drive(robot, spinning, clouds, poses=ROUND) -> None:
    """One keyframe after the other, each until the closer has looked back from it."""

    def looked_back() -> int:
        return spinning.node.counts["looked_at"] + spinning.node.counts["failed"]

    for cloud, T in zip(clouds, poses, strict=True):
        before = looked_back()
        robot.show_cloud(cloud, T)
        account = spinning.node.sensors.bundles.snapshot
        assert robot.spin_until(lambda before=before: looked_back() > before, 30), (account(), spinning.node.counts)


@needs_libraries
def test_the_end_of_a_round_is_tied_to_its_beginning(robot, closer, clouds):
    spinning = closer()
    keyframes = robot.listen(Keyframe, "/vxp_loop_closer/keyframes", LATCHED)
    heard = robot.listen(LoopClosure, "/vxp_loop_closer/loop_closures", RELIABLE)
    markers = robot.listen(MarkerArray, "/vxp_loop_closer/markers", LATCHED)
    robot.spin(0.5)
    drive(robot, spinning, clouds)
    assert robot.spin_until(lambda: len(heard) == 3)
    for closure in heard:
        truth = invert(HOME[closure.from_id]) @ BACK[closure.to_id - 4]
        assert np.allclose(to_matrix(closure.transform.pose), truth, atol=0.1)
        assert closure.verified and closure.has_transform and not closure.retract
        assert closure.frame_id_sensor == closure.header.frame_id == "base_link"
        assert closure.to_stamp == closure.header.stamp == keyframes[closure.to_id].header.stamp
        assert closure.from_stamp == keyframes[closure.from_id].header.stamp
        assert 0 < closure.transform.covariance[0] < 1
    assert {keyframe.header.frame_id for keyframe in keyframes} == {"odom"}
    assert robot.spin_until(lambda: len(markers[-1].markers[0].points) == 6)
    assert robot.spin_until(lambda: robot.values("closures").get("published") == "3")
    assert_accounted(robot, spinning.node)


@needs_libraries
def test_a_cleared_map_knows_no_loops(robot, closer, clouds):
    spinning = closer()
    heard = robot.listen(LoopClosure, "/vxp_loop_closer/loop_closures", RELIABLE)
    drive(robot, spinning, clouds[:4], ROUND[:4])
    assert robot.call(Trigger, "/vxp_loop_closer/clear").success
    drive(robot, spinning, clouds[4:], ROUND[4:])
    robot.spin(0.3)
    assert heard == [] and len(spinning.node.place_map) == 3


@needs_libraries
def test_a_cleared_map_shows_no_lines(robot, closer, clouds):
    spinning = closer()
    markers = robot.listen(MarkerArray, "/vxp_loop_closer/markers", LATCHED)
    drive(robot, spinning, clouds, ROUND)
    assert robot.spin_until(lambda: markers and len(markers[-1].markers[0].points) == 6)
    assert robot.call(Trigger, "/vxp_loop_closer/clear").success
    assert robot.spin_until(lambda: not markers[-1].markers[0].points)


@needs_libraries
def test_a_registration_process_that_dies_costs_one_look_back(robot, closer, clouds):
    spinning = closer()
    heard = robot.listen(LoopClosure, "/vxp_loop_closer/loop_closures", RELIABLE)
    drive(robot, spinning, clouds[:5], ROUND[:5])
    spinning.node.registration._process.kill()
    drive(robot, spinning, clouds[5:], ROUND[5:])
    assert spinning.node.counts["failed"] == 1
    assert robot.spin_until(lambda: robot.level("closures") == 0)  # the next one went well
    assert robot.spin_until(lambda: len(heard) == 2)


@needs_libraries
def test_a_camera_alone_is_told_that_it_closes_no_loops(robot, closer):
    spinning = closer(input__modality="camera", match__query="camera", keyframe__min_travel=1.0)
    for number in range(2):
        robot.show(number, points=False, odom=5.0 * number)
        assert robot.spin_until(lambda number=number: len(spinning.node.place_map) > number)
    assert robot.spin_until(lambda: robot.level("closures") == 1)
    message = robot.diagnostics["closures"].message
    assert message == "0 loop closures; none are looked for: the last keyframe has no point cloud to verify by"
    assert spinning.node.counts["looked_at"] == 0


def test_what_cannot_be_compared_is_told_before_the_drive(robot, model, tmp_path):
    given = localizer_parameters(model, tmp_path) | {"match__query": "fused", "match__against": "lidar"}
    given.pop("map__path")
    spinning = SpinningNode(LoopCloser, "vxp_loop_closer", **given)
    spinning.do(spinning.node.trigger_configure)
    assert spinning.node.state == "unconfigured" and "cannot be compared" in spinning.node.failure
    spinning.close()


def test_missing_libraries_are_told_before_the_drive(robot, model, tmp_path, monkeypatch):
    monkeypatch.setattr(loop_closer, "missing_library", lambda: "registration needs small_gicp: install it")
    given = localizer_parameters(model, tmp_path)
    given.pop("map__path")
    spinning = SpinningNode(LoopCloser, "vxp_loop_closer", **given)
    spinning.do(spinning.node.trigger_configure)
    assert spinning.node.state == "unconfigured" and "small_gicp" in spinning.node.failure
    spinning.close()


@pytest.mark.slow
@needs_libraries
def test_the_process_saves_its_map_and_leaves_no_child(robot, model, tmp_path, clouds):
    root = tmp_path / "maps"
    process = NodeProcess(
        "loop_closer", "-p", f"model.weights:={model}", "-p", f"map.root:={root}", "-p", "keyframe.save_as:=round",
        "-p", "input.max_rate:=0.0", "-p", "input.max_age:=60.0", "-p", "loop.min_time_gap:=0.0",
        "-p", "loop.min_travel:=60.0", "-p", "match.query:=lidar", "-p", "verify.max_rate:=0.0", *EXTRINSICS,
    )  # fmt: skip
    try:
        heard = robot.listen(LoopClosure, "/vxp_loop_closer/loop_closures", RELIABLE)
        keyframes = robot.listen(Keyframe, "/vxp_loop_closer/keyframes", LATCHED)
        robot.meet(60)
        for number, (cloud, T) in enumerate(zip(clouds, ROUND, strict=True)):
            robot.show_cloud(cloud, T)
            assert robot.spin_until(lambda number=number: len(keyframes) > number), process.output()
            robot.spin(3.0 if number > 3 else 0.0)  # for the registrations
        assert robot.spin_until(lambda: len(heard) >= 2, 20), process.output()
        children = os.popen(f"pgrep -P {process.process.pid}").read().split()
        assert len(children) == 1
    finally:
        code = process.stop()
    assert code == 0, process.output()
    assert not Path(f"/proc/{children[0]}").exists()
    saved = load_map(root / "round")
    assert len(saved) == len(ROUND) and saved.map_frame == "odom"
