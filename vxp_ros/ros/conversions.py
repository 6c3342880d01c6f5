"""ROS messages to numpy: the first arrow of the design.

Duck-typed: reads the fields of rclpy's messages as well as those of the rosbags library, and imports no ROS package, so
that bags are read on computers without ROS. Every function checks what it is given and raises `BadInput` with the
reason under which the message is counted as dropped.
"""

import numpy as np

from ..core.datatypes import Camera, LoopClosure
from ..core.errors import BadInput
from ..core.geometry import make_transform, quaternion_to_matrix
from .cloud_conversions import to_points
from .image_conversions import compressed_to_pixels, to_pixels

__all__ = ["compressed_to_pixels", "stamp_to_ns", "to_camera", "to_matrix", "to_pixels", "to_points"]

# Lengths of D that each distortion model allows (sensor_msgs/distortion_models, OpenCV). Rectified images have none.
DISTORTION_LENGTHS = {
    "plumb_bob": (0, 4, 5),
    "rational_polynomial": (0, 8, 12, 14),
    "equidistant": (0, 4),
    "": (0,),
}
# Pixels; no lens is shorter, and a subnormal number would become zero when it is scaled.
MIN_FOCAL = 1e-3


def stamp_to_ns(stamp) -> int:
    """builtin_interfaces/Time -> nanoseconds. Raises BadInput "bad_stamp" for a negative, impossible or zero time."""
    seconds, nanoseconds = int(stamp.sec), int(stamp.nanosec)
    if seconds < 0 or not 0 <= nanoseconds < 1_000_000_000 or seconds == nanoseconds == 0:
        raise BadInput("bad_stamp", f"stamp of {seconds} s and {nanoseconds} ns is no time")
    return seconds * 1_000_000_000 + nanoseconds


def to_camera(msg) -> Camera:
    """sensor_msgs/CameraInfo -> Camera of the image as delivered (region of interest and binning applied).

    T_base_camera stays None: it comes from TF. Raises BadInput "bad_camera_info" that names what is wrong; a default
    calibration is never made up.
    """
    K = np.array(msg.k, dtype=np.float64).reshape(-1)
    distortion = np.array(msg.d, dtype=np.float64).reshape(-1)
    for problem in (size_problem(msg), intrinsics_problem(K), distortion_problem(msg.distortion_model, distortion)):
        if problem:
            raise BadInput("bad_camera_info", f"camera_info: {problem}")
    K, width, height = as_delivered(msg, K.reshape(3, 3))
    if not np.any(distortion):
        distortion = np.zeros(0)
    return Camera(width, height, K, distortion, msg.distortion_model)


def size_problem(msg) -> str:
    if msg.width < 1 or msg.height < 1:
        return f"image size is {msg.width} x {msg.height}"
    roi = msg.roi
    if roi.x_offset + roi.width > msg.width or roi.y_offset + roi.height > msg.height:
        return f"region of interest exceeds the image of {msg.width} x {msg.height} pixels"
    if msg.binning_x > (roi.width or msg.width) or msg.binning_y > (roi.height or msg.height):
        return f"binning of {msg.binning_x} x {msg.binning_y} leaves no pixel"
    return ""


def intrinsics_problem(K: np.ndarray) -> str:
    if K.shape != (9,) or not np.isfinite(K).all():
        return f"K must be nine finite numbers, got {K.tolist()}"
    if not K.any():
        return "K is all zero: the camera is not calibrated"
    if min(K[0], K[4]) < MIN_FOCAL:
        return f"focal lengths must be positive, got {K[0]:g} and {K[4]:g}"
    if not np.array_equal(K[[3, 6, 7, 8]], [0, 0, 0, 1]):
        return f"K must be [fx s cx; 0 fy cy; 0 0 1], got {K.tolist()}"
    return ""


def distortion_problem(model: str, distortion: np.ndarray) -> str:
    if model not in DISTORTION_LENGTHS:
        known = ", ".join(name or "'' (none)" for name in DISTORTION_LENGTHS)
        return f"unknown distortion model {model[:40]!r}; known are {known}"
    if not np.isfinite(distortion).all():
        return f"D must be finite, got {distortion.tolist()}"
    if len(distortion) not in DISTORTION_LENGTHS[model]:
        lengths = " or ".join(map(str, DISTORTION_LENGTHS[model]))
        return f"distortion model {model!r} needs {lengths} numbers in D, got {len(distortion)}"
    return ""


def as_delivered(msg, K: np.ndarray) -> tuple[np.ndarray, int, int]:
    """K, width and height after cropping to the region of interest and binning (zeros mean: none)."""
    roi, bin_x, bin_y = msg.roi, max(msg.binning_x, 1), max(msg.binning_y, 1)
    width, height = roi.width or msg.width, roi.height or msg.height
    cropped = K - np.array([[0, 0, roi.x_offset], [0, 0, roi.y_offset], [0, 0, 0]])
    scale = np.array([[1 / bin_x], [1 / bin_y], [1.0]])
    return cropped * scale, int(width // bin_x), int(height // bin_y)


def to_matrix(pose_or_transform) -> np.ndarray:
    """geometry_msgs Pose or Transform -> [4, 4] float64. Raises BadInput "bad_pose" unless finite with |q| = 1."""
    if hasattr(pose_or_transform, "position"):
        t, q = pose_or_transform.position, pose_or_transform.orientation
    else:
        t, q = pose_or_transform.translation, pose_or_transform.rotation
    translation = np.array([t.x, t.y, t.z], dtype=np.float64)
    if not np.isfinite(translation).all():
        raise BadInput("bad_pose", f"position {translation.tolist()} is not finite")
    try:
        rotation = quaternion_to_matrix(np.array([q.x, q.y, q.z, q.w], dtype=np.float64))
    except ValueError as problem:
        raise BadInput("bad_pose", str(problem)) from problem
    return make_transform(rotation, translation)


def to_keyframe(msg) -> tuple[int, int, np.ndarray]:
    """vxp_ros/Keyframe -> its id, its stamp in nanoseconds and its pose [4, 4]. Raises BadInput."""
    return int(msg.id), stamp_to_ns(msg.header.stamp), to_matrix(msg.pose)


def to_closure(msg) -> LoopClosure:
    """vxp_ros/LoopClosure -> ours. Raises BadInput for one without a transform or with numbers that are not finite."""
    if not msg.has_transform and not msg.retract:
        raise BadInput("no_transform", f"the closure of {msg.from_id} with {msg.to_id} has no transform")
    covariance = np.array(msg.transform.covariance, dtype=np.float64).reshape(6, 6)
    if not np.isfinite(covariance).all():
        raise BadInput("bad_covariance", "the closure's covariance is not finite")
    return LoopClosure(
        from_id=int(msg.from_id),
        to_id=int(msg.to_id),
        from_stamp_ns=stamp_to_ns(msg.from_stamp),
        to_stamp_ns=stamp_to_ns(msg.to_stamp),
        T_from_to=to_matrix(msg.transform.pose),
        covariance=covariance,
        score=float(msg.score),
        inlier_ratio=float(msg.inlier_ratio),
        is_retracted=bool(msg.retract),
    )
