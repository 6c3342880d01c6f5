"""Bags as frames: the same numbers as at the source, and no traceback from damaged ones."""

import shutil

import numpy as np
import pytest

from vxp_ros.core.datatypes import Camera, Frame, Image
from vxp_ros.core.errors import SourceError
from vxp_ros.core.geometry import invert, make_transform
from vxp_ros.sources import open_source
from vxp_ros.sources.bag import BagSource
from vxp_ros.sources.bag_writer import BagWriter, write_kitti_bag
from vxp_ros.sources.kitti import KittiSource
from vxp_ros.sources.messages import (
    camera_info,
    odometry,
    point_cloud,
    pose_stamped,
    raw_image,
    static_transforms,
)
from vxp_ros.sources.raw_bag import RawBag
from vxp_ros.sources.static_transforms import StaticTransforms

START = 1_700_000_000 * 10**9
MS = 1_000_000


def test_frames_equal_those_of_the_source(tiny_bag, tiny_kitti):
    source = open_source(f"bag:{tiny_bag}")
    frames, originals = list(source), [*KittiSource(tiny_kitti, "00"), *KittiSource(tiny_kitti, "01")]
    assert len(frames) == len(originals) == 12 and not source.problems and not source.notes
    for row, (frame, original) in enumerate(zip(frames, originals, strict=True)):
        np.testing.assert_array_equal(frame.points, original.points)
        np.testing.assert_array_equal(frame.images["camera"].pixels, original.images["camera"].pixels)
        camera, expected = frame.images["camera"].camera, original.images["camera"].camera
        np.testing.assert_allclose(camera.T_base_camera, expected.T_base_camera, atol=1e-9)
        np.testing.assert_array_equal(camera.K, expected.K)
        np.testing.assert_allclose(frame.T_base_lidar, np.eye(4))
        offset = make_transform(np.eye(3), np.array([0, 1000.0 * (row >= 6), 0]))
        np.testing.assert_allclose(frame.T_odom_base, offset @ original.T_odom_base, atol=1e-9)


def test_real_data_survives_the_bag(real_data, tmp_path):
    out = write_kitti_bag(real_data / "kitti", ["03", "04"], tmp_path / "bag", slice(0, 4, 2))
    originals = [frame for drive in ("03", "04") for frame in KittiSource(real_data / "kitti", drive, slice(0, 4, 2))]
    frames = list(BagSource(out))
    assert len(frames) == 4
    for frame, original in zip(frames, originals, strict=True):
        np.testing.assert_array_equal(frame.points, original.points)
        np.testing.assert_array_equal(frame.images["camera"].pixels, original.images["camera"].pixels)
        # Calibration and image size differ between these two drives: each frame has its own.
        camera, expected = frame.images["camera"].camera, original.images["camera"].camera
        assert (camera.width, camera.height) == (expected.width, expected.height)
        np.testing.assert_allclose(camera.T_base_camera, expected.T_base_camera, atol=1e-6)


def test_compressed_images(tiny_kitti, tmp_path):
    out = write_kitti_bag(tiny_kitti, ["00"], tmp_path / "bag", compressed=True)
    source = BagSource(out)
    frames = list(source)
    assert len(frames) == 6 and frames[0].images["camera"].pixels.shape == (24, 32, 3)
    assert frames[0].images["camera"].camera is not None and not source.problems


def test_reading_twice_gives_the_same(tiny_bag):
    source = BagSource(tiny_bag)
    assert [frame.stamp_ns for frame in source] == [frame.stamp_ns for frame in source]


def test_frames_can_be_chosen(tiny_bag):
    stamps = [frame.stamp_ns for frame in BagSource(tiny_bag)]
    for frames in (slice(2, 9, 3), slice(5), slice(4, None), slice(None, None, 2), slice(3, 3)):
        assert [frame.stamp_ns for frame in BagSource(tiny_bag, frames=frames)] == stamps[frames]
    for frames in (slice(-3, None), slice(0, -1), slice(None, None, -1), slice(0, 5, 0)):
        with pytest.raises(SourceError, match="counted from its start"):
            BagSource(tiny_bag, frames=frames)


