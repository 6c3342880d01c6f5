"""Clouds to arrays: known layouts, lying headers, bounded time and memory."""

import time
import tracemalloc

import numpy as np
import pytest
import wire_messages as wire
from wire_messages import refusal

from vxp_ros.ros.conversions import to_points


def test_usual_layout(kind):
    points = wire.random_points(np.random.default_rng(0), 500)
    found, rings = to_points(wire.cloud(kind, points), 1000, 1)
    np.testing.assert_array_equal(found, wire.as_columns(points))
    assert found.dtype == np.float32 and found.flags.writeable and rings is None


@pytest.mark.parametrize("name", ["intensity", "reflectivity", "i", "none"])
def test_intensity_goes_by_several_names(kind, name):
    points = np.zeros(10, [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), (name, "<u2")])
    points[name] = 7
    found, _ = to_points(wire.cloud(kind, points), 100, 1)
    np.testing.assert_array_equal(found[:, 3], 0 if name == "none" else 7)


@pytest.mark.parametrize("name", ["ring", "channel"])
def test_rings_follow_their_points(kind, name):
    points = np.zeros(10, [(name, "<u2"), ("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    points[name], points["x"] = np.arange(10), np.arange(10)
    points["y"][[2, 5]] = np.nan
    found, rings = to_points(wire.cloud(kind, points), 100, 1)
    assert rings.dtype == np.uint16
    np.testing.assert_array_equal(rings, [0, 1, 3, 4, 6, 7, 8, 9])
    np.testing.assert_array_equal(found[:, 0], rings)


def test_points_that_are_not_finite_go_and_intensity_becomes_zero(kind):
    points = wire.random_points(np.random.default_rng(1), 100)
    points["x"][3], points["z"][7], points["intensity"][9] = np.nan, -np.inf, np.nan
    found, _ = to_points(wire.cloud(kind, points), 1000, 1)
    assert found.shape == (98, 4) and np.isfinite(found).all()
    np.testing.assert_array_equal(found[:3], wire.as_columns(points)[:3])
    assert found[7, 3] == 0


def test_more_than_half_must_be_finite(kind):
    points = wire.random_points(np.random.default_rng(1), 100)
    points["x"][:50] = np.nan
    assert len(to_points(wire.cloud(kind, points), 1000, 1)[0]) == 50
    points["y"][50] = np.inf
    assert refusal(to_points, wire.cloud(kind, points), 1000, 1).reason == "bad_cloud"


@pytest.mark.parametrize("number", [0, 1, 2, 99])
def test_too_few_points(kind, number):
    points = wire.random_points(np.random.default_rng(2), number)
    assert refusal(to_points, wire.cloud(kind, points), 1000, 100).reason == "too_few_points"


@pytest.mark.parametrize("padding", [0, 13])
def test_large_clouds_are_thinned_evenly(kind, padding):
    points = np.zeros(10_000, wire.CLOUD_DTYPE)
    points["x"] = np.arange(10_000)
    found, _ = to_points(wire.cloud(kind, points, height=10, padding=padding), 3000, 1)
    assert len(found) == 3000
    assert set(np.diff(found[:, 0])) == {3, 4}
    again, _ = to_points(wire.cloud(kind, points, height=10, padding=padding), 3000, 1)
    np.testing.assert_array_equal(found, again)


def test_doubles_beyond_float32_are_not_finite(kind):
    points = np.ones(10, [("x", "<f8"), ("y", "<f8"), ("z", "<f8")])
    points["x"][0] = 1e300
    assert len(to_points(wire.cloud(kind, points), 100, 1)[0]) == 9


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda cloud: setattr(cloud, "point_step", 0), "row_step"),
        (lambda cloud: setattr(cloud, "row_step", 0), "row_step"),
        (lambda cloud: setattr(cloud, "row_step", 2**32 - 1), "ends before"),
        (lambda cloud: setattr(cloud, "height", 2**32 - 1), "ends before"),
        (lambda cloud: setattr(cloud, "data", cloud.data[:-1]), "ends before"),
        (lambda cloud: setattr(cloud, "point_step", 12), "intensity ends behind"),
        (lambda cloud: setattr(cloud.fields[0], "offset", 2**32 - 1), "x ends behind"),
        (lambda cloud: setattr(cloud.fields[1], "datatype", 0), "datatype 0"),
        (lambda cloud: setattr(cloud.fields[1], "datatype", 9), "datatype 9"),
        (lambda cloud: setattr(cloud.fields[2], "count", 0), "count 0"),
        (lambda cloud: setattr(cloud.fields[2], "count", 2**32 - 1), "count"),
        (lambda cloud: setattr(cloud.fields[2], "name", "x"), "no field z"),
        (lambda cloud: setattr(cloud.fields[3], "name", "x"), "2 fields called x"),
        (lambda cloud: cloud.fields.clear(), "no field x"),
    ],
)
def test_headers_of_clouds_that_lie(kind, spoil, word):
    cloud = wire.cloud(kind, wire.random_points(np.random.default_rng(3), 50))
    spoil(cloud)
    problem = refusal(to_points, cloud, 1000, 1)
    assert problem.reason == "bad_cloud" and word in str(problem)


def test_five_million_points_cost_less_than_three_times_their_size(record_property):
    message = wire.cloud(wire.PlainMessages(), wire.random_points(np.random.default_rng(0), 5_000_000))
    start = time.process_time()
    points, _ = to_points(message, 300_000, 1000)
    seconds = time.process_time() - start
    ratio, naive = peak_ratio(lambda m: to_points(m, 300_000, 1000), message), peak_ratio(naive_points, message)
    record_property("huge_cloud_peak_ratio", round(ratio, 2))
    record_property("of_a_naive_converter", round(naive, 2))
    record_property("huge_cloud_cpu_s", round(seconds, 3))
    assert points.shape == (300_000, 4) and seconds < 1
    assert ratio < 3 < naive


def peak_ratio(convert, message) -> float:
    """The most memory that a conversion takes, as a multiple of the message's; the message itself counts as one."""
    tracemalloc.start()
    convert(message)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return 1 + peak / len(message.data)


def naive_points(message) -> np.ndarray:
    """Converts all points, drops what is not finite, and thins at the end."""
    dtype = np.dtype({"names": list("xyz"), "formats": 3 * ["<f4"], "offsets": [f.offset for f in message.fields[:3]],
                      "itemsize": message.point_step})  # fmt: skip
    raw = np.frombuffer(message.data, dtype)
    points = np.stack([raw[name].astype(np.float64) for name in "xyz"], axis=1)
    points = points[np.isfinite(points).all(axis=1)]
    return points[np.linspace(0, len(points) - 1, 300_000).astype(int)]
