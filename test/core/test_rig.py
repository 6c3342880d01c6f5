"""Frames of several cameras and a LiDAR as LCPR and EINet get them, and described by the encoder."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from rig_samples import YAWS, camera_at, rig_recipe, ring_frame, shaken
from vxp_samples import frame, kitti_frame

from vxp_ros.core.datatypes import Image
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.errors import BadInput
from vxp_ros.core.geometry import make_transform
from vxp_ros.core.model_store import Model, find_recipe
from vxp_ros.core.models.recipe import read_recipe
from vxp_ros.core.preprocessing.image import to_tensor
from vxp_ros.core.preprocessing.rig import rig_depths, rig_images, rig_pictures, rig_scan

CLOCKWISE = ["front", "front_right", "back_right", "back", "back_left", "front_left"]
SIX = rig_recipe("einet", 6, size=(64, 128))  # a range image of 32 x 192


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(Model(SIX, shaken(SIX), "einet-0"), torch.device("cpu"))


@pytest.mark.parametrize("names", [tuple(YAWS), tuple(reversed(YAWS)), ("back_left", "front_right", "front")])
def test_cameras_stand_clockwise_from_the_one_that_looks_ahead(names):
    sample = ring_frame(names=names)
    wanted = [sample.images[name] for name in CLOCKWISE if name in names]
    assert [id(picture) for picture in rig_pictures(sample, len(names))] == [id(picture) for picture in wanted]


def test_a_front_camera_that_squints_to_the_left_is_still_the_first():
    sample = ring_frame(names=("front_right", "front"))
    squint = Image(sample.images["front"].pixels, camera_at(3.0))
    pictures = rig_pictures(replace(sample, images=sample.images | {"front": squint}), 2)
    assert pictures[0] is squint


def test_the_first_cameras_of_the_frame_are_taken():
    sample = ring_frame()
    assert rig_pictures(sample, 1) == [sample.images["front"]]
    assert rig_images(sample, rig_recipe("einet", 2)).shape == (2, 3, 64, 96)


def test_images_are_those_that_every_model_gets():
    sample = ring_frame()
    images = rig_images(sample, SIX)
    assert images.shape == (6, 3, 64, 128) and images.dtype == torch.float32
    for image, name in zip(images, CLOCKWISE, strict=True):
        assert torch.equal(image, to_tensor(sample.images[name].pixels, SIX.image))


def test_strips_and_columns_show_the_same_direction():
    """Every camera has its own colour, and so have the columns beside its strip."""
    scan = rig_scan(ring_frame(), SIX).numpy()
    assert scan.shape == (5, 32, 192) and scan.dtype == np.float32
    assert scan[0].max() <= 1 and set(np.unique(scan[4])) == {0.0, 1.0}
    for i, name in enumerate(CLOCKWISE):
        middle = scan[:, :, 32 * i + 14 : 32 * i + 18]
        seen = middle[4] == 1
        assert seen.sum() > 20
        assert np.median(middle[1][seen]) == pytest.approx(40 * list(YAWS).index(name) / 255, abs=0.03), name
    assert not scan[1:4][:, scan[4] == 0].any() and not scan[:, scan[0] == 0].any()


@pytest.mark.parametrize("turn", [0.0, -np.pi / 2, 2.5])
def test_how_the_lidar_is_mounted_does_not_matter(turn):
    straight, turned = rig_scan(ring_frame(), SIX), rig_scan(ring_frame(turn=turn), SIX)
    assert (straight - turned).abs().amax(dim=0).gt(0.02).float().mean() < 0.02  # rounding at the columns' edges


def test_a_lidar_on_its_head_sees_the_same():
    sample = ring_frame()
    flip = np.diag([1.0, -1.0, -1.0])
    T = make_transform(flip, sample.T_base_lidar[:3, 3])
    points = sample.points.copy()
    points[:, :3] = points[:, :3] @ flip.astype(np.float32)
    upside_down = replace(sample, points=points, rings=31 - sample.rings, T_base_lidar=T)
    assert (rig_scan(sample, SIX) - rig_scan(upside_down, SIX)).abs().amax(dim=0).gt(0.02).float().mean() < 0.02


def test_without_rings_rows_go_by_elevation():
    by_ring, by_angle = (rig_scan(replace(ring_frame(), rings=r), SIX)[0] > 0 for r in (ring_frame().rings, None))
    assert by_ring.any(dim=1).all()
    assert (~by_angle.any(dim=1)).nonzero().ravel().tolist() == [8, 23]
    compat = replace(SIX, paper_compat=replace(SIX.paper_compat, lcpr_rows_by_angle=True))
    assert torch.equal(rig_scan(ring_frame(), compat), rig_scan(replace(ring_frame(), rings=None), SIX))


def test_lcprs_own_range_image():
    recipe, sample = rig_recipe("lcpr", 6, size=(64, 128)), ring_frame()
    is_hit = sample.rings != 20
    sample = replace(sample, points=sample.points[is_hit], rings=sample.rings[is_hit])
    ours = rig_scan(sample, recipe)
    compat = replace(recipe.paper_compat, lcpr_raw_range=True, lcpr_unaligned_panorama=True)
    theirs = rig_scan(sample, replace(recipe, paper_compat=compat)).roll(16 - 96, dims=2)
    assert ours.shape == (1, 32, 192)
    assert (theirs[0, 11] == -1).all() and not ours[0, 11].any()
    torch.testing.assert_close(theirs[ours > 0], 80 * ours[ours > 0])


def test_depths_are_those_of_the_images():
    sample = ring_frame()
    depths = rig_depths(sample, SIX)
    assert depths.shape == (6, 64, 128) and depths[depths > 0].min() > 2.0 and depths.max() < 80
    assert min((depth > 0).sum() for depth in depths) > 200
    shuffled = replace(sample, images=dict(reversed(sample.images.items())))
    assert torch.equal(rig_depths(shuffled, SIX), depths)


def test_the_encoder_gives_one_fused_descriptor_whatever_the_order_of_cameras_and_points(encoder):
    sample, stages = ring_frame(), {}
    descriptor = encoder.describe(sample, "fused", stages)
    assert (descriptor.modality, descriptor.model_id) == ("fused", "einet-0")
    assert descriptor.vector.shape == (256,) and descriptor.vector.dtype == np.float32
    assert np.linalg.norm(descriptor.vector) == pytest.approx(1, abs=1e-5)
    assert stages.keys() == {"views", "fused_encoder"}
    order = np.random.default_rng(0).permutation(len(sample.points))
    mixed = replace(
        sample,
        images=dict(reversed(sample.images.items())),
        points=sample.points[order],
        rings=sample.rings[order],
    )
    np.testing.assert_allclose(encoder.describe(mixed, "fused").vector, descriptor.vector, atol=1e-6)
    other = encoder.describe(ring_frame(seed=1), "fused").vector
    assert np.linalg.norm(other - descriptor.vector) > 1e-4


@pytest.mark.parametrize("modality", ["camera", "lidar"])
def test_a_network_of_one_sensor_wants_only_that(modality):
    recipe = rig_recipe("einet", 2, modality)
    encoder = Encoder(Model(recipe, shaken(recipe), "one-0"), torch.device("cpu"))
    assert encoder.modalities == (modality,)
    sample = ring_frame(names=("front", "back"))
    alone = replace(sample, points=None, rings=None) if modality == "camera" else replace(sample, images={})
    np.testing.assert_array_equal(encoder.describe(alone, modality).vector, encoder.describe(sample, modality).vector)


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"images": {}}, "no_sensor", "wants images of 6 cameras, the frame holds 0"),
        ({"points": None}, "no_sensor", "holds no point cloud"),
        ({"T_base_lidar": None}, "no_sensor", "where cameras and LiDAR sit"),
        (
            {"points": np.zeros((0, 4), np.float32), "rings": np.zeros(0, np.uint16)},
            "no_point_in_view",
            "no LiDAR point",
        ),
        ({"points": np.full((9, 4), 100, np.float32), "rings": None}, "no_point_in_view", "80 m around"),
    ],
)
def test_frames_that_lack_something_are_refused(encoder, changes, reason, words):
    with pytest.raises(BadInput, match=words) as error:
        encoder.describe(ring_frame(**changes), "fused")
    assert error.value.reason == reason


def test_several_cameras_must_say_where_they_look_and_one_need_not():
    sample = ring_frame(names=("front", "back"))
    images = sample.images | {"back": Image(sample.images["back"].pixels)}
    with pytest.raises(BadInput, match="2 calibrated cameras"):
        rig_images(replace(sample, images=images), rig_recipe("lcpr", 2))
    assert rig_images(frame(images={"c": Image(images["back"].pixels)}), rig_recipe("lcpr", 1)).shape[0] == 1
    with pytest.raises(BadInput, match="where cameras and LiDAR sit"):
        rig_scan(frame(images={"c": Image(images["back"].pixels)}), rig_recipe("einet", 1))


def test_another_sensor_than_the_models_is_refused(encoder):
    with pytest.raises(BadInput, match="cannot describe a frame by camera"):
        encoder.describe(ring_frame(), "camera")


def test_a_real_frame_of_one_camera_without_rings():
    sample, recipe = kitti_frame(), rig_recipe("einet", 1, size=(64, 192), rig={"cells": [32, 48]})
    scan = rig_scan(sample, recipe)
    assert scan.shape == (5, 32, 48)
    ahead = scan[4, :, 20:28]
    assert ahead.mean() > 0.4 > 0.05 > scan[4, :, :12].mean()  # coloured where the camera looks, nowhere behind
    encoder = Encoder(Model(recipe, shaken(recipe), "einet-0"), torch.device("cpu"))
    assert encoder.describe(sample, "fused").vector.shape == (256,)


def test_a_real_keyframe_of_six_cameras():
    if "VXP_DATA" not in os.environ:
        pytest.skip("VXP_DATA is not set: it names the folder with a real nuScenes keyframe")
    from vxp_ros.sources import open_source

    (sample,) = open_source(f"nuscenes:{os.environ['VXP_DATA']}/nuscenes_keyframe")
    recipe = read_recipe(find_recipe("einet"))
    scan, depths = rig_scan(sample, recipe), rig_depths(sample, recipe)
    assert scan.shape == (5, 32, 1056) and depths.shape == (6, 256, 704)
    assert (scan[0] > 0).float().mean() > 0.7
    assert not scan[4, -4:, 0:176].any()  # the lowest rings pass below what the front camera sees
    shares = (depths > 0).float().flatten(1).mean(dim=1)
    assert shares.min() > 0.01 and shares.max() < 0.04  # about 3000 of 180,224 pixels
    assert [picture.camera.K[0, 0] < 900 for picture in rig_pictures(sample, 6)] == [False] * 3 + [True] + [False] * 2
