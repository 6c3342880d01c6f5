"""Where the sensors sit on the robot: from parameters when given, else from TF when tf2_ros is installed.

tf2 is part of every ROS installation but not on PyPI, so it is optional here.
"""

import threading

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from ..core.config import ExtrinsicSettings, FrameSettings, InputSettings
from ..core.errors import BadInput
from ..core.geometry import pose_from_vector
from .conversions import to_matrix

try:
    import tf2_ros
except ImportError:
    tf2_ros = None

POSE_SIZE = 7


def extrinsics_from(settings: ExtrinsicSettings, inputs: InputSettings) -> dict[str, np.ndarray]:
    """T_base_sensor [4, 4] by sensor name ("lidar" or a camera's) from the parameters. Raises ValueError."""
    extrinsics = {}
    if settings.lidar:
        extrinsics["lidar"] = _pose("extrinsics.lidar", settings.lidar)
    if settings.cameras:
        numbers, expected = list(settings.cameras), POSE_SIZE * len(inputs.cameras)
        if len(numbers) != expected:
            raise ValueError(f"extrinsics.cameras must hold {expected} numbers (7 per camera), got {len(numbers)}")
        for i, name in enumerate(inputs.cameras):
            extrinsics[name] = _pose("extrinsics.cameras", numbers[POSE_SIZE * i : POSE_SIZE * (i + 1)])
    return extrinsics


def check_frames(frames: FrameSettings) -> None:
    """Raises ValueError for names that tf2 does not take; an empty one would pass for the frame of a bad message."""
    for parameter, name in (("map", frames.map), ("odom", frames.odom), ("base", frames.base)):
        if not name or name.startswith("/"):
            raise ValueError(f"frames.{parameter} must be a frame's name without a leading slash, got {name!r}")


def _pose(parameter: str, numbers: list[float]) -> np.ndarray:
    try:
        return pose_from_vector(numbers)
    except ValueError as problem:
        raise ValueError(f"{parameter}: {problem}") from problem


class Transforms:
    """Looks up T_base_sensor, and map poses where TF has them. Used on the worker's thread."""

    def __init__(self, node: Node, frames: FrameSettings, extrinsics: dict[str, np.ndarray]):
        self.frames = frames
        self.problem = ""  # why the last lookup of a sensor failed, in one sentence; "" after a success
        self._given = extrinsics
        self._found: dict[str, np.ndarray] = {}  # by the sensor's frame: sensors are bolted on, one lookup is enough
        self._lock = threading.Lock()
        self._buffer = self._listener = None
        if tf2_ros is not None:
            self._buffer = tf2_ros.Buffer()
            self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    @property
    def has_tf(self) -> bool:
        return self._buffer is not None

    def use(self, frames: FrameSettings, extrinsics: dict[str, np.ndarray]) -> None:
        """Take changed parameters."""
        with self._lock:
            self.frames, self._given, self._found = frames, extrinsics, {}

    def clear(self) -> None:
        """Forget moving transforms after a clock jump; tf2 on Humble does not do so by itself."""
        if self._buffer is not None:
            self._buffer.clear()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.unregister()
            self._listener = self._buffer = None

    def sensor(self, name: str, frame_id: str, stamp_ns: int) -> np.ndarray:
        """T_base_sensor [4, 4] of sensor `name`, whose messages carry `frame_id`. Raises BadInput("no_tf")."""
        with self._lock:
            if name in self._given:
                return self._given[name]
            if frame_id == self.frames.base:
                return np.eye(4)
            if frame_id in self._found:
                return self._found[frame_id]
        T_base_sensor = self._look_up(self.frames.base, frame_id, stamp_ns)
        if T_base_sensor is None:
            parameter = "extrinsics.lidar" if name == "lidar" else "extrinsics.cameras"
            source = "TF has no such transform" if self.has_tf else "tf2_ros is not installed here"
            self.problem = (
                f"where frame {frame_id!r} ({name}) sits on {self.frames.base!r} is not known ({source}): "
                f"set the parameter {parameter}, or publish the transform on /tf_static"
            )
            raise BadInput("no_tf", self.problem)
        with self._lock:
            self._found[frame_id] = T_base_sensor
        self.problem = ""
        return T_base_sensor

    def map_pose(self, stamp_ns: int) -> np.ndarray | None:
        """T_map_base [4, 4] from TF, or None."""
        return self._look_up(self.frames.map, self.frames.base, stamp_ns)

    def _look_up(self, target: str, source: str, stamp_ns: int) -> np.ndarray | None:
        if self._buffer is None:
            return None
        timeout = Duration(seconds=self.frames.transform_timeout)
        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns), timeout)
        except tf2_ros.TransformException:
            return None
        return to_matrix(found.transform)
