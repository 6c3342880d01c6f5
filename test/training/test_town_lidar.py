"""The LiDAR in a yard whose distances are known: geometry, rolling sweep, moving things, echoes and weather."""

from dataclasses import replace

import numpy as np
import pytest
from town_yard import WALL_X, driving, standing, wall, yard

from vxp_ros.core.geometry import is_rigid, make_transform, rotation_z
from vxp_training.datasets.town.days import make_day
from vxp_training.datasets.town.lidar import LidarSimulator
from vxp_training.datasets.town.rig import KNOTS, PATTERNS, Lidar, interpolate_poses, make_rig
from vxp_training.datasets.town.scene import Material

HEAD = make_transform(np.eye(3), np.array([0.0, 0.0, 1.85]))
LIDAR = Lidar(np.radians(np.linspace(-30.0, 10.0, 16)), 360, 80.0, T_base_lidar=HEAD)


def sweep_of(*meshes, lidar=LIDAR, poses=None, moving=None, day=None, noise=False, seed=0):
    poses = standing(lidar.columns) if poses is None else poses
    return LidarSimulator(yard(*meshes, day=day), lidar).sweep(poses, moving, seed, noise)


def ahead(sweep):
    """Echoes of the wall: within 10 degrees of straight ahead and above the road."""
    x, y, z = sweep.points[:, :3].T
    return (np.abs(np.arctan2(y, x)) < np.radians(10)) & (z > -1.5)


# --- geometry


def test_points_lie_on_the_wall_and_on_the_road():
    sweep = sweep_of(wall())
    on_wall = ahead(sweep)
    assert on_wall.sum() > 100
    np.testing.assert_allclose(sweep.points[on_wall, 0], WALL_X, atol=1e-3)
    behind = sweep.points[:, 0] < 0
    np.testing.assert_allclose(sweep.points[behind, 2], -1.85, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(sweep.points[:, :3], axis=1), sweep.ranges, rtol=1e-5)


def test_ring_column_and_time_of_each_point_are_those_of_its_ray():
    sweep = sweep_of(wall())
    directions = LIDAR.directions()[sweep.columns, sweep.rings]
    np.testing.assert_allclose(sweep.points[:, :3], directions * sweep.ranges[:, None], atol=1e-4)
    elevation = np.arcsin(sweep.points[:, 2] / sweep.ranges)
    np.testing.assert_allclose(elevation, LIDAR.elevations[sweep.rings], atol=1e-4)
    np.testing.assert_allclose(sweep.times, LIDAR.column_times()[sweep.columns], atol=1e-7)
    assert (np.diff(sweep.times) >= 0).all() and sweep.rings.dtype == sweep.columns.dtype == np.uint16


