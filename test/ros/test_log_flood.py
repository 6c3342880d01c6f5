"""Thousands of bad messages: the console gets a line per reason in five seconds, with the number of those held back."""

import re
import subprocess
import sys
import tempfile
import time

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from live_rig import EXTRINSICS, NodeProcess, cloud_message, scene
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2

from vxp_ros.ros.ledger import LogLimiter

pytestmark = [pytest.mark.ros, pytest.mark.slow]
LINES_PER_MINUTE = 20
DEEP = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
NAIVE_NODE = """
import rclpy
from sensor_msgs.msg import PointCloud2

rclpy.init()
node = rclpy.create_node("naive")


def on_cloud(message):
    if message.header.stamp.sec < 0:
        node.get_logger().warning("message on points dropped: its stamp is impossible")


node.create_subscription(PointCloud2, "points", on_cloud, 1000)
rclpy.spin(node)
"""


def flood(robot, number, received) -> float:
    """So many bad clouds, by the hundred, each as soon as `received()` says that nearly all before have arrived; the
    seconds that it took."""
    publisher = robot.node.create_publisher(PointCloud2, "points", DEEP)
    assert robot.spin_until(lambda: publisher.get_subscription_count() == 1, 60)
    robot.spin(1.0)
    bad = cloud_message(scene(0)[1][:10], 0)
    bad.header.stamp.sec = -5
    begin = time.monotonic()
    for sent in range(1, number + 1):
        publisher.publish(bad)
        if sent % 500 == 0:
            assert robot.spin_until(lambda sent=sent: received() >= 0.9 * sent, 60), (received(), sent)
    return time.monotonic() - begin


def written(log) -> list[str]:
    log.seek(0)
    return dropped_lines(log.read())


def dropped_lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if "message on points dropped" in line]


def test_a_flood_of_bad_messages_makes_few_lines(ros, robot, model, count, record_property):
    number = count(500, 10_000)
    process = NodeProcess("localizer", "-p", f"model.weights:={model}", *EXTRINSICS, "-p", "qos.sensor_depth:=1000")
    try:
        assert robot.spin_until(lambda: robot.values("lidar").get("publishers") == "1", 240), process.output()
        seconds = flood(robot, number, lambda: int(robot.values("lidar")["received"]))
        robot.spin(LogLimiter().period + 1.0)  # the next line says how many were held back
        flood(robot, 1, lambda: 0)
        assert robot.spin_until(lambda: "more like this" in process.output(), 10), process.output()
        lines = dropped_lines(process.output())
        held = sum(int(found) for line in lines for found in re.findall(r"\((\d+) more like this", line))
        record_property("bad messages sent, received", (number, int(robot.values("lidar")["received"])))
        record_property("seconds", round(seconds, 1))
        record_property("lines, and held back by what they say", (len(lines), held))
        assert 1 <= len(lines) <= 2 + LINES_PER_MINUTE * seconds / 60
        assert number / 2 < len(lines) + held <= number + 1
        assert process.stop() == 0
    finally:
        process.stop()


def test_a_naive_node_writes_them_all(ros, robot, count, record_property):
    number = count(500, 10_000)
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([sys.executable, "-c", NAIVE_NODE], stderr=log)
        try:
            assert robot.spin_until(lambda: robot.clouds.get_subscription_count() == 1, 240)
            seconds = flood(robot, number, lambda: len(written(log)))
        finally:
            process.kill()
            process.wait()
        record_property("lines", len(written(log)))
        assert len(written(log)) > 2 + LINES_PER_MINUTE * seconds / 60
