"""Houses, plants, cars and people of the town: budgets and measures, what styles draw and what days change."""

from dataclasses import replace

import numpy as np
import pytest
from town_things import PLOTS, corners_and_normals, houses, materials, rng, same

from vxp_training.datasets.town.scene import FACADE_STYLES, ROOF_STYLES, Material, merge, move, with_object
from vxp_training.datasets.town.style import STYLES
from vxp_training.datasets.town.things.buildings import draw_house, house_mesh
from vxp_training.datasets.town.things.plants import TREE_KINDS, drop_leaves, hedge_mesh, tree_mesh
from vxp_training.datasets.town.things.shapes import FOUNDATION
from vxp_training.datasets.town.things.vehicles import CAR_KINDS, Car, car_mesh, cyclist_mesh, draw_car, person_mesh

BUDGETS = {"terraces": 120, "mixed": 260, "slabs": 400, "villas": 140, "church": 220, "school": 220, "supermarket": 220}


@pytest.mark.parametrize("theme", PLOTS)
def test_houses_keep_to_budget_and_plot(theme):
    width, depth = PLOTS[theme]
    for house in houses(theme, 60):
        mesh = house_mesh(house)
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        assert len(mesh) <= BUDGETS[theme], house
        assert low[2] >= -FOUNDATION - 1e-5 and house.eaves <= high[2] <= house.eaves + (28 if theme == "church" else 9)
        assert low[0] >= -0.65 and high[0] <= width + 0.65, "no more than the eaves beyond the plot"
        assert low[1] >= -4.0 and high[1] <= depth + 0.8
        assert 0 <= house.facade < FACADE_STYLES and 0 <= house.roof_style < ROOF_STYLES
        if house.is_row:
            assert low[0] >= -0.01 and high[0] <= width + 0.01, "party walls have no overhang"


def test_house_walls_stand_where_the_plan_says():
    """The front wall is the plane y = 0; u starts at its left end seen from the street, v at the pavement."""
    for house in houses("mixed"):
        mesh = house_mesh(house)
        corners, normals = corners_and_normals(mesh)
        is_front = (materials(mesh) == Material.WALL) & (np.abs(corners[..., 1]).max(axis=1) < 1e-6)
        assert is_front.any() and (normals[is_front, 1] < 0).all()
        np.testing.assert_allclose(mesh.uv[is_front][..., 0], corners[is_front][..., 0], atol=1e-4)
        np.testing.assert_allclose(mesh.uv[is_front][..., 1], corners[is_front][..., 2], atol=1e-4)
        assert corners[is_front][..., 0].max() == pytest.approx(house.width, abs=1e-4)


def test_houses_of_one_set_differ():
    drawn = [draw_house(STYLES["train"], rng(i), "mixed", 9.0, 11.0) for i in range(20)]
    assert len({(h.facade, h.wall, h.storeys, h.roof, h.is_shop) for h in drawn}) > 12
    assert {h.facade for h in drawn} <= set(STYLES["train"].facades)


def test_a_change_keeps_the_rest():
    """Another paint is a `replace`: the geometry stays."""
    house = houses("terraces")[0]
    a, b = house_mesh(house), house_mesh(replace(house, wall=(0.1, 0.2, 0.3)))
    assert np.array_equal(a.vertices, b.vertices) and not np.array_equal(a.surfaces, b.surfaces)


