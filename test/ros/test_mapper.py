"""The mapper on a real ROS graph: keyframes, saving, and a map that the localizer then recognises."""

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from live_rig import (
    EXTRINSICS,
    LATCHED,
    NodeProcess,
    SpinningNode,
    camera_info_message,
    cloud_message,
    image_message,
    localizer_parameters,
    odometry_message,
)
from std_srvs.srv import Trigger

from vxp_ros.core.geometry import make_transform, pose_to_vector
from vxp_ros.core.map_store import check_map, load_map
from vxp_ros.msg import Keyframe, PlaceCandidates
from vxp_ros.ros.mapper import Mapper
from vxp_ros.srv import SaveMap

pytestmark = pytest.mark.ros


@pytest.fixture
def mapper(robot, model, tmp_path):
    """Starts an active mapper in this process; parameters as group__name=value."""
    started = []

    def start(**parameters):
        given = {**localizer_parameters(model, tmp_path / "maps"), **parameters}
        given.pop("map__path")
        spinning = SpinningNode(Mapper, "vxp_mapper", **given)
        started.append(spinning)
        spinning.bring_up()
        robot.meet()
        return spinning

    yield start
    for spinning in started:
        errors = spinning.node.worker.errors if spinning.node.worker else []
        spinning.close()
        assert errors == []


def drive(robot, spinning, steps):
    """Show scenes at positions along x, each until the mapper has dealt with it. steps: (scene, metres)."""
    account = spinning.node.sensors.bundles.snapshot
    for number, x in steps:
        before = account()["received"]
        robot.show(number, odom=x)
        assert robot.spin_until(lambda before=before: account()["received"] > before)
        assert robot.spin_until(lambda: account()["in_flight"] == 0)


def test_a_keyframe_every_metre(robot, mapper):
    spinning = mapper()
    heard = robot.listen(Keyframe, "/vxp_mapper/keyframes", LATCHED)
    drive(robot, spinning, [(0, 0.0), (0, 0.5), (1, 1.2), (1, 1.9), (2, 2.3)])
    assert robot.spin_until(lambda: len(heard) == 3)
    assert [(entry.id, round(entry.pose.position.x, 3)) for entry in heard] == [(0, 0.0), (1, 1.2), (2, 2.3)]
    assert {descriptor.modality for descriptor in heard[0].descriptors} == {1, 2}
    assert spinning.node.sensors.bundles.snapshot()["dropped"] == {"not_moved": 2}


def test_a_keyframe_after_a_turn_on_the_spot(robot, mapper):
    spinning = mapper()
    account = spinning.node.sensors.bundles.snapshot
    for number, yaw in enumerate([0.0, 0.3, 0.6]):
        T, now = np.eye(4), robot.now_ns()
        T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
        robot.odometry.publish(odometry_message(T, now))
        robot.show(number, now)
        assert robot.spin_until(lambda number=number: account()["received"] == number + 1)
        assert robot.spin_until(lambda: account()["in_flight"] == 0)
    assert len(spinning.node.place_map) == 2


def test_without_odometry_there_are_no_keyframes_but_an_error(robot, mapper):
    spinning = mapper()
    robot.show(0)
    assert robot.spin_until(lambda: robot.level("keyframes") == 2)
    assert "/odom" in robot.diagnostics["keyframes"].message
    assert spinning.node.sensors.bundles.snapshot()["dropped"] == {"no_pose": 1}


def test_saving_names_path_size_and_hash(robot, mapper):
    spinning = mapper()
    empty = robot.call(SaveMap, "/vxp_mapper/save_map", SaveMap.Request(name="drive"))
    assert (empty.success, "no place" in empty.message) == (False, True)
    drive(robot, spinning, [(0, 0.0), (1, 2.0)])
    saved = robot.call(SaveMap, "/vxp_mapper/save_map", SaveMap.Request(name="drive"))
    assert saved.success, saved.message
    assert check_map(saved.path)["places"] == 2
    folder = Path(saved.path)
    assert saved.bytes == sum(file.stat().st_size for file in folder.iterdir())
    assert saved.sha256.startswith(folder.resolve().name.rpartition("-")[2])
    again = robot.call(SaveMap, "/vxp_mapper/save_map", SaveMap.Request(name="drive"))
    assert (again.success, "overwrite" in again.message) == (False, True)
    drive(robot, spinning, [(2, 4.0)])
    assert robot.call(SaveMap, "/vxp_mapper/save_map", SaveMap.Request(name="drive", overwrite=True)).success
    assert len(load_map(saved.path)) == 3


