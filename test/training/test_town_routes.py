"""Drives: lanes, revisits, days, speeds and exact poses."""

from itertools import pairwise

import numpy as np
import pytest
from town_small import ROAD, footprint, ground_at, is_within, make_world

from vxp_ros.core.geometry import is_rigid
from vxp_training.datasets.town.days import DAYS, make_day, start_ns
from vxp_training.datasets.town.motion.poses import on_slope
from vxp_training.datasets.town.routes import PAUSE_NS, drive, one_after_the_other
from vxp_training.datasets.town.streets.lines import is_inside
from vxp_training.datasets.town.streets.parking import park_cars
from vxp_training.datasets.town.streets.planner import make_plan
from vxp_training.datasets.town.style import STYLES

SEED = 7
LENGTH, WIDTH = 4.4, 1.8  # of the driving car: its middle lies 1.35 m before the base


def body_of(T: np.ndarray) -> np.ndarray:
    T_body = T.copy()
    T_body[:3, 3] += 1.35 * T[:3, 0]
    return T_body


def main_drive(day: str, **options):
    return drive(make_world(), make_day(day, SEED), **({"spacing": 2.0} | options))


def test_spacing_rate_and_dates():
    day = make_day("rain", SEED)
    by_metres = main_drive("rain", spacing=5.0)
    steps = np.linalg.norm(np.diff(by_metres.T_world_base[:, :3, 3], axis=0), axis=1)
    assert (np.abs(steps - 5.0) < 0.5).all() and len(by_metres) > 150
    by_time = main_drive("rain", spacing=None, rate_hz=10.0, length=200.0)
    assert np.abs(np.diff(by_time.stamps_ns) - 100_000_000).max() <= 1
    assert start_ns(day) < by_metres.stamps_ns[0] < start_ns(day) + 60 * 10**9
    assert (np.diff(by_metres.stamps_ns) > 0).all()


def test_a_part_of_a_drive_is_that_part_of_the_whole():
    whole, part = main_drive("night"), main_drive("night", start=100.0, length=50.0)
    assert len(part) == 26
    assert np.array_equal(part.stamps_ns, whole.stamps_ns[50:76])
    assert np.allclose(part.T_world_base, whole.T_world_base[50:76], atol=1e-9)


def test_poses_are_rigid_on_the_ground_and_follow_its_slope():
    world, way = make_world(), main_drive("sunny")
    T = way.T_world_base
    assert is_rigid(T, 1e-9)
    assert np.abs(T[:, 2, 3] - world.height(T[:, :2, 3])).max() < 1e-3
    front = T[:, :3, 3] + 2.7 * T[:, :3, 0]
    assert np.abs(front[:, 2] - world.height(front[:, :2])).max() < 0.2  # pitch sways by half a degree


def test_poses_at_any_time():
    way = main_drive("sunny", length=150.0)
    assert np.array_equal(way.poses_at(way.stamps_ns), way.T_world_base)
    around = way.stamps_ns[:, None] + np.array([-50_000_000, 0, 50_000_000])
    T = way.poses_at(around.reshape(-1)).reshape(-1, 3, 4, 4)
    assert is_rigid(T.reshape(-1, 4, 4), 1e-9)
    forward = ((T[:, 2, :3, 3] - T[:, 0, :3, 3]) * T[:, 1, :3, 0]).sum(1)
    assert (forward[3:-3] > 0.0).all() and (forward < 1.25).all()
    sideways = ((T[:, 2, :3, 3] - T[:, 0, :3, 3]) * T[:, 1, :3, 1]).sum(1)
    assert np.abs(sideways).max() < 0.03  # the rear axle does not skid


@pytest.mark.parametrize("name", DAYS)
def test_the_car_stays_on_the_road_and_clear_of_parked_cars_and_houses(name):
    world, day = make_world(), make_day(name, SEED)
    parked = park_cars(world, day)
    centres = np.array([T[:2, 3] for _, _, T in parked])
    for route in ("main", "unmapped"):
        way = drive(world, day, spacing=2.0, route=route).T_world_base
        for lot in world.lots:
            assert not is_inside(lot.corners(), way[:, :2, 3]).any()
        for T in way:
            body = body_of(T)
            points = footprint(body, LENGTH, WIDTH)
            assert np.isin(ground_at(world, points), ROAD).all(), (route, T[:2, 3])
            for i in np.flatnonzero(np.linalg.norm(centres - body[:2, 3], axis=1) < 8):
                _, car, T_car = parked[i]
                assert not is_within(points, T_car, car.size[0] + 0.2, car.size[1] + 0.2).any()
                corners = footprint(T_car, *car.size[:2])
                assert not is_within(corners, body, LENGTH + 0.2, WIDTH + 0.2).any()


def test_speed_acceleration_and_radius_are_those_of_a_careful_driver():
    way = main_drive("snow")
    steps = np.linalg.norm(np.diff(way.knots[:, :3, 3], axis=0), axis=1)
    seconds = np.diff(way.knots_ns) * 1e-9
    moves = steps > 0.1
    speed = steps[moves] / seconds[moves]
    assert speed.max() < 11.6
    assert ((steps < 1e-9) & (seconds > 1.4)).any()  # it waits somewhere
    headings = np.unwrap(np.arctan2(way.knots[:, 1, 0], way.knots[:, 0, 0]))
    bends = np.abs(np.diff(headings)[moves]) / steps[moves]
    assert bends.max() < 1 / 5.0
    assert (speed**2 * bends).max() < 3.0


