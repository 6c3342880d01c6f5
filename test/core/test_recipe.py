"""model.yaml: what it must say, and what is said about a wrong one."""

from dataclasses import asdict

import pytest
import yaml

from vxp_ros.core.errors import ModelError
from vxp_ros.core.model_store import find_recipe
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import PaperCompat, Recipe, dump_recipe, parse_recipe, read_recipe
from vxp_ros.core.settings import walk


def test_defaults_are_the_papers():
    recipe = parse_recipe({"name": "vxp"}, "test")
    assert recipe == Recipe(name="vxp")
    assert recipe.dimension == 256 and not recipe.normalise
    assert recipe.lidar.grid == (110, 110, 110)
    assert not any(asdict(recipe.paper_compat).values())


@pytest.mark.parametrize("name", ["vxp", "vxp_lite", "vxp_view"])
def test_shipped_recipes_are_valid_and_fit_together(name):
    recipe = read_recipe(find_recipe(name))
    assert recipe.name == name
    network = build_model(recipe)
    assert network.camera is not None and network.lidar is not None


def test_what_is_dumped_says_everything_and_reads_back_equal():
    recipe = parse_recipe({"name": "x", "lidar": {"max_points": 7}, "paper_compat": {"no_zbuffer": True}}, "test")
    content = yaml.safe_load(dump_recipe(recipe))
    assert parse_recipe(content, "test") == recipe
    for path, *_ in walk(Recipe):
        value = content
        for key in path.split("."):
            value = value[key]


def test_master_switch_turns_all_compat_switches_on():
    recipe = parse_recipe({"name": "x", "paper_compat": {"all": True}}, "test")
    assert all(asdict(recipe.paper_compat).values())
    singly = parse_recipe({"name": "x", "paper_compat": dict.fromkeys(PaperCompat.__dataclass_fields__, True)}, "test")
    assert singly.preprocessing() == recipe.preprocessing()


def test_empty_groups_are_groups_of_defaults():
    assert parse_recipe(yaml.safe_load("name: x\nimage:\nlidar: {}"), "test") == Recipe(name="x")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dimensoin": 256}, ["unknown key dimensoin", "did you mean dimension"]),
        ({"image": {"size_": [1, 2]}}, ["unknown key image.size_", "did you mean image.size"]),
        ({"lidar": 3}, ["lidar must hold keys and values"]),
        ({"name": "a b"}, ["name must be made of", "'a b'"]),
        ({"name": ""}, ["name must be made of"]),
        ({"architecture": "netvlad"}, ["architecture must be one of vxp, view, lcpr, einet", "netvlad"]),
        ({"modalities": ["camera", "radar"]}, ["modalities must be some of camera, lidar and fused", "radar"]),
        ({"modalities": []}, ["modalities must be"]),
        ({"normalise": 1}, ["normalise must be bool"]),
        ({"dimension": 0}, ["dimension must lie in [1"]),
        ({"dimension": True}, ["dimension must be int"]),
        ({"image": {"std": [0.0, 1.0, 1.0]}}, ["image.std must lie in"]),
        ({"image": {"mean": [float("nan")] * 3}}, ["image.mean must lie in"]),
        ({"image": {"backbone": "resnet"}}, ["image.backbone must be one of dino_vits8, efficientnet_lite0"]),
        ({"image": {"size": [224]}}, ["image.size must hold 2 numbers, got 1"]),
        ({"lidar": {"channels": [1] * 8}}, ["lidar.channels must hold 9 numbers, got 8"]),
        ({"lidar": {"vfe": []}}, ["lidar.vfe must hold 1 to 8 widths, got 0"]),
        ({"lidar": {"vfe": [16] * 9}}, ["lidar.vfe must hold 1 to 8 widths, got 9"]),
        ({"lidar": {"range": [44.0, -22, -4, 0, 22, 18]}}, ["lidar.range must rise"]),
        ({"lidar": {"range": [-1.0, -22, -4, 43, 22, 18]}}, ["lidar.range must start at x >= 0"]),
        ({"lidar": {"voxel": [0.3, 0.4, 0.2]}}, ["whole number of voxels"]),
        ({"lidar": {"voxel": [11.0, 11.0, 11.0]}}, ["8 to 2048 voxels wide"]),
    ],
)
def test_wrong_values_are_named(change, words):
    with pytest.raises(ModelError) as error:
        parse_recipe({"name": "x", **change}, "model.yaml of the test")
    for word in ["model.yaml of the test", *words]:
        assert word in str(error.value)


