"""Houses, plants, street furniture and vehicles of the town: budgets, outward faces, measures, determinism."""

from dataclasses import replace

import numpy as np
import pytest

from vxp_training.datasets.town.scene import FACADE_STYLES, ROOF_STYLES, Material, Mesh, merge, move, with_object
from vxp_training.datasets.town.style import STYLES
from vxp_training.datasets.town.things import furniture
from vxp_training.datasets.town.things.buildings import (
    House,
    draw_house,
    house_mesh,
    scaffold_mesh,
    site_fence_mesh,
)
from vxp_training.datasets.town.things.plants import TREE_KINDS, bush_mesh, drop_leaves, hedge_mesh, tree_mesh
from vxp_training.datasets.town.things.shapes import FOUNDATION, MeshBuilder
from vxp_training.datasets.town.things.vehicles import (
    CAR_KINDS,
    Car,
    bicycle_mesh,
    car_mesh,
    cyclist_mesh,
    draw_car,
    person_mesh,
)

BUDGETS = {"terraces": 120, "mixed": 260, "slabs": 400, "villas": 140, "church": 220, "school": 220, "supermarket": 220}
PLOTS = {
    "terraces": (6.5, 10.0), "mixed": (11.0, 12.0), "slabs": (34.0, 12.0), "villas": (13.0, 10.0),
    "church": (15.0, 26.0), "school": (34.0, 14.0), "supermarket": (30.0, 22.0),
}  # fmt: skip
# Thin sheets, seen from both sides by design; leaves and bark are loose triangles.
SHEETS = {Material.LEAF, Material.BARK, Material.CLOTH, Material.GLASS, Material.CAR_GLASS, Material.SIGN}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def houses(theme: str, count: int = 12) -> list[House]:
    """Houses of all style sets."""
    styles = list(STYLES.values())
    return [draw_house(styles[i % len(styles)], rng(i), theme, *PLOTS[theme]) for i in range(count)]


def things() -> dict[str, Mesh]:
    """One or more of everything."""
    found = {f"{theme} {i}": house_mesh(h) for theme in PLOTS for i, h in enumerate(houses(theme))}
    base = houses("terraces")[0]
    for roof in ("gable", "hip", "mansard", "flat"):
        for is_row in (True, False):
            shape = replace(base, roof=roof, is_row=is_row, dormers=2, has_gable_front=False, has_bay_window=True)
            found[f"{roof} {is_row}"] = house_mesh(shape)
            found[f"{roof} {is_row} turned"] = house_mesh(replace(shape, has_gable_front=True))
    found |= {"scaffold": scaffold_mesh(base), "site": site_fence_mesh(9.0, 10.0)}
    found |= {kind: tree_mesh(kind, rng(3), 8.0) for kind in TREE_KINDS}
    found |= {"young": tree_mesh("maple", rng(3), 3.8), "hedge": hedge_mesh(5.3), "bush": bush_mesh(rng(1))}
    found |= {f"lamp {i}": furniture.lamp_mesh(i)[0] for i in range(3)}
    found |= {f"sign {i}": furniture.sign_mesh(i % 8, 5 * i) for i in range(24)}
    found |= {f"fence {i}": furniture.fence_mesh(4.2, i, seed=i) for i in range(furniture.FENCE_STYLES)}
    found |= {"wall": furniture.wall_mesh(3.0), "rail": furniture.rail_mesh(3.0)}
    for name in ("bench", "bin", "bollard", "bike_rack", "traffic_light"):
        found[name] = getattr(furniture, f"{name}_mesh")()
    for name in ("shelter", "wheelie_bins", "cabinet", "kiosk", "advertising_column", "street_name"):
        found |= {f"{name} {seed}": getattr(furniture, f"{name}_mesh")(seed) for seed in range(3)}
    found |= {
        f"{kind} {lit}": car_mesh(Car(kind, (0.3, 0.0, 0.0), (0.7, 0.7, 0.7)), lit)
        for kind in CAR_KINDS
        for lit in (0, 1)
    }
    found |= {f"person {p}": person_mesh(rng(2), p / 8) for p in range(8)}
    found |= {f"cyclist {p}": cyclist_mesh(rng(2), p / 8) for p in range(8)}
    return found | {"bicycle": bicycle_mesh()}


@pytest.fixture(scope="module")
def all_things() -> dict[str, Mesh]:
    return things()


