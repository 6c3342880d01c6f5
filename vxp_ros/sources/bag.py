"""Frames of a rosbag2, through the same conversions and the same pairing as in the live nodes. Needs no ROS."""

import logging
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from ..core.datatypes import Camera, Frame, Image
from ..core.errors import BadInput, SourceError
from ..ros.conversions import compressed_to_pixels, stamp_to_ns, to_camera, to_matrix, to_pixels, to_points
from ..ros.odometry import OdometryBuffer
from ..ros.pairing import Pairer
from .messages import typestore
from .raw_bag import RawBag, RawMessage
from .static_transforms import StaticTransforms

logger = logging.getLogger(__name__)

LIDAR = "points"
# A frame waits this long (in the bag's time) for odometry that reaches its stamp.
ODOMETRY_PATIENCE_NS = 500_000_000
STATIC_TOPIC = "/tf_static"
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
POINTS_TYPES = ("sensor_msgs/msg/PointCloud2",)
ODOM_TYPES = (
    "nav_msgs/msg/Odometry",
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/PoseWithCovarianceStamped",
)
INFO_TYPE, STATIC_TYPE = "sensor_msgs/msg/CameraInfo", "tf2_msgs/msg/TFMessage"


@dataclass(frozen=True)
class Sighting:
    """One sensor message as it waits in the pairer; frame_id says where its sensor sits."""

    data: np.ndarray
    frame_id: str
    rings: np.ndarray | None = None


