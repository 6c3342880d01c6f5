"""Sensor subscriptions against drivers of both kinds, in every order, on real rclpy."""

import itertools
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from live_rig import cloud_message, scene
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2

from vxp_ros.ros.qos import SensorSubscription, latched_qos, result_qos
from vxp_ros.ros.wire import decode, stamp_of

pytestmark = pytest.mark.ros
KINDS = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}


class Bench:
    """A driver node and a listening node on one executor."""

    def __init__(self, **overrides):
        self.driver = Node("driver")
        parameters = [Parameter(name, value=value) for name, value in overrides.items()]
        self.listener = Node("listener", parameter_overrides=parameters)
        self.executor = SingleThreadedExecutor()
        for node in (self.driver, self.listener):
            self.executor.add_node(node)
        self.heard = []
        self.subscription = None

    def drive(self, kind):
        return self.driver.create_publisher(PointCloud2, "points", QoSProfile(depth=5, reliability=KINDS[kind]))

    def listen(self, reliability="auto", depth=5):
        self.subscription = SensorSubscription(
            self.listener, PointCloud2, "points", self.heard.append, reliability, depth
        )
        return self.subscription

    def spin_until(self, condition, timeout=5.0):
        end = time.monotonic() + timeout
        while not condition() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)
            if self.subscription is not None:
                self.subscription.refresh()
        return condition()

    def hears(self, publisher, timeout=3.0):
        """Does a message of `publisher` arrive? Small, so that best effort does not lose it."""
        message = cloud_message(scene(0)[1][:20], 7_000_000_001)
        before = len(self.heard)

        def arrived():
            publisher.publish(message)
            return len(self.heard) > before

        return self.spin_until(arrived, timeout)

    def close(self):
        self.executor.shutdown()
        self.driver.destroy_node()
        self.listener.destroy_node()


@pytest.fixture
def bench(ros):
    benches = []

    def make(**overrides):
        benches.append(Bench(**overrides))
        return benches[-1]

    yield make
    for entry in benches:
        entry.close()


@pytest.mark.parametrize(("kind", "driver_first"), itertools.product(KINDS, (True, False)))
def test_auto_hears_every_driver_and_follows_its_kind(bench, kind, driver_first):
    bench = bench()
    publisher = bench.drive(kind) if driver_first else None
    if publisher:
        assert bench.spin_until(lambda: bench.listener.count_publishers("/points") == 1)
    subscription = bench.listen()
    publisher = publisher or bench.drive(kind)
    assert bench.spin_until(lambda: subscription.reliability == kind), subscription.reliability
    assert bench.hears(publisher)
    assert subscription.problem() == ""


def test_auto_gives_up_reliability_for_a_second_driver(bench):
    bench = bench()
    reliable = bench.drive("reliable")
    subscription = bench.listen()
    assert bench.spin_until(lambda: subscription.reliability == "reliable")
    best_effort = bench.drive("best_effort")
    assert bench.spin_until(lambda: subscription.reliability == "best_effort")
    assert bench.hears(reliable)
    assert bench.hears(best_effort)


@pytest.mark.parametrize(("wanted", "kind"), itertools.product(KINDS, KINDS))
def test_a_fixed_reliability_hears_or_tells(bench, wanted, kind):
    bench = bench()
    subscription = bench.listen(wanted)
    publisher = bench.drive(kind)
    assert bench.spin_until(lambda: bench.listener.count_publishers("/points") == 1)
    assert subscription.reliability == wanted
    if (wanted, kind) == ("reliable", "best_effort"):
        assert bench.spin_until(lambda: "best_effort" in subscription.problem(), 2.0)
        assert not bench.hears(publisher, 0.5)
    else:
        assert bench.hears(publisher)
        assert subscription.problem() == ""


def test_yaml_overrides_what_auto_would_choose(bench):
    bench = bench(**{"qos_overrides./points.subscription.reliability": "reliable",
                     "qos_overrides./points.subscription.depth": 2})  # fmt: skip
    bench.drive("best_effort")
    subscription = bench.listen()
    bench.spin_until(lambda: False, 0.5)
    assert subscription.reliability == "reliable"
    (info,) = bench.driver.get_subscriptions_info_by_topic("/points")
    assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE


OTHER_TYPE = """
import rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("wrong")
node.create_publisher(Image, "points", 5)
rclpy.spin(node)
"""


def test_another_message_type_is_told(bench):
    """From another process: within one, the middleware refuses to make such a publisher."""
    bench = bench()
    subscription = bench.listen()
    other = subprocess.Popen([sys.executable, "-c", OTHER_TYPE])
    try:
        assert bench.spin_until(lambda: subscription.problem(), 15.0)
        assert "/points carries sensor_msgs/msg/Image" in subscription.problem()
        assert "expects sensor_msgs/msg/PointCloud2" in subscription.problem()
    finally:
        other.kill()
        other.wait()


def test_messages_arrive_undecoded_and_whole(bench):
    bench = bench()
    publisher = bench.drive("reliable")
    bench.listen()
    assert bench.hears(publisher)
    assert isinstance(bench.heard[0], bytes)
    assert stamp_of(bench.heard[0]) == 7_000_000_001
    cloud = decode(bench.heard[0], PointCloud2)
    assert (cloud.width, cloud.header.frame_id) == (20, "velodyne")


def test_profiles_are_what_back_ends_expect():
    assert (result_qos().reliability.name, result_qos().durability.name) == ("RELIABLE", "VOLATILE")
    assert (latched_qos().durability.name, latched_qos().depth) == ("TRANSIENT_LOCAL", 1)
