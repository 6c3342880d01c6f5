"""Frames of a rosbag2, through the same conversions and the same pairing as in the live nodes. Needs no ROS."""

import logging
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.datatypes import Camera, Frame, Image
from ..core.errors import BadInput, SourceError
from ..core.geometry import invert
from ..ros.conversions import compressed_to_pixels, stamp_to_ns, to_camera, to_matrix, to_pixels, to_points
from ..ros.odometry import OdometryBuffer
from ..ros.pairing import Pairer
from .messages import typestore
from .raw_bag import RawBag, RawMessage

logger = logging.getLogger(__name__)

LIDAR = "points"
# A frame waits this long (in the bag's time) for odometry that reaches its stamp.
ODOMETRY_PATIENCE_NS = 500_000_000
STATIC_TOPIC = "/tf_static"


@dataclass(frozen=True)
class Sighting:
    """One sensor message as it waits in the pairer; frame_id says where its sensor sits."""

    data: np.ndarray
    frame_id: str
    rings: np.ndarray | None = None


class BagSource:
    """Frames of the bag at `path`, with the pose from odometry where the bag has it.

    cameras: camera name -> image topic, raw or compressed (without "/compressed" both are looked for); its camera_info
    is expected beside it. points: PointCloud2 topic. odom: Odometry, PoseStamped or PoseWithCovarianceStamped topic,
    left out when it is not in the bag. None or {} switches a sensor off. tolerance: seconds between the stamps of one
    frame. base: frame of the poses, to which /tf_static leads. frames: which of the frames to keep.

    Messages that cannot be used are skipped and counted in `problems`; `notes` counts what is usual in good bags, such
    as images without a scan of the same moment. Raises SourceError when there is no bag, or a topic is not in it.
    """

    def __init__(
        self,
        path: str | Path,
        cameras: dict[str, str] | None = None,
        points: str | None = "/points",
        odom: str | None = "/odom",
        tolerance: float = 0.05,
        base: str = "base_link",
        min_points: int = 1000,
        max_points: int = 300_000,
        frames: slice = slice(None),
    ):
        self.path = Path(path).expanduser()
        self.base, self.min_points, self.max_points, self.frames = base, min_points, max_points, frames
        self.tolerance_ns = round(tolerance * 1e9)
        self.problems: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        with RawBag(self.path) as bag:
            self.topics = bag.topics
        cameras = {"camera": "/camera/image_raw"} if cameras is None else cameras
        self.image_topics = {self._find_image(topic): name for name, topic in cameras.items()}
        self.info_topics = {info_topic(topic): name for topic, name in self.image_topics.items()}
        self.points_topic = self._require(points) if points else None
        self.odom_topic = odom if odom in self.topics else None
        if not self.image_topics and not self.points_topic:
            raise SourceError(f"bag {self.path}: neither cameras nor points were asked for")
        self.name = self.path.stem
        self.description = (
            f"bag {self.path}, topics {', '.join([*self.image_topics, self.points_topic or 'no points'])}"
        )

    def __iter__(self) -> Iterator[Frame]:
        self.problems.clear()
        self.notes.clear()
        with RawBag(self.path) as bag:
            for row, frame in enumerate(BagReading(self, bag).frames()):
                if row in range(*self.frames.indices(row + 1)):
                    yield frame
            self.problems.update(bag.problems)

    def _find_image(self, topic: str) -> str:
        compressed = topic + "/compressed"
        return compressed if topic not in self.topics and compressed in self.topics else self._require(topic)

    def _require(self, topic: str) -> str:
        if topic not in self.topics:
            there = ", ".join(f"{name} ({entry.type})" for name, entry in sorted(self.topics.items()))
            raise SourceError(f"bag {self.path} has no topic {topic}; it has {there}")
        return topic


