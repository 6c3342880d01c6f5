"""Which of the localizer's sensors speak: pauses, one without the other, rigs of one sensor and of several cameras."""

from functools import partial

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from live_rig import (
    LATCHED,
    LOOKS_AHEAD,
    K,
    assert_accounted,
    camera_info_message,
    cloud_message,
    image_message,
    scene,
    show_and_wait,
)
from sensor_msgs.msg import CameraInfo, Image

from vxp_ros.msg import LocalizationStatus, PlaceCandidates

pytestmark = pytest.mark.ros
OK = PlaceCandidates.STATUS_OK


def test_after_a_pause_sensors_wait_for_each_other_again(robot, start):
    """The first message after a pause must not be taken for the only sensor left."""
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    images = start().node.sensors.streams["camera"].ledger
    for number in range(2):
        robot.spin(2.0)
        stamp_ns = robot.show(1, points=False)
        assert robot.spin_until(lambda number=number: images.received > number)
        robot.show(1, stamp_ns, image=False)
        assert robot.spin_until(lambda number=number: len(candidates) > number)
    assert [answer.modality for answer in candidates] == [PlaceCandidates.MODALITY_LIDAR] * 2


def test_one_sensor_goes_on_without_the_other(robot, start):
    """A dead camera must not silence the LiDAR, whose view of the place stays the one of the calibrated camera."""
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    spinning = start()
    show_and_wait(robot, candidates, 0, 1)

    def show_points():
        robot.show(2, image=False)

    assert robot.repeat_until(show_points, lambda: len(candidates) > 3)
    best = candidates[-1].candidates[0]
    assert (best.place_id, best.distance) == (2, pytest.approx(0, abs=1e-3))
    assert robot.repeat_until(show_points, lambda: robot.level("camera") == 1 and robot.level("lidar") == 0)
    show_and_wait(robot, candidates, 3)
    assert robot.spin_until(lambda: candidates[-1].candidates[0].place_id == 3)
    assert_accounted(robot, spinning.node)


def test_fused_answers_fall_back_to_the_sensor_that_is_left_and_come_back(robot, start, fused_model, fused_map_root):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    statuses = robot.listen(LocalizationStatus, "/vxp_localizer/status", LATCHED)
    spinning = start(model__weights=str(fused_model), map__root=str(fused_map_root))
    show_and_wait(robot, candidates, 2)
    answer = candidates[-1]
    assert (answer.modality, answer.candidates[0].place_id) == (PlaceCandidates.MODALITY_FUSED, 2)
    assert answer.candidates[0].distance == pytest.approx(0, abs=1e-3) and "alone" not in answer.message
    for lack, left, words in (
        ({"image": False}, PlaceCandidates.MODALITY_LIDAR, "by lidar alone: no image that shows anything"),
        ({"points": False}, PlaceCandidates.MODALITY_CAMERA, "by camera alone: no point cloud"),
    ):
        show = partial(robot.show, 1, **lack)
        assert robot.repeat_until(show, lambda left=left: candidates[-1].modality == left)
        assert words in candidates[-1].message and candidates[-1].candidates[0].place_id == 1
        assert robot.spin_until(lambda words=words: words in statuses[-1].reason)
        silent = "camera" if "image" in lack else "lidar"
        assert robot.repeat_until(show, lambda silent=silent: robot.level(silent) == 1)
        show = partial(robot.show, 3)
        assert robot.repeat_until(show, lambda: candidates[-1].modality == PlaceCandidates.MODALITY_FUSED)
    assert_accounted(robot, spinning.node)


@pytest.mark.parametrize(("modality", "number"), [("lidar", 2), ("camera", 1)])
def test_rigs_of_one_sensor(robot, start, modality, number):
    """A single sensor passes straight through; a lone LiDAR is described by the model's nominal view, and a lone
    camera does not need to know where it sits on the robot."""
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    others = {"lidar": ("images", "infos"), "camera": ("clouds",)}[modality]
    for name in others:  # the rig has no such topic
        robot.node.destroy_publisher(getattr(robot, name))
        setattr(robot, name, robot.odometry)
    unknown = {"extrinsics__cameras": [], "extrinsics__lidar": []} if modality == "camera" else {}
    spinning = start(input__modality=modality, **unknown)
    options = {"image": modality == "camera", "points": modality == "lidar"}
    show_and_wait(robot, candidates, number, **options)
    assert candidates[0].modality == {"camera": 1, "lidar": 2}[modality]
    assert candidates[0].status == OK
    if modality == "camera":
        assert candidates[0].candidates[0].place_id == number
    assert list(spinning.node.sensors.streams) == [modality]
    assert_accounted(robot, spinning.node, bundles=1)


def test_several_cameras_listen_under_their_names(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    cameras = {}
    for name in ("front", "rear"):
        image = robot.node.create_publisher(Image, f"{name}/image", 10)
        cameras[name] = (image, robot.node.create_publisher(CameraInfo, f"{name}/camera_info", 10))
    for name in ("images", "infos"):
        robot.node.destroy_publisher(getattr(robot, name))
        setattr(robot, name, robot.odometry)
    spinning = start(
        input__cameras=["front", "rear"], extrinsics__cameras=[*LOOKS_AHEAD, *LOOKS_AHEAD], match__query="camera"
    )
    assert list(spinning.node.sensors.streams) == ["lidar", "front", "rear"]
    assert robot.spin_until(lambda: all(image.get_subscription_count() for image, _ in cameras.values()))
    stamp_ns = robot.now_ns()
    for (name, (image, info)), number in zip(cameras.items(), (3, 0), strict=True):
        info.publish(camera_info_message(128, 96, K, stamp_ns))
        image.publish(image_message(scene(number)[0], stamp_ns, name))
    robot.clouds.publish(cloud_message(scene(3)[1], stamp_ns))
    assert robot.spin_until(lambda: candidates)
    assert candidates[0].candidates[0].place_id == 3  # by the first camera
    assert robot.spin_until(lambda: "camera rear" in robot.diagnostics)
    assert_accounted(robot, spinning.node, bundles=1)