def test_reading_ends_with_the_last_frame_that_is_wanted(tmp_path):
    """The bad cloud comes after it, so it is never met; the scan without a partner before it is."""
    bad = moment(START + 400 * MS)
    bad[2][1].data = bad[2][1].data[:-1]
    messages = [*moment(START)[2:], *moment(START + 100 * MS), *moment(START + 200 * MS), *bad]
    source = write_bag(tmp_path / "bag", [*messages, *moment(START + 900 * MS)])
    assert len(list(source)) == 3 and source.problems["bad_cloud"] == 1
    source.frames = slice(0, 1)
    assert len(list(source)) == 1 and "bad_cloud" not in source.problems and source.notes == {"unpaired (points)": 1}


def test_a_single_file_is_a_bag_too(tiny_bag):
    (file,) = [path for path in tiny_bag.iterdir() if path.suffix in (".mcap", ".db3")]
    assert len(list(BagSource(file))) == 12


# --- what can be missing


def test_missing_topics_are_named_with_those_there_are(tiny_bag):
    with pytest.raises(SourceError, match=r"no topic /velodyne.*/points \(sensor_msgs/msg/PointCloud2\)"):
        BagSource(tiny_bag, points="/velodyne")
    with pytest.raises(SourceError, match="no topic /left/image"):
        BagSource(tiny_bag, cameras={"left": "/left/image"})
    with pytest.raises(SourceError, match="neither"):
        BagSource(tiny_bag, cameras={}, points=None)


@pytest.mark.parametrize(
    ("options", "type_there", "type_wanted"),
    [
        ({"cameras": {"camera": "/points"}}, "PointCloud2", "sensor_msgs/msg/Image or sensor_msgs/msg/CompressedImage"),
        ({"points": "/odom"}, "Odometry", "sensor_msgs/msg/PointCloud2"),
        ({"odom": "/points"}, "PointCloud2", "nav_msgs/msg/Odometry or geometry_msgs/msg/PoseStamped or"),
    ],
)
def test_topics_of_another_type_are_refused(tiny_bag, options, type_there, type_wanted):
    (topic,) = next(iter(options.values())).values() if "cameras" in options else options.values()
    with pytest.raises(SourceError, match=rf"topic {topic} is of type \w+/msg/{type_there}, expected is {type_wanted}"):
        BagSource(tiny_bag, **options)


def test_unnamed_topics_of_another_type_are_not_used(tmp_path):
    """camera_info and /tf_static are found by convention: what else has these names is not ours."""
    pose = pose_stamped(START, "map", move(0))
    messages = [("/camera/camera_info", pose, START), ("/tf_static", pose, START), *moment(START + MS)[1:]]
    source = write_bag(tmp_path / "bag", messages)
    (frame,) = source
    assert frame.images["camera"].camera is None and source.notes == {"no_camera_info": 1}


def test_one_sensor_is_enough(tiny_bag):
    lidar_only = list(BagSource(tiny_bag, cameras={}))
    assert len(lidar_only) == 12 and not lidar_only[0].images and lidar_only[0].T_odom_base is not None
    camera_only = list(BagSource(tiny_bag, points=None))
    assert len(camera_only) == 12 and camera_only[0].points is None


def test_odometry_that_is_named_must_be_there(tiny_bag, tmp_path):
    with pytest.raises(SourceError, match=r"no topic /nothing; it has .*/odom \(nav_msgs/msg/Odometry\)"):
        BagSource(tiny_bag, odom="/nothing")
    write_bag(tmp_path / "bag", moment(START))
    with pytest.raises(SourceError, match="no topic /odom"):
        BagSource(tmp_path / "bag", odom="/odom")


def test_odometry_may_be_absent_or_another_type(tiny_bag):
    assert all(frame.T_odom_base is None for frame in BagSource(tiny_bag, odom=""))
    truth = [frame.T_odom_base for frame in BagSource(tiny_bag, odom="/ground_truth")]
    np.testing.assert_allclose(truth, [frame.T_odom_base for frame in BagSource(tiny_bag)])


