"""What an operator sees when sensors stop, clocks jump or transforms are missing, and how soon."""

import os
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from live_rig import (
    EXTRINSICS,
    RELIABLE,
    NodeProcess,
    SpinningNode,
    cloud_message,
    localizer_parameters,
    scene,
)
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import PointCloud2

from vxp_ros.msg import PlaceCandidates
from vxp_ros.ros.localizer import Localizer
from vxp_ros.ros.publishers import ns_to_stamp

pytestmark = pytest.mark.ros
OK, WARN, ERROR, STALE = 0, 1, 2, 3
ALL = {"camera", "lidar", "sync", "tf", "encoder", "map", "search"}


def play(robot, seconds, *, period=0.1, until=lambda: False, **options):
    """Show a scene at 10 Hz; the seconds until the condition held, or None."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        robot.show(1, **options)
        robot.spin(period)
        if until():
            return time.monotonic() - begin
    return None


def assert_identity(values, prefix=""):
    """received == processed + dropped + in flight, as the diagnostics say it."""
    dropped = sum(int(value) for key, value in values.items() if key.startswith(f"{prefix}dropped_"))
    counts = {key: int(values[prefix + key]) for key in ("received", "processed", "in_flight")}
    assert counts["received"] == counts["processed"] + dropped + counts["in_flight"], values


def test_a_healthy_node_says_so(robot, start):
    start()
    play(robot, 4, until=lambda: robot.level("search") == OK and len(robot.values("encoder")) > 8
         and float(robot.values("lidar")["rate_hz"]) > 0)  # fmt: skip
    assert set(robot.diagnostics) == ALL
    assert {name: robot.level(name) for name in ALL} == dict.fromkeys(ALL, OK), robot.diagnostics
    encoder = robot.values("encoder")
    for stage in ("convert", "points", "lidar_encoder", "search", "publish", "total"):
        assert 0 < float(encoder[f"{stage}_ms_p50"]) <= float(encoder[f"{stage}_ms_p95"]), stage
    stages = ("convert", "points", "lidar_encoder", "search", "publish")
    assert float(encoder["total_ms_p50"]) >= 0.8 * sum(float(encoder[f"{stage}_ms_p50"]) for stage in stages)
    assert 50 < float(encoder["heap_in_use_mb"]) < 5_000
    assert 5 < float(robot.values("lidar")["rate_hz"]) < 15
    assert robot.values("lidar")["publishers"] == "1"
    assert robot.values("map")["places"] == "4"
    assert robot.diagnostics["map"].name == "vxp_localizer: map"
    assert robot.diagnostics["map"].hardware_id == robot.values("map")["map_id"]
    for name in ("camera", "lidar"):
        assert_identity(robot.values(name))
    assert_identity(robot.values("sync"), "frames_")


def test_the_level_follows_the_node_state(robot, model, map_root):
    spinning = SpinningNode(Localizer, "vxp_localizer", **localizer_parameters(model, map_root))
    try:
        assert robot.spin_until(lambda: robot.level("encoder") == STALE)
        assert "unconfigured" in robot.diagnostics["encoder"].message
        spinning.do(spinning.node.trigger_configure)
        assert robot.spin_until(lambda: robot.level("map") == OK)
        assert robot.level("lidar") == STALE
    finally:
        spinning.close()


@pytest.mark.slow
@pytest.mark.parametrize("stopped", ["camera", "lidar", "both"])
def test_a_stopped_sensor_changes_the_level_within_2_s_and_back(robot, start, stopped):
    start()
    play(robot, 5, until=lambda: robot.level("camera") == robot.level("lidar") == OK)
    still = {"image": stopped == "lidar", "points": stopped == "camera"}
    names = ["camera", "lidar"] if stopped == "both" else [stopped]
    wanted = ERROR if stopped == "both" else WARN
    took = play(robot, 4, until=lambda: all(robot.level(name) == wanted for name in names), **still)
    assert took is not None
    assert took < 2.0
    assert "no message for" in robot.diagnostics[names[0]].message
    took = play(robot, 4, until=lambda: all(robot.level(name) == OK for name in names))
    assert took is not None
    assert took < 2.0


def test_a_wrong_stamp_is_named(robot, start):
    start()
    _, points = scene(0)
    for _ in range(15):
        robot.clouds.publish(cloud_message(points, 0))
        robot.spin(0.1)
    assert robot.level("lidar") == WARN
    assert "bad_stamp" in robot.diagnostics["lidar"].message
    assert int(robot.values("lidar")["dropped_bad_stamp"]) > 5
    assert_identity(robot.values("lidar"))


def test_clocks_that_differ_are_measured(robot, start):
    start()
    _, points = scene(0)
    for number in range(20):
        now = robot.show(number % 4, points=False)
        robot.clouds.publish(cloud_message(points, now - 40_000_000))
        robot.spin(0.1)
    assert robot.spin_until(lambda: robot.level("sync") == WARN, 3)
    assert float(robot.values("sync")["offset_camera_s"]) == pytest.approx(0.04, abs=0.005)


@pytest.mark.slow
def test_a_missing_transform_names_both_cures(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start(extrinsics__lidar=[], extrinsics__cameras=[])
    play(robot, 2, until=lambda: robot.level("tf") == WARN)
    assert play(robot, 8, period=0.3, until=lambda: robot.level("tf") == ERROR) is not None
    message = robot.diagnostics["tf"].message
    assert all(word in message for word in ("velodyne", "base_link", "extrinsics.lidar", "/tf_static")), message
    assert candidates[-1].status == PlaceCandidates.STATUS_BAD_INPUT
    assert candidates[-1].message == message
    assert spinning.node.sensors.bundles.snapshot()["dropped"]["no_tf"] > 1
    # a sensor whose frame is the base's own needs no transform
    assert spinning.node.transforms.sensor("lidar", "base_link", 1).tolist() == np.eye(4).tolist()


def test_an_unheard_publisher_is_an_error(robot, start):
    """A best-effort driver and a subscription forced to be reliable: DDS keeps quiet, the diagnostics do not."""
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    start(qos__sensor_reliability="reliable")
    robot.node.destroy_publisher(robot.clouds)
    profile = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    robot.clouds = robot.node.create_publisher(PointCloud2, "points", profile)
    assert play(robot, 5, until=lambda: robot.level("lidar") == ERROR) is not None
    assert "best_effort" in robot.diagnostics["lidar"].message
    assert "qos.sensor_reliability" in robot.diagnostics["lidar"].message


@pytest.mark.slow
def test_the_console_names_topic_publishers_and_qos(ros, robot, model, map_root):
    arguments = ["-p", f"model.weights:={model}", "-p", f"map.path:={map_root / 'town'}", *EXTRINSICS]
    process = NodeProcess("localizer", *arguments, "-p", "diagnostics.timeout:=1", "-r", "points:=/lidar/points")
    try:
        wanted = "on /lidar/points (0 publishers; this node listens as best_effort)"
        assert robot.spin_until(lambda: wanted in process.output(), 20), process.output()
        assert "WARN" in process.output()
    finally:
        assert process.stop() == 0


@pytest.mark.slow
def test_simulated_time_without_a_clock_is_told(robot, start):
    start(use_sim_time=True)
    robot.show(0)
    assert robot.spin_until(lambda: robot.level("sync") == WARN, 8)
    assert "/clock" in robot.diagnostics["sync"].message
    assert int(robot.values("lidar")["dropped_no_clock"]) == 1


@pytest.mark.slow
def test_the_clock_may_jump_back_again_and_again(robot, start):
    """A looped bag: each loop gives the same answers, and nothing of one loop meets anything of the next."""
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start(use_sim_time=True)
    clock = robot.node.create_publisher(Clock, "/clock", RELIABLE)
    robot.spin(0.5)
    per_loop = []
    for _loop in range(6):
        before = len(candidates)
        for tick in range(8):
            now = 1_000_000_000_000 + tick * 250_000_000
            clock.publish(Clock(clock=ns_to_stamp(now)))
            robot.spin(0.03)
            if tick % 2 == 1:
                answers = len(candidates) + 1
                robot.show(tick // 2, now)
                robot.spin_until(lambda answers=answers: len(candidates) == answers)
        per_loop.append(len(candidates) - before)
    assert per_loop == [4] * 6
    assert [answer.candidates[0].place_id for answer in candidates] == [0, 1, 2, 3] * 6
    assert spinning.node.sensors.pairer.resets >= 5
    clock.publish(Clock(clock=ns_to_stamp(5_000_000_000_000)))  # and an hour ahead
    robot.spin(0.3)
    robot.show(3, 5_000_000_000_000)
    assert robot.spin_until(lambda: len(candidates) == 25)


def test_a_bag_loop_without_a_clock_goes_on(robot, start):
    """Wall time does not jump, only the stamps do: the pairer notices by itself."""
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    start(input__max_age=60.0)
    first = robot.now_ns() - 20_000_000_000
    for _loop in range(3):
        for tick in range(4):
            answers = len(candidates) + 1
            robot.show(tick, first + tick * 500_000_000)
            robot.spin_until(lambda answers=answers: len(candidates) == answers)
    assert len(candidates) == 12


def test_memory_does_not_grow_with_bad_input(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    start()
    _, points = scene(0)
    bad = cloud_message(points, 0)

    def flood(number):
        for _ in range(number):
            robot.clouds.publish(bad)
            robot.spin(0.001)

    flood(200)
    before = resident_bytes()
    flood(1500)
    assert resident_bytes() - before < 20e6
    robot.show(1)
    assert robot.spin_until(lambda: candidates)


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
