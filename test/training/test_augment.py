"""Augmentation: what turns with what, ranges, seeds."""

import cv2
import numpy as np
import pytest
import torch

from vxp_ros.core.geometry import is_rigid, transform_points
from vxp_ros.core.models.recipe import LidarRecipe
from vxp_ros.core.preprocessing.pointcloud import voxelise
from vxp_ros.core.preprocessing.projection import project
from vxp_training.augment import (
    change_brightness,
    change_contrast,
    change_saturation,
    jitter_colours,
    mirror_cloud,
    mirror_image,
    random_affine,
    random_motion,
    rotation,
    turn_hue,
)

KITTI = np.array([0.58141637, 1.9189833, 0.491184, 0.4597181])
PICTURE = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def cells(points: np.ndarray, intrinsics: np.ndarray) -> dict[tuple[int, int, int], tuple[float, float]]:
    """Where the coarse voxels of a cloud land: (z, y, x) -> (u, v). y counts from the middle outwards."""
    recipe = LidarRecipe()
    coordinates = voxelise(points, recipe).coordinates
    coarse = np.unique(coordinates // 4, axis=0)
    indices = torch.from_numpy(np.insert(coarse, 0, 0, axis=1).astype(np.int32))
    hits = project(indices, torch.tensor(intrinsics[None]), recipe, zbuffer=False)
    return {
        tuple(coarse[row]): (u, v)
        for row, u, v in zip(hits.row.tolist(), hits.u.tolist(), hits.v.tolist(), strict=True)
    }


def column_and_row(points: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = points[:, :3].T
    fx, fy, cx, cy = intrinsics
    return 28 * (cx - fx * y / x), 28 * (cy - fy * z / x)


@pytest.mark.parametrize("keep_cx, off", [(False, 0.0), (True, 28 * (1 - 2 * KITTI[2]))])
def test_mirror_sends_column_u_to_28_minus_u(keep_cx, off):
    """With the principal point left where it is (authors' release), KITTI is 0.49 cells off."""
    points = np.random.default_rng(1).uniform([5, -8, -2, 0], [40, 8, 6, 1], (200, 4))
    mirrored, intrinsics = mirror_cloud(points, KITTI, keep_cx)
    u, v = column_and_row(points, KITTI)
    u_mirrored, v_mirrored = column_and_row(mirrored, intrinsics)
    np.testing.assert_allclose(u_mirrored, 28 - u - off, atol=1e-9)
    np.testing.assert_allclose(v_mirrored, v, atol=1e-9)
    assert off == pytest.approx(0.49 if keep_cx else 0, abs=0.005)
    assert points[:, 1].min() < 0 and np.array_equal(points[:, [0, 2, 3]], mirrored[:, [0, 2, 3]])


def test_mirror_agrees_with_the_networks_projection():
    """Through voxels and `project`, up to the half voxel that the grid is not symmetric by."""
    points = np.random.default_rng(1).uniform([12, -8, -2], [40, 8, 6], (60, 3)).astype(np.float32)
    mirrored, intrinsics = mirror_cloud(points, KITTI)
    u = sorted(u for u, _ in cells(points, KITTI).values())
    u_mirrored = sorted(28 - u for u, _ in cells(mirrored, intrinsics).values())
    assert abs(np.mean(u) - np.mean(u_mirrored)) < 28 * KITTI[0] * 1.6 / 12
    assert np.array_equal(mirror_image(PICTURE)[:, 0], PICTURE[:, -1])


def test_colour_changes_by_hand():
    image = np.array([[[100, 100, 100], [200, 100, 0]]], np.float32)
    np.testing.assert_allclose(change_brightness(image, 0.1), image * 1.1, rtol=1e-6)
    grey = 0.299 * 200 + 0.587 * 100
    mean = (100 + grey) / 2
    np.testing.assert_allclose(change_contrast(image, -0.1), mean + 0.9 * (image - mean), rtol=1e-5)
    np.testing.assert_allclose(change_saturation(image, -1.0)[0, 1], [grey] * 3, rtol=1e-5)
    np.testing.assert_allclose(change_saturation(image, 0.1)[0, 0], [100] * 3, rtol=1e-5)
    red = np.array([[[250, 0, 0]]], np.float32)
    np.testing.assert_allclose(turn_hue(red, 1 / 3), [[[0, 250, 0]]], atol=1e-3)
    np.testing.assert_allclose(turn_hue(red, -1 / 3), [[[0, 0, 250]]], atol=1e-3)


def test_jitter_stays_small_and_is_reproducible():
    smooth = cv2.resize(PICTURE, (200, 120), interpolation=cv2.INTER_CUBIC)
    grey = np.repeat(smooth.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    for seed in range(10):
        jittered = jitter_colours(grey, generator(seed))
        assert jittered.dtype == np.uint8 and jittered.shape == grey.shape
        assert np.abs(jittered.astype(int) - grey).max() <= 255 * 0.1 + 128 * 0.11 + 1
        assert np.ptp(jittered, axis=2).max() <= 1  # grey stays grey whatever the hue
    np.testing.assert_array_equal(jitter_colours(smooth, generator(3)), jitter_colours(smooth, generator(3)))
    assert (jitter_colours(smooth, generator(3)) != jitter_colours(smooth, generator(4))).any()


def test_affine_moves_a_dot_within_its_limits():
    dot = np.zeros((101, 201, 3), np.uint8)
    dot[48:53, 98:103] = 255  # in the middle: rotation leaves it
    shifts = []
    for seed in range(40):
        moved = random_affine(dot, generator(seed)).astype(float).sum(axis=2)
        rows, columns = np.indices(moved.shape)
        shifts.append([(moved * columns).sum() / moved.sum() - 100, (moved * rows).sum() / moved.sum() - 50])
    shifts = np.abs(shifts)
    assert (shifts <= [20.6, 10.6]).all() and (shifts.max(axis=0) > [15, 7.5]).all()


def test_affine_turns_within_its_limits():
    bar = np.zeros((201, 201, 3), np.uint8)
    bar[99:102, 40:161] = 255
    angles = []
    for seed in range(40):
        moved = random_affine(bar, generator(seed))[:, :, 0]
        rows, columns = np.nonzero(moved > 100)
        angles.append(np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0])))
    assert 4 < np.abs(angles).max() <= 5.3 and min(angles) < 0 < max(angles)


def test_motion_is_rigid_and_within_its_limits():
    motions = [random_motion(generator(seed)) for seed in range(300)]
    assert all(is_rigid(T, 1e-9) for T in motions)
    shifts = np.abs([T[:3, 3] for T in motions])
    assert shifts.max() <= 1.5 and (shifts.max(axis=0) > 1.4).all()
    yaw = np.degrees([np.arctan2(-T[0, 1], T[0, 0]) for T in motions])  # of Rx Ry Rz
    pitch = np.degrees([np.arcsin(T[0, 2]) for T in motions])
    roll = np.degrees([np.arctan2(-T[1, 2], T[2, 2]) for T in motions])
    for angles, limit in ((roll, 2), (pitch, 2), (yaw, 10)):
        assert 0.9 * limit < np.abs(angles).max() <= limit and min(angles) < 0 < max(angles)


def test_rotation_axes():
    """By a quarter turn: x to y about z, y to z about x, z to x about y."""
    quarter = np.pi / 2
    np.testing.assert_allclose(rotation(2, quarter) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation(0, quarter) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(rotation(1, quarter) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    moved = transform_points(random_motion(generator()), np.ones((2, 3), np.float32))
    assert moved.dtype == np.float32