def test_no_bag(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        BagSource(tmp_path / "nothing")
    with pytest.raises(SourceError, match=r"metadata\.yaml is missing"):
        BagSource(tmp_path)
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(SourceError, match="is no bag"):
        BagSource(tmp_path / "text.txt")


def test_missing_metadata_names_the_way_out(tiny_bag, tmp_path):
    copy = shutil.copytree(tiny_bag, tmp_path / "copy")
    (copy / "metadata.yaml").unlink()
    with pytest.raises(SourceError, match=r"metadata\.yaml is missing: name the file itself \(bag\."):
        BagSource(copy)


# --- what can be odd


def write_bag(path, messages) -> BagSource:
    with BagWriter(path) as bag:
        for topic, message, log_ns in messages:
            bag.write(topic, message, log_ns)
    return BagSource(path)


def moment(stamp_ns: int, lidar_offset_ns: int = 0) -> list:
    """Camera, calibration and LiDAR of one moment."""
    pixels = np.full((24, 32, 3), 9, np.uint8)
    points = np.ones((1200, 4), np.float32)
    camera = Camera(32, 24, np.array([[20.0, 0, 16], [0, 20, 12], [0, 0, 1]]))
    return [
        ("/camera/camera_info", camera_info(stamp_ns, "camera", camera), stamp_ns),
        ("/camera/image_raw", raw_image(stamp_ns, "camera", pixels), stamp_ns + MS),
        ("/points", point_cloud(stamp_ns + lidar_offset_ns, "velodyne", points), stamp_ns + 2 * MS + lidar_offset_ns),
    ]


def move(x: float) -> np.ndarray:
    return make_transform(np.eye(3), np.array([x, 0, 0]))


def test_odometry_is_interpolated_and_waited_for(tmp_path):
    """Odometry at 20 Hz between the frames, each message after the frame that needs it."""
    messages = [("/tf_static", static_transforms(START, "base_link", {"velodyne": move(0), "camera": move(1)}), START)]
    for row in range(10):
        messages += moment(START + row * 100 * MS)
        for half in (25, 75):
            stamp = START + (row * 100 + half) * MS
            messages.append(("/odom", odometry(stamp, "odom", "base_link", move(row + half / 100)), stamp + 5 * MS))
    source = write_bag(tmp_path / "bag", messages)
    frames = list(source)
    assert len(frames) == 10 and not source.problems
    positions = [frame.T_odom_base[0, 3] for frame in frames]
    np.testing.assert_allclose(positions, [0.25, *range(1, 10)], atol=1e-9)  # before the first message: the nearest


def test_odometry_that_stops_does_not_hold_frames_back(tmp_path):
    messages = [("/odom", odometry(START, "odom", "base_link", move(0)), START)]
    for row in range(20):
        messages += moment(START + row * 100 * MS)
    frames = list(write_bag(tmp_path / "bag", messages))
    assert [frame.T_odom_base is not None for frame in frames] == [True] * 6 + [False] * 14


def test_extrinsics_through_a_chain_of_frames(tmp_path):
    messages = [
        ("/tf_static", static_transforms(START, "base_link", {"mast": move(1)}), START),
        ("/tf_static", static_transforms(START, "mast", {"velodyne": move(2)}), START + 1),
        ("/tf_static", static_transforms(START, "mast", {"camera": move(5)}), START + 2),
        *moment(START + 10 * MS),
    ]
    (frame,) = write_bag(tmp_path / "bag", messages)
    assert frame.T_base_lidar[0, 3] == 3 and frame.images["camera"].camera.T_base_camera[0, 3] == 6


def test_a_late_rig_holds_from_the_first_frame(tmp_path):
    """Extrinsics and calibration at the end of the bag; the first of each kind counts for what came before."""
    rig = [static_transforms(START, "base_link", {"velodyne": move(x), "camera": move(x)}) for x in (1, 2)]
    early, middle, late = (moment(START + 100 * row * MS) for row in range(3))
    messages = [*early[1:], *middle[1:], ("/tf_static", rig[0], START + 110 * MS), middle[0],
                ("/tf_static", rig[1], START + 120 * MS), *late[1:]]  # fmt: skip
    source = write_bag(tmp_path / "bag", messages)
    frames = list(source)
    assert [frame.T_base_lidar[0, 3] for frame in frames] == [1, 1, 2] and not source.problems and not source.notes
    assert [frame.images["camera"].camera.T_base_camera[0, 3] for frame in frames] == [1, 1, 2]


def test_after_a_loop_odometry_from_before_is_forgotten(tmp_path):
    """The second round has the same stamps as the first, and no odometry of its own."""
    messages = []
    for lap in range(2):
        for row in range(10):
            log_ns = START + (lap * 1000 + row * 100) * MS
            stamp_ns = START + row * 100 * MS
            if lap == 0:
                messages.append(("/odom", odometry(stamp_ns, "odom", "base_link", move(row)), log_ns))
            messages += [(topic, message, log_ns + 5 * MS) for topic, message, _ in moment(stamp_ns)[1:]]
    frames = list(write_bag(tmp_path / "bag", messages))
    assert len(frames) > 15
    stamps = [frame.stamp_ns for frame in frames]
    lap_ends = next(row for row in range(1, len(stamps)) if stamps[row] < stamps[row - 1])
    assert all(frame.T_odom_base is not None for frame in frames[:lap_ends])
    assert all(frame.T_odom_base is None for frame in frames[lap_ends:])


def test_messages_of_a_second_type_are_counted(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for topic, message, log_ns in moment(START):
            bag.write(topic, message, log_ns)
        del bag._connections["/points"]  # a second publisher of the name
        bag.write("/points", pose_stamped(START, "map", move(0)), START + 3 * MS)
    source = BagSource(tmp_path / "bag")
    assert len(list(source)) == 1 and source.problems["other_type"] == 1


def test_unknown_extrinsics_are_none_and_counted(tmp_path):
    source = write_bag(tmp_path / "bag", moment(START))
    (frame,) = source
    assert frame.T_base_lidar is None and frame.images["camera"].camera.T_base_camera is None
    assert source.problems == {"no_tf (velodyne)": 1, "no_tf (camera)": 1}


def test_transform_trees_with_loops_and_strangers():
    tree = StaticTransforms()
    tree.add(static_transforms(START, "a", {"b": move(1)}))
    tree.add(static_transforms(START, "b", {"a": move(1)}))
    assert tree.look_up("a", "stranger") is None
    np.testing.assert_allclose(tree.look_up("x", "x"), np.eye(4))
    upwards = StaticTransforms()
    upwards.add(static_transforms(START, "lidar", {"base_link": move(1)}))  # some rigs hang the base below the LiDAR
    np.testing.assert_allclose(upwards.look_up("base_link", "lidar"), invert(move(1)))


def test_messages_without_a_partner_are_noted_not_a_problem(tmp_path):
    messages = [*moment(START), *moment(START + 100 * MS)[:2], *moment(START + 200 * MS)]
    source = write_bag(tmp_path / "bag", messages)
    assert len(list(source)) == 2
    assert source.notes["unpaired (camera)"] == 1
    assert not [reason for reason in source.problems if "no_tf" not in reason]


def test_a_calibration_of_another_size_is_not_used(tmp_path):
    wrong = Camera(64, 48, np.array([[20.0, 0, 16], [0, 20, 12], [0, 0, 1]]))
    messages = [*moment(START), ("/camera/camera_info", camera_info(START, "camera", wrong), START + 50 * MS),
                *moment(START + 100 * MS)[1:]]  # fmt: skip
    source = write_bag(tmp_path / "bag", messages)
    frames = list(source)
    assert frames[0].images["camera"].camera is not None and frames[1].images["camera"].camera is None
    assert source.notes["camera_info_of_other_size"] == 1


def test_bad_messages_are_skipped_and_counted(tmp_path):
    messages = [message for row in range(6) for message in moment(START + row * 100 * MS)]
    messages[4][1].step = 1  # second image
    messages[8][1].data = messages[8][1].data[:-1]  # third cloud
    messages[10][1].header.stamp.nanosec = 4_000_000_000  # fourth image
    messages[12][1].k[0] = -1.0  # fifth calibration: the one before stays good
    source = write_bag(tmp_path / "bag", messages)
    assert len(list(source)) == 3
    problems = {reason: count for reason, count in source.problems.items() if "no_tf" not in reason}
    assert problems == {"bad_image": 1, "bad_cloud": 1, "bad_stamp": 1, "bad_camera_info": 1}


# --- damage


def test_damage_is_told_once_in_one_line(tiny_bag, tmp_path, caplog):
    copy = shutil.copytree(tiny_bag, tmp_path / "copy")
    (copy / "metadata.yaml").write_text("a: [1\nb: }\n")
    source = BagSource(copy)
    assert len(list(source)) == len(list(source)) == 12 and source.problems == {"damaged": 1}
    (message,) = [record.getMessage() for record in caplog.records if "is damaged" in record.getMessage()]
    assert "\n" not in message


@pytest.mark.slow
def test_hundred_truncations_and_flips_never_raise(tiny_bag, tmp_path):
    """F33: skip and count what is damaged, keep the rest. A bag with nothing left is refused in words."""
    rng = np.random.default_rng(33)
    whole = list(BagSource(tiny_bag))
    clouds = {frame.points.tobytes() for frame in whole}
    copy = shutil.copytree(tiny_bag, tmp_path / "copy")
    (file,) = [path for path in copy.iterdir() if path.suffix in (".mcap", ".db3")]
    good = file.read_bytes()
    survived, refused, intact = [], 0, 0
    for trial in range(100):
        data = bytearray(good)
        if trial % 2:
            del data[int(rng.integers(len(data))) :]
        else:
            start = int(rng.integers(len(data)))
            data[start : start + 16] = rng.bytes(len(data[start : start + 16]))
        file.write_bytes(data)
        try:
            source = BagSource(copy)
            frames = list(source)
        except SourceError as problem:
            assert str(copy) in str(problem)
            refused += 1
            continue
        survived.append(len(frames))
        intact += sum(frame.points.tobytes() in clouds for frame in frames)
        if len(frames) < len(whole):
            assert source.problems or source.notes
    assert refused < 30 and max(survived) == 12 and np.mean(survived) > 4
    assert intact > 0.9 * sum(survived)  # overwritten numbers in a cloud cannot be noticed; nearly all are untouched


def test_a_recording_cut_by_a_power_loss(tiny_kitti, tmp_path):
    """mcap without its end has no index: all complete chunks are still read."""
    out = write_kitti_bag(tiny_kitti, ["00", "01"], tmp_path / "bag", slice(0, 6))
    file = out / "bag.mcap"
    file.write_bytes(file.read_bytes()[:-5000])
    source = BagSource(out)
    assert len(list(source)) == 12 and source.problems["damaged"] >= 1
    with RawBag(out) as bag:
        assert bag.topics["/points"].count == 12
        times = [message.log_ns for message in bag.messages()]
    assert times == sorted(times)


def test_damage_is_counted_once(tiny_kitti, tmp_path):
    """The look for the rig, before the sensors are read, meets the same damage."""
    out = write_kitti_bag(tiny_kitti, ["00", "01"], tmp_path / "bag")
    file = out / "bag.mcap"
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    source = BagSource(out)
    assert 0 < len(list(source)) < 12
    with RawBag(out) as bag:
        assert len(list(bag.messages())) > 0 and source.problems == bag.problems


def test_an_image_only_frame_is_written_and_read(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for row in range(3):
            image = Image(np.zeros((24, 32, 3), np.uint8))
            bag.write_frame(Frame(START + row * 100 * MS, {"front": image, "rear": image}))
    cameras = {"front": "/front/image_raw", "rear": "/rear/image_raw"}
    source = BagSource(tmp_path / "bag", cameras=cameras, points=None)
    frames = list(source)
    assert len(frames) == 3 and set(frames[0].images) == {"front", "rear"}
    assert source.notes == {"no_camera_info": 6} and not source.problems
