"""The two networks: sizes, invariances, empty scans, the published behaviour on request."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from vxp_samples import VIEW, kitti_frame, lite, street

from vxp_ros.core.models import build_model
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


@pytest.mark.slow
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