def test_clear_starts_a_new_map(robot, mapper):
    spinning = mapper()
    drive(robot, spinning, [(0, 0.0), (1, 2.0)])
    answer = robot.call(Trigger, "/vxp_mapper/clear")
    assert (answer.success, "2 places" in answer.message) == (True, True)
    drive(robot, spinning, [(2, 2.1)])
    assert len(spinning.node.place_map) == 1


def test_cleanup_saves_under_the_given_name(robot, mapper, tmp_path):
    spinning = mapper(keyframe__save_as="trip")
    drive(robot, spinning, [(0, 0.0), (1, 2.0)])
    spinning.do(spinning.node.trigger_deactivate)
    assert not (tmp_path / "maps" / "trip").exists()
    spinning.do(spinning.node.trigger_cleanup)
    assert len(load_map(tmp_path / "maps" / "trip")) == 2
    spinning.do(spinning.node.trigger_configure)
    spinning.do(spinning.node.trigger_cleanup)
    assert len(load_map(tmp_path / "maps" / "trip")) == 2  # an empty run replaces nothing


def test_a_save_under_another_name_does_not_spare_the_last_one(robot, mapper, tmp_path):
    spinning = mapper(keyframe__save_as="auto")
    drive(robot, spinning, [(0, 0.0)])
    assert robot.call(SaveMap, "/vxp_mapper/save_map", SaveMap.Request(name="auto")).success
    drive(robot, spinning, [(1, 20.0)])
    assert robot.call(SaveMap, "/vxp_mapper/save_map", SaveMap.Request(name="other")).success
    spinning.do(spinning.node.trigger_deactivate)
    spinning.do(spinning.node.trigger_cleanup)
    assert len(load_map(tmp_path / "maps" / "auto")) == 2


def test_the_end_of_a_drive_never_replaces_the_map_of_another(robot, mapper, tmp_path):
    """As of a node that was killed, started again, and knows little more than its name."""
    for name, places in (("trip", 2), ("trip-2", 1)):
        spinning = mapper(keyframe__save_as="trip")
        drive(robot, spinning, [(i, 2.0 * i) for i in range(places)])
        spinning.do(spinning.node.trigger_deactivate)
        spinning.do(spinning.node.trigger_cleanup)
        assert len(load_map(tmp_path / "maps" / name)) == places
    assert len(load_map(tmp_path / "maps" / "trip")) == 2


def test_a_drive_that_was_saved_and_cleared_stays(robot, mapper, tmp_path):
    spinning = mapper(keyframe__save_as="trip")
    drive(robot, spinning, [(0, 0.0), (1, 2.0)])
    assert robot.call(SaveMap, "/vxp_mapper/save_map", SaveMap.Request(name="trip")).success
    assert robot.call(Trigger, "/vxp_mapper/clear").success
    drive(robot, spinning, [(2, 30.0)])
    spinning.do(spinning.node.trigger_deactivate)
    spinning.do(spinning.node.trigger_cleanup)
    assert [len(load_map(tmp_path / "maps" / name)) for name in ("trip", "trip-2")] == [2, 1]


def test_odometry_that_begins_anew_begins_another_drive_and_everybody_hears_it(robot, mapper, caplog):
    spinning = mapper()
    drive(robot, spinning, [(0, 500.0), (1, 502.0)])
    now = robot.now_ns()
    for step, x in enumerate((502.0, 0.0)):
        robot.odometry.publish(odometry_message(at(x), now + step * 20_000_000))
    assert robot.spin_until(lambda: spinning.node.drive == 1)
    drive(robot, spinning, [(2, 0.5)])
    assert [place.drive for place in spinning.node.place_map.places()] == [0, 0, 1]
    assert robot.spin_until(lambda: robot.level("keyframes") == 1)
    saved = robot.call(SaveMap, "/vxp_mapper/save_map", SaveMap.Request(name="both"))
    assert saved.success and "2 drives in one map" in saved.message
    assert "began anew" in caplog.text


def at(x: float) -> np.ndarray:
    return make_transform(np.eye(3), np.array([x, 0.0, 0.0]))


def test_odometry_of_another_frame_is_told(robot, mapper, caplog):
    mapper()
    message = odometry_message(np.eye(4), robot.now_ns())
    message.child_frame_id = "velodyne"
    robot.odometry.publish(message)
    assert robot.spin_until(lambda: "odometry is that of velodyne, but frames.base is base_link" in caplog.text)


def test_a_saved_map_that_is_gone_is_saved_again_at_the_end(robot, mapper, tmp_path):
    spinning = mapper(keyframe__save_as="auto")
    drive(robot, spinning, [(0, 0.0)])
    assert robot.call(SaveMap, "/vxp_mapper/save_map", SaveMap.Request(name="auto")).success
    shutil.rmtree(tmp_path / "maps")
    spinning.do(spinning.node.trigger_deactivate)
    spinning.do(spinning.node.trigger_cleanup)
    assert len(load_map(tmp_path / "maps" / "auto")) == 1


