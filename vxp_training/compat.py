"""The authors' calibrations, only to reproduce their numbers (specification of VXP, 4.4 and 7.1, rows 1 and 2).

A frame is changed as a whole, so that training, evaluation and the encoder see the same wrong calibration.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vxp_ros.core.datatypes import Camera, Frame
from vxp_ros.core.encoder import is_calibrated
from vxp_ros.core.geometry import invert, make_transform
from vxp_ros.core.preprocessing.projection import VIEW_FROM_OPTICAL

from .augment import rotation
from .recipe import TrainingCompat

# KITTI's calibration of 2011-09-26: velodyne to the left colour camera, and that camera's intrinsics at 1241 x 376.
KITTI_T_CAMERA_LIDAR = make_transform(
    np.array(
        [
            [2.34773604e-04, -9.99944129e-01, -1.05634776e-02],
            [1.04494081e-02, 1.05653538e-02, -9.99889606e-01],
            [9.99945368e-01, 1.24365346e-04, 1.04513032e-02],
        ]
    ),
    np.array([5.70524492e-02, -7.54667181e-02, -2.69386924e-01]),
)
KITTI_K = np.array([[721.5377, 0, 609.5593], [0, 721.5377, 172.854], [0, 0, 1]])
KITTI_SIZE = (1241, 376)
REVERSED = np.eye(3)[::-1]  # x y z -> z y x
TURNS = {
    "kitti": rotation(0, np.pi / 2) @ rotation(2, np.pi / 2),
    "vivid": rotation(0, np.pi / 2) @ rotation(2, -np.pi / 2),
}


def frame_change(compat: TrainingCompat, dataset: str) -> Callable[[Frame], Frame]:
    """What the switches do to every frame of a data set (kitti or vivid; another one is left as it is)."""

    def change(frame: Frame) -> Frame:
        if compat.kitti_single_calibration and dataset == "kitti":
            frame = with_kitti_calibration(frame)
        if compat.extrinsics_reversed_axes and dataset:
            frame = with_reversed_axes(frame, dataset)
        return frame

    return change


def with_kitti_calibration(frame: Frame) -> Frame:
    """Intrinsics, stretched to the image, and extrinsics of 2011-09-26, whatever the sequence."""

    def change(camera: Camera) -> Camera:
        scale = np.diag([camera.width / KITTI_SIZE[0], camera.height / KITTI_SIZE[1], 1.0])
        return replace(camera, K=scale @ KITTI_K, T_base_camera=frame.T_base_lidar @ invert(KITTI_T_CAMERA_LIDAR))

    return with_cameras(frame, change)


def with_reversed_axes(frame: Frame, dataset: str) -> Frame:
    """The camera put where `reversed_axes` has it."""

    def change(camera: Camera) -> Camera:
        T_view_lidar = reversed_axes(invert(camera.T_base_camera) @ frame.T_base_lidar, dataset)
        return replace(camera, T_base_camera=frame.T_base_lidar @ invert(T_view_lidar) @ VIEW_FROM_OPTICAL)

    return with_cameras(frame, change)


def reversed_axes(T_camera_lidar: np.ndarray, dataset: str) -> np.ndarray:
    """T_view_lidar [4, 4] as the authors compute it: p' = Q F (R F p + t), F reversing the order of the coordinates.

    It should be the axes of the view frame after R p + t, as in `projection.view_from_lidar`.
    """
    turn = TURNS[dataset] @ REVERSED
    return make_transform(turn @ T_camera_lidar[:3, :3] @ REVERSED, turn @ T_camera_lidar[:3, 3])


def with_cameras(frame: Frame, change: Callable[[Camera], Camera]) -> Frame:
    """The frame with every calibrated camera changed; without extrinsics of the LiDAR there is nothing to change."""
    if frame.T_base_lidar is None:
        return frame
    changed = {
        name: replace(image, camera=change(image.camera)) if is_calibrated(image.camera) else image
        for name, image in frame.images.items()
    }
    cameras = {name: change(camera) if is_calibrated(camera) else camera for name, camera in frame.cameras.items()}
    return replace(frame, images=changed, cameras=cameras)
