"""What `vxp doctor` asks the ROS graph: the middleware in use, and which sensor topics live, with QoS and rate."""

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

import rclpy
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

SENSOR_TYPES = {
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/CompressedImage": CompressedImage,
    "sensor_msgs/msg/CameraInfo": CameraInfo,
    "sensor_msgs/msg/PointCloud2": PointCloud2,
    "nav_msgs/msg/Odometry": Odometry,
}


@dataclass(frozen=True)
class TopicReport:
    """One live topic. reliability: of its publishers, "reliable", "best effort" or "mixed". rate_hz: as heard here."""

    topic: str
    type: str
    publishers: int
    reliability: str
    rate_hz: float


def middleware() -> str:
    """The RMW implementation that is loaded, e.g. "rmw_fastrtps_cpp". Raises ImportError when none can be."""
    return rclpy.get_rmw_implementation_identifier()


def watch_topics(discovery_s: float = 1.5, listen_s: float = 2.0) -> list[TopicReport]:
    """Every sensor topic that somebody publishes, by name; takes `discovery_s + listen_s` seconds."""
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = Node("vxp_doctor", context=context, enable_rosout=False, start_parameter_services=False)
        executor = rclpy.executors.SingleThreadedExecutor(context=context)
        executor.add_node(node)
        spin_for(executor, discovery_s)
        topics = sensor_topics(node)
        counts = listen(node, executor, topics, listen_s)
        reports = [report(node, topic, kind, counts[topic] / listen_s) for topic, kind in topics]
        executor.shutdown()
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
    return reports


def sensor_topics(node: Node) -> list[tuple[str, str]]:
    """(topic, type) of the sensor topics that have a publisher."""
    return [
        (topic, kinds[0])
        for topic, kinds in sorted(node.get_topic_names_and_types())
        if kinds[0] in SENSOR_TYPES and node.count_publishers(topic)
    ]


def listen(node: Node, executor, topics: list[tuple[str, str]], seconds: float) -> Counter:
    """Messages heard per topic. Raw and best effort: hears every publisher and costs little."""
    counts: Counter[str] = Counter()
    profile = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.VOLATILE)
    for topic, kind in topics:
        count = partial(count_one, counts, topic)
        node.create_subscription(SENSOR_TYPES[kind], topic, count, profile, raw=True)
    spin_for(executor, seconds)
    return counts


def count_one(counts: Counter, topic: str, _) -> None:
    counts[topic] += 1


def spin_for(executor, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left)


def report(node: Node, topic: str, kind: str, rate_hz: float) -> TopicReport:
    publishers = node.get_publishers_info_by_topic(topic)
    policies = {info.qos_profile.reliability for info in publishers}
    names = {ReliabilityPolicy.RELIABLE: "reliable", ReliabilityPolicy.BEST_EFFORT: "best effort"}
    reliability = names.get(next(iter(policies)), "unknown") if len(policies) == 1 else "mixed"
    return TopicReport(topic, kind, len(publishers), reliability, rate_hz)