def count_metres(nodes, tour, until=np.inf):
    """Metres of streets driven for the first time, again the same way, and again the other way."""
    driven, metres, new, same, back = set(), 0.0, 0.0, 0.0, 0.0
    for a, b in pairwise(tour):
        long = float(np.linalg.norm(nodes[a] - nodes[b]))
        if metres + long > until:
            break
        same += long * ((a, b) in driven)
        back += long * ((a, b) not in driven and (b, a) in driven)
        new += long * (not {(a, b), (b, a)} & driven)
        driven.add((a, b))
        metres += long
    return new, same, back


def test_main_tours_have_loops_and_revisits():
    for seed in range(3101, 3105):
        for size, until, least in (((6, 5), np.inf, 1800), ((4, 4), 1200.0, 700)):
            plan = make_plan(seed, STYLES["test"], size, True)
            new, same, back = count_metres(plan.nodes, plan.tours.main, until)
            assert new > least and same > 60 and back > 60, (seed, size)
            assert plan.roundabout in plan.tours.main and len(plan.neighbours[plan.roundabout]) == 4


def test_unmapped_streets_are_out_of_sight_of_the_main_drive():
    main, unmapped = main_drive("sunny"), main_drive("sunny", route="unmapped")
    gaps = np.linalg.norm(main.T_world_base[:, None, :2, 3] - unmapped.T_world_base[None, :, :2, 3], axis=2)
    assert len(unmapped) > 60 and gaps.min() > 35


@pytest.mark.parametrize("length", [None, 100.0, 333.0])
def test_one_drive_after_the_other_is_both_with_a_short_pause(length):
    """Also after a route that was cut: nobody waits for the rest of it while the bag is replayed."""
    first, second = main_drive("rain", spacing=10.0, length=length), main_drive("rain", spacing=10.0, route="unmapped")
    both, count = one_after_the_other(first, second), len(first)
    assert both.stamps_ns[count] - both.stamps_ns[count - 1] == PAUSE_NS and (np.diff(both.knots_ns) > 0).all()
    assert len(both) == count + len(second)
    np.testing.assert_array_equal(np.diff(both.stamps_ns[count:]), np.diff(second.stamps_ns))
    for offset in (-50_000_000, 0, 50_000_000):  # a whole sweep
        expected = [way.poses_at(way.stamps_ns + offset) for way in (first, second)]
        np.testing.assert_allclose(both.poses_at(both.stamps_ns + offset), np.concatenate(expected), atol=1e-9)


def nearest(query, reference):
    """Lateral and heading difference of each query pose to the reference pose next to it."""
    gaps = np.linalg.norm(query.T_world_base[:, None, :2, 3] - reference.T_world_base[None, :, :2, 3], axis=2)
    best = reference.T_world_base[gaps.argmin(1)]
    offset = query.T_world_base[:, :2, 3] - best[:, :2, 3]
    lateral = np.abs((offset * best[:, :2, 1]).sum(1))
    heading = (query.T_world_base[:, :2, 0] * best[:, :2, 0]).sum(1)
    return lateral, heading, gaps.min(1)


def test_other_days_drive_the_same_streets_often_in_the_other_lane():
    sunny = main_drive("sunny", spacing=1.0)
    for name in ("rain", "night", "snow"):
        lateral, heading, gap = nearest(main_drive(name), sunny)
        assert gap.max() < 6.0
        assert 0.05 < np.mean((lateral > 2.2) & (heading > 0.9)) < 0.8


def test_the_reverse_day_drives_the_other_way_in_the_other_lane():
    lateral, heading, gap = nearest(main_drive("reverse"), main_drive("sunny", spacing=1.0))
    assert gap.max() < 7.0
    assert (
        np.mean(heading < -0.9) > 0.4
    )  # on streets that the map's drive takes both ways the nearest pose is its other one
    assert 1.5 < np.median(lateral[heading < -0.9]) < 4.5


def test_easy_towns_are_driven_in_the_right_lane_only():
    world = make_world(is_hardened=False)
    sunny, rain = (drive(world, make_day(name, SEED, False), spacing=2.0) for name in ("sunny", "rain"))
    lateral, _, gap = nearest(rain, sunny)
    assert gap.max() < 2.0 and np.median(lateral) < 0.4


def test_wrong_arguments_are_named():
    world, day = make_world(), make_day("sunny", SEED)
    with pytest.raises(ValueError, match="either a spacing or a rate"):
        drive(world, day)
    with pytest.raises(ValueError, match="either a spacing or a rate"):
        drive(world, day, spacing=5.0, rate_hz=10.0)
    with pytest.raises(ValueError, match="either a spacing or a rate"):
        drive(world, day, spacing=-1.0)
    with pytest.raises(ValueError, match=r"'scenic'.*'unmapped'"):
        drive(world, day, spacing=5.0, route="scenic")
    with pytest.raises(ValueError, match=r"begins at 99999\.0 m"):
        drive(world, day, spacing=5.0, start=99999.0)


def test_slope_poses_lie_in_the_plane_of_a_tilted_ground():
    def plane(xy):
        return 0.1 * xy[:, 0] - 0.05 * xy[:, 1]

    yaw = np.linspace(0, 6, 13)
    T = on_slope(plane, np.zeros((13, 2)), yaw)
    normal = np.array([-0.1, 0.05, 1]) / np.linalg.norm([-0.1, 0.05, 1])
    assert (T[:, :3, 2] @ normal > 0.9999).all()
    assert is_rigid(T)
