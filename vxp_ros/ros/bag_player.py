"""Replays a rosbag2 (mcap or sqlite3) on computers without `ros2 bag play`: publishes the recorded bytes unchanged,
with the recorded quality of service, in the recorded rhythm.

    python -m vxp_ros.ros.bag_player BAG --clock 100 --loop --ros-args -r /points:=/velodyne_points
"""

import argparse
import importlib
import importlib.util
import re
import signal
import struct
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import rclpy
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from rclpy.duration import Duration
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock

from ..core.errors import SourceError
from ..sources.raw_bag import RawBag, RawMessage, Topic
from .audience import Audience

MESSAGE_TYPE = re.compile(r"([a-z][a-z0-9_]*)/msg/([A-Z][A-Za-z0-9]*)")
SENSOR_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/PointCloud2")
MOST_DEPTH = 1 << 16  # a damaged bag may say anything
# At the end, reliable messages under way get this long to arrive.
FAREWELL_SECONDS = 5.0


class BagPlayer:
    """Publishes the messages of one bag. rate: 2.0 is twice as fast. clock_hz: /clock messages per second, 0: none.

    topics: which to publish, None for all. log: takes a line monotonic_ns,topic,stamp_ns per sensor message published.
    Topics whose message type is not installed are left out with a warning. Raises SourceError for a topic that is not
    in the bag.
    """

    def __init__(self, bag: RawBag, rate: float, clock_hz: float, topics: list[str] | None, log: TextIO | None):
        self.node = Node("vxp_bag_player", start_parameter_services=False)
        self.published = 0
        self._bag, self._rate, self._log = bag, rate, log
        self._stop = threading.Event()
        self._publishers = self._create_publishers(topics)
        self._clock_publisher = self.node.create_publisher(Clock, "/clock", 1) if clock_hz > 0 else None
        self._tick_ns = int(1e9 / clock_hz) if clock_hz > 0 else 0

    def play(self) -> None:
        """One run through the bag, from now on; returns early when stopped."""
        start_ns = self._next_tick_ns = time.monotonic_ns()
        for message in self._bag.messages(self._publishers):
            self._wait_until(start_ns, start_ns + int((message.log_ns - self._bag.start_ns) / self._rate))
            if self._stop.is_set():
                return
            self._publish(message)

    def stop(self) -> None:
        """Make `play` and `wait_for_subscribers` return at once. Safe in a signal handler."""
        self._stop.set()

    @property
    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def wait_for_subscribers(self, timeout: float) -> bool:
        """Wait until a sensor topic has a subscriber and all have settled; False if none has in `timeout` seconds."""
        publishers = list(self._publishers.values())
        sensors = [self._publishers[name] for name in self._sensor_topics()] or publishers
        audience = Audience(self.node, publishers, sensors)
        has_settled = audience.wait(timeout, self._stop.wait)
        if has_settled and (topics := audience.loses()):
            self.node.get_logger().info(f"heard at best effort, so that messages may be lost: {', '.join(topics)}")
        return has_settled

    def say_farewell(self) -> None:
        """Wait until reliable subscribers have everything: what is unsent dies with the publishers."""
        deadline = time.monotonic() + FAREWELL_SECONDS
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=max(0.0, deadline - time.monotonic())))

    def _create_publishers(self, topics: list[str] | None) -> dict[str, Publisher]:
        known = self._bag.topics
        missing = [name for name in topics or () if name not in known]
        if missing:
            raise SourceError(f"bag {self._bag.path} has no topic {missing[0]}; it has {', '.join(sorted(known))}")
        publishers = {}
        for topic in known.values():
            if topic.name in (known if topics is None else topics):
                try:
                    publishers[topic.name] = self._create_publisher(topic)
                except SourceError as problem:
                    self.node.get_logger().warning(f"{topic.name} is not played: {problem}")
        return publishers

    def _create_publisher(self, topic: Topic) -> Publisher:
        """Raises SourceError for a type that is not installed, and for a name that ROS does not take."""
        message_type = find_message_type(topic.type)
        if message_type is None:
            raise SourceError(f"{topic.type!r} is not installed")
        try:
            return self.node.create_publisher(message_type, topic.name, to_profile(topic))
        except NameValidationException:
            raise SourceError("that is no name of a topic") from None

    def _sensor_topics(self) -> list[str]:
        return [name for name in self._publishers if self._bag.topics[name].type in SENSOR_TYPES]

    def _wait_until(self, start_ns: int, due_ns: int) -> None:
        """Sleep until the monotonic time `due_ns`, while the clock keeps ticking."""
        while not self._stop.is_set():
            now_ns = time.monotonic_ns()
            if self._clock_publisher and now_ns >= self._next_tick_ns:
                self._tick(start_ns, now_ns)
            if now_ns >= due_ns:
                return
            wake_ns = min(due_ns, self._next_tick_ns) if self._clock_publisher else due_ns
            self._stop.wait(max(0, wake_ns - now_ns) / 1e9)

    def _tick(self, start_ns: int, now_ns: int) -> None:
        """Publish the bag's time; ticks that were missed while a message was read are left out."""
        seconds, nanoseconds = divmod(self._bag.start_ns + int((now_ns - start_ns) * self._rate), 1_000_000_000)
        clock = Clock()
        clock.clock.sec, clock.clock.nanosec = seconds, nanoseconds
        self._clock_publisher.publish(clock)
        self._next_tick_ns += self._tick_ns * (1 + (now_ns - self._next_tick_ns) // self._tick_ns)

    def _publish(self, message: RawMessage) -> None:
        now_ns = time.monotonic_ns()
        self._publishers[message.topic].publish(bytes(message.data))
        self.published += 1
        if self._log and message.type in SENSOR_TYPES:
            self._log.write(f"{now_ns},{message.topic},{stamp_in(message.data)}\n")


def find_message_type(name: str) -> type | None:
    """The class of e.g. "sensor_msgs/msg/Image", or None when no installed ROS package has it.

    The name is a stranger's, and importing runs code: only what lies where ROS packages are installed is imported.
    """
    parts = MESSAGE_TYPE.fullmatch(name)
    if not parts or not is_ros_package(parts[1]):
        return None
    try:
        return getattr(importlib.import_module(f"{parts[1]}.msg"), parts[2])
    except (ImportError, AttributeError):
        return None


def is_ros_package(name: str) -> bool:
    """Whether the Python package is that of an installed ROS package, and none of the same name elsewhere."""
    try:
        prefix, found = Path(get_package_prefix(name)), importlib.util.find_spec(name)
    except (PackageNotFoundError, ValueError):
        return False
    if name in sys.modules:  # no more code than there is already; our own package may lie in its source tree
        return True
    return bool(found and found.origin) and Path(found.origin).parents[1].resolve().is_relative_to(prefix.resolve())


def to_profile(topic: Topic) -> QoSProfile:
    """The recorded quality of service. Latched topics keep every message that the bag has, up to a hundred."""
    qos = topic.qos
    is_latched = qos.is_transient_local or topic.name == "/tf_static"
    depth = max(qos.depth, min(topic.count, 100)) if is_latched else qos.depth
    return QoSProfile(
        history=HistoryPolicy.KEEP_ALL if qos.keeps_all else HistoryPolicy.KEEP_LAST,
        depth=min(max(depth, 1), MOST_DEPTH),
        reliability=ReliabilityPolicy.RELIABLE if qos.is_reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE,
    )


def stamp_in(data: bytes) -> int:
    """Nanoseconds of the std_msgs/Header with which a serialised sensor message begins."""
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return seconds * 1_000_000_000 + nanoseconds


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bag_player", description="Replays a rosbag2 (mcap or sqlite3).")
    parser.add_argument("bag", type=Path, help="folder with metadata.yaml, or a .mcap or .db3 file")
    parser.add_argument("--rate", type=positive, default=1.0, help="speed, 2.0 is twice as fast (default 1.0)")
    parser.add_argument("--loop", action="store_true", help="start again at the end, until stopped")
    parser.add_argument("--clock", type=positive, default=0.0, metavar="HZ", help="publish /clock this often")
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="play only these")
    parser.add_argument(
        "--wait-for-subscribers",
        type=positive,
        nargs="?",
        const=30.0,
        metavar="SECONDS",
        help="start when the sensor topics have subscribers; fail when none has one after this long (default 30)",
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="write monotonic_ns,topic,stamp_ns per sensor message")
    return parser.parse_args(arguments)


def positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return value


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Returns 0 when all was played (or Ctrl-C ended it), 1 with a sentence when it could not be."""
    arguments = sys.argv if arguments is None else arguments
    options = parse_arguments(remove_ros_args(arguments)[1:])
    with ExitStack() as stack:
        try:
            bag = stack.enter_context(RawBag(options.bag))
            log = stack.enter_context(options.log.open("w", buffering=1)) if options.log else None
            return run(bag, options, log, arguments)
        except (SourceError, OSError) as problem:
            print(f"bag_player: {problem}", file=sys.stderr)
            return 1


def run(bag: RawBag, options: argparse.Namespace, log: TextIO | None, arguments: list[str]) -> int:
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        player = BagPlayer(bag, options.rate, options.clock, options.topics, log)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: player.stop())
        patience = options.wait_for_subscribers
        if patience and not player.wait_for_subscribers(patience) and not player.is_stopped:
            raise SourceError(f"nobody has subscribed to the sensor topics within {patience:g} s")
        player.play()
        while options.loop and not player.is_stopped:
            player.play()
        if not player.is_stopped:
            player.say_farewell()
        player.node.get_logger().info(f"{player.published} messages played")
        return 0
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
