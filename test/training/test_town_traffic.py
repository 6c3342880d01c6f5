"""What moves in town: where, when, and never into each other or the driving car."""

import numpy as np
import pytest
from town_small import ROAD, footprint, ground_at, is_within, make_world

from vxp_training.datasets.town.days import make_day
from vxp_training.datasets.town.motion.rings import REACH
from vxp_training.datasets.town.motion.traffic import AHEAD, Traffic
from vxp_training.datasets.town.motion.walkers import Walkers
from vxp_training.datasets.town.routes import drive
from vxp_training.datasets.town.scene import GroundClass
from vxp_training.datasets.town.streets.parking import park_cars

SEED = 7


def moments(day, count=40):
    way = drive(make_world(), day, spacing=20.0)
    rows = np.linspace(0, len(way) - 1, count).astype(int)
    return [(int(way.stamps_ns[i]), way.T_world_base[i]) for i in rows]


def seconds_of(stamp_ns: int) -> float:
    return stamp_ns % (86_400 * 10**9) / 1e9


def test_moments_are_the_same_in_any_order():
    world, day = make_world(), make_day("rain", SEED)
    stamps = moments(day, 5)
    forwards = [world.moving(day, *moment) for moment in stamps]
    world.moving(make_day("night", SEED), *stamps[0])
    backwards = [world.moving(day, *moment) for moment in stamps[::-1]][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert np.array_equal(a.vertices, b.vertices) and np.array_equal(a.surfaces, b.surfaces)
    assert sum(len(mesh) for mesh in forwards) > 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sunny", "snow", "reverse"])
def test_nothing_touches_the_car_or_each_other(name):
    world, day = make_world(), make_day(name, SEED)
    traffic, walkers = Traffic(world, day), Walkers(world, day)
    parked, seen = park_cars(world, day), 0
    for stamp_ns, T in moments(day):
        vehicles = traffic.vehicles(seconds_of(stamp_ns), T)
        seen += len(vehicles)
        for i, (_, car, T_car) in enumerate(vehicles):
            points = footprint(T_car, *car.size[:2], 11)
            local = (points - T[:2, 3]) @ T[:2, :2]
            assert not ((np.abs(local[:, 1]) < 1.3) & (local[:, 0] > -3) & (local[:, 0] < AHEAD)).any()
            assert np.isin(ground_at(world, points), ROAD).mean() > 0.9
            others = [(o, T_o) for _, o, T_o in vehicles[i + 1 :]] + [(o, T_o) for _, o, T_o in parked]
            for other, T_other in others:
                if np.linalg.norm(T_other[:2, 3] - T_car[:2, 3]) < 12:
                    assert not is_within(points, T_other, *other.size[:2]).any(), car.kind
        for *_, T_person in walkers.people(seconds_of(stamp_ns), T):
            assert not is_within(T_person[None, :2, 3], T, 7.0, 2.4).any()
    assert seen > 150


def test_everything_is_near_and_traffic_moves_smoothly():
    world, day = make_world(), make_day("sunny", SEED)
    traffic = Traffic(world, day)
    stamp_ns, T = moments(day, 3)[1]
    t = seconds_of(stamp_ns)
    before, after = ({n: P for n, _, P in traffic.vehicles(s, T)} for s in (t, t + 0.1))
    common = before.keys() & after.keys()
    assert len(common) > 3
    for number in common:
        step = after[number][:3, 3] - before[number][:3, 3]
        assert 0.5 < np.linalg.norm(step) < 1.1
        assert step @ before[number][:3, 0] > 0.9 * np.linalg.norm(step)  # it drives forwards
        assert np.linalg.norm(before[number][:2, 3] - T[:2, 3]) < REACH


def test_cars_keep_to_the_right_and_obey_one_way_streets():
    world = make_world()
    for name, sign in (("sunny", 1), ("reverse", -1)):
        traffic = Traffic(world, make_day(name, SEED))
        checked = 0
        for street in world.plan.streets:
            a, b = world.plan.nodes[street.a], world.plan.nodes[street.b]
            middle, d = (a + b) / 2, (b - a) / np.linalg.norm(b - a)
            for t in range(0, 600, 40):
                near = np.eye(4)
                near[:2, 3] = middle + 500.0  # far away: only where things are shown, not what gives way
                for ring in traffic._roads:
                    xy, yaw = ring.place(float(t))
                    local = xy - middle
                    on = (np.abs(local @ d) < 12) & (np.abs(local @ [-d[1], d[0]]) < street.half)
                    for p, angle in zip(local[on], yaw[on], strict=True):
                        along = np.cos(angle) * d[0] + np.sin(angle) * d[1]
                        assert abs(along) > 0.95
                        checked += 1
                        if street.is_one_way:
                            assert along * sign > 0
                        else:
                            assert (p @ [-d[1], d[0]]) * along < -1.0  # right of the centre line
        assert checked > 100


def test_people_walk_on_pavements_and_zebras():
    world, day = make_world(), make_day("sunny", SEED)
    walkers, count = Walkers(world, day), 0
    for stamp_ns, T in moments(day, 15):
        people = walkers.people(seconds_of(stamp_ns), T)
        count += len(people)
        spots = np.array([P[:2, 3] for *_, P in people]).reshape(-1, 2)
        for spot in spots[np.isin(ground_at(world, spots), ROAD)]:
            assert min(np.abs(crossing.centre - spot).max() for crossing in world.crossings) < 9
        on_pavement = np.isin(ground_at(world, spots), (GroundClass.PAVEMENT, GroundClass.KERB))
        assert on_pavement.mean() > 0.6 if len(spots) else True
    assert count > 60


def test_quiet_days_have_less_traffic():
    world = make_world()
    days = [make_day("sunny", SEED, is_hardened) for is_hardened in (True, False)]
    counts = [sum(len(ring.things) for ring in Traffic(world, day)._roads) for day in days]
    assert counts[1] < 0.4 * counts[0]