def same(a: Mesh, b: Mesh) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("vertices", "faces", "uv", "surface", "surfaces")
    )


def corners_and_normals(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """[F, 3, 3] corners and [F, 3] normals, as long as twice the area."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    return corners, np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def materials(mesh: Mesh) -> np.ndarray:
    return mesh.surfaces["material"][mesh.surface]


def caster(mesh: Mesh):
    """Closest hits: (origins [N, 3], directions [N, 3]) -> face [N] (-1: none), distance [N]."""
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    scene = rtcore_scene.EmbreeScene()
    triangles = mesh.vertices[mesh.faces].astype(np.float32)
    kept = TriangleMesh(scene, triangles)

    def cast(origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert kept is not None and len(triangles)  # embree reads these arrays as long as it lives
        hits = scene.run(origins.astype(np.float32), directions.astype(np.float32), output=1)
        return hits["primID"], hits["tfar"]

    return cast


def test_meshes_are_well_formed(all_things):
    for name, mesh in all_things.items():
        assert mesh.vertices.dtype == np.float32 and mesh.uv.dtype == np.float32, name
        assert mesh.faces.dtype == np.int32 and mesh.surface.dtype == np.int32, name
        assert mesh.uv.shape == (len(mesh), 3, 2) and mesh.surface.shape == (len(mesh),), name
        assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.uv).all(), name
        assert mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices), name
        assert mesh.surface.min() >= 0 and mesh.surface.max() < len(mesh.surfaces), name
        assert (np.linalg.norm(corners_and_normals(mesh)[1], axis=1) > 1e-7).all(), f"{name} has an empty triangle"
        for field in ("red", "green", "blue", "red2", "green2", "blue2"):
            assert ((mesh.surfaces[field] >= 0) & (mesh.surfaces[field] <= 1)).all(), name


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


def test_house_walls_stand_where_the_plan_says(all_things):
    """The front wall is the plane y = 0; u starts at its left end seen from the street, v at the pavement."""
    for house in houses("mixed"):
        mesh = house_mesh(house)
        corners, normals = corners_and_normals(mesh)
        is_front = (materials(mesh) == Material.WALL) & (np.abs(corners[..., 1]).max(axis=1) < 1e-6)
        assert is_front.any() and (normals[is_front, 1] < 0).all()
        np.testing.assert_allclose(mesh.uv[is_front][..., 0], corners[is_front][..., 0], atol=1e-4)
        np.testing.assert_allclose(mesh.uv[is_front][..., 1], corners[is_front][..., 2], atol=1e-4)
        assert corners[is_front][..., 0].max() == pytest.approx(house.width, abs=1e-4)


def test_walls_uv_span_their_width_and_height(all_things):
    """For every WALL: u from 0 to `width`, v from at most one storey up to `height` (a bay window ends below)."""
    for name, mesh in all_things.items():
        for number, row in enumerate(mesh.surfaces):
            uv = mesh.uv[mesh.surface == number].reshape(-1, 2)
            if row["material"] != Material.WALL or not len(uv):
                continue
            assert uv[:, 0].min() == pytest.approx(0, abs=1e-3) and uv[:, 0].max() == pytest.approx(
                row["width"], abs=1e-3
            ), name
            assert -1e-3 <= uv[:, 1].min() <= row["storey"] and uv[:, 1].max() <= row["height"] + 1e-3, name
            assert uv[:, 1].max() > row["height"] - 0.6, name
            assert row["width"] / row["bay"] == pytest.approx(round(row["width"] / row["bay"]), abs=1e-3), name
            assert row["height"] / row["storey"] == pytest.approx(round(row["height"] / row["storey"]), abs=1e-3), name


def test_uv_is_in_metres(all_things):
    """Areas in uv equal areas in space, where both axes are metres on a flat surface."""
    metric = [Material.WALL, Material.BLIND_WALL, Material.ROOF, Material.WOOD, Material.METAL, Material.CONCRETE]
    for name, mesh in all_things.items():
        area = np.linalg.norm(corners_and_normals(mesh)[1], axis=1)
        a, b = mesh.uv[:, 1] - mesh.uv[:, 0], mesh.uv[:, 2] - mesh.uv[:, 0]
        uv_area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
        is_metric = np.isin(materials(mesh), metric) & (area > 0.05)
        if is_metric.any():
            ratio = uv_area[is_metric] / area[is_metric]
            assert np.median(ratio) == pytest.approx(1, abs=0.1) and ratio.min() > 0.3 and ratio.max() < 1.7, name


def test_faces_look_outwards(all_things):
    """Rays from all round meet solid things from outside: their front faces."""
    for name, mesh in all_things.items():
        solid = ~np.isin(materials(mesh), list(SHEETS))
        low, high = mesh.vertices.min(axis=0).astype(float), mesh.vertices.max(axis=0).astype(float)
        targets = rng(1).uniform(np.r_[low[:2], 0], high, (1500, 3))
        ways = rng(2).normal(size=(1500, 3))
        ways[:, 2] = -np.abs(ways[:, 2]) * 0.4 - 0.05  # from above the horizon
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        faces, _ = caster(mesh)(targets - 60 * ways, ways)
        faces, ways = faces[faces >= 0], ways[faces >= 0]
        is_behind = (corners_and_normals(mesh)[1][faces] * ways).sum(axis=1) > 0
        wrong = (is_behind & solid[faces]).mean()
        kinds = set(materials(mesh)[faces[is_behind]])
        assert not kinds & {Material.WALL, Material.ROOF} or wrong < 0.02, (name, wrong)
        limit = (
            0.25 if name.startswith(("site", "bicycle", "cyclist", "fence 0", "fence 2", "slabs", "mixed")) else 0.05
        )
        assert wrong < limit, (name, wrong, kinds)


def test_no_surface_fights_with_another(all_things):
    """Behind a visible face, no face of another surface lies within 5 mm: depth buffers could not tell them apart."""
    for name, mesh in all_things.items():
        if {Material.LEAF, Material.BARK, Material.CLOTHES} & set(materials(mesh)):
            continue  # leaves and limbs cross one another anyhow, and look alike
        corners, normals = corners_and_normals(mesh)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        weights = rng(3).dirichlet([2.0, 2.0, 2.0], (len(mesh), 24))
        points = np.einsum("fnk,fkx->fnx", weights, corners).reshape(-1, 3)
        own, away = np.repeat(np.arange(len(mesh)), 24), np.repeat(normals, 24, axis=0)
        cast = caster(mesh)
        first, _ = cast(points + 0.3 * away, -away)  # hidden faces may lie anywhere
        behind, distance = cast(points - 2e-4 * away, -away)
        is_close = (first == own) & (behind >= 0) & (distance < 5e-3)
        is_close &= mesh.surface[own] != mesh.surface[behind]
        is_close &= np.abs((normals[own] * normals[behind]).sum(axis=1)) > 0.9
        assert not is_close.any(), (name, [Material(m).name for m in set(materials(mesh)[own[is_close]])])


def test_same_parameters_give_the_same_thing():
    assert all(same(mesh, again) for mesh, again in zip(things().values(), things().values(), strict=True))


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


def test_lamp_head_is_at_its_light():
    for style in range(3):
        mesh, head = furniture.lamp_mesh(style)
        corners = corners_and_normals(mesh)[0][materials(mesh) == Material.LIGHT]
        assert np.linalg.norm(corners.mean(axis=(0, 1)) - head) < 0.3 and head[2] > 3.0


def test_signs_face_the_traffic():
    """Toward -y, with uv 0..1, u to the reader's right."""
    for seed in range(32):
        mesh = furniture.sign_mesh(3, seed)
        is_face = materials(mesh) == Material.SIGN
        corners, normals = corners_and_normals(mesh)
        assert (normals[is_face, 1] < 0).all() and mesh.uv[is_face].min() >= 0 and mesh.uv[is_face].max() <= 1
        assert np.corrcoef(mesh.uv[is_face][..., 0].ravel(), corners[is_face][..., 0].ravel())[0, 1] > 0.99


def test_tube_and_disc_have_right_size():
    b = MeshBuilder()
    steel = b.surface(Material.METAL, (0.5, 0.5, 0.5))
    b.tube((0, 0, 0), (0, 3, 4), 0.5, steel, 32, lids="start end")
    corners, normals = corners_and_normals(b.build())
    assert np.linalg.norm(normals, axis=1).sum() / 2 == pytest.approx(2 * np.pi * 0.5 * 5 + 2 * np.pi * 0.25, rel=0.01)
    middle = np.array([0, 1.5, 2.0])
    assert ((corners.mean(axis=1) - middle) * normals).sum(axis=1).min() > 0
