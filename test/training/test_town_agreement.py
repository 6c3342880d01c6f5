"""LiDAR and camera see the same town: the camera's depth along the exact ray to each LiDAR point, for every camera."""

import cv2
import numpy as np
import pytest

from vxp_ros.core.geometry import invert, transform_points
from vxp_training.datasets.town.camera import CameraSimulator
from vxp_training.datasets.town.days import make_day
from vxp_training.datasets.town.lidar import Caster, LidarSimulator
from vxp_training.datasets.town.rig import make_rig
from vxp_training.datasets.town.routes import drive
from vxp_training.datasets.town.world import World

pytestmark = pytest.mark.slow

MAX_INCIDENCE, MAX_FIELD = np.radians(80), np.radians(65)


@pytest.fixture(scope="module")
def street():
    """A scene, its camera simulator and a few poses of the car."""
    world, day = World(9, "demo", (2, 2)), make_day("sunny", 9)
    scene = world.scene(day)
    return scene, CameraSimulator(scene), drive(world, day, spacing=60.0).T_world_base[:4]


@pytest.mark.parametrize("distortion", ["none", "plumb_bob", "equidistant"])
@pytest.mark.parametrize("cameras", [1, 6])
def test_depth_of_lidar_points(street, cameras, distortion):
    scene, simulator, poses = street
    size = (640, 360) if cameras == 1 else (400, 225)
    rig = make_rig(cameras, size, 32, distortion, jitter_seed=9)
    lidar = LidarSimulator(scene, rig.lidar)
    sweeps = [lidar.sweep(np.tile(T, (rig.lidar.columns, 1, 1)), None, 0, noise=False) for T in poses]
    for camera in rig.cameras.values():
        errors = np.concatenate(
            [
                depth_errors(scene, simulator, camera, T, rig.lidar.T_base_lidar, sweep)
                for T, sweep in zip(poses, sweeps, strict=True)
            ]
        )
        assert len(errors) > 2000
        assert np.median(errors) < 0.02 and np.percentile(errors, 99) < 0.10


def depth_errors(scene, simulator, camera, T_world_base, T_base_lidar, sweep) -> np.ndarray:
    """Metres, of the points that the camera can see: in its field, not hidden by others, less than 80 degrees oblique
    for both sensors."""
    points = transform_points(T_world_base @ T_base_lidar, sweep.points[:, :3].astype(np.float64))
    T_world_camera = T_world_base @ camera.T_base_camera
    seen = transform_points(invert(T_world_camera), points)
    angle = np.arctan2(np.linalg.norm(seen[:, :2], axis=1), seen[:, 2])
    is_open = angle < MAX_FIELD
    for eye in ((T_world_base @ T_base_lidar)[:3, 3], T_world_camera[:3, 3]):
        is_open &= incidence(scene.mesh, sweep.faces, points - eye) < MAX_INCIDENCE
    rows = np.flatnonzero(is_open)
    rows = rows[~is_hidden(scene.mesh, T_world_camera[:3, 3], points[rows])]
    pixels = project(camera, seen[rows])
    is_inside = ((pixels >= 0) & (pixels <= np.array([camera.width, camera.height]) - 1)).all(axis=1)
    depth = simulator.depth(camera, T_world_base, pixels[is_inside])
    return np.abs(depth - seen[rows[is_inside], 2])


def incidence(mesh, faces, rays) -> np.ndarray:
    corners = mesh.vertices[mesh.faces[faces]].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1) * np.linalg.norm(rays, axis=1)
    return np.arccos(np.clip(np.abs((normals * rays).sum(axis=1)) / lengths, 0, 1))


def is_hidden(mesh, eye, points) -> np.ndarray:
    ways = points - eye
    lengths = np.linalg.norm(ways, axis=1)
    directions = (ways / lengths[:, None]).astype(np.float32)
    ranges, _, _ = Caster(mesh).cast(np.tile(eye.astype(np.float32), (len(points), 1)), directions)
    return ranges < lengths - 0.05


def project(camera, points) -> np.ndarray:
    """[N, 2] pixels by OpenCV's own lens models, which owe nothing to the simulator."""
    model = cv2.fisheye if camera.distortion_model == "equidistant" else cv2
    zero = np.zeros(3)
    distortion = camera.distortion if len(camera.distortion) else np.zeros(5)
    return model.projectPoints(points[:, None], zero, zero, camera.K, distortion)[0][:, 0]