def test_the_head_turns_clockwise_and_looks_ahead_at_the_stamp():
    azimuths = np.arctan2(*LIDAR.directions()[:, 0, [1, 0]].T)
    assert (np.diff(azimuths) < 0).all()
    assert azimuths[LIDAR.columns // 2] == pytest.approx(0, abs=0.01)
    assert LIDAR.column_times()[LIDAR.columns // 2] == pytest.approx(0, abs=0.001)


def test_a_sweep_from_a_driving_car_is_skewed_by_the_way_it_went():
    """At 20 m/s the wall, 20 m from the car at the stamp, is seen from elsewhere by the columns beside the axis."""
    poses = driving(LIDAR, 20.0)
    sweep = sweep_of(wall(half=60.0), poses=poses)
    x, y, z = sweep.points[:, :3].T
    on_wall = (np.abs(np.arctan2(y, x)) < np.radians(60)) & (z > -1.5)
    np.testing.assert_allclose(x[on_wall], WALL_X - 20.0 * sweep.times[on_wall], atol=2e-3)
    assert np.ptp(x[on_wall]) > 0.5


def test_the_mounting_of_the_head_counts():
    turned = replace(LIDAR, T_base_lidar=HEAD @ make_transform(rotation_z(np.pi / 2), np.zeros(3)))
    sweep = sweep_of(wall(), lidar=turned)
    x, y, z = sweep.points[:, :3].T
    to_the_right = (np.abs(np.arctan2(x, -y)) < np.radians(10)) & (z > -1.5)
    np.testing.assert_allclose(-y[to_the_right], WALL_X, atol=1e-3)


def test_nothing_is_seen_where_there_is_nothing():
    sky = replace(LIDAR, elevations=np.radians(np.linspace(5, 10, 4)))
    sweep = sweep_of(lidar=sky, noise=True)
    assert sweep.points.shape == (0, 4) and sweep.rings.shape == (0,)


# --- things that move


def test_the_nearer_of_a_moving_and_a_standing_thing_is_seen():
    sweep = sweep_of(wall(), moving=wall(12.0))
    np.testing.assert_allclose(sweep.points[ahead(sweep), 0], 12.0, atol=1e-3)
    assert (sweep.faces[ahead(sweep)] == -1).all()
    hidden = sweep_of(wall(), moving=wall(30.0))
    np.testing.assert_allclose(hidden.points[ahead(hidden), 0], WALL_X, atol=1e-3)
    assert (hidden.faces[ahead(hidden)] >= 2).all()  # faces 0 and 1 are the ground


def test_a_sweep_leaves_nothing_behind_in_the_simulator():
    simulator = LidarSimulator(yard(wall()), LIDAR)
    before = simulator.sweep(standing(360), None, 0).points
    simulator.sweep(standing(360), wall(12.0), 0)
    np.testing.assert_array_equal(simulator.sweep(standing(360), None, 0).points, before)


# --- echoes


def test_range_noise_has_the_stated_sigma_and_no_bias():
    many = replace(LIDAR, elevations=np.radians(np.linspace(-4, 8, 60)), columns=1800)
    exact, noisy = sweep_of(wall(), lidar=many), sweep_of(wall(), lidar=many, noise=True)
    key = noisy.columns.astype(int) * 60 + noisy.rings
    lookup = dict(zip(exact.columns.astype(int) * 60 + exact.rings, exact.ranges, strict=True))
    on_wall = ahead(noisy)
    errors = noisy.ranges[on_wall] - [lookup[k] for k in key[on_wall]]
    assert len(errors) > 3000
    assert np.std(errors) == pytest.approx(LIDAR.range_sigma, rel=0.1)
    assert np.mean(errors) == pytest.approx(0, abs=0.002)


def heard_share(x, day=None, **looks):
    exact, noisy = sweep_of(wall(x, **looks), day=day), sweep_of(wall(x, **looks), day=day, noise=True)
    near = np.abs(noisy.points[:, 0] - x) < 0.2
    return (ahead(noisy) & near).sum() / ahead(exact).sum()


def test_echoes_are_lost_with_range_darkness_and_weather():
    assert heard_share(10.0) > 0.98
    near, far, farther = (heard_share(x, half=x / 2, grey=0.04) for x in (15.0, 40.0, 85.0))
    assert farther < far < near
    fog = replace(make_day("sunny", 0), fog=0.05)
    assert heard_share(60.0, day=fog, half=30.0) < 0.5 < heard_share(60.0, half=30.0)


def test_oblique_ground_fades_before_a_wall_at_the_same_range():
    sweep = sweep_of(noise=True)
    assert sweep.ranges.max() < 60  # the road, 0.1 of the light, seen at a few degrees; a wall is seen at 85 m


def test_most_echoes_of_glass_are_lost_and_some_come_late():
    exact, noisy = sweep_of(wall(material=Material.GLASS)), sweep_of(wall(material=Material.GLASS), noise=True)
    on_glass = ahead(exact).sum()
    x = noisy.points[ahead(noisy), 0]
    assert 0.1 < len(x) / on_glass < 0.55
    assert 0.1 < (x > WALL_X + 0.3).mean() < 0.8


def test_signs_shine_and_intensity_follows_incidence():
    assert sweep_of(wall(material=Material.SIGN)).points[:, 3].max() == 1.0
    sweep = sweep_of(wall(half=60.0))
    x, y, z = sweep.points[:, :3].T
    on_wall = (x > 0) & (z > -1.5) & (np.abs(y) < 40)
    cosine = x[on_wall] / sweep.ranges[on_wall]
    ratio = sweep.points[on_wall, 3] / cosine
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.25)  # concrete is a little uneven
    assert np.corrcoef(sweep.points[on_wall, 3], cosine)[0, 1] > 0.8


@pytest.mark.parametrize("weather", [{"rain": 1.0}, {"snowfall": 1.0}])
def test_weather_gives_near_ghosts(weather):
    day = replace(make_day("sunny", 0), **weather)
    lidar = replace(LIDAR, elevations=np.radians(np.linspace(-5, 10, 64)), columns=1024)
    rainy, clear = (sweep_of(lidar=lidar, day=d, noise=True) for d in (day, make_day("sunny", 0)))
    assert (clear.ranges < 15).sum() == 0
    assert 0.3 < (rainy.ranges < 15).sum() / (0.006 * 64 * 1024) < 1.3
    assert (rainy.faces[rainy.ranges < 15] == -1).all()


def test_the_same_seed_gives_the_same_points_and_another_other_ones():
    one, two, other = (sweep_of(wall(), noise=True, seed=seed).points for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, two)
    assert one.shape != other.shape or not np.array_equal(one, other)


# --- rig


@pytest.mark.parametrize("rings", PATTERNS)
def test_patterns_of_rings(rings):
    lidar = make_rig(rings=rings).lidar
    assert lidar.rings == rings and (np.diff(lidar.elevations) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(lidar.directions(), axis=2), 1, atol=1e-12)


def test_six_cameras_look_all_round():
    rig = make_rig(cameras=6, size=(400, 225), distortion="plumb_bob")
    headings = [np.degrees(np.arctan2(*c.T_base_camera[[1, 0], 2])) for c in rig.cameras.values()]
    np.testing.assert_allclose(np.array(headings) % 360, [0, 55, 305, 110, 250, 180], atol=1e-6)
    assert next(iter(rig.cameras)) == "camera"
    assert all(c.distortion_model == "plumb_bob" and len(c.distortion) == 5 for c in rig.cameras.values())


def test_jitter_is_small_rigid_and_repeatable():
    drawn, one, two = make_rig(), make_rig(jitter_seed=3), make_rig(jitter_seed=3)
    T, T_drawn = one.lidar.T_base_lidar, drawn.lidar.T_base_lidar
    np.testing.assert_array_equal(T, two.lidar.T_base_lidar)
    assert is_rigid(T, 1e-9) and 0 < np.linalg.norm(T[:3, 3] - T_drawn[:3, 3]) < 0.1
    assert np.degrees(np.arccos((np.trace(T_drawn[:3, :3].T @ T[:3, :3]) - 1) / 2)) < 3
    assert not np.array_equal(make_rig(jitter_seed=4).lidar.T_base_lidar, T)


@pytest.mark.parametrize("wrong", [{"cameras": 2}, {"rings": 20}, {"distortion": "barrel"}, {"size": (8, 8)}])
def test_what_no_rig_has(wrong):
    with pytest.raises(ValueError, match="no rig has"):
        make_rig(**wrong)


def test_column_poses_follow_a_curve():
    """A turn of 0.6 rad/s at 8 m/s: within a fifth of a millimetre of the circle."""

    def on_circle(t):
        return make_transform(rotation_z(0.6 * t), 8 / 0.6 * np.array([np.sin(0.6 * t), 1 - np.cos(0.6 * t), 0]))

    knots = np.array([on_circle(t) for t in LIDAR.knot_times()])
    exact = np.array([on_circle(t) for t in LIDAR.column_times()])
    np.testing.assert_allclose(LIDAR.column_poses(knots), exact, atol=5e-4)
    assert len(knots) == KNOTS
    np.testing.assert_allclose(interpolate_poses(knots, LIDAR.knot_times(), np.zeros(1))[0], np.eye(4), atol=1e-12)
