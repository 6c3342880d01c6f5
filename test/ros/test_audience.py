"""Publishers that wait for their listeners: until all have come, and those that follow publishers have followed."""

import time

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2

from vxp_ros.ros.audience import CHANGE_OF_MIND_SECONDS, QUIET_SECONDS, Audience

pytestmark = pytest.mark.ros
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class Stage:
    """A node that publishes an image and a cloud, and one that may listen to them."""

    def __init__(self, ros, profile):
        self.nodes = ros.create_node("speaker"), ros.create_node("listener")
        self.image = self.nodes[0].create_publisher(Image, "image", profile)
        self.cloud = self.nodes[0].create_publisher(PointCloud2, "points", profile)
        self.audience = Audience(self.nodes[0], [self.image, self.cloud], [self.image, self.cloud])
        self.looks = 0

    def listen(self, kind, topic, profile):
        return self.nodes[1].create_subscription(kind, topic, lambda message: None, profile)

    def wait(self, events=None, timeout=0.5) -> tuple[bool, float]:
        """What it waited for, and the seconds. events: {number of a look: what happens then}."""
        events = events or {}
        begin = time.monotonic()

        def sleep(seconds):
            self.looks += 1
            time.sleep(seconds)
            return events.get(self.looks, lambda: None)() == "stop"

        return self.audience.wait(timeout, sleep), time.monotonic() - begin


@pytest.fixture
def stage(ros):
    stages = []

    def make(profile=RELIABLE):
        stages.append(Stage(ros, profile))
        return stages[-1]

    yield make
    for node in (node for entry in stages for node in entry.nodes):
        node.destroy_node()


def test_nobody_comes(stage):
    has_settled, seconds = stage().wait(timeout=0.5)
    assert not has_settled
    assert seconds > 0.5


def test_a_wait_can_be_stopped(stage):
    stage = stage()
    stage.listen(Image, "image", RELIABLE)
    assert not stage.wait({3: lambda: "stop"})[0]
    assert stage.looks == 3


def test_a_second_after_the_last_one_came(stage):
    stage, came = stage(), []

    def come():
        stage.listen(PointCloud2, "points", RELIABLE)
        came.append(time.monotonic())

    stage.listen(Image, "image", RELIABLE)
    assert stage.wait({12: come})[0]
    assert time.monotonic() - came[0] > QUIET_SECONDS
    assert stage.audience.loses() == []


def test_one_that_follows_its_publishers_is_waited_for(stage):
    """As `auto` does: best effort at first, reliable when it has seen who publishes."""
    stage, changed = stage(), []
    subscription = stage.listen(PointCloud2, "points", BEST_EFFORT)

    def change():
        stage.nodes[1].destroy_subscription(subscription)
        stage.listen(PointCloud2, "points", RELIABLE)
        changed.append(time.monotonic())

    after = int(2 * QUIET_SECONDS / 0.05)  # looks: by then it would have settled
    assert stage.wait({after: change})[0]
    assert time.monotonic() - changed[0] > QUIET_SECONDS
    assert stage.audience.loses() == []


@pytest.mark.slow
def test_one_that_means_best_effort_costs_a_longer_wait(stage):
    stage = stage()
    stage.listen(PointCloud2, "points", BEST_EFFORT)
    has_settled, seconds = stage.wait()
    assert has_settled
    assert seconds > CHANGE_OF_MIND_SECONDS
    assert stage.audience.loses() == ["/points"]


def test_best_effort_publishers_wait_for_nobodys_reliability(stage):
    stage = stage(BEST_EFFORT)
    stage.listen(PointCloud2, "points", BEST_EFFORT)
    assert stage.wait()[0]
    assert stage.looks < CHANGE_OF_MIND_SECONDS / 0.05 / 2
    assert stage.audience.loses() == []


def test_one_that_leaves_is_not_waited_for_any_longer(stage):
    stage = stage()
    subscription = stage.listen(PointCloud2, "points", RELIABLE)
    has_settled, _ = stage.wait({5: lambda: stage.nodes[1].destroy_subscription(subscription)}, timeout=0.6)
    assert not has_settled
