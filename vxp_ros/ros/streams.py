"""The topics that a rig of cameras and a LiDAR consists of, and what is known about each of them while they run."""

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from ..core.config import InputSettings, QosSettings
from .ledger import Ledger
from .qos import SensorSubscription

# A sensor that skips more than two of its periods, and at least this many seconds, has stopped.
SHORTEST_PATIENCE = 1.2
CAMERA_INFO_DEPTH, ODOMETRY_DEPTH = 5, 20
CAMERA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass
class Stream:
    """One topic. arrivals: the last receipts by time.monotonic(), whatever the stamps say.

    speaking_since: the first receipt after the last gap in them.
    """

    name: str
    topic: str
    message_type: type
    ledger: Ledger = field(default_factory=Ledger)
    subscription: SensorSubscription | None = None
    opened: float = 0.0
    speaking_since: float = 0.0
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=20))

    def open(self, node: Node, callback: Callable[[bytes], None], reliability: str, depth: int) -> None:
        self.arrivals.clear()
        self.opened = self.speaking_since = time.monotonic()
        self.subscription = SensorSubscription(node, self.message_type, self.topic, callback, reliability, depth)

    def close(self) -> None:
        if self.subscription is not None:
            self.subscription.close()
            self.subscription = None

    def receive(self) -> None:
        self.ledger.receive()
        if not self.arrivals or self.age() > 0.75 * self.patience():
            self.speaking_since = time.monotonic()
        self.arrivals.append(time.monotonic())

    def age(self) -> float:
        """Seconds since the last message, or since the subscription began."""
        return time.monotonic() - self.heard()

    def heard(self) -> float:
        """When the last message came, or the subscription began."""
        return self.arrivals[-1] if self.arrivals else self.opened

    def period(self) -> float:
        """Usual seconds between two of the last 20 messages; 0 while unknown. A median: an outage does not count."""
        gaps = sorted(later - earlier for earlier, later in pairwise(self.arrivals))
        return gaps[(len(gaps) - 1) // 2] if gaps else 0.0

    def rate(self) -> float:
        """Messages per second; 0 while unknown."""
        return 1 / self.period() if self.period() > 0 else 0.0

    def patience(self) -> float:
        """Seconds without a message after which this sensor is silent."""
        return max(SHORTEST_PATIENCE, 2 * self.period())

    def is_silent(self) -> bool:
        return self.age() > self.patience()

    def has_outlasted(self, other: "Stream") -> bool:
        """Has this sensor gone on for the other's whole patience without a word of it?

        Only what lies between this sensor's messages counts, up to the one before the last: after a pause that all
        sensors share, each gets its time to begin again.
        """
        if len(self.arrivals) < 2:
            return False
        return self.arrivals[-2] - max(self.speaking_since, other.heard()) > other.patience()


def sensor_streams(inputs: InputSettings) -> dict[str, Stream]:
    """The rig's sensors by name: "lidar" and the cameras'. Raises ValueError for camera names that cannot be topics."""
    streams = {"lidar": Stream("lidar", "points", PointCloud2)} if inputs.modality != "camera" else {}
    for name, prefix in camera_prefixes(inputs).items():
        if inputs.image_transport == "compressed":
            streams[name] = Stream(name, f"{prefix}image/compressed", CompressedImage)
        else:
            streams[name] = Stream(name, f"{prefix}image", Image)
    return streams


def camera_info_streams(inputs: InputSettings) -> dict[str, Stream]:
    """The calibrations by camera name."""
    return {name: Stream(name, f"{prefix}camera_info", CameraInfo) for name, prefix in camera_prefixes(inputs).items()}


def odometry_stream() -> Stream:
    return Stream("odom", "odom", Odometry)


def camera_prefixes(inputs: InputSettings) -> dict[str, str]:
    """Camera name -> prefix of its topics: none for a single camera, NAME/ for each of several."""
    if inputs.modality == "lidar":
        return {}
    names = inputs.cameras
    for name in names:
        if not CAMERA_NAME.fullmatch(name) or name in ("lidar", "odom"):
            raise ValueError(f"input.cameras: {name!r} is no camera name (letters, digits and _; not lidar or odom)")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"input.cameras must hold different names, at least one, got {names}")
    return {names[0]: ""} if len(names) == 1 else {name: f"{name}/" for name in names}


def depth_of(stream: Stream, qos: QosSettings) -> int:
    if stream.message_type is CameraInfo:
        return CAMERA_INFO_DEPTH
    return ODOMETRY_DEPTH if stream.message_type is Odometry else qos.sensor_depth
