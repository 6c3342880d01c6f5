"""The pose at a sensor's stamp."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vxp_ros.core.geometry import make_transform, yaw_of
from vxp_ros.ros.odometry import CAPACITY, MAX_GAP_NS, OdometryBuffer, has_leapt, travelled

MS = 1_000_000
START = 1_700_000_000_000 * MS


def pose(x: float, yaw: float = 0.0) -> np.ndarray:
    c, s = np.cos(yaw), np.sin(yaw)
    return make_transform(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), np.array([x, 0.0, 0.0]))


def buffer_of(*entries: tuple[int, float]) -> OdometryBuffer:
    buffer = OdometryBuffer()
    for stamp_ns, x in entries:
        buffer.add(stamp_ns, pose(x))
    return buffer


def x_at(buffer: OdometryBuffer, stamp_ns: int) -> float | None:
    T = buffer.pose_at(stamp_ns, timeout=0.0)
    return None if T is None else float(T[0, 3])


def test_between_two_poses():
    buffer = buffer_of((START, 0.0), (START + 100 * MS, 1.0))
    assert x_at(buffer, START + 25 * MS) == pytest.approx(0.25)
    assert x_at(buffer, START) == 0.0 and x_at(buffer, START + 100 * MS) == 1.0


def test_rotation_takes_the_short_way():
    buffer = OdometryBuffer()
    buffer.add(START, pose(0, np.pi - 0.1))
    buffer.add(START + 100 * MS, pose(0, -np.pi + 0.1))
    assert abs(yaw_of(buffer.pose_at(START + 50 * MS, 0.0))) == pytest.approx(np.pi)


def test_beyond_the_ends_the_nearest_pose_counts_for_half_a_second():
    buffer = buffer_of((START, 0.0), (START + 100 * MS, 1.0))
    assert x_at(buffer, START + 100 * MS + MAX_GAP_NS) == 1.0
    assert x_at(buffer, START - MAX_GAP_NS) == 0.0
    assert x_at(buffer, START + 100 * MS + MAX_GAP_NS + 1) is None
    assert x_at(buffer, START - MAX_GAP_NS - 1) is None
    assert x_at(OdometryBuffer(), START) is None


def test_a_long_gap_is_not_bridged():
    buffer = buffer_of((START, 0.0), (START + 10_000 * MS, 100.0))
    assert x_at(buffer, START + 5_000 * MS) is None
    assert x_at(buffer, START + 9_900 * MS) == 100.0


@given(st.permutations(range(12)), st.integers(0, 1100))
@settings(max_examples=100, deadline=None)
def test_order_of_arrival_does_not_matter(order, at_ms):
    buffer = buffer_of(*((START + row * 100 * MS, float(row)) for row in order))
    assert x_at(buffer, START + at_ms * MS) == pytest.approx(at_ms / 100)


def test_it_waits_for_odometry_that_is_on_its_way():
    buffer = buffer_of((START, 0.0))
    threading.Timer(0.05, buffer.add, (START + 100 * MS, pose(1.0))).start()
    assert buffer.pose_at(START + 50 * MS, timeout=2.0)[0, 3] == pytest.approx(0.5)


def test_it_does_not_wait_when_there_is_no_odometry_at_all():
    start = time.monotonic()
    assert OdometryBuffer().pose_at(START, timeout=2.0) is None
    assert time.monotonic() - start < 1.5  # the timeout is 2


def test_clearing_ends_the_wait():
    buffer = buffer_of((START, 0.0))
    threading.Timer(0.05, buffer.clear).start()
    start = time.monotonic()
    assert buffer.pose_at(START + 100 * MS, timeout=2.0) is None
    assert time.monotonic() - start < 1.5  # the timeout is 2


def test_memory_is_bounded_and_the_newest_stay():
    buffer = buffer_of(*((START + row * MS, float(row)) for row in range(3 * CAPACITY)))
    assert len(buffer._poses) == CAPACITY
    assert buffer.latest()[0, 3] == 3 * CAPACITY - 1
    assert buffer.reaches(START) and not buffer.reaches(START + 3 * CAPACITY * MS)


def test_travelled():
    assert travelled(pose(1.0), pose(4.0)) == pytest.approx(3.0)
    assert travelled(None, pose(1.0)) == travelled(pose(1.0), None) == float("inf")


def test_odometry_that_began_anew_is_told_from_a_fast_vehicle():
    assert has_leapt(pose(142.0), pose(0.0), 100 * MS)
    assert not has_leapt(pose(9.0), pose(0.0), 1)  # a correction, as loop-closing odometry makes them
    assert not has_leapt(pose(80.0), pose(0.0), 1000 * MS)  # some messages were lost
    assert not has_leapt(None, pose(80.0), 100 * MS)
    assert not has_leapt(pose(80.0), pose(0.0), -100 * MS)  # late
