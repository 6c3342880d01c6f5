"""A real nuScenes keyframe: six cameras and a LiDAR that agree with each other."""

import json
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


def test_the_front_camera_comes_first(frame):
    assert list(frame.images) == ["CAM_FRONT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT", "CAM_FRONT_LEFT",
                                  "CAM_FRONT_RIGHT"]  # fmt: skip


@pytest.fixture
def copy(root, tmp_path):
    return shutil.copytree(root, tmp_path / "copy")


def change(copy, table: str, row: dict) -> None:
    """Add these columns to the first row of a table, or the whole row to an empty or new one."""
    path = copy / f"v1.0-test/{table}.json"
    rows = json.loads(path.read_text()) if path.exists() else [{}]
    rows[0].update(row)
    path.write_text(json.dumps(rows))


@pytest.mark.parametrize("table", ["scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor", "log"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[{", "is no JSON"),
        (b"", "is no JSON"),
        (b"\xff\xfe[]", "is no JSON"),
        (100_000 * b"[", "is no JSON"),
        (b"{}", "is no list of objects"),
        (b"[1, 2]", "is no list of objects"),
        (b"[{}]", "has a row without a usable"),
        (b'[{"token": [1]}]', "has a row without a usable .*token"),
    ],
)
def test_broken_tables_are_one_sentence(copy, table, content, reason):
    (copy / f"v1.0-test/{table}.json").write_bytes(content)
    if table == "scene" and b"token" in content:
        reason = "has a row without a usable name, token, log_token"
    with pytest.raises(SourceError, match=f"{table}.json.*{reason}") as problem:
        open_source(f"nuscenes:{copy}")
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        ("sample_data", {"calibrated_sensor_token": "lost"}, "token 'lost'"),
        ("sample_data", {"ego_pose_token": "lost"}, "token lost"),
        ("calibrated_sensor", {"sensor_token": "lost"}, "token 'lost'"),
        ("ego_pose", {"rotation": [0, 0, 0, 0]}, "norm 0"),
        ("ego_pose", {"rotation": [1, 0, 0]}, "rotation of .* is not"),
        ("ego_pose", {"translation": ["x", 0, 0]}, "translation of .* is not"),
    ],
)
def test_tables_that_do_not_fit_together(copy, table, row, reason):
    change(copy, table, row)
    with pytest.raises(SourceError, match=reason):
        list(open_source(f"nuscenes:{copy}"))


def add_scene(copy, name: str, log: str, locations: dict[str, str] | None) -> None:
    """A second scene in the table, and the table of logs that the keyframe's folder lacks."""
    path = copy / "v1.0-test/scene.json"
    first = json.loads(path.read_text())[0]
    path.write_text(json.dumps([first, {**first, "name": name, "token": "2", "log_token": log}]))
    if locations is not None:
        rows = [{"token": token, "location": place} for token, place in locations.items()]
        (copy / "v1.0-test/log.json").write_text(json.dumps(rows))


FIRST_LOG = "7e25a2c8ea1f41c5b0da1e69ecfa71a2"


@pytest.mark.parametrize("locations", [{FIRST_LOG: "onenorth", "b": "seaport"}, None])
def test_scenes_of_several_places_are_not_mixed(copy, locations):
    add_scene(copy, "scene-0103", "b", locations)
    with pytest.raises(SourceError, match=r"name one: scene-0061 \(.*\), scene-0103 \((seaport|b)\)"):
        open_source(f"nuscenes:{copy}")
    assert len(open_source(f"nuscenes:{copy}:scene-0061")) == 1


def test_scenes_of_one_place_share_its_map(copy):
    add_scene(copy, "scene-0062", "b", {FIRST_LOG: "onenorth", "b": "onenorth"})
    assert len(open_source(f"nuscenes:{copy}")) == 1


def test_damaged_files_are_counted(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "copy")
    next((copy / "samples/CAM_BACK").iterdir()).write_bytes(b"no picture")
    source = open_source(f"nuscenes:{copy}")
    assert list(source) == list(source) == [] and source.problems == {"bad_image": 1}  # each reading counts anew
    lidar = next((copy / "samples/LIDAR_TOP").iterdir())
    lidar.write_bytes(lidar.read_bytes()[:-4])
    assert list(source) == [] and source.problems == {"bad_cloud": 1}
