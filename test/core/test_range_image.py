"""The scan as a panorama: which column and row a point falls into, who wins a cell, and how it meets the cameras."""

import numpy as np
import pytest

from vxp_ros.core.preprocessing.range_image import (
    beside_panorama,
    columns_of,
    elevation_rows,
    range_image,
    ring_rows,
)

SIZE = (32, 1056)


def cloud(*points) -> np.ndarray:
    return np.array(points, np.float32).reshape(-1, 3)


@pytest.mark.parametrize(
    ("point", "column"),
    [
        ([10, 0, 0], 528), ([10, -0.2, 0], 531), ([0, -10, 0], 792), ([0, 10, 0], 264), ([-10, 0.001, 0], 0),
        ([-10, -0.001, 0], 1055), ([-10, 0, 0], 0), ([-10, -0.0, 0], 1055),
    ],
)  # fmt: skip
def test_ahead_is_the_middle_and_right_is_a_larger_column(point, column):
    assert columns_of(cloud(point), 1056).tolist() == [column]


def test_the_nearest_point_of_a_cell_wins_with_its_values():
    points = cloud([20, 0, 0], [10, 0, 0], [30, 0, 0])
    values = np.array([[0.1], [0.2], [0.3]], np.float32)
    image = range_image(points, np.array([5, 5, 5]), SIZE, 80.0, values)
    assert image.shape == (2, 32, 1056) and image.dtype == np.float32
    assert np.argwhere(image[0]).tolist() == [[5, 528]]
    assert image[:, 5, 528] == pytest.approx([10.0, 0.2])


def test_the_car_itself_and_what_is_too_far_are_left_out():
    points = cloud([1.9, 1.9, 0], [2.1, 0, 0], [0, 2.1, 0], [79, 0, 5], [80, 0, 5], [0, 0, 0])
    image = range_image(points, np.arange(6), SIZE, 80.0)
    assert sorted(np.argwhere(image[0])[:, 0].tolist()) == [1, 2, 3]


def test_range_image_as_brute_force_says():
    random = np.random.default_rng(0)
    points = random.uniform([-50, -50, -5], [50, 50, 5], (5000, 3)).astype(np.float32)
    rows, values = random.integers(0, 8, 5000), random.uniform(0, 1, (5000, 4)).astype(np.float32)
    wanted = np.zeros((5, 8, 96))
    for (x, y, z), row, value in zip(points.astype(np.float64), rows, values, strict=True):
        distance = np.sqrt(x * x + y * y + z * z)
        if not 0 < distance < 60 or (abs(x) < 2 and abs(y) < 2):
            continue
        column = min(int(np.floor(0.5 * (-np.arctan2(y, x) / np.pi + 1) * 96)), 95)
        if wanted[0, row, column] == 0 or distance < wanted[0, row, column]:
            wanted[:, row, column] = [distance, *value]
    np.testing.assert_allclose(range_image(points, rows, (8, 96), 60.0, values), wanted, rtol=1e-6)
    assert np.count_nonzero(wanted[0]) > 600


@pytest.mark.parametrize("count", [16, 32, 64, 128])
def test_the_highest_ring_is_the_top_row_whichever_way_the_driver_counts(count):
    rings = np.arange(count, dtype=np.uint16)
    points = np.column_stack([np.full(count, 10.0), np.zeros(count), np.linspace(-4, 2, count)])
    assert ring_rows(rings, points, count).tolist() == list(range(count))[::-1]
    assert ring_rows(rings[::-1], points, count).tolist() == list(range(count))[::-1]


def test_a_silent_top_ring_moves_no_row_and_other_counts_are_spread():
    rings = np.arange(30, dtype=np.uint16)
    points = np.column_stack([np.full(30, 10.0), np.zeros(30), np.linspace(-4, 2, 30)])
    assert ring_rows(rings, points, 32).tolist() == [31 - ring for ring in range(30)]
    rings = np.arange(64, dtype=np.uint16)
    points = np.column_stack([np.full(64, 10.0), np.zeros(64), np.linspace(-4, 2, 64)])
    assert ring_rows(rings, points, 32).tolist() == [(63 - ring) // 2 for ring in range(64)]
    assert ring_rows(rings[:16], points[:16], 32).tolist() == [2 * (15 - ring) for ring in range(16)]


def test_rows_of_no_and_of_one_ring():
    assert ring_rows(np.zeros(0, np.uint16), np.zeros((0, 3)), 32).tolist() == []
    assert ring_rows(np.full(3, 4, np.uint16), cloud([5, 0, 0], [5, 1, 0], [5, 2, 0]), 16).tolist() == [11, 11, 11]


def test_lcprs_rows_leave_8_and_23_empty_for_an_hdl_32e_and_double_the_outer_ones():
    elevations = np.radians(np.linspace(-30.67, 10.67, 32))
    points = np.column_stack([10 * np.cos(elevations), np.zeros(32), 10 * np.sin(elevations)])
    rows = elevation_rows(points, 32, *np.radians([-30.0, 10.0])).tolist()
    counts = np.bincount(rows, minlength=32)
    assert np.flatnonzero(counts == 0).tolist() == [8, 23]
    assert np.flatnonzero(counts == 2).tolist() == [0, 31]
    assert sorted(rows, reverse=True) == rows


def test_beside_six_cameras_ahead_is_column_88_and_beside_one_the_middle():
    image = range_image(cloud([10, 0, 0]), np.array([3]), SIZE, 80.0)
    assert np.argwhere(beside_panorama(image, 6)[0]).tolist() == [[3, 88]]
    assert np.array_equal(beside_panorama(image, 6), np.roll(image, -440, axis=2))
    assert np.array_equal(beside_panorama(image, 1), image)
