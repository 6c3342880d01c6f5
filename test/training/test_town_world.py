"""The town's plan, ground, houses and parked cars: where things stand, and that they stand there again."""

import subprocess
import sys

import numpy as np
import pytest
from town_small import ROAD, footprint, ground_at, is_within, make_scene, make_world, vertices_of

from vxp_training.datasets.town.days import DAYS, make_day, start_ns
from vxp_training.datasets.town.scene import GroundClass, Material
from vxp_training.datasets.town.streets.changes import Change, draw_change
from vxp_training.datasets.town.streets.ground import KERB_HEIGHT, KERB_OBJECT
from vxp_training.datasets.town.streets.lines import distance, is_inside, overlaps
from vxp_training.datasets.town.streets.parking import park_cars
from vxp_training.datasets.town.streets.planner import make_plan
from vxp_training.datasets.town.style import STYLES
from vxp_training.datasets.town.world import FIRST_HOUSE, FIRST_THING, World

SEED = 7
HASH = "from vxp_training.datasets.town.world import World; from vxp_training.datasets.town.days import make_day; "


def hash_in_new_process(seed: int, day: str) -> str:
    code = f"{HASH}print(World({seed}, 'train', (2, 2)).geometry_hash(make_day('{day}', {seed})))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_same_seed_gives_same_town_in_another_process():
    world = World(SEED, "train", (2, 2))
    world.scene(make_day("night", SEED))  # what was asked before must not matter
    assert world.geometry_hash(make_day("rain", SEED)) == hash_in_new_process(SEED, "rain")


@pytest.mark.slow
def test_seeds_styles_and_days_give_different_towns():
    worlds = [World(7, "train", (2, 2)), World(8, "train", (2, 2)), World(7, "val", (2, 2))]
    hashes = {world.geometry_hash(make_day("sunny", 7)) for world in worlds}
    hashes |= {worlds[0].geometry_hash(make_day(day, 7)) for day in DAYS}
    assert len(hashes) == 2 + len(DAYS)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"'gothic'.*train, val, test, demo"):
        World(1, "gothic")
    with pytest.raises(ValueError, match=r"\(1, 3\).*\(2, 2\)"):
        World(1, "train", (1, 3))
    with pytest.raises(ValueError, match=r"'monday'.*sunny"):
        make_day("monday", 1)


def test_style_sets_share_no_looks():
    sets = list(STYLES.values())
    for name in ("facades", "roofs", "signs", "wall_colours", "street_trees"):
        pools = [set(getattr(style, name)) for style in sets]
        assert sum(map(len, pools)) == len(set.union(*pools)), name
    for style in sets:
        assert sum(share for _, share in style.car_mix) == pytest.approx(1.0)
        assert 2 * style.lane[0] + 2 * 2.2 >= 10.8


def test_houses_keep_off_roads_and_pavements_and_each_other():
    world = make_world()
    assert len(world.lots) > 60
    for lot in world.lots:
        corners = lot.corners()
        edge = np.concatenate([corners + (np.roll(corners, -1, 0) - corners) * t for t in np.linspace(0, 0.9, 10)])
        inner = corners.mean(0) + 0.95 * (edge - corners.mean(0))
        assert not np.isin(ground_at(world, inner), (*ROAD[:2], GroundClass.PAVEMENT, GroundClass.KERB)).any()
        others = np.array([other.corners() for other in world.lots if other.number != lot.number])
        near = np.linalg.norm(others.mean(1) - corners.mean(0), axis=1) < 60
        assert not overlaps(0.99 * corners + 0.01 * corners.mean(0), others[near])


def test_rows_meet_the_pavement():
    world = make_world()
    rows = [lot for lot in world.lots if lot.theme in ("terraces", "mixed")]
    assert rows
    gaps = []
    for lot in rows:
        block = world.plan.blocks[lot.block]
        gaps.append(distance(block.outline, lot.corners()[:2].mean(0, keepdims=True))[0] - block.pavement)
    assert min(gaps) > -0.06
    assert np.mean(np.array(gaps) < 0.06) > 0.9  # the others stand where the kerb bends away into the roundabout


def test_houses_stand_in_the_ground():
    world, scene = make_world(), make_scene("sunny")
    for lot in world.lots[::5]:
        corners = vertices_of(scene.mesh, FIRST_HOUSE + lot.number, FIRST_HOUSE + lot.number + 1).reshape(-1, 3)
        ground = world.height(lot.corners()) + KERB_HEIGHT
        assert corners[:, 2].min() < ground.min() - 0.1  # no gap below a wall
        front = corners[:, 2].min() + 1.5
        assert front >= ground[:2].max() - 0.02  # no door below the pavement


def test_parked_cars_lie_in_bays_clear_of_junctions_and_of_each_other():
    world = make_world()
    for name in DAYS:
        parked = park_cars(world, make_day(name, SEED))
        assert len(parked) > 0.4 * len(world.slots)
        for i, (slot, car, T) in enumerate(parked):
            assert np.linalg.norm(world.plan.nodes - slot.centre, axis=1).min() >= 15.0
            points = footprint(T, car.size[0] - 0.1, car.size[1] - 0.1)  # cells of the picture are 0.15 m wide
            assert np.isin(ground_at(world, points), ROAD).all(), (name, slot)
            for _, other, T_other in parked[i + 1 : i + 4]:
                assert not is_within(points, T_other, *other.size[:2]).any()


