"""The gates before a query, and the clock of its stages. Plain Python."""

import numpy as np
import pytest

from vxp_ros.ros.gates import RateGate, TravelGate
from vxp_ros.ros.timings import WINDOW, Timings

SECOND = 1_000_000_000


def admitted(stamps_ns, max_rate):
    gate = RateGate()
    return [stamp for stamp in stamps_ns if gate.admits(stamp, max_rate)]


def test_two_of_ten_hertz():
    stamps = [5 * SECOND + tick * SECOND // 10 for tick in range(100)]
    passed = admitted(stamps, 2.0)
    assert len(passed) == 20
    assert min(np.diff(passed)) >= 0.4 * SECOND


@pytest.mark.parametrize("seed", range(5))
def test_jitter_does_not_halve_the_rate(seed):
    """A 10 Hz sensor with 10 ms of jitter at a gate of 10 Hz: a naive gate would drop every second frame."""
    jitter = np.random.default_rng(seed).integers(-10_000_000, 10_000_000, 200)
    stamps = [5 * SECOND + tick * SECOND // 10 + int(jitter[tick]) for tick in range(200)]
    assert len(admitted(stamps, 10.0)) >= 197


def test_a_pause_brings_no_burst():
    stamps = [0, 100 * SECOND, 100 * SECOND + 1, 100 * SECOND + 2, 100 * SECOND + 3]
    assert len(admitted(stamps, 1.0)) <= 3


def test_no_limit_and_a_reset():
    assert admitted([5, 4, 3], 0.0) == [5, 4, 3]
    gate = RateGate()
    assert gate.admits(100 * SECOND, 1.0)
    assert not gate.admits(5 * SECOND, 1.0)
    gate.reset()
    assert gate.admits(5 * SECOND, 1.0)


def pose(x):
    T = np.eye(4)
    T[0, 3] = x
    return T


def test_travel_counts_from_the_last_frame_that_went_through():
    gate = TravelGate()
    assert gate.admits(pose(0), 1.0)
    gate.pass_through(pose(0))
    assert not gate.admits(pose(0.9), 1.0)
    assert gate.admits(pose(1.0), 1.0)
    assert gate.admits(pose(1.5), 1.0)  # asking does not move the mark
    gate.pass_through(pose(1.5))
    assert not gate.admits(pose(2.0), 1.0)
    assert gate.admits(pose(2.0), 0.0)
    assert gate.admits(None, 1.0)  # without odometry the gate stands open


def test_percentiles_of_the_last_queries():
    timings = Timings()
    assert timings.percentiles() == {}
    for number in range(WINDOW + 100):
        timings.add({"search": float(number), "publish": 1.0})
    values = timings.percentiles()
    assert values["search_ms_p50"] == pytest.approx(100 + (WINDOW - 1) / 2)
    assert values["search_ms_p95"] == pytest.approx(100 + 0.95 * (WINDOW - 1))
    assert values["publish_ms_p50"] == 1.0
    timings.clear()
    assert timings.percentiles() == {}
