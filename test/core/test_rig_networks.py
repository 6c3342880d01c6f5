"""LCPR and EINet: counts and shapes of the specification, an independent reference, rolls, sizes, weights."""

from dataclasses import replace

import pytest
import rig_reference
import torch
from rig_samples import rig_recipe, rig_tensors, shaken

from vxp_ros.core.errors import ModelError
from vxp_ros.core.model_store import find_recipe, fresh_network, init_model, load_model, save_model
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import PaperCompat, read_recipe
from vxp_ros.core.models.resnet import ResNet18

RELEASED = {"lcpr_zero_pad": True, "lcpr_unused_bn": True}
SENSORS = {"fused": ("camera", "lidar"), "camera": ("camera",), "lidar": ("lidar",)}


def meta_network(name: str, **compat):
    recipe = read_recipe(find_recipe(name))
    with torch.device("meta"):
        return build_model(replace(recipe, paper_compat=PaperCompat(**compat)))


def count(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_are_those_of_the_specification():
    network = meta_network("lcpr")
    assert count(network) == 31_139_139
    assert count(meta_network("lcpr", **RELEASED)) == 31_139_651
    assert [count(fusion) for fusion in network.fusions] == [54_528, 215_552, 857_088, 3_418_112]
    assert [count(squeeze) for squeeze in network.squeezes] == 2 * [1_117_440]
    assert count(network.scan_stem) == 128 and count(network.gate) == 3
    assert count(meta_network("einet")) == 27_384_384


def test_shapes_of_lcpr_at_its_own_size():
    network, seen = meta_network("lcpr").eval(), []
    for fusion in network.fusions:
        fusion.register_forward_hook(lambda _, inputs, outputs: seen.append((*inputs, *outputs)))
    tokens = []
    for module in [*(fusion.attention for fusion in network.fusions), *network.poolings]:
        module.register_forward_pre_hook(lambda _, inputs: tokens.append(tuple(inputs[0].shape)))
    vectors = network(*rig_tensors_on_meta(1, 1))
    shapes = [[tuple(tensor.shape) for tensor in fusion] for fusion in seen]
    assert [shape[:2] for shape in shapes] == [
        [(6, 64, 64, 176), (1, 64, 32, 1056)],
        [(6, 128, 32, 88), (1, 128, 16, 528)],
        [(6, 256, 16, 44), (1, 256, 8, 264)],
        [(6, 512, 8, 22), (1, 512, 4, 132)],
    ]
    assert all(shape[:2] == shape[2:] for shape in shapes)
    assert tokens == [(1, 2112, 64), (1, 1056, 128), (1, 528, 256), (1, 264, 512), (1, 132, 256), (1, 132, 256)]
    assert vectors.shape == (1, 256)


def rig_tensors_on_meta(batch: int, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.zeros(batch, 6, 3, 256, 704, device="meta"),
        torch.zeros(batch, channels, 32, 1056, device="meta"),
    )


def test_shapes_of_einet_at_its_own_size():
    network, tokens = meta_network("einet").train(), []
    network.transformer.register_forward_pre_hook(lambda _, inputs: tokens.append(tuple(inputs[0].shape)))
    taps = network.backbone.taps(torch.zeros(6, 3, 256, 704, device="meta"))
    assert [tuple(tap.shape) for tap in taps] == [
        (6, 64, 128, 352), (6, 64, 64, 176), (6, 128, 32, 88), (6, 256, 16, 44), (6, 512, 8, 22),
    ]  # fmt: skip
    assert network(*rig_tensors_on_meta(2, 5)).shape == (2, 256)
    assert tokens == [(2, 264, 256)]


@pytest.mark.parametrize(("cameras", "zero_pad"), [(1, False), (3, True), (6, False)])
def test_lcpr_is_the_reference(cameras, zero_pad):
    recipe = rig_recipe("lcpr", cameras, paper_compat={"lcpr_zero_pad": zero_pad, "lcpr_unused_bn": zero_pad})
    network, inputs = shaken(recipe), rig_tensors(recipe)
    with torch.inference_mode():
        wanted = rig_reference.lcpr(network.state_dict(), *inputs, circle=not zero_pad)
        assert (network(*inputs) - wanted).abs().max() < 1e-5
        assert (wanted[0] - wanted[1]).abs().max() > 1e-3  # it says something about its input


@pytest.mark.parametrize(
    ("modality", "cameras", "interaction"),
    [("fused", 1, True), ("fused", 6, True), ("fused", 3, False), ("camera", 3, True), ("lidar", 3, True)],
)
def test_einet_is_the_reference(modality, cameras, interaction):
    recipe = rig_recipe("einet", cameras, modality, rig={"interaction": interaction})
    assert recipe.scan_channels == (5 if modality == "fused" and interaction else 1)
    network, inputs = shaken(recipe), rig_tensors(recipe)
    with torch.inference_mode():
        wanted = rig_reference.einet(network.state_dict(), *inputs, SENSORS[modality])
        assert (network(*inputs) - wanted).abs().max() < 1e-5
        assert wanted.shape == (2, 256) and (wanted[0] - wanted[1]).abs().max() > 1e-3


@pytest.mark.parametrize("modality", ["camera", "lidar"])
def test_einet_of_one_sensor_does_not_see_the_other(modality):
    recipe = rig_recipe("einet", 2, modality)
    images, scan = rig_tensors(recipe, batch=1)
    own = (images, None) if modality == "camera" else (None, scan)
    with torch.inference_mode():
        network = shaken(recipe)
        assert torch.equal(network(*own), network(images, scan))


@pytest.mark.parametrize("architecture", ["lcpr", "einet"])
def test_turning_robot_by_one_camera_changes_nothing(architecture):
    recipe = rig_recipe(architecture, 6)
    network, (images, scan) = shaken(recipe), rig_tensors(recipe, batch=1)
    with torch.inference_mode():
        straight = network(images, scan)
        both = network(images.roll(1, dims=1), scan.roll(recipe.rig.cells[1] // 6, dims=3))
        half = network(images, scan.roll(recipe.rig.cells[1] // 6 + 3, dims=3))
    assert (straight * both).sum().item() == pytest.approx(1.0, abs=1e-6)
    assert (straight - both).abs().max() < 1e-5 < 1e-4 < (straight - half).abs().max()


def test_zeros_at_the_seam_break_the_turn():
    recipe = rig_recipe("lcpr", 6, paper_compat={"lcpr_zero_pad": True})
    network, (images, scan) = shaken(recipe), rig_tensors(recipe, batch=1)
    with torch.inference_mode():
        turned = network(images.roll(1, dims=1), scan.roll(recipe.rig.cells[1] // 6, dims=3))
        assert (network(images, scan) - turned).abs().max() > 1e-4


@pytest.mark.parametrize("architecture", ["lcpr", "einet"])
@pytest.mark.parametrize(("rows", "size"), [(32, (96, 256)), (16, (32, 64))])
def test_any_rings_and_sizes(architecture, rows, size):
    recipe = rig_recipe(architecture, 6, size=size, rig={"cells": [rows, 6 * size[1] // 4]})
    network, inputs = shaken(recipe), rig_tensors(recipe)
    with torch.inference_mode():
        vectors = network(*inputs)
        alone = network(*(part[1:] for part in inputs))
    assert vectors.shape == (2, 256)
    torch.testing.assert_close(torch.linalg.vector_norm(vectors, dim=1), torch.ones(2))
    torch.testing.assert_close(vectors[1:], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", ["lcpr", "einet"])
def test_inputs_whose_columns_do_not_meet_are_named(architecture):
    recipe = rig_recipe(architecture, 3)
    images, scan = rig_tensors(recipe)
    with pytest.raises(ValueError, match=r"3 images of 64 x 96 do not meet a range image of 64 columns.*72 columns"):
        build_model(recipe)(images, scan[..., :64])
    with pytest.raises(ValueError, match="multiples of 32"):
        build_model(recipe)(images[..., :48, :], scan)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"rig": {"cameras": 3, "cells": [32, 1056]}},
            r"rig\.cells must have .* 3 images of 96 columns .* 72; got 1056",
        ),
        ({"rig": {"cameras": 7}}, r"rig\.cameras must lie in \[1, 6\]"),
        ({"image": {"backbone": "resnet18", "size": [60, 96]}}, r"image\.size must be made of multiples of 32"),
        ({"image": {"backbone": "dino_vits8", "size": [64, 96]}}, "must be resnet18"),
        ({"dimension": 255}, "dimension must be even"),
        ({"rig": {"elevation": [10.0, -30.0]}}, r"rig\.elevation must rise"),
        ({"modalities": ["camera", "lidar"]}, r"modalities of EINet must be \[fused\], \[camera\] or \[lidar\]"),
        ({"modalities": ["camera"], "architecture": "lcpr"}, r"modalities of LCPR must be \[fused\]"),
        ({"architecture": "vxp"}, "fused needs"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(changes, words):
    rig = {"cameras": 3, "cells": [32, 72], **changes.pop("rig", {})}
    with pytest.raises(ModelError, match=words):
        rig_recipe(**{"architecture": "einet", "cameras": 3, "rig": rig} | changes)


def test_a_saved_model_describes_as_before(tmp_path):
    recipe = rig_recipe("lcpr", 2)
    network, inputs = shaken(recipe), rig_tensors(recipe)
    model_id = save_model(recipe, network, tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    assert loaded.model_id == model_id and loaded.recipe.modalities == ["fused"]
    with torch.inference_mode():
        assert torch.equal(loaded.network(*inputs), network(*inputs))


def imagenet_like(folder):
    """A file with the names of torchvision's resnet18: a classifier, and no counters."""
    torch.manual_seed(5)
    table = {k: v for k, v in ResNet18().state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(table | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, folder / "resnet18.pth")
    return folder / "resnet18.pth", table


@pytest.mark.parametrize("architecture", ["lcpr", "einet"])
def test_a_users_imagenet_file_starts_both_paths(architecture, tmp_path, caplog):
    file, table = imagenet_like(tmp_path)
    recipe = rig_recipe(architecture, 2)
    network, source = fresh_network(replace(recipe, image=replace(recipe.image, weights=str(file))), seed=0)
    assert source == "resnet18.pth"
    state = network.state_dict()
    for name, tensor in table.items():
        assert torch.equal(state[f"backbone.{name}"], tensor)
        if name.startswith(("layer2", "layer3", "layer4")):
            copy = state[f"scan_stages.{name}"]
            assert torch.equal(copy, tensor) and copy.data_ptr() != state[f"backbone.{name}"].data_ptr()


def test_without_a_file_the_log_says_random_and_init_works_by_name(tmp_path, caplog):
    network, source = fresh_network(rig_recipe("einet", 2), seed=0)
    assert source == "" and "ResNet18: no weights given, starting random" in caplog.text
    assert torch.equal(network.scan_stages.layer3[0].conv1.weight, network.backbone.layer3[0].conv1.weight)
    model_id = init_model("einet", tmp_path / "einet")
    assert model_id.startswith("einet-") and load_model(tmp_path / "einet").model_id == model_id


def test_a_wrong_file_is_refused(tmp_path):
    file, table = imagenet_like(tmp_path)
    torch.save({name: tensor for name, tensor in table.items() if name != "conv1.weight"}, file)
    recipe = rig_recipe("lcpr", 2)
    with pytest.raises(ModelError, match=r"1 tensors are missing, the first is conv1\.weight"):
        fresh_network(replace(recipe, image=replace(recipe.image, weights=str(file))), seed=0)