class BagSource:
    """Frames of the bag at `path`, with the pose from odometry where the bag has it.

    cameras: camera name -> image topic, raw or compressed (without "/compressed" both are looked for); its camera_info
    is expected beside it; {} for none. points: PointCloud2 topic; None for none. odom: Odometry, PoseStamped or
    PoseWithCovarianceStamped topic; None for /odom if it is there, "" for none. tolerance: seconds between the stamps
    of one frame. base: frame of the poses, to which /tf_static leads. frames: which of the frames to keep.

    Static transforms and each camera's first calibration hold from the start of the bag, wherever in it they come.
    Messages that cannot be used are skipped and counted in `problems`; `notes` counts what is usual in good bags, such
    as images without a scan of the same moment. Raises SourceError when there is no bag, or a topic is not in it or of
    another type, and for negative numbers in `frames`.
    """

    def __init__(
        self,
        path: str | Path,
        cameras: dict[str, str] | None = None,
        points: str | None = "/points",
        odom: str | None = None,
        tolerance: float = 0.05,
        base: str = "base_link",
        min_points: int = 1000,
        max_points: int = 300_000,
        frames: slice = slice(None),
    ):
        self.path = Path(path).expanduser()
        self.base, self.min_points, self.max_points = base, min_points, max_points
        self.frames = check_slice(frames)
        self.tolerance_ns = round(tolerance * 1e9)
        self.problems: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        with RawBag(self.path) as bag:
            self.topics = bag.topics
        cameras = {"camera": "/camera/image_raw"} if cameras is None else cameras
        self.image_topics = {self._find_image(topic): name for name, topic in cameras.items()}
        infos = {info_topic(topic): name for topic, name in self.image_topics.items()}
        self.info_topics = {topic: name for topic, name in infos.items() if self._has(topic, INFO_TYPE)}
        self.static_topics = [STATIC_TOPIC] if self._has(STATIC_TOPIC, STATIC_TYPE) else []
        self.points_topic = self._require(points, POINTS_TYPES) if points else None
        if odom is None and "/odom" in self.topics:
            odom = "/odom"
        self.odom_topic = self._require(odom, ODOM_TYPES) if odom else None
        if not self.image_topics and not self.points_topic:
            raise SourceError(f"bag {self.path}: neither cameras nor points were asked for")
        self.name = self.path.stem
        self.description = (
            f"bag {self.path}, topics {', '.join([*self.image_topics, self.points_topic or 'no points'])}"
        )

    def __iter__(self) -> Iterator[Frame]:
        self.problems.clear()
        self.notes.clear()
        with RawBag(self.path) as bag, closing(BagReading(self, bag).frames()) as frames:
            yield from islice(frames, self.frames.start, self.frames.stop, self.frames.step)
            self.problems.update(bag.problems)

    def _find_image(self, topic: str) -> str:
        compressed = topic + "/compressed"
        if topic not in self.topics and compressed in self.topics:
            topic = compressed
        return self._require(topic, IMAGE_TYPES)

    def _has(self, topic: str, kind: str) -> bool:
        """False also for a topic of another type, which nobody asked for by name."""
        return topic in self.topics and self.topics[topic].type == kind

    def _require(self, topic: str, kinds: tuple[str, ...]) -> str:
        if topic not in self.topics:
            there = ", ".join(f"{name} ({entry.type})" for name, entry in sorted(self.topics.items()))
            raise SourceError(f"bag {self.path} has no topic {topic}; it has {there}")
        if self.topics[topic].type not in kinds:
            raise SourceError(
                f"bag {self.path}: topic {topic} is of type {self.topics[topic].type}, expected is {' or '.join(kinds)}"
            )
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
        self._learn_rig()
        sensors = [*source.image_topics, source.points_topic, source.odom_topic]
        sensors += [*source.info_topics, *source.static_topics]
        try:
            for message in self.bag.messages([topic for topic in sensors if topic]):
                try:
                    self._take(message)
                except BadInput as problem:
                    self.problems[problem.reason] += 1
                    logger.info("%s at %d ns: %s", message.topic, message.log_ns, problem)
                yield from self._ready(message.log_ns)
            yield from self._ready(None)
            self.pairer.reset()  # what still waits has found no partner
        finally:  # also when no more frames are wanted
            for name, counts in self.pairer.dropped.items():
                source.notes.update({f"{reason} ({name})": count for reason, count in counts.items() if count})

    def _learn_rig(self) -> None:
        """The first transform of each frame and the first calibration of each camera, before any sensor message.

        Bad messages are not counted here: they come again, in their place among the others.
        """
        found = self.bag.problems.copy()
        for raw in self.bag.messages(self.source.static_topics):
            with suppress(BadInput):
                self.transforms.add_new(deserialise(raw))
        missing = dict(self.source.info_topics)
        for raw in self.bag.messages(list(missing)):
            if raw.topic in missing:
                with suppress(BadInput):
                    self.cameras[missing[raw.topic]] = to_camera(deserialise(raw))
                    del missing[raw.topic]
            if not missing:
                break
        self.bag.problems = found

    def _take(self, raw: RawMessage) -> None:
        """Sort one message into its place. Raises BadInput when it cannot be used."""
        source = self.source
        if raw.type != source.topics[raw.topic].type:  # two publishers of one name
            raise BadInput("other_type", f"{raw.type} among messages of {source.topics[raw.topic].type}")
        message = deserialise(raw)
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


def deserialise(raw: RawMessage):
    """The message as an object. Raises BadInput "corrupt_message"."""
    try:
        return typestore().deserialize_cdr(raw.data, raw.type)
    except Exception as problem:  # the library raises whatever damaged bytes lead to
        raise BadInput("corrupt_message", f"{raw.type} cannot be read: {problem!r}") from problem


def pose_in(message):
    """The geometry_msgs/Pose inside Odometry, PoseWithCovarianceStamped or PoseStamped."""
    return message.pose.pose if hasattr(message.pose, "pose") else message.pose


def check_slice(frames: slice) -> slice:
    """Raise SourceError for what needs the number of frames, which is not known before the end of the bag."""
    if any(part is not None and part < 0 for part in (frames.start, frames.stop, frames.step)) or frames.step == 0:
        raise SourceError(
            f"frames of a bag are counted from its start, got {frames}; use numbers from 0, a step from 1"
        )
    return frames


def info_topic(image_topic: str) -> str:
    """camera_info lies beside the image, by image_transport's convention."""
    return image_topic.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"
