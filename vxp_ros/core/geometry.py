"""Rigid transforms in numpy: 4x4 float64 matrices `T_target_source`, quaternions in ROS order (x, y, z, w)."""

import numpy as np

HALF_TURN = np.diag([-1.0, -1.0, 1.0, 1.0])  # about z


def make_transform(R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """[4, 4] from a rotation [3, 3] and a translation [3]."""
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = t
    return T


def invert(T: np.ndarray) -> np.ndarray:
    """Inverse of a rigid transform [4, 4]; exact, without a matrix inversion."""
    R_inverse = T[:3, :3].T
    return make_transform(R_inverse, -R_inverse @ T[:3, 3])


def transform_points(T_target_source: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Move points [N, 3] (any float dtype, kept) from the source frame to the target frame."""
    R = T_target_source[:3, :3].astype(points.dtype)
    t = T_target_source[:3, 3].astype(points.dtype)
    return points @ R.T + t


def seen_from_now(T_base_sensor: np.ndarray, T_map_then: np.ndarray, T_map_now: np.ndarray) -> np.ndarray:
    """Where a sensor that measured "then" was, in the base frame of "now": [4, 4] T_now_sensor.

    T_base_sensor: how it sits on the base. T_map_then, T_map_now: the base's poses at the two moments. A camera and a
    LiDAR that fire 50 ms apart on a car at 10 m/s see the world half a metre apart.
    """
    return invert(T_map_now) @ T_map_then @ T_base_sensor


def quaternion_to_matrix(quaternion: np.ndarray) -> np.ndarray:
    """[3, 3] rotation from (x, y, z, w). Raises ValueError unless the norm is 1 within 1e-2 (then renormalised)."""
    q = np.asarray(quaternion, dtype=np.float64)
    norm = float(np.linalg.norm(q))
    if not abs(norm - 1.0) < 1e-2:
        raise ValueError(f"quaternion (x, y, z, w) = {q.tolist()} has norm {norm:.3g}, expected 1")
    x, y, z, w = q / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def matrix_to_quaternion(R: np.ndarray) -> np.ndarray:
    """(x, y, z, w) float64 with w >= 0 from a rotation [3, 3], by the largest-diagonal method (stable everywhere)."""
    m00, m11, m22 = R[0, 0], R[1, 1], R[2, 2]
    four_squares = np.array([1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22, 1 + m00 + m11 + m22])
    largest = int(np.argmax(four_squares))
    products = {  # 4 * q_i * q_largest, for each of x, y, z, w
        0: [four_squares[0], R[1, 0] + R[0, 1], R[0, 2] + R[2, 0], R[2, 1] - R[1, 2]],
        1: [R[1, 0] + R[0, 1], four_squares[1], R[2, 1] + R[1, 2], R[0, 2] - R[2, 0]],
        2: [R[0, 2] + R[2, 0], R[2, 1] + R[1, 2], four_squares[2], R[1, 0] - R[0, 1]],
        3: [R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1], four_squares[3]],
    }
    q = np.array(products[largest]) / (2 * np.sqrt(four_squares[largest]))
    q /= np.linalg.norm(q)
    return q if q[3] >= 0 else -q


def pose_from_vector(values) -> np.ndarray:
    """[4, 4] from seven numbers x y z qx qy qz qw, the form in which YAML files give extrinsics."""
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (7,) or not np.isfinite(values).all():
        raise ValueError(f"a pose needs seven finite numbers x y z qx qy qz qw, got {values.tolist()}")
    return make_transform(quaternion_to_matrix(values[3:]), values[:3])


def pose_to_vector(T: np.ndarray) -> list[float]:
    """The inverse of `pose_from_vector`."""
    return [*map(float, T[:3, 3]), *map(float, matrix_to_quaternion(T[:3, :3]))]


def yaw_of(T: np.ndarray) -> float:
    """Heading in radians, (-pi, pi], of a pose in a frame whose z points up."""
    return float(np.arctan2(T[1, 0], T[0, 0]))


def rotation_z(angle: float) -> np.ndarray:
    """[3, 3] counter-clockwise turn about z by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def is_rigid(T: np.ndarray, tolerance: float = 1e-3) -> bool:
    """True for a finite [4, 4], or a stack of them [..., 4, 4], with orthonormal, right-handed rotations."""
    if T.shape[-2:] != (4, 4) or not np.isfinite(T).all() or not np.allclose(T[..., 3, :], [0, 0, 0, 1]):
        return False
    R = T[..., :3, :3]
    is_orthonormal = np.abs(R @ np.swapaxes(R, -1, -2) - np.eye(3)) <= tolerance
    return bool(is_orthonormal.all() and (np.linalg.det(R) > 0).all())


def interpolate(T_a: np.ndarray, T_b: np.ndarray, ratio: float) -> np.ndarray:
    """The pose `ratio` of the way from T_a to T_b (0 gives T_a): straight line, and slerp of the rotation."""
    q_a, q_b = matrix_to_quaternion(T_a[:3, :3]), matrix_to_quaternion(T_b[:3, :3])
    if q_a @ q_b < 0:  # q and -q are one rotation: take the short way round
        q_b = -q_b
    angle = np.arccos(np.clip(q_a @ q_b, -1.0, 1.0))
    if angle < 1e-6:
        q = (1 - ratio) * q_a + ratio * q_b
    else:
        q = (np.sin((1 - ratio) * angle) * q_a + np.sin(ratio * angle) * q_b) / np.sin(angle)
    t = (1 - ratio) * T_a[:3, 3] + ratio * T_b[:3, 3]
    return make_transform(quaternion_to_matrix(q / np.linalg.norm(q)), t)


def rotation_angle(R: np.ndarray) -> float:
    """The angle in radians, [0, pi], of a rotation [3, 3]."""
    return float(np.arccos(np.clip((np.trace(R) - 1) / 2, -1.0, 1.0)))
