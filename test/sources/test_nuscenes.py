"""A real nuScenes keyframe: six cameras and a LiDAR that agree with each other."""

import shutil

import numpy as np
import pytest

from vxp_ros.core.errors import SourceError
from vxp_ros.core.geometry import invert, is_rigid, transform_points
from vxp_ros.sources import open_source

CAMERAS = {"CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT"}


@pytest.fixture(scope="module")
def root(real_data):
    return real_data / "nuscenes_keyframe"


@pytest.fixture(scope="module")
def frame(root):
    source = open_source(f"nuscenes:{root}:scene-0061")
    assert len(source) == 1
    (only,) = source
    return only


def test_all_sensors_are_there(frame):
    assert set(frame.images) == CAMERAS
    assert frame.points.shape == (34_688, 4) and frame.points.dtype == np.float32
    assert frame.rings.dtype == np.uint16 and frame.rings.max() == 31
    assert frame.stamp_ns == 1_532_402_927_647_951_000
    assert is_rigid(frame.T_base_lidar) and is_rigid(frame.T_odom_base)
    assert frame.T_base_lidar[2, 3] == pytest.approx(1.84, abs=0.01)  # metres above the ground
    for image in frame.images.values():
        assert image.pixels.shape == (900, 1600, 3) and is_rigid(image.camera.T_base_camera)


def test_cameras_look_where_their_names_say(frame):
    forward = {name: image.camera.T_base_camera[:3, 2] for name, image in frame.images.items()}  # optical z, base frame
    assert forward["CAM_FRONT"][0] > 0.99 and forward["CAM_BACK"][0] < -0.99
    assert forward["CAM_FRONT_LEFT"][1] > 0.7 and forward["CAM_BACK_RIGHT"][1] < -0.7
    shift = np.linalg.norm(frame.images["CAM_FRONT"].camera.T_base_camera[:3, 3] - [1.70079, 0.01595, 1.51096])
    assert 0.1 < shift < 0.6  # the car moved between the camera's shot and the LiDAR's


def test_each_camera_sees_the_points_in_front_of_it_and_together_they_see_all_around(frame):
    base = transform_points(frame.T_base_lidar, frame.points[:, :3].astype(np.float64))
    azimuth = np.degrees(np.arctan2(base[:, 1], base[:, 0]))
    seen_by_any = np.zeros(len(base), bool)
    for name, image in frame.images.items():
        camera = image.camera
        points = transform_points(invert(camera.T_base_camera), base)
        pixels = (points @ camera.K.T)[:, :2] / points[:, 2:]
        seen = (points[:, 2] > 1) & (pixels > 0).all(axis=1) & (pixels < [camera.width, camera.height]).all(axis=1)
        heading = np.degrees(np.arctan2(*camera.T_base_camera[[1, 0], 2]))
        off_axis = (azimuth[seen] - heading + 180) % 360 - 180
        assert seen.sum() > 1500 and np.abs(off_axis).max() < 62, name  # CAM_BACK has 110 degrees, the others 70
        seen_by_any |= seen
    directions = np.histogram(azimuth[seen_by_any], bins=36, range=(-180, 180))[0]
    assert (directions > 0).all()


def test_what_is_missing_is_named(root, tmp_path):
    with pytest.raises(SourceError, match=r"no scene scene-9999.*scene-0061"):
        open_source(f"nuscenes:{root}:scene-9999")
    with pytest.raises(SourceError, match="holds none"):
        open_source(f"nuscenes:{tmp_path}")
    shutil.copytree(root / "v1.0-test", tmp_path / "v1.0-test")
    with pytest.raises(SourceError, match=r"samples/.* is missing"):
        list(open_source(f"nuscenes:{tmp_path}"))
    (tmp_path / "v1.0-test/ego_pose.json").unlink()
    with pytest.raises(SourceError, match=r"ego_pose\.json is missing"):
        open_source(f"nuscenes:{tmp_path}")


def test_damaged_files_are_counted(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "copy")
    next((copy / "samples/CAM_BACK").iterdir()).write_bytes(b"no picture")
    source = open_source(f"nuscenes:{copy}")
    assert list(source) == [] and source.problems == {"bad_image": 1}
