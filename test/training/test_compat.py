"""The authors' calibrations: rigid, wrong by what the specification says (7.1, row 1), right where they are right."""

import numpy as np
import pytest
from places import Street

from vxp_ros.core.geometry import invert, is_rigid, transform_points
from vxp_ros.core.preprocessing.projection import VIEW_FROM_OPTICAL, normalised_intrinsics, view_from_lidar
from vxp_training.compat import KITTI_T_CAMERA_LIDAR, frame_change, reversed_axes
from vxp_training.datasets.prepare_tables import VIVID_T_CAMERA_LIDAR
from vxp_training.recipe import TrainingCompat

LIDARS = {"kitti": (KITTI_T_CAMERA_LIDAR, 1), "vivid": (VIVID_T_CAMERA_LIDAR, -1)}  # ViViD++'s x looks backwards


def errors(dataset: str, ahead: float) -> np.ndarray:
    """Forward, left, up: how far the authors' transform puts a point `ahead` metres straight ahead of the LiDAR."""
    T_camera_lidar, sign = LIDARS[dataset]
    point = np.array([[sign * ahead, 0.0, 0.0]])
    right = transform_points(VIEW_FROM_OPTICAL @ T_camera_lidar, point)
    return (transform_points(reversed_axes(T_camera_lidar, dataset), point) - right)[0]


@pytest.mark.parametrize("dataset", ["kitti", "vivid"])
def test_extrinsics_are_rigid(dataset):
    T = LIDARS[dataset][0]
    for each in (T, reversed_axes(T, dataset)):
        assert is_rigid(each, 1e-6) and np.linalg.det(each[:3, :3]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "dataset, ahead, forward, lateral, vertical",
    [
        ("kitti", 5, 0.34, 0.05, -0.24),
        ("kitti", 44, 0.34, 0.48, 0.57),
        ("vivid", 10, -0.34, 0.25, -0.73),
        ("vivid", 30, -0.34, 0.76, -1.49),
    ],
)
def test_reversed_axes_are_wrong_by_what_is_known(dataset, ahead, forward, lateral, vertical):
    off = errors(dataset, ahead)
    assert off[0] == pytest.approx(forward, abs=0.006)
    assert abs(off[1]) == pytest.approx(lateral, abs=0.006)
    assert off[2] == pytest.approx(vertical, abs=0.006)


def test_a_point_on_the_optical_axis_lands_on_the_principal_point():
    frame = frame_change(TrainingCompat(kitti_single_calibration=True), "kitti")(Street().frame(0))
    camera = frame.images["camera"].camera
    point = transform_points(invert(KITTI_T_CAMERA_LIDAR), np.array([[0.0, 0, 20]]))
    x, y, z = transform_points(view_from_lidar(camera.T_base_camera, frame.T_base_lidar), point)[0]
    fx, fy, cx, cy = normalised_intrinsics(camera)
    assert (cx - fx * y / x, cy - fy * z / x) == pytest.approx((cx, cy), abs=1e-6)


def test_frames_carry_the_published_calibration():
    """Through the frame, training, evaluation and encoder see it: extrinsics and intrinsics, for any image size."""
    frame = Street().frame(0)
    single = frame_change(TrainingCompat(kitti_single_calibration=True), "kitti")(frame)
    camera = single.images["camera"].camera
    np.testing.assert_allclose(normalised_intrinsics(camera), [0.58141637, 1.9189833, 0.491184, 0.4597181], rtol=1e-6)
    np.testing.assert_allclose(
        view_from_lidar(camera.T_base_camera, single.T_base_lidar), VIEW_FROM_OPTICAL @ KITTI_T_CAMERA_LIDAR, atol=1e-6
    )
    both = frame_change(TrainingCompat(kitti_single_calibration=True, extrinsics_reversed_axes=True), "kitti")(frame)
    camera = both.images["camera"].camera
    np.testing.assert_allclose(
        view_from_lidar(camera.T_base_camera, both.T_base_lidar),
        reversed_axes(KITTI_T_CAMERA_LIDAR, "kitti"),
        atol=1e-6,
    )


def test_nothing_changes_without_a_switch_or_for_another_data_set():
    frame = Street().frame(0)
    everything = TrainingCompat(kitti_single_calibration=True, extrinsics_reversed_axes=True)
    for compat, dataset in ((TrainingCompat(), "kitti"), (everything, "")):
        same = frame_change(compat, dataset)(frame)
        assert same.images["camera"].camera is frame.images["camera"].camera
