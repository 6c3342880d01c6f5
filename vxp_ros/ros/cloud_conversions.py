"""PointCloud2 messages to arrays. Duck-typed: takes rclpy and rosbags messages, imports no ROS.

Clouds are the largest messages: nothing is copied before the header has been checked against the bytes that are there
and the cloud has been thinned to the size that was asked for.
"""

import numpy as np

from ..core.errors import BadInput

# sensor_msgs/PointField datatypes 1 to 8.
DATATYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
INTENSITY_NAMES = ("intensity", "reflectivity", "i")
RING_NAMES = ("ring", "channel")
# Below this share of finite points the cloud is a sensor fault, not a scan with gaps.
MIN_FINITE_RATIO = 0.5


def to_points(msg, max_points: int, min_points: int) -> tuple[np.ndarray, np.ndarray | None]:
    """sensor_msgs/PointCloud2 -> points [N, 4] float32 (x y z intensity, all finite), rings [N] uint16 or None.

    Any field order, padding, number type, byte order and organised clouds. Larger clouds are thinned evenly to
    `max_points`. Intensity is zero where the cloud has none or it is not finite. Raises BadInput "bad_cloud" for a
    malformed cloud or one with less than half of its points finite, "too_few_points" below `min_points`.
    """
    cloud = thin_evenly(view_points(msg), max_points)
    points = gather(cloud)
    kept = rows_to_keep(points)
    if kept is not None:
        points, cloud = points.take(kept, axis=0), cloud[kept] if "ring" in cloud.dtype.names else cloud
    if len(points) < min_points:
        raise BadInput("too_few_points", f"cloud of {len(points)} finite points; at least {min_points} are needed")
    return points, rings_of(cloud)


def view_points(msg) -> np.ndarray:
    """The cloud in place: [height, width] structured array with the fields x y z and, if there, intensity and ring."""
    if msg.width * msg.height == 0:
        raise BadInput("too_few_points", "cloud is empty")
    if msg.point_step < 1 or msg.row_step < msg.width * msg.point_step:
        raise BadInput(
            "bad_cloud", f"row_step {msg.row_step} is less than {msg.width} points of {msg.point_step} bytes"
        )
    if msg.height * msg.row_step > len(msg.data):
        raise BadInput(
            "bad_cloud", f"cloud data of {len(msg.data)} bytes ends before {msg.height} rows of {msg.row_step} bytes"
        )
    dtype = point_dtype(msg)
    shape, strides = (msg.height, msg.width), (msg.row_step, msg.point_step)
    return np.ndarray(shape, dtype, buffer=msg.data, strides=strides)


def point_dtype(msg) -> np.dtype:
    """Structured dtype of one point, with the fields that we use under our names. Raises BadInput "bad_cloud"."""
    by_name: dict[str, list] = {}
    for field in msg.fields:
        by_name.setdefault(field.name, []).append(field)
    used = {name: name for name in "xyz"}
    for ours, names in (("intensity", INTENSITY_NAMES), ("ring", RING_NAMES)):
        present = [name for name in names if name in by_name]
        if present:
            used[ours] = present[0]
    missing = [name for name in "xyz" if name not in by_name]
    if missing:
        raise BadInput("bad_cloud", f"cloud has no field {missing[0]}; its fields are {', '.join(by_name) or 'none'}")
    checked = {ours: check_field(by_name[name], msg.point_step) for ours, name in used.items()}
    order = ">" if msg.is_bigendian else "<"
    return np.dtype(
        {
            "names": list(checked),
            "formats": [order + DATATYPES[field.datatype] for field in checked.values()],
            "offsets": [field.offset for field in checked.values()],
            "itemsize": msg.point_step,
        }
    )


def check_field(fields: list, point_step: int):
    """The one field of its name, if it is a single number inside the point."""
    field = fields[0]
    if len(fields) > 1:
        raise BadInput("bad_cloud", f"cloud has {len(fields)} fields called {field.name}")
    if field.datatype not in DATATYPES:
        raise BadInput("bad_cloud", f"cloud field {field.name} has unknown datatype {field.datatype}")
    if field.count != 1:
        raise BadInput("bad_cloud", f"cloud field {field.name} has count {field.count}, expected 1")
    if field.offset + np.dtype(DATATYPES[field.datatype]).itemsize > point_step:
        raise BadInput("bad_cloud", f"cloud field {field.name} ends behind the point of {point_step} bytes")
    return field


def thin_evenly(cloud: np.ndarray, max_points: int) -> np.ndarray:
    """[height, width] -> [N] with N <= max_points, every n-th point; a view unless points have to be left out."""
    height, width = cloud.shape
    if cloud.size > max_points:
        rows, columns = np.divmod(np.arange(max_points) * cloud.size // max_points, width)
        return cloud[rows, columns]
    if height == 1 or cloud.strides[0] == width * cloud.strides[1]:
        return cloud.reshape(-1)
    return cloud.ravel()  # padded rows: the one copy that flattening needs


def gather(cloud: np.ndarray) -> np.ndarray:
    """[N] structured -> [N, 4] float32. The usual packed layout is copied as one block."""
    columns = [name for name in ("x", "y", "z", "intensity") if name in cloud.dtype.names]
    packed = np.dtype({"names": ["x", "y", "z", "intensity"], "formats": ["<f4"] * 4})
    if cloud.dtype == packed and cloud.flags.c_contiguous:
        return cloud.view(np.float32).reshape(-1, 4).astype(np.float32, copy=True)
    points = np.zeros((len(cloud), 4), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 becomes inf and is removed
        for column, name in enumerate(columns):
            points[:, column] = cloud[name]
    return points


def rows_to_keep(points: np.ndarray) -> np.ndarray | None:
    """Rows of [N, 4] with finite x y z, or None when that is all of them; sets intensity that is not finite to zero."""
    finite = np.isfinite(points)
    if finite.all():
        return None
    if not finite[:, 3].all():
        points[~finite[:, 3], 3] = 0.0
    kept = np.flatnonzero(finite[:, 0] & finite[:, 1] & finite[:, 2])
    if len(kept) < MIN_FINITE_RATIO * len(points):
        raise BadInput("bad_cloud", f"only {len(kept)} of the cloud's {len(points)} points are finite")
    return kept


def rings_of(cloud: np.ndarray) -> np.ndarray | None:
    """[N] uint16 ring index, if the cloud has one that is a whole number."""
    if "ring" not in cloud.dtype.names or cloud.dtype["ring"].kind not in "iu":
        return None
    return np.clip(cloud["ring"], 0, 65535).astype(np.uint16)
