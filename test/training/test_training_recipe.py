"""Training recipes: the shipped ones are the paper's, mistakes are named."""

import pytest

from vxp_ros.core.errors import ModelError
from vxp_ros.core.model_store import find_recipe
from vxp_ros.core.models.recipe import read_recipe
from vxp_training.recipe import (
    dump_training_recipe,
    find_training_recipe,
    parse_training_recipe,
    read_training_recipe,
)


def shipped(name: str):
    return read_training_recipe(find_training_recipe(name))


@pytest.mark.parametrize(
    "name, growth, stage3",
    [
        ("vxp_oxford", (1.4, 0.7), (30, 8, 2, False)),
        ("vxp_kitti", (1.2, 0.8), (50, 16, 1, True)),
        ("vxp_vivid", (1.2, 0.8), (30, 16, 2, True)),
    ],
)
def test_settings_of_the_paper(name, growth, stage3):
    recipe = shipped(name)
    one, two, three = recipe.teacher, recipe.local_alignment, recipe.global_alignment
    assert (one.epochs, one.batch, one.max_batch, one.lr, one.min_lr, one.lr_step) == (100, 16, 80, 1e-5, 1e-6, 2)
    assert (one.batch_growth, one.grow_below, one.margin, one.colours, one.affine) == (*growth, 0.3, True, True)
    assert (two.epochs, two.batch, two.lr, two.min_lr, two.lr_step) == (30, 8, 1e-4, 5e-6, 2)
    assert (two.colours, two.flip, two.depth_weight, two.loss) == (True, True, True, "smooth_l1")
    assert (three.epochs, three.batch, three.lr_step, three.affine) == stage3
    assert (three.lr, three.min_lr, three.colours, three.flip, three.motion) == (1e-4, 5e-6, True, True, True)
    assert one.weight_decay == two.weight_decay == three.weight_decay == 1e-6
    assert recipe.model == "vxp" and recipe.seed == 0 and recipe.stages == ["teacher", "local", "global"]


def test_small_recipe_has_a_small_model():
    assert read_recipe(find_recipe(shipped("vxp_lite").model)).name == "vxp_lite"


def test_recipes_survive_being_written(tmp_path):
    for name in ("vxp_kitti", "vxp_lite"):
        recipe = shipped(name)
        (tmp_path / "again.yaml").write_text(dump_training_recipe(recipe))
        assert read_training_recipe(tmp_path / "again.yaml") == recipe


def test_one_switch_turns_all_on():
    compat = parse_training_recipe({"paper_compat": {"all": True}}, "r").paper_compat
    assert all(vars(compat).values())


@pytest.mark.parametrize(
    "content, said",
    [
        ({"teacher": {"epoch": 3}}, "unknown key teacher.epoch .did you mean teacher.epochs"),
        ({"teacher": {"lr": -1}}, "teacher.lr must lie in"),
        ({"stages": ["teacher", "teacher"]}, "global or of joint, fusion or of places, tuples, mined, each once"),
        ({"local_alignment": {"loss": "l1"}}, "local_alignment.loss must be one of smooth_l1, mse, cosine"),
        ({"paper_compat": {"extrinsics_reversed_axes": True}}, "needs data.dataset"),
        ({"paper_compat": {"validate_on_test": True}, "data": {"validate": ["v"]}}, "give only one"),
        ({"teacher": 3}, "teacher must hold keys and values"),
        (["a"], "must hold keys and values"),
    ],
)
def test_mistakes_are_named(content, said):
    with pytest.raises(ModelError, match=said):
        parse_training_recipe(content, "my.yaml")


def test_unknown_names_list_the_known():
    with pytest.raises(ModelError, match=r"no training recipe vxp_lit: .*vxp_kitti, vxp_lite, .*, vxp_vivid"):
        find_training_recipe("vxp_lit")
