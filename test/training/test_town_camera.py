"""Pictures and depth of the town's camera: geometry against rays cast by Embree and OpenCV's projection, light by day
and night, shadows, weather, determinism."""

import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh
from town_box_scene import LENSES, NIGHT, RAIN, SNOW, SUNNY, car, make_camera, make_scene, pose, quad, surface

from vxp_ros.core.geometry import invert
from vxp_training.datasets.town.camera import CameraSimulator
from vxp_training.datasets.town.render.lens import rays_of
from vxp_training.datasets.town.scene import Material, Scene, empty_mesh, merge


@pytest.fixture(scope="module")
def by_day() -> CameraSimulator:
    return CameraSimulator(make_scene(SUNNY))


@pytest.fixture(scope="module")
def by_night() -> CameraSimulator:
    return CameraSimulator(make_scene(NIGHT))


def cast(mesh, T_world_camera, rays) -> np.ndarray:
    """Depth [N] of rays (x, y, 1) of a camera by Embree, inf where nothing is hit."""
    corners = np.ascontiguousarray(mesh.vertices[mesh.faces].astype(np.float32))
    scene = rtcore_scene.EmbreeScene()
    _kept = TriangleMesh(scene, corners)
    ways = np.column_stack([rays, np.ones(len(rays))]) @ T_world_camera[:3, :3].T
    origins = np.tile(T_world_camera[:3, 3], (len(rays), 1)).astype(np.float32)
    length = np.linalg.norm(ways, axis=1)
    found = scene.run(origins, (ways / length[:, None]).astype(np.float32), output=1)
    return np.where(found["primID"] >= 0, found["tfar"], np.inf) / length


@pytest.mark.parametrize("yaw", [0.0, 1.3, -2.6])
@pytest.mark.parametrize("lens", LENSES)
def test_depth_is_that_of_cast_rays(by_day, lens, yaw):
    camera = make_camera(lens, yaw=yaw)
    T = pose(x=3.0, yaw=0.1)
    pixels = np.random.default_rng(1).uniform([0, 0], [camera.width - 1, camera.height - 1], (3000, 2))
    depth = by_day.depth(camera, T, pixels)
    expected = cast(by_day.scene.mesh, T @ camera.T_base_camera, rays_of(camera, pixels))
    assert (np.isinf(depth) == np.isinf(expected)).mean() > 0.997
    both = np.isfinite(depth) & np.isfinite(expected)
    assert both.mean() > 0.5
    error = np.abs(depth[both] - expected[both])
    assert np.median(error) < 0.001
    assert (error < 0.10).mean() > 0.995


@pytest.mark.slow
@pytest.mark.parametrize("lens", LENSES)
def test_a_light_shows_where_opencv_projects_it(by_night, lens):
    camera = make_camera(lens, width=320, height=180, focal=200.0)
    glow, scene = surface(Material.LIGHT, (1, 1, 1)), make_scene(NIGHT)
    dark = by_night.light(camera, pose(y=0.0))
    for y, z in ((2.5, 2.2), (-1.9, 0.7), (0.4, 3.2)):
        lamp = quad(
            [(10, y + 0.1, z - 0.1), (10, y - 0.1, z - 0.1), (10, y - 0.1, z + 0.1), (10, y + 0.1, z + 0.1)], glow
        )
        simulator = CameraSimulator(replace(scene, mesh=merge([lamp, scene.mesh])))
        light = (simulator.light(camera, pose(y=0.0)) - dark).mean(axis=2)
        bright = np.where(light > 0.5, light, 0.0)
        assert bright.max() > 2
        rows, columns = np.indices(bright.shape)
        centre = np.array([(columns * bright).sum(), (rows * bright).sum()]) / bright.sum()
        point = invert(pose(y=0.0) @ camera.T_base_camera) @ [10, y, z, 1]
        project = cv2.fisheye.projectPoints if lens == "equidistant" else cv2.projectPoints
        distortion = np.asarray(camera.distortion) if len(camera.distortion) else np.zeros(4)
        expected, _ = project(point[None, None, :3], np.zeros(3), np.zeros(3), camera.K, distortion)
        np.testing.assert_allclose(centre, expected.ravel(), atol=0.35)


