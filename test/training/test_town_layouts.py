"""The layouts, from masters made by hand: each gives the same drive back, through our own readers and the devkit."""

import json
import os
import subprocess
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest
from town_masters import SPEED, make_master

from vxp_ros.core.errors import SourceError
from vxp_ros.core.geometry import invert, is_rigid, rotation_angle, transform_points
from vxp_ros.sources import open_source
from vxp_ros.sources.bag import deserialise
from vxp_ros.sources.raw_bag import RawBag
from vxp_training.datasets.town.layouts import check_layout, export
from vxp_training.datasets.town.motion.odometry import SCALE_ERROR, YAW_ERROR_PER_M, drifted
from vxp_training.datasets.town.store import target
from vxp_training.datasets.town.store.master import Recording
from vxp_training.datasets.town.store.master_files import RANGE_STEP_M
from vxp_training.datasets.town.store.task import RigChoice

FRAMES = 5


@pytest.fixture(scope="module")
def masters(tmp_path_factory):
    root = tmp_path_factory.mktemp("masters")
    return [make_master(root, day, FRAMES) for day in ("sunny", "rain")]


@pytest.fixture(scope="module")
def written(masters, tmp_path_factory):
    """layout -> folder."""
    root = tmp_path_factory.mktemp("layouts")
    for layout in ("kitti", "nuscenes", "bag"):
        assert export(layout, masters, root / layout)
    return {layout: root / layout for layout in ("kitti", "nuscenes", "bag")}


def world_points(frame, T_world_base):
    """x y z in the town."""
    return transform_points(T_world_base @ frame.T_base_lidar, frame.points[:, :3].astype(np.float64))


# --- the master itself


def test_the_master_gives_back_what_was_put_in(masters):
    frame = masters[0].frame(2)
    ranges = np.linalg.norm(frame.points[:, :3], axis=1)
    np.testing.assert_allclose(ranges / RANGE_STEP_M, np.round(ranges / RANGE_STEP_M), atol=5e-3)
    assert frame.points[:, 3].min() >= 0 and frame.points[:, 3].max() <= 1
    assert (np.diff(frame.times) >= 0).all() and frame.times[0] < -0.04 and frame.times[-1] > 0.04
    assert len(frame.rings) == len(frame.times) == len(frame.points) and frame.rings.max() == 15
    np.testing.assert_array_equal(frame.T_odom_base, masters[0].poses[2])
    assert is_rigid(masters[0].sweeps, 1e-9)


def test_deskewing_puts_points_where_they_were_in_the_world(masters):
    raw, deskewed = masters[1].frame(2), Recording(masters[1].folder, is_deskewed=True).frame(2)
    rig, sweep = masters[1].rig, masters[1].sweeps[2]
    columns = np.round((raw.times / rig.lidar.period_s + 0.5) * rig.lidar.columns - 0.5).astype(int)
    T_world_lidar = rig.lidar.column_poses(sweep)[columns] @ rig.lidar.T_base_lidar
    expected = np.einsum("nij,nj->ni", T_world_lidar[:, :3, :3], raw.points[:, :3]) + T_world_lidar[:, :3, 3]
    np.testing.assert_allclose(world_points(deskewed, deskewed.T_odom_base), expected, atol=1e-4)
    assert np.abs(raw.points - deskewed.points).max() > 0.3  # 8 m/s for half a sweep
    np.testing.assert_array_equal(raw.points[:, 3], deskewed.points[:, 3])


# --- KITTI


def test_kitti_source_reads_exact_poses_in_one_world_for_all_days(masters, written):
    for row, master in enumerate(masters):
        source = open_source(f"kitti:{written['kitti']}:{row}")
        frames = list(source)
        assert len(frames) == FRAMES and not source.problems
        for frame, pose in zip(frames, master.poses, strict=True):  # its base is the LiDAR
            np.testing.assert_allclose(frame.T_odom_base, pose @ master.rig.lidar.T_base_lidar, atol=1e-8)


def test_kitti_holds_the_deskewed_points_the_pixels_and_the_calibration(masters, written):
    master = masters[1]
    frame = list(open_source(f"kitti:{written['kitti']}:01"))[3]
    expected = Recording(master.folder, is_deskewed=True).frame(3)
    np.testing.assert_array_equal(frame.points, expected.points)
    np.testing.assert_array_equal(frame.images["camera"].pixels, expected.images["camera"].pixels)
    camera, drawn = frame.images["camera"].camera, master.rig.cameras["camera"]
    np.testing.assert_allclose(camera.K, drawn.K)
    T_lidar_base = invert(master.rig.lidar.T_base_lidar)  # its base is the LiDAR
    np.testing.assert_allclose(camera.T_base_camera, T_lidar_base @ drawn.T_base_camera, atol=1e-9)


