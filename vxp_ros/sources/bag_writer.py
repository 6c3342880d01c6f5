"""Writes rosbag2 without ROS: any frames through `BagWriter`, KITTI sequences through `write_kitti_bag`.

A bag appears under its name only when it is complete: see bag_folder.py.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer

from ..core.datatypes import Frame
from ..core.errors import SourceError
from ..core.geometry import make_transform
from .bag_folder import check_target, new_bag
from .kitti import RECORDED_NS, KittiSource, sequence_name
from .messages import (
    camera_info,
    compressed_image,
    jpeg_image,
    odometry,
    point_cloud,
    pose_stamped,
    raw_image,
    static_transforms,
    typestore,
)

# Version 8 keeps QoS as text, which Humble reads too; later distributions read both.
BAG_VERSION = 8
# Each message reaches the recorder a little after its stamp: odometry first, the large cloud last. By last part of the
# topic, nanoseconds, in this order.
DELAYS_NS = {
    "tf_static": 0,
    "ground_truth": 1_000,
    "odom": 2_000,
    "camera_info": 1_000_000,
    "image_raw": 2_000_000,
    "compressed": 2_000_000,
    "points": 4_000_000,
}
# Where several sequences go in one bag, in time and along the map's y axis.
SEQUENCE_GAP_NS = 10_000_000_000
SEQUENCE_SPACING_M = 1000.0
UNLIMITED = QosTime(2_147_483_647, 4_294_967_295)


def write_kitti_bag(
    root: str | Path,
    sequences: Sequence[str],
    out: str | Path,
    frames: slice = slice(None),
    compressed: bool = False,
    overwrite: bool = False,
    storage: str = "mcap",
) -> Path:
    """Write KITTI odometry sequences into one bag and return its path.

    The sequences lie 1 km apart in the map and 10 s apart in time; odometry is the ground truth. compressed: JPEG on
    /camera/image_raw/compressed instead of raw images. storage: "mcap" or "sqlite3". overwrite: replace a bag, but
    nothing else. Raises SourceError for missing data, for a sequence asked for twice and for an `out` that exists.
    """
    check_sequences(sequences)
    start_ns = RECORDED_NS
    with BagWriter(out, overwrite, storage) as bag:
        for row, sequence in enumerate(sequences):
            T_map_start = make_transform(np.eye(3), np.array([0.0, row * SEQUENCE_SPACING_M, 0.0]))
            source = KittiSource(root, sequence, frames, T_map_start, start_ns)
            if not len(source):
                raise SourceError(f"KITTI sequence {sequence} has no frames in {frames}")
            if source.truth is None:
                raise SourceError(f"KITTI sequence {sequence} has no ground truth; choose from 00 to 10")
            for number in source.numbers:  # not skipping damaged files: a bag lacks nothing that it was asked for
                bag.write_frame(source.frame(number), compressed)
            start_ns = source.stamp_ns(source.numbers[-1]) + SEQUENCE_GAP_NS
    return bag.out


def check_sequences(sequences: Sequence[str]) -> None:
    """Raise SourceError unless there are some, each named once."""
    names = [sequence_name(sequence) for sequence in sequences]
    if not names or len(set(names)) < len(names):
        raise SourceError(f"name each KITTI sequence once, such as 00,01; got {','.join(sequences) or 'none'}")


class BagWriter:
    """A context manager that adds messages to a new bag; no part of it is left behind when its block raises.

    Topics: NAME/image_raw and NAME/camera_info per camera, /points, /odom, /ground_truth, /tf_static. Frames:
    base_link, one per camera called NAME, velodyne, odom, map. Raises SourceError when `out` exists (with overwrite:
    when it is anything but a bag) and when another process writes there.
    """

    def __init__(self, out: str | Path, overwrite: bool = False, storage: str = "mcap"):
        self.out, self.overwrite = Path(out).expanduser(), overwrite
        check_target(self.out, overwrite)
        self._plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
        self._connections: dict[str, object] = {}
        self._extrinsics: dict[str, np.ndarray] = {}

    def __enter__(self) -> "BagWriter":
        with ExitStack() as stack:
            path = stack.enter_context(new_bag(self.out, self.overwrite))
            self._writer = Writer(path, version=BAG_VERSION, storage_plugin=self._plugin)
            self._writer.open()
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *failure) -> None:
        self._stack.__exit__(*failure)

    def _finish(self, failure, *_) -> None:
        if failure is None:
            self._writer.close()
        else:
            self._writer.abort()

    def write_frame(
        self,
        frame: Frame,
        compressed: bool = False,
        T_map_base: np.ndarray | None = None,
        jpegs: dict[str, bytes] | None = None,
    ) -> None:
        """All messages of a frame. T_odom_base goes to /odom, T_map_base (else T_odom_base) to /ground_truth.

        compressed: images as JPEG. jpegs: camera -> JPEG files that are written as they are, instead of frame.images.
        """
        self._write_extrinsics(frame)
        for topic, message in messages_of(frame, compressed, T_map_base, jpegs or {}):
            self.write(topic, message, frame.stamp_ns + delay_of(topic))

    def write(self, topic: str, message, log_ns: int) -> None:
        """Add one message of the rosbags library; messages are to come in the order of their log time."""
        kind = message.__msgtype__
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=typestore(), offered_qos_profiles=[qos_of(topic)]
            )
        self._writer.write(self._connections[topic], log_ns, typestore().serialize_cdr(message, kind))

    def _write_extrinsics(self, frame: Frame) -> None:
        """/tf_static at the start and whenever the rig changes (KITTI's calibration differs between drives)."""
        rig = {name: image.camera.T_base_camera for name, image in frame.images.items() if image.camera is not None}
        rig["velodyne"] = frame.T_base_lidar
        known = self._extrinsics
        news = {name: T for name, T in rig.items() if T is not None and not np.array_equal(T, known.get(name))}
        if news:
            known.update(news)
            self.write("/tf_static", static_transforms(frame.stamp_ns, "base_link", known), frame.stamp_ns)


def messages_of(
    frame: Frame, compressed: bool, T_map_base: np.ndarray | None, jpegs: dict[str, bytes]
) -> list[tuple[str, object]]:
    """(topic, message) of everything in a frame, in the order in which a recorder would see it."""
    stamp_ns, messages = frame.stamp_ns, []
    truth = frame.T_odom_base if T_map_base is None else T_map_base
    if truth is not None:
        messages.append(("/ground_truth", pose_stamped(stamp_ns, "map", truth)))
    if frame.T_odom_base is not None:
        messages.append(("/odom", odometry(stamp_ns, "odom", "base_link", frame.T_odom_base)))
    for name, image in frame.images.items():
        if image.camera is not None:
            messages.append((f"/{name}/camera_info", camera_info(stamp_ns, name, image.camera)))
        if name in jpegs:
            messages.append((f"/{name}/image_raw/compressed", jpeg_image(stamp_ns, name, jpegs[name])))
        elif compressed:
            messages.append((f"/{name}/image_raw/compressed", compressed_image(stamp_ns, name, image.pixels)))
        else:
            messages.append((f"/{name}/image_raw", raw_image(stamp_ns, name, image.pixels)))
    if frame.points is not None:
        messages.append(("/points", point_cloud(stamp_ns, "velodyne", frame.points, frame.rings, frame.times)))
    return sorted(messages, key=lambda entry: delay_of(entry[0]))


def delay_of(topic: str) -> int:
    return DELAYS_NS.get(topic.rpartition("/")[2], 0)


def qos_of(topic: str) -> Qos:
    """Reliable, because best effort loses large messages; /tf_static also for those who come late."""
    is_static = topic == "/tf_static"
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if is_static else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if is_static else QosDurability.VOLATILE,
        deadline=UNLIMITED,
        lifespan=UNLIMITED,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=UNLIMITED,
        avoid_ros_namespace_conventions=False,
    )