def test_a_root_that_cannot_be_written_is_told_before_the_drive(robot, model, tmp_path):
    (tmp_path / "file").write_text("")
    given = {**localizer_parameters(model, tmp_path / "file" / "maps"), "keyframe__save_as": "auto"}
    given.pop("map__path")
    spinning = SpinningNode(Mapper, "vxp_mapper", **given)
    try:
        spinning.do(spinning.node.trigger_configure)
        assert str(tmp_path / "file") in spinning.node.failure
    finally:
        spinning.close()


def test_a_hostile_save_as_is_refused_at_once(robot, model, tmp_path):
    parameters = {**localizer_parameters(model, tmp_path), "keyframe__save_as": "../trip"}
    parameters.pop("map__path")
    spinning = SpinningNode(Mapper, "vxp_mapper", **parameters)
    try:
        spinning.do(spinning.node.trigger_configure)
        assert spinning.node.state == "unconfigured"
        assert "../trip" in spinning.node.failure
    finally:
        spinning.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_killed_mapper_saves_and_ends_in_time(robot, model, tmp_path, number):
    arguments = ["-p", f"model.weights:={model}", "-p", f"map.root:={tmp_path}", "-p", "keyframe.save_as:=trip"]
    arguments += ["-p", "input.max_rate:=0"]
    keyframes = robot.listen(Keyframe, "/vxp_mapper/keyframes", LATCHED)
    process = NodeProcess("mapper", *arguments, *EXTRINSICS)
    try:
        robot.meet(30)
        for position in range(3):
            robot.show(position, odom=2.0 * position)
            heard = robot.spin_until(lambda position=position: len(keyframes) > position, 20)
            assert heard, (robot.values("sync"), process.output())
        begin = time.monotonic()
        assert process.stop(number) == 0, process.output()
        assert time.monotonic() - begin < 10.0  # a hang, not a busy machine
        assert len(load_map(tmp_path / "trip")) == 3
        assert "Traceback" not in process.output()
    finally:
        process.stop()


def kitti_frames(numbers):
    """Real frames, with their true poses. Skips where there is no data."""
    if not os.environ.get("VXP_DATA"):
        pytest.skip("VXP_DATA is not set: the real KITTI frames are not here")
    from vxp_ros.sources import open_source

    frames = list(open_source(f"kitti:{os.environ['VXP_DATA']}/kitti:00"))
    return [frames[number] for number in numbers]


@pytest.mark.slow
def test_real_frames_mapped_by_one_process_are_recognised_by_another(robot, model, tmp_path):
    """The main job on real KITTI data, without a map made by anything else than the mapper node."""
    frames = kitti_frames([0, 4, 8])
    camera = frames[0].images[next(iter(frames[0].images))].camera
    extrinsics = ["-p", f"extrinsics.lidar:={pose_to_vector(frames[0].T_base_lidar)}"]
    extrinsics += ["-p", f"extrinsics.cameras:={pose_to_vector(camera.T_base_camera)}"]
    arguments = ["-p", f"model.weights:={model}", "-p", f"map.root:={tmp_path}", "-p", "input.max_rate:=0", *extrinsics]
    keyframes = robot.listen(Keyframe, "/vxp_mapper/keyframes", LATCHED)
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")

    def show(frame):
        now = robot.now_ns()
        robot.odometry.publish(odometry_message(frame.T_odom_base, now))
        robot.infos.publish(camera_info_message(camera.width, camera.height, camera.K, now))
        robot.images.publish(image_message(next(iter(frame.images.values())).pixels, now))
        robot.clouds.publish(cloud_message(frame.points, now))

    mapper = NodeProcess("mapper", *arguments, "-p", "keyframe.save_as:=kitti")
    try:
        robot.meet(30)
        for number, frame in enumerate(frames):
            show(frame)
            assert robot.spin_until(lambda number=number: len(keyframes) > number, 30), mapper.output()
    finally:
        assert mapper.stop() == 0, mapper.output()
    localizer = NodeProcess("localizer", *arguments, "-p", "map.path:=kitti")
    try:
        robot.meet(30)
        for number in (2, 0, 1):
            before = len(candidates)
            show(frames[number])
            assert robot.spin_until(lambda before=before: len(candidates) > before, 30), localizer.output()
            best = candidates[-1].candidates[0]
            assert (candidates[-1].status, best.place_id) == (PlaceCandidates.STATUS_OK, number)
            position = best.pose.pose.position
            truth = frames[number].T_odom_base[:3, 3]
            assert np.linalg.norm(truth - [position.x, position.y, position.z]) < 0.01
    finally:
        assert localizer.stop() == 0, localizer.output()
