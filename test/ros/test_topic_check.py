"""What `vxp doctor --topics` sees of live sensors."""

import threading
import time

import pytest

pytestmark = pytest.mark.ros


def test_topics_with_their_rates_and_reliability(ros):
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image, PointCloud2
    from std_msgs.msg import String

    from vxp_ros.ros.topic_check import middleware, watch_topics

    node = ros.create_node("camera_and_lidar")
    clouds = node.create_publisher(PointCloud2, "/points", qos_profile_sensor_data)
    node.create_publisher(Image, "/camera/image_raw", 10)  # a driver that sends nothing
    node.create_publisher(String, "/chatter", 10)
    done, sent = threading.Event(), []

    def publish() -> None:
        while not done.wait(0.1):
            clouds.publish(PointCloud2())
            sent.append(time.monotonic())

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        reports = {report.topic: report for report in watch_topics(discovery_s=1.0, listen_s=2.0)}
    finally:
        done.set()
        thread.join()
        node.destroy_node()
    assert set(reports) == {"/points", "/camera/image_raw"}
    assert reports["/points"].rate_hz == pytest.approx((len(sent) - 1) / (sent[-1] - sent[0]), rel=0.3)
    assert reports["/points"].reliability == "best effort"
    assert reports["/camera/image_raw"].rate_hz == 0
    assert reports["/camera/image_raw"].reliability == "reliable"
    assert reports["/camera/image_raw"].publishers == 1
    assert middleware().startswith("rmw_")


def test_nothing_published(ros, capsys):
    from vxp_ros.cli.main import run

    assert run(["doctor", "--topics"]) == 0
    assert "no image, cloud or odometry is published" in capsys.readouterr().out