class BagReading:
    """One pass over a bag."""

    def __init__(self, source: BagSource, bag: RawBag):
        self.source, self.bag, self.problems = source, bag, source.problems
        streams = [*source.image_topics.values(), *([LIDAR] if source.points_topic else [])]
        self.pairer = Pairer(tuple(streams), source.tolerance_ns)
        self.odometry = OdometryBuffer()
        self.cameras: dict[str, Camera] = {}
        self.transforms = StaticTransforms()
        self.waiting: deque[Frame] = deque()

    def frames(self) -> Iterator[Frame]:
        source = self.source
        sensors = [*source.image_topics, *source.info_topics, source.points_topic, source.odom_topic, STATIC_TOPIC]
        for message in self.bag.messages([topic for topic in sensors if topic]):
            try:
                self._take(message)
            except BadInput as problem:
                self.problems[problem.reason] += 1
                logger.info("%s at %d ns: %s", message.topic, message.log_ns, problem)
            yield from self._ready(message.log_ns)
        yield from self._ready(None)
        self.pairer.reset()  # what still waits has found no partner
        for name, counts in self.pairer.dropped.items():
            self.source.notes.update({f"{reason} ({name})": count for reason, count in counts.items() if count})

    def _take(self, raw: RawMessage) -> None:
        """Sort one message into its place. Raises BadInput when it cannot be used."""
        source, message = self.source, deserialise(raw)
        if raw.topic == STATIC_TOPIC:
            self.transforms.add(message)
        elif raw.topic == source.odom_topic:
            self.odometry.add(stamp_to_ns(message.header.stamp), to_matrix(pose_in(message)))
        elif raw.topic in source.info_topics:
            self.cameras[source.info_topics[raw.topic]] = to_camera(message)
        elif raw.topic == source.points_topic:
            points, rings = to_points(message, source.max_points, source.min_points)
            self._pair(LIDAR, message.header, points, rings)
        else:
            convert = compressed_to_pixels if raw.type.endswith("CompressedImage") else to_pixels
            self._pair(source.image_topics[raw.topic], message.header, convert(message))

    def _pair(self, stream: str, header, data: np.ndarray, rings: np.ndarray | None = None) -> None:
        resets = self.pairer.resets
        groups = self.pairer.add(stream, stamp_to_ns(header.stamp), Sighting(data, header.frame_id, rings))
        if self.pairer.resets > resets:  # time has jumped back: odometry from before says nothing about now
            self.odometry.clear()
        self.waiting.extend(map(self._frame, groups))

    def _frame(self, group: dict) -> Frame:
        """All but the odometry. The stamp is the LiDAR's, where there is one, as in the nodes."""
        sightings = {name: entry.item for name, entry in group.items()}
        lidar = sightings.pop(LIDAR, None)
        stamp_ns = group[LIDAR if lidar else self.pairer.streams[0]].stamp_ns
        images = {name: Image(item.data, self._camera(name, item)) for name, item in sightings.items()}
        if lidar is None:
            return Frame(stamp_ns, images)
        T_base_lidar = self._extrinsics(lidar.frame_id)
        return Frame(stamp_ns, images, lidar.data, lidar.rings, T_base_lidar)

    def _camera(self, name: str, image: Sighting) -> Camera | None:
        camera = self.cameras.get(name)
        if camera is None or (camera.height, camera.width) != image.data.shape[:2]:
            self.source.notes["no_camera_info" if camera is None else "camera_info_of_other_size"] += 1
            return None
        return replace(camera, T_base_camera=self._extrinsics(image.frame_id))

    def _extrinsics(self, frame_id: str) -> np.ndarray | None:
        T = self.transforms.look_up(self.source.base, frame_id)
        if T is None:
            self.problems[f"no_tf ({frame_id})"] += 1
        return T

    def _ready(self, log_ns: int | None) -> Iterator[Frame]:
        """Frames whose odometry has come, or need not be waited for any longer. log_ns: None at the end of the bag."""
        while self.waiting:
            frame = self.waiting[0]
            is_late = log_ns is None or log_ns - frame.stamp_ns > ODOMETRY_PATIENCE_NS
            if self.source.odom_topic and not is_late and not self.odometry.reaches(frame.stamp_ns):
                return
            self.waiting.popleft()
            yield replace(frame, T_odom_base=self.odometry.pose_at(frame.stamp_ns, timeout=0.0))


class StaticTransforms:
    """The tree that /tf_static describes."""

    def __init__(self):
        self._parents: dict[str, tuple[str, np.ndarray]] = {}

    def add(self, message) -> None:
        """Take a tf2_msgs/TFMessage. Raises BadInput for a transform that is none."""
        for entry in message.transforms:
            self._parents[entry.child_frame_id] = (entry.header.frame_id, to_matrix(entry.transform))

    def look_up(self, target: str, source: str) -> np.ndarray | None:
        """[4, 4] T_target_source, or None when the two are not connected."""
        from_source, from_target = self._ancestors(source), self._ancestors(target)
        for frame, T_frame_source in from_source.items():
            if frame in from_target:
                return invert(from_target[frame]) @ T_frame_source
        return None

    def _ancestors(self, frame: str) -> dict[str, np.ndarray]:
        """The frame and all above it, nearest first, each with T_ancestor_frame. A loop in the tree ends the walk."""
        found = {frame: np.eye(4)}
        T = np.eye(4)
        while frame in self._parents:
            frame, T_parent_frame = self._parents[frame]
            if frame in found:
                break
            T = T_parent_frame @ T
            found[frame] = T
        return found


def deserialise(raw: RawMessage):
    """The message as an object. Raises BadInput "corrupt_message"."""
    try:
        return typestore().deserialize_cdr(raw.data, raw.type)
    except Exception as problem:  # the library raises whatever damaged bytes lead to
        raise BadInput("corrupt_message", f"{raw.type} cannot be read: {problem!r}") from problem


def pose_in(message):
    """The geometry_msgs/Pose inside Odometry, PoseWithCovarianceStamped or PoseStamped."""
    return message.pose.pose if hasattr(message.pose, "pose") else message.pose


def info_topic(image_topic: str) -> str:
    """camera_info lies beside the image, by image_transport's convention."""
    return image_topic.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"
