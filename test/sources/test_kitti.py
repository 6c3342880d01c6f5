"""KITTI odometry folders as frames."""

import shutil

import numpy as np
import pytest

from vxp_ros.core.errors import SourceError
from vxp_ros.core.geometry import invert, is_rigid, make_transform, transform_points
from vxp_ros.sources import open_source
from vxp_ros.sources.kitti import KittiSource


def test_frames(tiny_kitti):
    source = open_source(f"kitti:{tiny_kitti}:00")
    frames = list(source)
    assert len(source) == len(frames) == 6 and not source.problems and source.name == "kitti_00"
    frame = frames[3]
    assert frame.stamp_ns == source.start_ns + 300_000_000
    assert frame.images["camera"].pixels.shape == (24, 32, 3) and frame.images["camera"].pixels.dtype == np.uint8
    assert frame.points.shape == (1200, 4) and frame.points.dtype == np.float32
    np.testing.assert_array_equal(frame.T_base_lidar, np.eye(4))


def test_poses_are_those_of_the_base(tiny_kitti):
    """The camera moves along its optical axis; the base along its own x axis, from the origin."""
    for number, frame in enumerate(KittiSource(tiny_kitti, "00")):
        np.testing.assert_allclose(frame.T_odom_base, make_transform(np.eye(3), np.array([number, 0, 0])), atol=1e-9)


def test_camera_sits_where_calib_says(tiny_kitti):
    camera = next(iter(KittiSource(tiny_kitti, "00"))).images["camera"].camera
    # z of the camera is x of the base, x is -y, y is -z; 0.3 m ahead and 0.06 m to the right (-y).
    expected = make_transform(np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0.0]]), np.array([0.3, -0.06, 0]))
    np.testing.assert_allclose(camera.T_base_camera, expected, atol=1e-12)
    np.testing.assert_array_equal(camera.K, [[20, 0, 16], [0, 20, 12], [0, 0, 1]])
    assert len(camera.distortion) == 0


def test_frames_and_start_can_be_chosen(tiny_kitti):
    start = make_transform(np.eye(3), np.array([0, 1000.0, 0]))
    source = KittiSource(tiny_kitti, "0", slice(1, 6, 2), start, start_ns=10**18)
    frames = list(source)
    assert source.numbers == [1, 3, 5] and frames[0].stamp_ns == 10**18 + 100_000_000
    np.testing.assert_allclose(frames[0].T_odom_base[:3, 3], [1, 1000, 0], atol=1e-9)


@pytest.fixture
def copy(tiny_kitti, tmp_path):
    return shutil.copytree(tiny_kitti, tmp_path / "copy")


@pytest.mark.parametrize("sequence", ["", "000", "../sequences/00", "a", "-1", "0 ", "٣"])
def test_what_is_no_sequence(tiny_kitti, sequence):
    with pytest.raises(SourceError, match="is no KITTI sequence; name one by its number"):
        open_source(f"kitti:{tiny_kitti}:{sequence}")


@pytest.mark.parametrize("part", [
    "sequences/00", "sequences/00/calib.txt", "sequences/00/times.txt", "sequences/00/image_2", "sequences/00/velodyne",
    "sequences/00/image_2/000002.png", "sequences/00/velodyne/000005.bin", "poses/00.txt",
])  # fmt: skip
def test_a_missing_part_is_named(copy, part):
    victim = copy / part
    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    with pytest.raises(SourceError, match=part.rpartition("/")[2]):
        KittiSource(copy, "00")


TR = "Tr: 0 -1 0 0 0 0 -1 0 1 0 0 -0.3\n"
POSE = "1 0 0 0 0 1 0 0 0 0 1 0\n"


@pytest.mark.parametrize(("part", "content", "reason"), [
    ("sequences/00/calib.txt", b"\xff\xfe\x00", "needs rows P2 and Tr"),
    ("sequences/00/calib.txt", "P2:" + 12 * " 0" + "\n" + TR, "P2 is no camera's projection"),
    ("sequences/00/calib.txt", "P2: nan 0 16 0 0 20 12 0 0 0 1 0\n" + TR, "P2 is no camera's projection"),
    ("sequences/00/calib.txt", "P2: -20 0 16 0 0 20 12 0 0 0 1 0\n" + TR, "P2 is no camera's projection"),
    ("sequences/00/calib.txt", "P2: 20 0 16 inf 0 20 12 0 0 0 1 0\n" + TR, "P2 is no camera's projection"),
    ("sequences/00/times.txt", "", "is empty"),
    ("sequences/00/times.txt", "\n \n", "is empty"),
    ("sequences/00/times.txt", 8 * "nan\n", "not finite"),
    ("sequences/00/times.txt", 4 * "0.0 0.1\n", "expected 1 numbers in each row, found 2"),
    ("sequences/00/times.txt", b"0.0\n\xff\n", "expected 1 numbers"),
    ("poses/00.txt", 7 * POSE + POSE.replace("1 0 0 0 ", "2 0 0 0 ", 1), "not a rigid transform"),
    ("poses/00.txt", 8 * POSE.replace("1 0 0 0 ", "-1 0 0 0 ", 1), "not a rigid transform"),
    ("poses/00.txt", 8 * "1 0 0\n", "expected 12 numbers in each row, found 3"),
    ("poses/00.txt", "", "is empty"),
])  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_broken_files_are_one_sentence(copy, part, content, reason):
    (copy / part).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SourceError, match=f"{part}.*{reason}") as problem:
        KittiSource(copy, "00")
    assert "\n" not in str(problem.value)