def test_days_park_differently_as_they_say():
    world = make_world()
    parked = {name: park_cars(world, make_day(name, SEED)) for name in DAYS}
    days = {name: {s.number: (car, T.tobytes()) for s, car, T in cars} for name, cars in parked.items()}
    same = [number for number in range(len(world.slots)) if days["sunny"].get(number) == days["sameday"].get(number)]
    assert 0.80 < len(same) / len(world.slots) < 0.97
    rain = [number for number in days["sunny"] if days["sunny"][number] == days["rain"].get(number)]
    assert len(rain) < 0.05 * len(days["sunny"])


def test_houses_change_as_often_as_the_day_says():
    world = make_world()
    assert all(draw_change(SEED, lot, make_day("sunny", SEED)) is Change.NONE for lot in world.lots)
    for name in ("rain", "snow"):
        day = make_day(name, SEED)
        changes = [draw_change(SEED, lot, day) for lot in world.lots]
        share = np.mean([change is not Change.NONE for change in changes])
        assert abs(share - day.changed) < 0.12 and len(set(changes)) > 3
    assert make_day("snow", SEED, is_hardened=False).changed == 0


def test_what_did_not_change_is_the_same_object_in_the_same_place():
    world, sunny, snow = make_world(), make_scene("sunny"), make_scene("snow")
    kept = [lot for lot in world.lots if draw_change(SEED, lot, make_day("snow", SEED)) is Change.NONE]
    for number in [FIRST_HOUSE + kept[0].number, FIRST_HOUSE + kept[-1].number, FIRST_THING]:
        assert np.array_equal(vertices_of(sunny.mesh, number, number + 1), vertices_of(snow.mesh, number, number + 1))
    leaf = [(s.mesh.surfaces["material"][s.mesh.surface] == Material.LEAF).sum() for s in (sunny, snow)]
    assert leaf[1] < 0.5 * leaf[0]


def test_trees_and_lamps_stand_beside_the_road():
    world = make_world()
    feet = np.array([thing.foot for thing in world.things if thing.kind in ("tree", "lamp", "sign", "bench", "hedge")])
    assert not np.isin(ground_at(world, feet), (GroundClass.ASPHALT, GroundClass.LINE, GroundClass.KERB)).any()
    trees = np.array([thing.foot for thing in world.things if thing.kind == "tree"])
    for lot in world.lots:
        assert not is_inside(lot.corners(), trees).any()
    heads = world.lamps
    assert len(heads) > 10
    assert (heads[:, 2] - world.height(heads[:, :2]) > 2.5).all()


def test_ground_mesh_follows_the_hills():
    world, scene = make_world(), make_scene("sunny")
    ground = scene.mesh.surfaces["material"][scene.mesh.surface] == Material.GROUND
    middles = scene.mesh.vertices[scene.mesh.faces[ground]].mean(1)
    low, high = world.plan.extent()
    inside = ((middles[:, :2] > low) & (middles[:, :2] < high)).all(1)
    rise = middles[inside, 2] - world.height(middles[inside, :2].astype(np.float64))
    on_road = np.isin(ground_at(world, middles[inside, :2]), ROAD[:2])
    assert np.abs(rise[on_road]).max() < 0.02
    assert rise.max() < 0.7 and rise.min() > -0.02


def test_kerbs_are_as_high_as_they_say_and_face_the_road():
    world, scene = make_world(), make_scene("sunny")
    corners = vertices_of(scene.mesh, KERB_OBJECT, KERB_OBJECT + 1).astype(np.float64)
    rise = corners[..., 2] - world.height(corners[..., :2].reshape(-1, 2)).reshape(corners.shape[:2])
    assert np.allclose(rise.max(1), KERB_HEIGHT, atol=1e-3)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    before = ground_at(world, corners.mean(1)[:, :2] + 0.4 * normal[:, :2])
    assert np.isin(before, ROAD).mean() > 0.99


def test_hardened_towns_repeat_blocks_and_easy_ones_do_not():
    for is_hardened in (True, False):
        plan = make_plan(SEED, STYLES["test"], (6, 5), is_hardened)
        looks = [block.seed for block in plan.blocks]
        assert (len(set(looks)) < 0.85 * len(looks)) == is_hardened
        assert any(street.is_one_way for street in plan.streets) == is_hardened


@pytest.mark.slow
def test_clones_have_equal_houses():
    world = World(SEED, "test", (4, 4))
    by_key = {}
    for lot, house in zip(world.lots, world._houses, strict=True):
        by_key.setdefault((lot.key, lot.theme), set()).add(house)
    assert all(len(houses) == 1 for houses in by_key.values())
    assert len({house for houses in by_key.values() for house in houses}) < 0.7 * len(world.lots)


def test_dates_are_those_of_other_seasons():
    days = [start_ns(make_day(name, 1)) / 86_400e9 for name in DAYS]
    assert days == sorted(days)
    assert days[1] - days[0] < 1 and days[2] - days[1] > 90


LARGE_TOWN = """
from pathlib import Path
from vxp_training.datasets.town.days import make_day
from vxp_training.datasets.town.world import World
scene = World(3101, "test", (6, 5)).scene(make_day("sunny", 3101))
print(len(scene.mesh), Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.slow
def test_a_large_town_is_lean():
    """In a process of its own, and by VmHWM: the peak that `resource` tells is that of all tests before."""
    output = subprocess.run([sys.executable, "-c", LARGE_TOWN], check=True, capture_output=True, text=True).stdout
    triangles, peak_kib = map(int, output.split())
    assert triangles < 450_000
    assert peak_kib < 1_000_000
