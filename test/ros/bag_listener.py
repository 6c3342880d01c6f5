"""A process that listens to a replayed bag. Prints "ready", and at the end of its input what it heard, as JSON:
topic -> [[monotonic_ns, stamp_ns], ...]. What lies in its queues then is heard first.

Arguments: COUNT topic:kind ..., where it also ends once it has heard COUNT messages of each topic (0: never), and
kind is Image, CompressedImage, PointCloud2, CameraInfo, Odometry, PoseStamped or Clock.
"""

import json
import sys
import threading
import time

import rclpy
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

KINDS = {
    kind.__name__: kind for kind in (Image, CompressedImage, PointCloud2, CameraInfo, Odometry, PoseStamped, Clock)
}


def main() -> None:
    rclpy.init()
    node, heard, count = Node("listener"), {}, int(sys.argv[1])
    for argument in sys.argv[2:]:
        topic, _, kind = argument.partition(":")
        heard[topic] = []
        node.create_subscription(
            KINDS[kind], topic, lambda message, log=heard[topic]: note(log, message), qos_of(topic)
        )
    finished = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), finished.set()), daemon=True).start()
    print("ready", flush=True)
    while not finished.is_set() and not (count and all(len(log) >= count for log in heard.values())):
        rclpy.spin_once(node, timeout_sec=0.05)
    drain(node, heard)
    print(json.dumps(heard), flush=True)
    rclpy.shutdown()


def drain(node: Node, heard: dict[str, list]) -> None:
    """Hear what has arrived: until nothing has come for half a second."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.5:
        before = sum(map(len, heard.values()))
        rclpy.spin_once(node, timeout_sec=0.05)
        if sum(map(len, heard.values())) > before:
            quiet_since = time.monotonic()


def note(log: list, message) -> None:
    stamp = message.clock if isinstance(message, Clock) else message.header.stamp
    log.append([time.monotonic_ns(), stamp.sec * 10**9 + stamp.nanosec])


def qos_of(topic: str) -> QoSProfile:
    is_latched = topic == "/tf_static"
    return QoSProfile(
        depth=20, durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE
    )


if __name__ == "__main__":
    main()