def test_files_that_are_no_frames_are_not_counted(copy):
    (copy / "sequences/00/image_2/0001_copy.png").write_bytes(b"")
    assert len(KittiSource(copy, "00")) == 6


def test_what_is_missing_is_told_with_what_is_expected(copy):
    (copy / "sequences/00/times.txt").unlink()
    with pytest.raises(SourceError, match=r"expected are sequences/NN/\{image_2,velodyne,calib.txt,times.txt\} and"):
        KittiSource(copy, "00")


def test_wrong_contents_are_named(copy):
    folder = copy / "sequences/00"
    for name, text in (("calib.txt", "P2: 1 2 3\n"), ("calib.txt", ""), ("times.txt", "zero\n")):
        good = (folder / name).read_text()
        (folder / name).write_text(text)
        with pytest.raises(SourceError, match=name):
            KittiSource(copy, "00")
        (folder / name).write_text(good)
    (folder / "times.txt").write_text("0.0\n0.1\n")
    with pytest.raises(SourceError, match=r"times.txt has 2 rows but frame 5"):
        KittiSource(copy, "00")


def test_damaged_files_are_skipped_and_counted(copy):
    (copy / "sequences/00/image_2/000001.png").write_bytes(b"no picture")
    with (copy / "sequences/00/velodyne/000004.bin").open("ab") as file:
        file.write(b"abc")
    source = KittiSource(copy, "00")
    assert len(list(source)) == len(list(source)) == 4  # each reading counts anew
    assert source.problems == {"bad_image": 1, "bad_cloud": 1}


def test_a_sequence_without_ground_truth_has_no_poses(copy):
    (copy / "sequences/00").rename(copy / "sequences/11")
    assert all(frame.T_odom_base is None for frame in KittiSource(copy, "11"))


@pytest.mark.parametrize("text", ["", "kitti", "kitti:", "kitti:/data", "rosbag:/data", "bag:"])
def test_other_forms_are_refused(text):
    with pytest.raises(SourceError, match="kitti:ROOT:SEQUENCE"):
        open_source(text)


def test_real_sequences(real_data):
    """Poses and calibration agree with each other: the scans of consecutive frames fall on one another."""
    for sequence in ("00", "05"):
        frames = list(KittiSource(real_data / "kitti", sequence, slice(0, 4)))
        assert 100_000 < len(frames[0].points) < 140_000 and is_rigid(frames[0].images["camera"].camera.T_base_camera)
        moved = invert(frames[0].T_odom_base) @ frames[3].T_odom_base
        assert moved[0, 3] > 0.5 and abs(moved[1, 3]) < 0.5  # forward
        aligned, shifted = (
            overlap(frames[0].points, transform_points(T, frames[3].points[:, :3])) for T in (moved, np.eye(4))
        )
        assert aligned > shifted + 0.1


def overlap(points: np.ndarray, others: np.ndarray) -> float:
    """Share of the second cloud's occupied cells of 0.3 m, in 5 to 30 m, that the first one occupies too."""
    sets = []
    for cloud in (points[:, :3], others):
        distance = np.linalg.norm(cloud[:, :2], axis=1)
        cells = np.round(cloud[(distance > 5) & (distance < 30) & (cloud[:, 2] > -1.2)] / 0.3).astype(int)
        sets.append(set(map(tuple, cells)))
    return len(sets[0] & sets[1]) / len(sets[1])


def test_real_points_land_on_the_image(real_data):
    frame = next(iter(KittiSource(real_data / "kitti", "00")))
    camera = frame.images["camera"].camera
    in_camera = transform_points(invert(camera.T_base_camera), frame.points[:, :3].astype(np.float64))
    ahead = in_camera[in_camera[:, 2] > 1]
    pixels = (ahead @ camera.K.T)[:, :2] / ahead[:, 2:]
    seen = (pixels > 0).all(axis=1) & (pixels < [camera.width, camera.height]).all(axis=1)
    assert 0.2 < seen.mean() < 0.6  # the camera's 80 degrees out of the 180 ahead
    assert np.ptp(pixels[seen][:, 0]) > 0.95 * camera.width  # across the whole width
