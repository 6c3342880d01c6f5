"""Cropping, voxels with caps, thinning."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vxp_samples import kitti_frame, street

from vxp_ros.core.models.recipe import LidarRecipe
from vxp_ros.core.preprocessing.pointcloud import crop, group, limit, thin, voxelise

PAPER = LidarRecipe()


def points_of(voxels) -> dict[tuple, set]:
    """Voxel index -> its points, whatever their order."""
    ends = np.cumsum(voxels.counts)
    return {
        tuple(map(int, zyx)): set(map(tuple, voxels.points[end - count : end].tolist()))
        for zyx, count, end in zip(voxels.coordinates, voxels.counts, ends, strict=True)
    }


def test_points_fall_into_the_voxel_that_holds_them():
    points = np.array([[0.1, -21.9, -3.9], [0.3, -21.7, -3.85], [43.9, 21.9, 17.9], [0.5, -21.9, -3.9]], np.float32)
    voxels = points_of(voxelise(points, PAPER))
    first, second, last, beside = map(tuple, points.tolist())
    assert voxels == {(0, 0, 0): {first, second}, (109, 109, 109): {last}, (0, 0, 1): {beside}}


def test_range_is_half_open_and_columns_beyond_xyz_are_ignored():
    points = np.array([[0, -22, -4, 9], [44, 0, 0, 9], [1, 22, 0, 9], [1, 0, 18, 9], [-0.01, 0, 0, 9]], np.float32)
    assert points_of(voxelise(points, PAPER)) == {(0, 0, 0): {(0.0, -22.0, -4.0)}}


def test_nan_and_infinite_points_are_left_out():
    points = np.array([[np.nan, 0, 0], [1, np.inf, 0], [1, 0, -np.inf], [1, 0, 0]], np.float32)
    assert len(voxelise(points, PAPER)) == 1


@pytest.mark.parametrize("points", [np.zeros((0, 4), np.float32), np.full((5, 3), -100, np.float32)])
def test_nothing_in_range_gives_no_voxel(points):
    voxels = voxelise(points, PAPER)
    assert len(voxels) == 0
    assert voxels.points.shape == (0, 3) and voxels.coordinates.shape == (0, 3)


def test_below_the_caps_the_order_of_the_points_does_not_matter():
    points = street()[:, :3]
    reversed_scan = voxelise(points[::-1], PAPER)
    assert points_of(reversed_scan) == points_of(voxelise(points, PAPER))
    np.testing.assert_array_equal(reversed_scan.coordinates, voxelise(points, PAPER).coordinates)


def test_point_cap_in_scan_order_keeps_the_first_and_else_a_fixed_random_choice():
    points = np.column_stack([np.full(100, 1.0), np.zeros(100), np.linspace(0.01, 0.19, 100)]).astype(np.float32)
    recipe = replace(PAPER, max_points=10)
    (first,) = points_of(voxelise(points, recipe, scan_order=True)).values()
    (chosen,) = points_of(voxelise(points, recipe)).values()
    assert first == set(map(tuple, points[:10].tolist()))
    assert len(chosen) == 10 and chosen < set(map(tuple, points.tolist())) and chosen != first
    assert points_of(voxelise(points, recipe)) == points_of(voxelise(points, recipe))


def test_voxel_cap_in_scan_order_keeps_the_near_end_and_else_spreads():
    points = np.column_stack([np.arange(1, 43, 0.4), np.zeros(105), np.zeros(105)]).astype(np.float32)
    recipe = replace(PAPER, max_voxels=20)
    first, spread = voxelise(points, recipe, scan_order=True), voxelise(points, recipe)
    assert len(first) == len(spread) == 20
    assert first.points[:, 0].max() < 9
    assert spread.points[:, 0].max() > 25


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), max_points=st.integers(1, 5), max_voxels=st.integers(1, 40))
def test_caps_equal_a_loop_over_the_points(seed, max_points, max_voxels):
    random = np.random.default_rng(seed)
    points = (random.integers(0, 4, (120, 3)) * [0.4, 0.4, 0.2] + [0.2, -21.8, -3.9]).astype(np.float32)
    points += random.uniform(-0.05, 0.05, points.shape).astype(np.float32)
    expected: dict[tuple, list] = {}
    for point in points:
        zyx = tuple(int(n) for n in ((point - [0, -22, -4]) // [0.4, 0.4, 0.2])[::-1])
        if zyx in expected or len(expected) < max_voxels:
            kept = expected.setdefault(zyx, [])
            kept.extend([tuple(point.tolist())] if len(kept) < max_points else [])
    recipe = replace(PAPER, max_points=max_points, max_voxels=max_voxels)
    assert points_of(voxelise(points, recipe, scan_order=True)) == {key: set(kept) for key, kept in expected.items()}


def test_real_scan_keeps_every_point_in_range():
    points = kitti_frame().points
    recipe = replace(PAPER, max_points=10_000, max_voxels=1_000_000)
    voxels = voxelise(points, recipe)
    assert voxels.counts.sum() == len(voxels.points) == len(crop(points, PAPER.range)) > 40_000
    assert voxels.counts.min() > 0


def test_group_of_huge_keys_equals_that_of_small_ones():
    keys = np.array([5, 1, 5, 3, 1], np.int64)
    small, huge = group(keys), group(keys << 58)
    for a, b in zip(small, huge, strict=True):
        np.testing.assert_array_equal(a, b)
    assert small[0].tolist() == [1, 4, 3, 0, 2] and small[2].tolist() == [2, 1, 2]


def test_thinning_takes_the_centroid_of_each_voxel():
    points = np.array([[0.1, 0.1, 0.1, 7], [0.3, 0.1, 0.1, 7], [-0.1, 0.1, 0.1, 7], [5, 5, 5, 7]], np.float64)
    thinned = thin(points, 0.5)
    assert thinned.dtype == np.float32
    np.testing.assert_allclose(sorted(thinned.tolist()), [[-0.1, 0.1, 0.1], [0.2, 0.1, 0.1], [5, 5, 5]], atol=1e-6)


def test_thinning_does_not_depend_on_the_order_or_lose_space():
    points = street(1)[:, :3]
    thinned = thin(points, 0.5)
    np.testing.assert_allclose(thin(points[::-1], 0.5), thinned, atol=1e-5)
    assert len(np.unique(np.floor(points / 0.5), axis=0)) == len(thinned) < len(points)


def test_thinning_of_nothing_and_of_nonsense():
    assert thin(np.zeros((0, 4), np.float32), 0.3).shape == (0, 3)
    assert thin(np.array([[1e30, 0, 0], [np.nan, 0, 0], [1, 2, 3]]), 0.3).tolist() == [[1, 2, 3]]
    corners = np.array([[9999, 9999, 9999], [-9999, -9999, -9999], [9999, -9999, 9999]], np.float32)
    assert len(thin(corners, 0.01)) == 3  # the finest voxels over the whole space still have distinct numbers
    for voxel in (0, -1, float("nan"), 1e-6):
        with pytest.raises(ValueError, match="voxel size"):
            thin(np.zeros((1, 3)), voxel)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 199, 5000])
def test_limit_keeps_at_most_that_many_spread_over_the_scan(count):
    points = np.arange(count, dtype=np.float32)[:, None].repeat(3, axis=1)
    kept = limit(points, 100)
    assert len(kept) == min(count, 100)
    steps = np.diff(kept[:, 0], append=count)
    assert count == 0 or (kept[0, 0] == 0 and steps.max() - steps.min() <= 1)