def test_no_sky_shines_through_ground_and_walls(by_day):
    """Shared edges leave no cracks, and the triangles under the camera are clipped, not lost."""
    camera = make_camera(width=200, height=200, focal=60.0)
    ids, nearness = by_day._rasterise(by_day._lens(camera), invert(pose() @ camera.T_base_camera), None)
    below = ids[ids.shape[0] // 2 + 30 :]
    assert (below >= 0).all()
    assert (nearness[ids < 0] == 0).all() and (nearness[ids >= 0] > 0).all()


def test_same_seed_same_picture(by_day):
    camera = make_camera()
    first = by_day.picture(camera, pose(), empty_mesh(), seed=4)
    again = CameraSimulator(make_scene(SUNNY)).picture(camera, pose(), empty_mesh(), seed=4)
    other = by_day.picture(camera, pose(), empty_mesh(), seed=5)
    assert first.shape == (90, 160, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


def test_without_noise_the_seed_does_not_matter(by_day):
    first, other = (by_day.picture(make_camera(), pose(), seed=seed, noise=False) for seed in (1, 2))
    np.testing.assert_array_equal(first, other)


def test_pictures_are_well_exposed():
    for day in (SUNNY, SNOW, RAIN):
        picture = CameraSimulator(make_scene(day)).picture(make_camera(), pose(), noise=False)
        assert 70 < picture.mean() < 190, day.name
        assert (picture == 255).mean() < 0.15, day.name


def test_night_is_dark_and_its_windows_shine(by_day, by_night):
    camera = make_camera()
    day, night = by_day.light(camera, pose()), by_night.light(camera, pose())
    assert night.mean() < 0.25 * day.mean()
    assert np.percentile(night, 5) < 0.25 * np.percentile(day, 5)
    dark = CameraSimulator(Scene(unlit(by_night.scene.mesh), by_night.scene.ground, NIGHT, by_night.scene.lamps))
    gain = night - dark.light(camera, pose())
    assert gain.min() > -1e-4 and (gain > 0.1).mean() > 0.001
    assert (gain[..., 0] > gain[..., 2])[gain.max(axis=2) > 0.1].mean() > 0.9  # warm


def unlit(mesh):
    surfaces = mesh.surfaces.copy()
    surfaces["lit"] = 0
    return replace(mesh, surfaces=surfaces)


def test_street_lamps_and_headlights_light_the_road(by_night):
    camera = make_camera()
    scene = by_night.scene
    without = CameraSimulator(replace(scene, lamps=np.zeros((0, 3), np.float32))).light(camera, pose())
    assert by_night.light(camera, pose())[70:].mean() > 1.5 * without[70:].mean()
    ahead = without[60:75, 70:90].mean()
    assert ahead > 1.3 * without[60:75, :20].mean()


def test_snow_whitens_the_ground(by_day):
    camera = make_camera(at=(0, 0, 3.0))
    snowy = CameraSimulator(make_scene(SNOW))
    green = by_day.light(camera, pose(y=-20, yaw=-np.pi / 2))[60:]
    white = snowy.light(camera, pose(y=-20, yaw=-np.pi / 2))[60:]
    assert np.ptp(green.mean(axis=(0, 1)) / green.mean()) > 0.5  # grass
    assert np.ptp(white.mean(axis=(0, 1)) / white.mean()) < 0.3
    roof = make_camera(at=(0, 0, 14.0))
    assert (
        snowy.light(roof, pose(y=0))[50:].mean() / np.mean(SNOW.sky)
        > by_day.light(roof, pose(y=0))[50:].mean() / np.mean(SUNNY.sky) / 2
    )


def test_a_moving_car_is_seen_and_casts_a_shadow(by_day):
    """The sun stands in the south (right): the shadow falls to the left of the car, 1.1 m wide beside its body."""
    camera, moving = make_camera(width=320, height=180, focal=200.0), car(12.0, 1.0, (0.6, 0.02, 0.02))
    T = pose(y=0.0)
    empty, full = by_day.light(camera, T), by_day.light(camera, T, moving)
    change = full.sum(axis=2) / empty.sum(axis=2)
    red = full[..., 0] / full.sum(axis=2)

    def place(x, y, z):
        p = invert(T @ camera.T_base_camera) @ [x, y, z, 1]
        return tuple(np.round(camera.K @ (p[:3] / p[2])).astype(int)[1::-1])

    assert red[place(9.89, 1.0, 0.6)] > 0.6
    assert change[place(11.0, 2.3, 0.0)] < 0.5
    assert 0.97 < change[place(8.0, 2.3, 0.0)] < 1.03
    assert 0.97 < change[place(11.0, 3.8, 0.0)] < 1.03


def test_depth_ignores_what_moves_but_the_picture_does_not(by_day):
    camera, wall = make_camera(), car(5.0, -1.8)
    assert np.abs(by_day.light(camera, pose(), wall) - by_day.light(camera, pose())).max() > 0.1


def test_standing_things_throw_shadows(by_day):
    lit = replace(by_day.scene, day=replace(SUNNY, sun_azimuth=np.pi / 2))  # behind the high houses on the left
    camera = make_camera(at=(0, 0, 3.0))
    road = (slice(60, 90), slice(40, 120))
    south, north = (simulator.light(camera, pose(x=-10, y=0.5))[road] for simulator in (by_day, CameraSimulator(lit)))
    assert south.mean() > 2 * north.mean()


def test_wet_ground_mirrors_a_bright_wall():
    """A wall that glows red stands ahead: wet, the road before it turns red; dry, it does not."""
    wall = quad([(18, 6, 0), (18, -6, 0), (18, -6, 6), (18, 6, 6)], surface(Material.LIGHT, (1.0, 0.0, 0.0)))
    camera = make_camera()

    def redness(day):
        light = CameraSimulator(make_scene(day, (wall,))).light(camera, pose(y=0.0))[62:80, 60:100]
        return light[..., 0].mean() / light[..., 2].mean()

    assert redness(RAIN) > 1.15 * redness(replace(RAIN, wetness=0.0))


def test_fine_patterns_fade_with_distance_instead_of_flickering(by_day):
    """What 2 x 2 samples give is close to what 6 x 6 give, also where bricks are finer than pixels."""
    camera = make_camera(width=160, height=90, focal=60.0)
    coarse = by_day.light(camera, pose(x=-25))
    fine = CameraSimulator(by_day.scene, samples=6).light(camera, pose(x=-25))
    error = np.abs(coarse - fine).mean() / fine.mean()
    assert error < 0.03


def test_motion_blurs_along_the_way(by_day):
    camera = make_camera(at=(0, 0, 1.5), yaw=np.pi / 2)
    still = by_day.light(camera, pose())
    same = by_day.light(camera, pose(), T_world_base_end=pose())
    np.testing.assert_array_equal(still, same)
    blurred = by_day.light(camera, pose(), T_world_base_end=pose(x=0.3))
    across = lambda light: np.abs(np.diff(light[:60], axis=1)).mean()  # noqa: E731
    assert across(blurred) < 0.9 * across(still)


def test_a_camera_without_a_place_on_the_car_is_refused(by_day):
    with pytest.raises(ValueError, match="T_base_camera"):
        by_day.picture(replace(make_camera(), T_base_camera=None), pose())


def test_speed(by_day, record_property):
    """Printed, not judged: other work on the machine would."""
    for width, height in ((640, 360), (320, 180)):
        camera = make_camera(width=width, height=height, focal=400.0 * width / 640)
        by_day.picture(camera, pose(), car(8, 2))
        start = time.process_time()
        by_day.picture(camera, pose(), car(8, 2))
        record_property(f"cpu_seconds_{width}x{height}", round(time.process_time() - start, 3))
