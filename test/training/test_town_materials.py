"""What surfaces look like, as the LiDAR asks for it."""

from dataclasses import replace

import numpy as np
import pytest
from town_box_scene import RAIN, SNOW, SUNNY, box, car, make_ground, make_scene, quad, surface

from vxp_training.datasets.town.compiled import _stamp_of_sources
from vxp_training.datasets.town.paint.ground_maps import make_ground_maps
from vxp_training.datasets.town.paint.materials import _reflect, reflectance
from vxp_training.datasets.town.render.patches import make_patches
from vxp_training.datasets.town.scene import FACADE_STYLES, GroundClass, Material, Scene, merge


def wall_scene(day=SUNNY, **fields) -> Scene:
    """A wall in the plane y = 0, 12 x 9 m, on no ground that matters."""
    row = surface(fields.pop("material", Material.WALL), fields.pop("colour", (0.5, 0.5, 0.5)), **{
        "width": 12, "height": 9, "bay": 3, "storey": 3, "seed": 3, **fields
    })  # fmt: skip
    return Scene(quad([(0, 0, 0), (12, 0, 0), (12, 0, 9), (0, 0, 9)], row), make_ground(10.0)[1], day)


def grid_on_wall() -> tuple[np.ndarray, np.ndarray]:
    u, v = np.meshgrid(np.linspace(0.05, 11.95, 120), np.linspace(0.05, 8.95, 90))
    points = np.column_stack([u.ravel(), np.zeros(u.size), v.ravel()])
    return np.where(points[:, 2] / 9 > points[:, 0] / 12, 1, 0), points


@pytest.mark.parametrize("style", range(FACADE_STYLES))
def test_every_facade_has_windows_in_bays_and_storeys(style):
    grey, glass, retro = reflectance(wall_scene(style=style), *grid_on_wall())
    assert grey.dtype == glass.dtype == retro.dtype == np.float32
    assert (grey >= 0).all() and (grey <= 1).all() and not retro.any()
    assert 0.03 < glass.mean() < 0.75
    upper = glass.reshape(90, 120)[35:]
    assert upper.reshape(55, 4, 30).mean(axis=(0, 2)).min() > 0.02  # each of the four bays
    blind = reflectance(wall_scene(style=style, material=Material.BLIND_WALL), *grid_on_wall())
    assert not blind[1].any()
    assert blind[0].std() > 0.005


def test_facade_styles_differ():
    looks = [reflectance(wall_scene(style=style), *grid_on_wall())[0] for style in range(FACADE_STYLES)]
    for a in range(FACADE_STYLES):
        for b in range(a):
            assert np.abs(looks[a] - looks[b]).mean() > 0.01, (a, b)


def test_a_shop_front_is_mostly_glass_below():
    glass = reflectance(wall_scene(is_shop=1), *grid_on_wall())[1].reshape(90, 120)
    assert glass[6:20].mean() > 0.5
    assert not glass[25:29].any()  # the fascia board


def test_brighter_paint_gives_a_stronger_return():
    faces, points = grid_on_wall()
    dark, bright = (reflectance(wall_scene(colour=(c, c, c)), faces, points)[0].mean() for c in (0.1, 0.8))
    assert bright > 2 * dark


def test_signs_send_light_back_and_leaves_are_bright_in_the_infrared():
    scene = make_scene()
    material = scene.mesh.surfaces["material"][scene.mesh.surface]
    middle = scene.mesh.vertices[scene.mesh.faces].mean(axis=1)

    def of(kind):
        faces = np.flatnonzero(material == kind)
        return reflectance(scene, faces, middle[faces])

    assert (of(Material.SIGN)[2] == 1).all()
    assert of(Material.LEAF)[0].mean() > 0.3
    assert (of(Material.CAR_GLASS)[1] > 0.9).all()
    assert not of(Material.BARK)[1].any()