def test_kitti_times_count_from_the_start_of_each_day(written):
    times = [float(line) for line in (written["kitti"] / "sequences/01/times.txt").read_text().split()]
    np.testing.assert_allclose(times, np.arange(FRAMES) / 2)


# --- rosbag2


def test_bag_source_reads_what_was_measured(masters, written):
    source = open_source(f"bag:{written['bag'] / 'rain'}")
    frames = list(source)
    assert len(frames) == FRAMES and not source.problems
    for number, frame in enumerate(frames):
        expected = masters[1].frame(number)
        assert frame.stamp_ns == expected.stamp_ns
        np.testing.assert_array_equal(frame.points, expected.points)
        np.testing.assert_array_equal(frame.rings, expected.rings)
        np.testing.assert_array_equal(frame.images["camera"].pixels, expected.images["camera"].pixels)
        np.testing.assert_allclose(frame.T_base_lidar, expected.T_base_lidar, atol=1e-9)
    assert np.allclose(frames[0].T_odom_base, np.eye(4))


def test_bag_points_carry_ring_and_time_as_the_velodyne_driver_does(masters, written):
    with RawBag(written["bag"] / "sunny") as bag:
        cloud = deserialise(next(bag.messages(["/points"])))
    fields = [(field.name, field.offset, field.datatype) for field in cloud.fields]
    assert fields == [("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("intensity", 12, 7), ("ring", 16, 4), ("time", 18, 7)]
    dtype = np.dtype({"names": ["ring", "time"], "formats": ["<u2", "<f4"], "offsets": [16, 18], "itemsize": 22})
    rows = np.frombuffer(cloud.data, dtype)
    expected = masters[0].frame(0)
    np.testing.assert_array_equal(rows["ring"], expected.rings)
    np.testing.assert_array_equal(rows["time"], expected.times)


def test_bag_truth_is_exact_and_apart_from_the_odometry(masters, written):
    with RawBag(written["bag"] / "rain") as bag:
        truth = [deserialise(message) for message in bag.messages(["/ground_truth"])]
        odometry = [deserialise(message) for message in bag.messages(["/odom"])]
        assert bag.topics["/camera/image_raw/compressed"].count == FRAMES and bag.topics["/tf_static"].count == 1
    for message, pose in zip(truth, masters[1].poses, strict=True):
        p = message.pose.position
        np.testing.assert_allclose([p.x, p.y, p.z], pose[:3, 3], atol=1e-12)
        assert message.header.frame_id == "map"
    assert odometry[0].header.frame_id == "odom" and odometry[-1].pose.pose.position.x != truth[-1].pose.position.x


def test_raw_bags_and_lenses_and_six_cameras(tmp_path):
    choice = RigChoice(6, (64, 36), 16, "plumb_bob")
    master = make_master(tmp_path, frames=2, choice=choice)
    assert export("bag", [master], tmp_path / "bag", compressed=False)
    with RawBag(tmp_path / "bag/sunny") as bag:
        images = [name for name in bag.topics if name.endswith("/image_raw")]
        info = deserialise(next(bag.messages(["/camera_back/camera_info"])))
    assert len(images) == 6 and info.distortion_model == "plumb_bob" and info.d[0] == pytest.approx(-0.12)
    frame = next(iter(open_source(f"bag:{tmp_path / 'bag/sunny'}")))
    np.testing.assert_array_equal(frame.images["camera"].pixels, master.frame(0).images["camera"].pixels)


def test_exact_odometry_is_the_truth(masters, tmp_path):
    export("bag", masters[:1], tmp_path / "bag", odometry="exact")
    frames = list(open_source(f"bag:{tmp_path / 'bag/sunny'}"))
    np.testing.assert_allclose([frame.T_odom_base for frame in frames], masters[0].poses, atol=1e-9)


def test_odometry_drifts_as_stated():
    """1 km straight on: the way is 1 % wrong, the heading 5 degrees."""
    poses = np.tile(np.eye(4), (1001, 1, 1))
    poses[:, 0, 3] = np.arange(1001)
    for seed in range(5):
        odometry = drifted(poses, [seed])
        way = np.linalg.norm(np.diff(odometry[:, :3, 3], axis=0), axis=1).sum()
        assert abs(way / 1000 - 1) == pytest.approx(SCALE_ERROR, abs=0.003)
        assert rotation_angle(odometry[-1, :3, :3]) == pytest.approx(1000 * YAW_ERROR_PER_M, abs=np.radians(2))
        np.testing.assert_array_equal(odometry, drifted(poses, [seed]))
    assert is_rigid(odometry, 1e-6)


def test_a_car_that_stands_does_not_drift():
    poses = np.tile(np.eye(4), (50, 1, 1))
    np.testing.assert_array_equal(drifted(poses, [0]), poses)


# --- nuScenes


def table(written, name):
    return json.loads((written["nuscenes"] / "v1.0-synth" / f"{name}.json").read_text())


def test_nuscenes_source_reads_exact_poses_and_points(masters, written):
    source = open_source(f"nuscenes:{written['nuscenes']}:rain-01")
    frames = list(source)
    assert len(frames) == FRAMES and not source.problems
    for number, frame in enumerate(frames):
        expected = Recording(masters[1].folder, is_deskewed=True).frame(number)
        assert frame.stamp_ns == expected.stamp_ns // 1000 * 1000
        np.testing.assert_allclose(frame.T_odom_base, expected.T_odom_base, atol=1e-9)
        np.testing.assert_array_equal(frame.rings, expected.rings)
        np.testing.assert_array_equal(frame.images["CAM_FRONT"].pixels, expected.images["camera"].pixels)
        np.testing.assert_allclose(
            world_points(frame, frame.T_odom_base), world_points(expected, expected.T_odom_base), atol=1e-4
        )
        np.testing.assert_allclose(frame.points[:, 3], 255 * expected.points[:, 3], atol=1e-3)


def test_nuscenes_dates_are_those_of_the_days(written):
    """NUSC-PR learns from what was seen within 105 days of the first drive: the sunny day, not the autumn."""
    days = {log["logfile"].split("-")[2]: date.fromisoformat(log["date_captured"]) for log in table(written, "log")}
    assert (days["rain"] - days["sunny"]).days >= 105
    stamps = {scene["token"]: scene["name"] for scene in table(written, "scene")}
    seen = {}
    for sample in table(written, "sample"):
        seen.setdefault(stamps[sample["scene_token"]], []).append(sample["timestamp"])
    assert (min(seen["rain-01"]) - max(seen["sunny-01"])) / 86400e6 >= 105
    np.testing.assert_array_equal(np.diff(seen["rain-01"]), 500_000)  # 2 Hz


def test_nuscenes_tables_hold_together(written):
    names = [
        "category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log", "scene",
        "sample", "sample_data", "sample_annotation", "map",
    ]  # fmt: skip
    tables = {name: {row["token"]: row for row in table(written, name)} for name in names}
    assert sorted(path.stem for path in (written["nuscenes"] / "v1.0-synth").iterdir()) == sorted(names)
    assert set(table(written, "map")[0]["log_tokens"]) == set(tables["log"])
    assert cv2.imread(str(written["nuscenes"] / table(written, "map")[0]["filename"])) is not None
    for row in tables["sample_data"].values():
        assert row["sample_token"] in tables["sample"] and row["ego_pose_token"] in tables["ego_pose"]
        assert (written["nuscenes"] / row["filename"]).is_file()
        for neighbour in (row["prev"], row["next"]):
            assert neighbour == "" or neighbour in tables["sample_data"]
    for scene in tables["scene"].values():
        chain, token = [], scene["first_sample_token"]
        while token:
            chain.append(token)
            token = tables["sample"][token]["next"]
        assert len(chain) == scene["nbr_samples"] and chain[-1] == scene["last_sample_token"]
        assert tables["sample"][chain[0]]["prev"] == ""


def test_nuscenes_scenes_last_twenty_seconds(tmp_path):
    master = make_master(tmp_path, frames=45)
    export("nuscenes", [master], tmp_path / "out")
    scenes = json.loads((tmp_path / "out/v1.0-synth/scene.json").read_text())
    assert [(scene["name"], scene["nbr_samples"]) for scene in scenes] == [("sunny-01", 40), ("sunny-02", 5)]
    assert len(list(open_source(f"nuscenes:{tmp_path / 'out'}"))) == 45


DEVKIT_CHECK = """
import sys
import numpy as np
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
town = NuScenes(version="v1.0-synth", dataroot=sys.argv[1], verbose=False)
sample = town.get("sample", town.scene[1]["first_sample_token"])
cloud = LidarPointCloud.from_file(town.get_sample_data_path(sample["data"]["LIDAR_TOP"]))
path, boxes, K = town.get_sample_data(sample["data"]["CAM_FRONT"])
points, depths, image = town.explorer.map_pointcloud_to_image(sample["data"]["LIDAR_TOP"], sample["data"]["CAM_FRONT"])
assert points.shape[1] > 20 and (depths > 0).all() and boxes == []
assert town.map[0]["mask"].mask().any()
print(len(town.sample), cloud.nbr_points(), image.size)
"""


def test_the_official_devkit_reads_the_tables(masters, written):
    python = os.environ.get("NUSCENES_DEVKIT_PYTHON")
    if not python:
        pytest.skip("NUSCENES_DEVKIT_PYTHON is not set: it names a python with nuscenes-devkit, which needs numpy < 2")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-c", DEVKIT_CHECK, str(written["nuscenes"])]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
    assert result.returncode == 0, result.stderr
    expected = masters[1].frame(0)
    assert result.stdout.strip() == f"{2 * FRAMES} {len(expected.points)} (64, 36)"


# --- the folder


def test_a_second_export_writes_nothing(masters, written):
    marker = written["kitti"] / target.MARKER
    before = marker.stat().st_mtime_ns
    assert not export("kitti", masters, written["kitti"])
    assert marker.stat().st_mtime_ns == before


def test_two_exports_are_alike_to_the_last_byte(masters, tmp_path):
    for layout in ("kitti", "nuscenes"):
        for copy in ("a", "b"):
            export(layout, masters, tmp_path / copy / layout)
        files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
        assert files and all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_another_town_is_replaced_only_when_asked(masters, tmp_path):
    out = tmp_path / "out"
    export("kitti", masters, out)
    with pytest.raises(SourceError, match="--overwrite"):
        export("bag", masters, out)
    assert (out / "poses/01.txt").exists()
    assert export("bag", masters, out, overwrite=True)
    assert not (out / "poses").exists() and (out / "sunny/metadata.yaml").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "out"]


@pytest.mark.parametrize("there", ["notes", "town and notes", "link", "file"])
def test_nothing_foreign_is_ever_replaced(masters, tmp_path, there):
    out = tmp_path / "out"
    if there == "notes":
        out.mkdir()
        (out / "notes.txt").write_text("thesis")
    elif there == "town and notes":
        export("kitti", masters, out)
        (out / "sequences/00/notes.txt").write_text("thesis")
    elif there == "link":
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to("elsewhere")
    else:
        out.write_text("thesis")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    with pytest.raises(SourceError, match="another name"):
        export("nuscenes", masters, out, overwrite=True)
    after = sorted(str(path) for path in tmp_path.rglob("*") if path.name != ".out.lock")
    assert after == [path for path in before if not path.endswith(".out.lock")]


def test_what_killed_runs_left_is_put_right(masters, tmp_path):
    out = tmp_path / "out"
    export("kitti", masters, out)
    out.rename(tmp_path / ".out.0123abcd.old")  # killed between the two renames
    (tmp_path / ".out.4567abcd.new").mkdir()
    (tmp_path / ".out.4567abcd.new/half").write_text("x")
    with pytest.raises(SourceError, match="--overwrite"):
        export("bag", masters, out)
    assert (out / "poses/00.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "out"]


def test_a_failed_export_leaves_nothing(masters, tmp_path):
    broken = make_master(tmp_path / "m", frames=2)
    (broken.folder / "frames/000001.range.png").write_bytes(b"no picture")
    with pytest.raises(Exception, match="cannot be decoded"):
        export("kitti", [broken], tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out.*.new"))


@pytest.mark.parametrize(
    ("layout", "choice", "reason"),
    [("kitti", RigChoice(cameras=6), "--cameras 1"), ("kitti", RigChoice(distortion="plumb_bob"), "--distortion none"),
     ("nuscenes", RigChoice(distortion="equidistant"), "--distortion none")],
)  # fmt: skip
def test_rigs_that_a_layout_cannot_hold(layout, choice, reason):
    with pytest.raises(SourceError, match=reason):
        check_layout(layout, choice)


def test_the_drive_of_the_masters_is_what_it_says(masters):
    steps = np.linalg.norm(np.diff(masters[0].poses[:, :3, 3], axis=0), axis=1)
    np.testing.assert_allclose(steps, SPEED / 2, rtol=0.01)
    assert isinstance(masters[0].folder, Path)
