"""What flows along the arrows of the design: frames in, descriptors in between, candidates out.

Poses are 4x4 float64 matrices named `T_target_source`, with `p_target = T_target_source @ p_source`. Metres, radians,
integer nanoseconds; base and LiDAR frames follow REP-103 (x forward, y left, z up), camera frames are optical
(z forward, x right, y down).
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np

Modality = Literal["camera", "lidar", "fused"]
MODALITIES: tuple[Modality, ...] = ("camera", "lidar", "fused")


@dataclass(frozen=True)
class Camera:
    """Calibration of one camera, for images of exactly `width` x `height` pixels.

    K: [3, 3] float64 intrinsics in pixels. distortion: [n] float64 in the order of `sensor_msgs/CameraInfo.D`, empty
    for rectified images. distortion_model: "plumb_bob", "rational_polynomial", "equidistant" or "".
    T_base_camera: [4, 4] float64, optical frame; None while the extrinsics are unknown.
    """

    width: int
    height: int
    K: np.ndarray
    distortion: np.ndarray = field(default_factory=lambda: np.zeros(0))
    distortion_model: str = ""
    T_base_camera: np.ndarray | None = None


@dataclass(frozen=True)
class Image:
    """pixels: [H, W, 3] uint8 RGB, read-only views allowed. camera: None while no calibration has arrived."""

    pixels: np.ndarray
    camera: Camera | None = None


@dataclass(frozen=True)
class Frame:
    """One moment's sensor data. Either part may be absent (a camera-only or LiDAR-only rig).

    points: [N, 4] float32 x y z intensity in the LiDAR frame, finite. rings: [N] uint16 ring index, if the driver
    gives one. T_odom_base: where odometry saw the base at `stamp_ns`, if there is odometry. cameras: calibrations of
    cameras that gave no image this time; the LiDAR is described as a camera sees it, whether or not it took a picture.
    times: [N] float32 seconds from the stamp at which each point was measured, where that is known.
    """

    stamp_ns: int
    images: dict[str, Image] = field(default_factory=dict)
    points: np.ndarray | None = None
    rings: np.ndarray | None = None
    T_base_lidar: np.ndarray | None = None
    T_odom_base: np.ndarray | None = None
    cameras: dict[str, Camera] = field(default_factory=dict)
    times: np.ndarray | None = None


@dataclass(frozen=True)
class Descriptor:
    """vector: [D] float32, finite. Compared by L2 distance, and only with descriptors of the same `model_id`."""

    vector: np.ndarray
    modality: Modality
    model_id: str


@dataclass(frozen=True)
class Place:
    """One keyframe of a map. `T_map_base` is where the base was when the place was recorded.

    descriptors: modality -> [D] float32. cloud: [M, 3] float32, voxel-thinned, base frame, for verification.
    thumbnail: JPEG bytes for people. drive: which drive (day, session) recorded it.
    """

    stamp_ns: int
    T_map_base: np.ndarray
    descriptors: dict[Modality, np.ndarray]
    T_odom_base: np.ndarray | None = None
    drive: int = 0
    cloud: np.ndarray | None = None
    thumbnail: bytes | memoryview = b""


@dataclass(frozen=True)
class Candidate:
    """A guess where the robot is: the place `place_id` of the map.

    distance: L2 between the descriptors. score: exp(-distance), in (0, 1], higher is better; no probability. margin:
    how much farther the best place outside the exclusion radius is (inf when there is none); small means ambiguous.
    probability: that the robot is at this place, by the model's calibration; NaN when it has none for this pair of
    sensors. T_map_base: the place's own pose (not the robot's) unless `is_registered`; covariance: of that pose, [6, 6]
    in ROS's order x y z rot_x rot_y rot_z about the map's fixed axes, None for "somewhere near this place".
    is_verified: a geometric check passed; inlier_ratio and rmse (metres) are NaN when it was not run.
    """

    place_id: int
    stamp_ns: int
    distance: float
    score: float
    margin: float
    T_map_base: np.ndarray
    probability: float = float("nan")
    covariance: np.ndarray | None = None
    is_registered: bool = False
    is_verified: bool = False
    inlier_ratio: float = float("nan")
    rmse: float = float("nan")


class Status(IntEnum):
    """The answer to one query. The numbers are those of msg/PlaceCandidates."""

    OK = 0
    NO_MATCH = 1
    AMBIGUOUS = 2
    BAD_INPUT = 3
    NO_MAP = 4


@dataclass(frozen=True)
class Recognition:
    """One query's answer, published even when empty. stage_ms: wall milliseconds per stage of the pipeline."""

    stamp_ns: int
    modality: Modality
    status: Status
    message: str
    candidates: tuple[Candidate, ...] = ()
    descriptor: Descriptor | None = None
    stage_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LoopClosure:
    """Two keyframes of one map that saw the same place.

    from_id, to_id: the older and the newer keyframe. T_from_to: [4, 4] pose of the newer base in the older one.
    covariance: [6, 6] of it in ROS's order, about the fixed axes of `from`. score: as a candidate's. is_retracted: a
    closure published earlier is withdrawn.
    """

    from_id: int
    to_id: int
    from_stamp_ns: int
    to_stamp_ns: int
    T_from_to: np.ndarray
    covariance: np.ndarray
    score: float
    inlier_ratio: float
    is_retracted: bool = False
