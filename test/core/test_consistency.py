"""Verified poses, or recognised places, that must agree before anything acts on them."""

import numpy as np
import pytest

from vxp_ros.core.consistency import OF_RECOGNISED, ConsistencyGate, agree, odometry_in_map
from vxp_ros.core.geometry import make_transform, rotation_z

T_MAP_ODOM = make_transform(rotation_z(2.0), np.array([700.0, -300.0, 1.0]))


def at(x: float, yaw: float = 0.0, *, off: float = 0.0, turned: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """T_map_base, `off` metres ahead of the truth and turned by so many degrees, and T_odom_base after x metres."""
    T_odom_base = make_transform(rotation_z(yaw), np.array([x, 0.0, 0.0]))
    error = make_transform(rotation_z(np.radians(turned)), np.array([off, 0.0, 0.0]))
    return T_MAP_ODOM @ T_odom_base @ error, T_odom_base


def test_it_opens_at_the_third_that_agrees_and_stays_open():
    gate, steps = ConsistencyGate(), [(0, 0, 0), (9, 1, 0.4), (25, 2, -0.4), (40, 0, 0)]
    assert [gate.add(*at(x, yaw, off=off), 3) for x, yaw, off in steps] == [False, False, True, True]


@pytest.mark.parametrize("error", [{"off": 1.4}, {"turned": 6.0}])
def test_one_that_disagrees_begins_anew(error):
    gate = ConsistencyGate()
    assert [gate.add(*at(x), 2) for x in (0, 10)] == [False, True]
    assert gate.add(*at(15, **error), 2) is False
    assert len(gate) == 1  # the odd one: it may be the first of the truth
    assert [gate.add(*at(x), 2) for x in (20, 30)] == [False, True]


def test_each_must_agree_with_each():
    gate = ConsistencyGate()
    assert [gate.add(*at(x, off=off), 3) for x, off in [(0, 0.0), (5, 0.9), (10, 1.8)]] == [False, False, False]


def test_odometry_may_drift_on_the_way():
    assert agree(at(100, off=3.9), at(0))
    assert not agree(at(100, off=4.1), at(0))


def test_only_the_last_ones_matter():
    gate = ConsistencyGate()
    steps = [(5.0 * i, 0.3 * i) for i in range(20)]  # odometry drifts by 0.3 m in 5 m
    assert [gate.add(*at(x, off=off), 3) for x, off in steps][2:] == [True] * 18


def test_verified_poses_of_one_spot_say_no_more_than_one():
    gate = ConsistencyGate()
    assert not any(gate.add(*at(0.1 * (i % 10)), 3) for i in range(300))  # it stands, more or less
    assert (len(gate), gate.metres) == (1, 0.0)
    assert [gate.add(*at(x), 3) for x in (2.5, 5.0, 7.5, 10.0, 11.0, 12.5)] == [False, False, False, True, False, True]
    assert gate.is_open


def test_a_robot_that_turns_back_does_not_close_it():
    gate = ConsistencyGate()
    assert [gate.add(*at(x), 3) for x in (0, 5, 10, 5, 0)] == [False, False, True, True, True]
    assert gate.add(*at(-5, off=2.0), 3) is False and not gate.is_open


def test_who_wants_one_pose_gets_it_at_once():
    assert ConsistencyGate().add(*at(0), 1) is True
    assert ConsistencyGate(OF_RECOGNISED).add(*at(0), 1) is True


def test_a_forgotten_gate_is_closed():
    gate = ConsistencyGate()
    gate.add(*at(0), 2)
    gate.reset()
    assert gate.add(*at(5), 2) is False
    assert gate.add(*at(6), 1) is True


def test_they_are_compared_where_the_robot_is():
    """A degree of heading is 12 m of the frames' offset when odometry began 700 m away."""
    here, there = at(700.0), at(703.0, turned=1.0)
    offsets = [odometry_in_map(*pose)[:3, 3] for pose in (here, there)]
    assert np.linalg.norm(offsets[0] - offsets[1]) > 10
    assert agree(there, here)
    assert np.allclose(odometry_in_map(*here), T_MAP_ODOM)


def test_recognised_places_agree_more_widely():
    steps = [(0, 6.0, 0), (20, -5.0, 10), (40, 0.0, 0)]
    gate, strict = ConsistencyGate(OF_RECOGNISED), ConsistencyGate()
    assert [gate.add(*at(x, off=off, turned=turned), 3) for x, off, turned in steps] == [False, False, True]
    assert not any(strict.add(*at(x, off=off, turned=turned), 3) for x, off, turned in steps)
    assert gate.add(*at(60, off=20.0), 3) is False and (len(gate), gate.is_open) == (1, False)
    assert gate.add(*at(80, turned=170.0), 3) is False and len(gate) == 1


def test_near_each_other_more_places_must_agree():
    gate = ConsistencyGate(OF_RECOGNISED)
    opened = [gate.add(*at(float(x)), 4) for x in range(40)]
    assert [x for x, is_open in enumerate(opened) if is_open] == [28, 32, 36]  # every 4 m, once 25 m lie between
    assert gate.is_open


def test_a_robot_that_stands_says_nothing_new():
    gate = ConsistencyGate(OF_RECOGNISED)
    assert not any(gate.add(*at(x), 2) for x in (0.0, 0.1, 4.2, 0.0, 4.2, 0.0, 4.2))  # odometry jumps back and forth
    assert gate.add(*at(30), 2) is True
    assert gate.add(*at(30.5), 2) is False and gate.is_open


def test_a_robot_that_goes_round_and_round_is_not_remembered_for_ever():
    gate = ConsistencyGate(OF_RECOGNISED)
    assert not any(gate.add(*at(5.0 * (step % 4)), 4) for step in range(1000))  # 15 m to and from, all agree
    assert len(gate) == 100
    assert [gate.add(*at(x), 4) for x in (20.0, 24.0, 26.0, 45.0)] == [False, False, False, True]


@pytest.mark.parametrize("step", [0.5, 2.0, 4.0, 4.9, 5.0, 8.0, 20.0])
@pytest.mark.parametrize("needed", [2, 4])
def test_one_wrong_place_again_and_again_does_not_agree_with_itself(step, needed):
    gate, (wrong, _) = ConsistencyGate(OF_RECOGNISED), at(0)
    assert not any(gate.add(wrong, at(step * i)[1], needed) for i in range(200))