def test_all_faults_are_named_at_once():
    with pytest.raises(ModelError) as error:
        parse_recipe({"name": "x", "dimension": -1, "colour": "red", "lidar": {"max_points": "many"}}, "test")
    for word in ("dimension", "colour", "lidar.max_points"):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "not valid YAML"),
        ("- a\n- b", "must hold keys and values"),
        ("", "must hold keys and values"),
        ("name: !!python/object/apply:os.system [echo]", "not valid YAML"),
        ("name: \xff", "not valid YAML"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nname: *b", "aliases"),
        ("{" * 50_000, "nested more than"),
        ("- " * 30_000, "nested more than"),
        ("#" * (2 << 20), "no model.yaml"),
        ("".join(f"k{i}: 1\n" for i in range(7000)), "more than 1000 values"),
    ],
    ids=["cut off", "list", "empty", "code", "bytes", "aliases", "braces", "dashes", "large", "keys"],
)
def test_files_that_are_no_recipe(tmp_path, text, words):
    path = tmp_path / "model.yaml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match=words):
        read_recipe(path)


def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match="cannot read"):
        read_recipe(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    "change",
    [{"cells": [28, 28]}, {"channels": [16, 16, 16, 32, 32, 32, 48, 48, 100]}],
)
def test_networks_that_cannot_be_aligned_are_refused(change):
    content = yaml.safe_load(find_recipe("vxp_lite").read_text())
    content["lidar"] |= change
    with pytest.raises(ModelError, match=r"14, 28\] cells of 112 channels"):
        build_model(parse_recipe(content, "test"))


def test_image_size_must_fit_the_trunk():
    with pytest.raises(ModelError, match="multiples of 8"):
        build_model(parse_recipe({"name": "x", "modalities": ["camera"], "image": {"size": [224, 225]}}, "test"))


@pytest.mark.parametrize("name", ["lcpr", "einet"])
def test_shipped_recipes_of_a_rig_are_valid(name):
    recipe = read_recipe(find_recipe(name))
    assert recipe.name == recipe.architecture == name
    assert recipe.modalities == ["fused"] and recipe.normalise
    assert recipe.rig.cells == [32, 1056] and recipe.scan_channels == {"lcpr": 1, "einet": 5}[name]


def test_what_a_rig_needs_does_not_change_the_ids_of_other_models():
    plain = parse_recipe({"name": "x"}, "test").preprocessing()
    assert "rig" not in plain and not [key for key in plain["paper_compat"] if key.startswith("lcpr")]
    image = {"backbone": "resnet18", "size": [64, 96]}
    einet = {"name": "x", "architecture": "einet", "modalities": ["fused"], "image": image}
    hashed = [
        parse_recipe(einet | {"rig": {"cameras": 1, "cells": [32, 24]} | rig}, "test").preprocessing()
        for rig in ({}, {"farthest": 50.0}, {"interaction": False})
    ]
    assert hashed[0] != hashed[1] != hashed[2] != hashed[0]


def test_settings_of_parts_that_a_model_lacks_do_not_change_its_id():
    plain = {"name": "x", "architecture": "view", "modalities": ["camera", "lidar"]}
    fused = plain | {"modalities": ["camera", "lidar", "fused"]}
    ids = [parse_recipe({**values, "view": {"tokens": tokens}}, "x").preprocessing()
           for values in (plain, fused) for tokens in (64, 128)]  # fmt: skip
    assert ids[0] == ids[1] and ids[2] != ids[3]
