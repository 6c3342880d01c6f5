"""Rigid transforms against answers worked out by hand, and round trips over random ones."""

import numpy as np
import pytest

from vxp_ros.core.geometry import (
    interpolate,
    invert,
    is_rigid,
    make_transform,
    matrix_to_quaternion,
    pose_from_vector,
    pose_to_vector,
    quaternion_to_matrix,
    rotation_angle,
    transform_points,
    yaw_of,
)

QUARTER = [0, 0, np.sqrt(0.5), np.sqrt(0.5)]  # 90 degrees to the left


def random_poses(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    quaternions = rng.normal(size=(count, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    return [make_transform(quaternion_to_matrix(q), rng.normal(size=3)) for q in quaternions]


def test_a_pose_moves_points_from_source_to_target():
    T_map_base = pose_from_vector([10, 20, 0, *QUARTER])
    ahead = np.array([[1.0, 0, 0]])
    np.testing.assert_allclose(transform_points(T_map_base, ahead), [[10, 21, 0]], atol=1e-12)
    assert yaw_of(T_map_base) == pytest.approx(np.pi / 2)


def test_points_keep_their_type():
    assert transform_points(np.eye(4), np.zeros((3, 3), np.float32)).dtype == np.float32
    assert transform_points(np.eye(4), np.zeros((0, 3))).shape == (0, 3)


def test_invert_undoes():
    for T in random_poses(20):
        np.testing.assert_allclose(invert(T) @ T, np.eye(4), atol=1e-12)


def test_quaternions_and_matrices_are_two_ways_to_say_one_thing():
    axes = [np.eye(4)[i] for i in range(4)]  # half turns about x, y, z: one per branch of the conversion
    for T in [*random_poses(200), *(make_transform(quaternion_to_matrix(q), np.zeros(3)) for q in axes)]:
        q = matrix_to_quaternion(T[:3, :3])
        assert q[3] >= 0
        assert np.linalg.norm(q) == pytest.approx(1)
        np.testing.assert_allclose(quaternion_to_matrix(q), T[:3, :3], atol=1e-12)
        np.testing.assert_allclose(pose_from_vector(pose_to_vector(T)), T, atol=1e-12)
        assert is_rigid(T)


def test_a_quaternion_is_renormalised_only_when_nearly_of_norm_one():
    assert np.array_equal(quaternion_to_matrix([0, 0, 0, 1.005]), np.eye(3))
    for bad in ([0, 0, 0, 0], [0, 0, 0, 1.02], [1, 1, 0, 0], [np.nan, 0, 0, 1], [np.inf, 0, 0, 1]):
        with pytest.raises(ValueError, match="expected 1"):
            quaternion_to_matrix(bad)


@pytest.mark.parametrize("bad", [[], [0] * 6, [0] * 8, [np.nan, 0, 0, *QUARTER], [np.inf, 0, 0, *QUARTER]])
def test_a_pose_needs_seven_finite_numbers(bad):
    with pytest.raises(ValueError, match="seven finite numbers"):
        pose_from_vector(bad)


@pytest.mark.parametrize(
    "bad",
    [
        np.full((4, 4), np.nan),
        np.zeros((4, 4)),
        2 * np.eye(4),
        np.diag([1.0, 1, 1, 2]),
        np.diag([1.0, 1, -1, 1]),
        np.diag([1.0, 1, 1.01, 1]),
        np.eye(4) + np.eye(4)[[1, 0, 2, 3]] * 0.01,
        np.eye(3),
        np.zeros(4),
    ],
)
def test_what_is_not_rigid(bad):
    assert not is_rigid(bad)
    if bad.shape == (4, 4):
        assert not is_rigid(np.stack([np.eye(4), bad]))


def test_a_stack_of_poses_is_rigid_when_all_are():
    assert is_rigid(np.stack(random_poses(10)))
    assert is_rigid(np.zeros((0, 4, 4)))


def test_interpolate_goes_straight_and_turns_evenly():
    T_a, T_b = np.eye(4), pose_from_vector([4, 0, 0, *QUARTER])
    for ratio in (0.0, 0.25, 0.5, 1.0):
        T = interpolate(T_a, T_b, ratio)
        np.testing.assert_allclose(T[:3, 3], [4 * ratio, 0, 0], atol=1e-12)
        assert yaw_of(T) == pytest.approx(ratio * np.pi / 2)


def test_interpolate_takes_the_short_way_and_ends_where_it_should():
    poses = random_poses(40)
    for T_a, T_b in zip(poses[:20], poses[20:], strict=True):
        whole = rotation_angle(T_a[:3, :3].T @ T_b[:3, :3])
        half = interpolate(T_a, T_b, 0.5)
        assert rotation_angle(T_a[:3, :3].T @ half[:3, :3]) == pytest.approx(whole / 2)
        np.testing.assert_allclose(interpolate(T_a, T_b, 1.0), T_b, atol=1e-9)
        assert is_rigid(interpolate(T_a, T_a, 0.3))


def test_rotation_angle():
    assert rotation_angle(np.eye(3)) == 0
    assert rotation_angle(pose_from_vector([0, 0, 0, *QUARTER])[:3, :3]) == pytest.approx(np.pi / 2)
    assert rotation_angle(np.diag([1.0, -1, -1])) == pytest.approx(np.pi)


def test_yaw_of_a_tilted_base_is_that_of_its_nose():
    pitched = quaternion_to_matrix([0, np.sin(0.2), 0, np.cos(0.2)])
    for yaw in (-3.0, -1.0, 0.0, 2.0, 3.1):
        turned = pose_from_vector([0, 0, 0, 0, 0, np.sin(yaw / 2), np.cos(yaw / 2)])[:3, :3]
        assert yaw_of(make_transform(turned @ pitched, np.zeros(3))) == pytest.approx(yaw)
