"""Numpy to messages of the rosbags library, for writing bags where there is no ROS. The counterpart for live topics is
ros/publishers.py.
"""

from functools import cache

import cv2
import numpy as np
from rosbags.typesys import Stores, get_typestore

from ..core.datatypes import Camera
from ..core.errors import SourceError
from ..core.geometry import pose_to_vector

JPEG_QUALITY = 90
UINT16, FLOAT32 = 4, 7  # datatypes of sensor_msgs/PointField


@cache
def typestore():
    """Definitions of the standard messages; those that are used here are alike in Humble to Kilted."""
    return get_typestore(Stores.ROS2_JAZZY)


def make(kind: str, **fields):
    """A message, e.g. make("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0)."""
    return typestore().types[kind](**fields)


def header(stamp_ns: int, frame_id: str):
    seconds, nanoseconds = divmod(int(stamp_ns), 1_000_000_000)
    stamp = make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def raw_image(stamp_ns: int, frame_id: str, pixels: np.ndarray):
    """pixels: [H, W, 3] uint8 RGB -> sensor_msgs/Image, rgb8."""
    height, width = pixels.shape[:2]
    return make(
        "sensor_msgs/msg/Image",
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=np.ascontiguousarray(pixels).reshape(-1),
    )


def compressed_image(stamp_ns: int, frame_id: str, pixels: np.ndarray):
    """pixels: [H, W, 3] uint8 RGB -> sensor_msgs/CompressedImage, JPEG."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise SourceError(f"image of {pixels.shape} cannot be written as JPEG")
    return jpeg_image(stamp_ns, frame_id, data)


def jpeg_image(stamp_ns: int, frame_id: str, data: bytes | np.ndarray):
    """A JPEG file's content as it is -> sensor_msgs/CompressedImage."""
    return make(
        "sensor_msgs/msg/CompressedImage",
        header=header(stamp_ns, frame_id),
        format="rgb8; jpeg compressed bgr8",
        data=np.frombuffer(data, np.uint8),
    )


def camera_info(stamp_ns: int, frame_id: str, camera: Camera):
    """Without a distortion model the camera is rectified, which ROS writes as plumb_bob with zeros."""
    is_rectified = len(camera.distortion) == 0
    roi = make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp_ns, frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model=camera.distortion_model or "plumb_bob",
        d=np.zeros(5) if is_rectified else camera.distortion,
        k=camera.K.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=np.hstack([camera.K, np.zeros((3, 1))]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def point_cloud(
    stamp_ns: int,
    frame_id: str,
    points: np.ndarray,
    rings: np.ndarray | None = None,
    times: np.ndarray | None = None,
):
    """points: [N, 4] float32 x y z intensity -> sensor_msgs/PointCloud2 of 16 bytes per point.

    rings: [N] uint16, adds the field ring. times: [N] float32 seconds from the stamp, adds the field time. With both
    the points lie in the 22 bytes of the Velodyne driver.
    """
    columns = {name: (FLOAT32, "<f4", points[:, row]) for row, name in enumerate(("x", "y", "z", "intensity"))}
    if rings is not None:
        columns["ring"] = (UINT16, "<u2", rings)
    if times is not None:
        columns["time"] = (FLOAT32, "<f4", times)
    rows = np.empty(len(points), np.dtype([(name, kind) for name, (_, kind, _) in columns.items()]))
    for name, (_, _, numbers) in columns.items():
        rows[name] = numbers
    fields = [
        make("sensor_msgs/msg/PointField", name=name, offset=rows.dtype.fields[name][1], datatype=datatype, count=1)
        for name, (datatype, _, _) in columns.items()
    ]
    return make(
        "sensor_msgs/msg/PointCloud2",
        header=header(stamp_ns, frame_id),
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=False,
        point_step=rows.itemsize,
        row_step=rows.nbytes,
        data=rows.view(np.uint8).reshape(-1),
        is_dense=True,
    )


def pose(T: np.ndarray):
    x, y, z, *q = pose_to_vector(T)
    return make(
        "geometry_msgs/msg/Pose",
        position=make("geometry_msgs/msg/Point", x=x, y=y, z=z),
        orientation=quaternion(q),
    )


def quaternion(q):
    return make("geometry_msgs/msg/Quaternion", x=q[0], y=q[1], z=q[2], w=q[3])


def pose_stamped(stamp_ns: int, frame_id: str, T: np.ndarray):
    return make("geometry_msgs/msg/PoseStamped", header=header(stamp_ns, frame_id), pose=pose(T))


def odometry(stamp_ns: int, frame_id: str, child_frame_id: str, T: np.ndarray):
    """Pose only: twist and covariances are zero, which ROS reads as unknown."""
    zero = make("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
    twist = make("geometry_msgs/msg/Twist", linear=zero, angular=zero)
    return make(
        "nav_msgs/msg/Odometry",
        header=header(stamp_ns, frame_id),
        child_frame_id=child_frame_id,
        pose=make("geometry_msgs/msg/PoseWithCovariance", pose=pose(T), covariance=np.zeros(36)),
        twist=make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=np.zeros(36)),
    )


def static_transforms(stamp_ns: int, frame_id: str, children: dict[str, np.ndarray]):
    """children: frame -> [4, 4] T_frame_id_child, as one tf2_msgs/TFMessage."""
    transforms = []
    for child, T in children.items():
        x, y, z, *q = pose_to_vector(T)
        transform = make(
            "geometry_msgs/msg/Transform",
            translation=make("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
            rotation=quaternion(q),
        )
        transforms.append(
            make(
                "geometry_msgs/msg/TransformStamped",
                header=header(stamp_ns, frame_id),
                child_frame_id=child,
                transform=transform,
            )
        )
    return make("tf2_msgs/msg/TFMessage", transforms=transforms)