def test_moving_things_are_asked_for_by_their_own_mesh():
    scene, moving = make_scene(), car(3.0, 0.0, (0.8, 0.8, 0.8))
    middle = moving.vertices[moving.faces].mean(axis=1)
    grey, glass, _ = reflectance(scene, np.arange(len(moving)), middle, moving)
    is_glass = moving.surfaces["material"][moving.surface] == Material.CAR_GLASS
    np.testing.assert_array_equal(glass > 0.5, is_glass)
    assert grey[~is_glass].max() > 0.5


def ground_of(day, y) -> np.ndarray:
    scene = make_scene(day)
    x = np.linspace(-70, 70, 2000)
    return reflectance(scene, np.zeros(2000, int), np.column_stack([x, np.full(2000, y), np.zeros(2000)]))[0]


def test_weather_changes_the_ground():
    asphalt, grass, line = 2.0, 40.0, 0.02
    assert ground_of(SUNNY, line).mean() > 2.5 * ground_of(SUNNY, asphalt).mean()
    assert ground_of(RAIN, asphalt).mean() < 0.75 * ground_of(SUNNY, asphalt).mean()
    assert ground_of(SNOW, grass).mean() > 0.6 > 3 * ground_of(SUNNY, grass).mean()
    assert ground_of(SNOW, grass).mean() > ground_of(SNOW, 3.1 - 4.0).mean()  # a tyre track, 3.1 m from the kerb


def test_snow_lies_on_roofs_but_not_on_walls():
    mesh = box((0, 0, 0), (4, 4, 4), surface(Material.BLIND_WALL, (0.2, 0.2, 0.2)))
    scene = Scene(mesh, make_ground(10.0)[1], SNOW)
    grey = reflectance(scene, np.arange(len(mesh)), mesh.vertices[mesh.faces].mean(axis=1))[0]
    assert grey[-2:].min() > 0.6 and grey[:-2].max() < 0.4


def test_distances_from_the_kerb():
    maps = make_ground_maps(make_ground()[1])
    y = maps.frame[1] + maps.frame[2] * np.arange(len(maps.kerb))
    middle = maps.kerb[:, 500] / 100
    np.testing.assert_allclose(middle[np.abs(y) < 3.9], (4.0 - np.abs(y))[np.abs(y) < 3.9], atol=0.16)
    assert not middle[np.abs(y) > 4.1].any()


def test_the_coarse_pictures_keep_the_mean():
    classes = np.full((64, 64), GroundClass.ASPHALT, np.uint8)
    classes[:, ::4] = GroundClass.LINE
    scene = replace(make_scene(), ground=replace(make_ground()[1], classes=classes))
    maps = make_ground_maps(scene.ground)
    means = []
    for start, rows, columns in maps.levels:
        level = (maps.far[start : start + rows * columns, 0].astype(float) / 255) ** 2
        means.append(level.mean())
    np.testing.assert_allclose(means, 0.75 * 0.112 + 0.25 * 0.58, rtol=0.02)


def test_a_faces_seed_does_not_depend_on_its_neighbours():
    one, other = car(1, 2), car(7, 2)
    alone, together = make_patches(other).seed, make_patches(merge([one, other])).seed
    np.testing.assert_array_equal(together[len(one) :], alone)
    assert len(np.unique(alone)) >= 8


def test_uv_is_recovered_from_points():
    rng = np.random.default_rng(0)
    mesh = merge([quad(rng.normal(0, 3, (4, 3)) * [1, 1, 0] + [[0, 0, 5]], surface(Material.WOOD)) for _ in range(5)])
    patches = make_patches(mesh)
    weights = rng.dirichlet(np.ones(3), len(mesh))
    points = np.einsum("fc,fcx->fx", weights, mesh.vertices[mesh.faces])
    offset = points - patches.planes[:, 3:6]
    u = (patches.planes[:, 6:9] * offset).sum(axis=1) + patches.planes[:, 9]
    np.testing.assert_allclose(u, np.einsum("fc,fc->f", weights, mesh.uv[..., 0]), atol=1e-3)


def test_kept_machine_code_depends_on_every_file_of_the_town():
    """numba itself would look at the kernel's own file only."""
    assert "facade.py" in [name for name, *_ in _stamp_of_sources()]
    assert _reflect._cache._cache_file._source_stamp == _stamp_of_sources()
