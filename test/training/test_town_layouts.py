"""KITTI and rosbag2, from masters made by hand: each gives the same drive back, through our own readers."""

from pathlib import Path

import numpy as np
import pytest
from town_masters import SPEED, make_master, world_points

from vxp_ros.core.errors import SourceError
from vxp_ros.core.geometry import invert, is_rigid
from vxp_ros.sources import open_source
from vxp_ros.sources.bag import deserialise
from vxp_ros.sources.raw_bag import RawBag
from vxp_training.datasets.town.layouts import check_layout, export
from vxp_training.datasets.town.store.master import Recording
from vxp_training.datasets.town.store.master_files import RANGE_STEP_M
from vxp_training.datasets.town.store.task import RigChoice

FRAMES = 5

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


# --- what there is to export


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
