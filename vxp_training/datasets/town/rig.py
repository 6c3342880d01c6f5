"""The car's sensors: where they sit, what their lenses do, how the LiDAR turns.

base_link lies on the road below the rear axle, x forward, y left, z up (REP-103). Everything is a pure function of its
arguments, so that a rig is repeated from the few words in a recording's meta.json.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from vxp_ros.core.datatypes import Camera
from vxp_ros.core.geometry import make_transform, matrix_to_quaternion, rotation_z

Distortion = Literal["none", "plumb_bob", "equidistant"]
MAIN_CAMERA = "camera"
# Name, yaw in degrees counter-clockwise from ahead, position in base_link, focal length by image width. The front
# camera of a rig with one sees 77 degrees; those of the ring of six see 65, the rear one 87.
SINGLE = ((MAIN_CAMERA, 0.0, (1.70, 0.0, 1.50), 0.625),)
RING = (
    (MAIN_CAMERA, 0.0, (1.70, 0.0, 1.50), 0.7875),
    ("camera_front_left", 55.0, (1.55, 0.50, 1.50), 0.7875),
    ("camera_front_right", -55.0, (1.55, -0.50, 1.50), 0.7875),
    ("camera_back_left", 110.0, (1.05, 0.48, 1.55), 0.7875),
    ("camera_back_right", -110.0, (1.05, -0.48, 1.55), 0.7875),
    ("camera_back", 180.0, (0.05, 0.0, 1.55), 0.525),
)
# Mild enough for a renderer that draws 1.15 times the view of the undistorted lens (plumb_bob); a fisheye sees more.
LENSES = {
    "none": ("", ()),
    "plumb_bob": ("plumb_bob", (-0.12, 0.02, 0.0005, -0.0003, 0.0)),
    "equidistant": ("equidistant", (0.02, -0.005, 0.0, 0.0)),
}
# Rings: lowest and highest elevation in degrees, columns, metres to a dark wall. Like VLP-16, HDL-32E, HDL-64E.
PATTERNS = {16: (-15.0, 15.0, 1024, 50.0), 32: (-30.67, 10.67, 1024, 80.0), 64: (-24.8, 2.0, 1800, 100.0)}
LIDAR_POSITION = (0.95, 0.0, 1.85)
# How far a rig of another seed strays from the drawing.
POSITION_SIGMA_M, ANGLE_SIGMA = 0.01, np.radians(0.5)
# camera axes (x right, y down, z ahead) seen from axes with x ahead, y left, z up
R_AHEAD_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
# Poses that are kept of each sweep, evenly from its start to its end; the middle one is the pose at the stamp.
KNOTS = 5


@dataclass(frozen=True)
class Lidar:
    """A spinning LiDAR. elevations: [R] float64 radians, ring 0 is the lowest. Column 0 looks back, and the head turns
    clockwise seen from above, so that it looks ahead at the stamp, in the middle of the sweep of `period_s` seconds.

    max_range: metres, to a surface that reflects a tenth straight back. range_sigma: metres.
    """

    elevations: np.ndarray
    columns: int
    max_range: float
    period_s: float = 0.1
    range_sigma: float = 0.02
    T_base_lidar: np.ndarray = field(default_factory=lambda: np.eye(4))

    @property
    def rings(self) -> int:
        return len(self.elevations)

    def directions(self) -> np.ndarray:
        """[columns, R, 3] float64 unit vectors in the LiDAR frame."""
        azimuths = np.pi - 2 * np.pi * (np.arange(self.columns) + 0.5) / self.columns
        flat = np.cos(self.elevations)
        x, y = np.cos(azimuths)[:, None] * flat, np.sin(azimuths)[:, None] * flat
        return np.stack([x, y, np.broadcast_to(np.sin(self.elevations), x.shape)], axis=2)

    def column_times(self) -> np.ndarray:
        """[columns] float64 seconds from the stamp at which each column is measured; the first half is negative."""
        return ((np.arange(self.columns) + 0.5) / self.columns - 0.5) * self.period_s

    def knot_times(self) -> np.ndarray:
        """[KNOTS] float64 seconds from the stamp of the poses that `column_poses` needs."""
        return np.linspace(-0.5, 0.5, KNOTS) * self.period_s

    def column_poses(self, T_world_base: np.ndarray) -> np.ndarray:
        """The base's pose at each column, [columns, 4, 4], from those at the knots [KNOTS, 4, 4]."""
        return interpolate_poses(T_world_base, self.knot_times(), self.column_times())


@dataclass(frozen=True)
class Rig:
    """cameras: name -> calibration with T_base_camera; the main one, called "camera", comes first."""

    cameras: dict[str, Camera]
    lidar: Lidar