@pytest.mark.parametrize("kind", TREE_KINDS)
def test_tree_budget_size_and_leaf_fall(kind):
    full, half, bare = (tree_mesh(kind, rng(5), 8.0, leaves) for leaves in (1.0, 0.5, 0.0))
    leaf_counts = [int((materials(mesh) == Material.LEAF).sum()) for mesh in (full, half, bare)]
    assert leaf_counts[0] <= 250 if kind != "spruce" else leaf_counts[0] <= 345
    assert len(full) - leaf_counts[0] <= 60, "wood"
    used = full.vertices[full.faces]
    assert 7.2 <= used[..., 2].max() <= 8.8 and np.abs(used[..., :2]).max() < 0.55 * 8.0
    assert same(half, drop_leaves(full, 0.5))
    if kind in ("spruce", "pine"):
        assert leaf_counts[0] == leaf_counts[2]
        return
    assert 0.38 * leaf_counts[0] < leaf_counts[1] < 0.62 * leaf_counts[0] and leaf_counts[2] == 0
    assert np.isin(half.faces[:, 0], full.faces[:, 0]).all() and len(bare) > 40, "branches stand in winter"


def test_leaves_fall_alike_in_a_moved_and_merged_tree():
    """Which leaves hang does not depend on where the tree stands, nor on its neighbours."""
    tree = tree_mesh("linden", rng(4), 7.0)
    T = np.eye(4)
    T[:3, 3] = 100.0, -20.0, 3.0
    town = merge([hedge_mesh(4.0), with_object(move(tree, T), 7)])
    assert len(drop_leaves(town, 0.4)) == len(hedge_mesh(4.0)) + len(drop_leaves(tree, 0.4))


def test_leaf_normals_have_a_centre_inside_the_crown():
    tree = tree_mesh("maple", rng(2), 9.0)
    rows = tree.surfaces[tree.surfaces["material"] == Material.LEAF]
    assert (rows["z"] > 2.5).all() and (rows["z"] < 9.0).all() and (np.hypot(rows["x"], rows["y"]) < 2.5).all()


@pytest.mark.parametrize("kind", CAR_KINDS)
def test_vehicles_keep_to_budget_and_size(kind):
    car = Car(kind, (0.4, 0.0, 0.0), (0.0, 0.4, 0.0), 5)
    mesh = car_mesh(car)
    length, width, height = car.size
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert len(mesh) <= 200
    np.testing.assert_allclose(high - low, [length, width, height], atol=0.16)
    assert low[2] == pytest.approx(0, abs=0.03) and abs(low[0] + high[0]) < 0.05 and abs(low[1] + high[1]) < 1e-5
    paint = mesh.surfaces[0]
    assert paint["red"] == np.float32(0.4) and mesh.surfaces[1]["green"] == np.float32(0.4)


def test_lamps_of_a_car_shine_only_when_lit():
    dark, lit = (materials(car_mesh(Car("sedan", (0.1,) * 3, (0.1,) * 3), on)) for on in (False, True))
    assert (dark == Material.LIGHT).sum() == 0 and (lit == Material.LIGHT).sum() == 8


def test_cars_of_one_kind_do_not_share_their_paint():
    red, blue = (car_mesh(Car("sedan", paint, (0.5,) * 3)) for paint in ((0.5, 0.0, 0.0), (0.0, 0.0, 0.5)))
    assert red.surfaces[0]["red"] == 0.5 and blue.surfaces[0]["red"] == 0.0


def test_style_sets_draw_their_own_cars():
    for style in STYLES.values():
        cars = [draw_car(style, rng(i)) for i in range(80)]
        assert {car.paint for car in cars} <= set(style.car_colours)
        assert {car.kind for car in cars} <= {*(kind for kind, _ in style.car_mix), "estate", "suv"}
        assert len({car.kind for car in cars}) >= 4


@pytest.mark.parametrize("make", [person_mesh, cyclist_mesh])
def test_people_are_human_sized_and_move(make):
    phases = [make(rng(7), phase) for phase in (0.0, 0.25)]
    for mesh in phases:
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        assert 1.4 < high[2] < 2.0 and -0.06 < low[2] < 0.06 and high[1] - low[1] < 0.9 and len(mesh) <= 230
    assert not np.array_equal(phases[0].vertices, phases[1].vertices)
    assert np.array_equal(phases[0].surfaces, phases[1].surfaces), "the same person"