def make_rig(
    cameras: int = 1,
    size: tuple[int, int] = (640, 360),
    rings: int = 32,
    distortion: Distortion = "none",
    jitter_seed: int | None = None,
) -> Rig:
    """cameras: 1 (ahead) or 6 (all round). size: width and height of an image in pixels. rings: 16, 32 or 64.

    jitter_seed: shifts every sensor by about a centimetre and half a degree; the calibration knows. None for no jitter.
    Raises ValueError for numbers that no rig has.
    """
    if cameras not in (1, 6) or rings not in PATTERNS or distortion not in LENSES or min(size) < 16:
        raise ValueError(f"no rig has {cameras} cameras of {size}, {rings} rings and {distortion} lenses")
    drawing = SINGLE if cameras == 1 else RING
    found = {name: make_camera(size, yaw, position, focal, distortion) for name, yaw, position, focal in drawing}
    low, high, columns, max_range = PATTERNS[rings]
    T_base_lidar = make_transform(np.eye(3), np.array(LIDAR_POSITION))
    lidar = Lidar(np.radians(np.linspace(low, high, rings)), columns, max_range, T_base_lidar=T_base_lidar)
    rig = Rig(found, lidar)
    return rig if jitter_seed is None else jittered(rig, np.random.default_rng([jitter_seed, 0x519]))


def make_camera(size, yaw_deg: float, position, focal: float, distortion: Distortion) -> Camera:
    width, height = size
    K = np.array([[focal * width, 0.0, width / 2], [0.0, focal * width, height / 2], [0.0, 0.0, 1.0]])
    T_base_camera = make_transform(rotation_z(np.radians(yaw_deg)) @ R_AHEAD_OPTICAL, np.array(position))
    model, numbers = LENSES[distortion]
    return Camera(width, height, K, np.array(numbers), model, T_base_camera)


def jittered(rig: Rig, rng: np.random.Generator) -> Rig:
    """The rig as a real workshop builds it."""
    cameras = {
        name: replace(camera, T_base_camera=camera.T_base_camera @ small_motion(rng))
        for name, camera in rig.cameras.items()
    }
    return Rig(cameras, replace(rig.lidar, T_base_lidar=rig.lidar.T_base_lidar @ small_motion(rng)))


def small_motion(rng: np.random.Generator) -> np.ndarray:
    x, y, z = rng.normal(0.0, ANGLE_SIGMA, 3)
    return make_transform(
        rotation_z(z) @ np.roll(rotation_z(y), (-1, -1), (0, 1)) @ np.roll(rotation_z(x), (1, 1), (0, 1)),
        rng.normal(0.0, POSITION_SIGMA_M, 3),
    )


def interpolate_poses(T: np.ndarray, times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """[M, 4, 4] poses at the times `wanted` [M], from poses T [K, 4, 4] at rising `times` [K], which lie close enough
    together for straight lines between their positions and between their quaternions."""
    quaternions = np.array([matrix_to_quaternion(pose[:3, :3]) for pose in T])
    for row in range(1, len(quaternions)):  # q and -q are one rotation: take the near one
        if quaternions[row] @ quaternions[row - 1] < 0:
            quaternions[row] *= -1
    before = np.clip(np.searchsorted(times, wanted, side="right") - 1, 0, len(times) - 2)
    ratio = ((wanted - times[before]) / (times[before + 1] - times[before]))[:, None]
    mixed = (1 - ratio) * quaternions[before] + ratio * quaternions[before + 1]
    poses = np.tile(np.eye(4), (len(wanted), 1, 1))
    poses[:, :3, :3] = quaternions_to_matrices(mixed / np.linalg.norm(mixed, axis=1, keepdims=True))
    poses[:, :3, 3] = (1 - ratio) * T[before, :3, 3] + ratio * T[before + 1, :3, 3]
    return poses


def quaternions_to_matrices(quaternions: np.ndarray) -> np.ndarray:
    """[M, 4] unit quaternions x y z w -> [M, 3, 3]."""
    x, y, z, w = quaternions.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def describe_rig(rig: Rig) -> dict:
    """The rig in types that JSON knows; `rig_from` reads it."""
    cameras = {
        name: {"width": camera.width, "height": camera.height, "K": camera.K.tolist(),
               "distortion_model": camera.distortion_model, "distortion": camera.distortion.tolist(),
               "T_base_camera": camera.T_base_camera.tolist()}
        for name, camera in rig.cameras.items()
    }  # fmt: skip
    lidar = rig.lidar
    return {
        "cameras": cameras,
        "lidar": {"elevations": lidar.elevations.tolist(), "columns": lidar.columns, "max_range": lidar.max_range,
                  "period_s": lidar.period_s, "range_sigma": lidar.range_sigma,
                  "T_base_lidar": lidar.T_base_lidar.tolist()},
    }  # fmt: skip


def rig_from(entry: dict) -> Rig:
    cameras = {
        name: Camera(row["width"], row["height"], np.array(row["K"]), np.array(row["distortion"], np.float64),
                     row["distortion_model"], np.array(row["T_base_camera"]))
        for name, row in entry["cameras"].items()
    }  # fmt: skip
    row = dict(entry["lidar"])
    elevations, T_base_lidar = np.array(row.pop("elevations")), np.array(row.pop("T_base_lidar"))
    return Rig(cameras, Lidar(elevations, T_base_lidar=T_base_lidar, **row))
