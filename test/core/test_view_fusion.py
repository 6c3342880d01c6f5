"""The fused descriptor: it starts as the sensors' own side by side, and what was not seen does not matter."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from vxp_ros.core.datatypes import Camera, Frame, Image
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.errors import BadInput, ModelError
from vxp_ros.core.geometry import make_transform
from vxp_ros.core.model_store import Model, find_recipe
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import parse_recipe, read_recipe
from vxp_ros.core.models.view_fusion import added, side_by_side
from vxp_ros.core.preprocessing.views import frame_views, is_blank

R_AHEAD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_model(read_recipe(find_recipe("vxp_view"))).eval()


@pytest.fixture(scope="module")
def trained(network):
    """As it could be after training: nothing of it is zero."""
    torch.manual_seed(1)
    other = build_model(network.recipe).eval()
    other.load_state_dict(network.state_dict())
    for layer in (*other.fused.write.values(), *other.fused.trust.values(), other.fused.turn, other.fused.paint.out):
        torch.nn.init.normal_(layer.weight, std=0.1)
    return other


def camera(yaw: float) -> Camera:
    c, s = np.cos(yaw), np.sin(yaw)
    turned = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ R_AHEAD
    K = np.array([[200.0, 0, 160], [0, 200, 90], [0, 0, 1]])
    return Camera(320, 180, K, T_base_camera=make_transform(turned, np.array([1.5, 0.0, 1.5])))


def frame_of(yaws=(0.0,), seed=0) -> Frame:
    random = np.random.default_rng(seed)
    images = {
        f"camera_{i}": Image(random.integers(0, 256, (180, 320, 3)).astype(np.uint8), camera(yaw))
        for i, yaw in enumerate(yaws)
    }
    points = random.normal(0, 1, (20000, 4)) * [25, 25, 2, 0] + [0, 0, 0, 0.5]
    return Frame(0, images, points.astype(np.float32), T_base_lidar=make_transform(np.eye(3), np.array([1, 0, 1.8])))


def encoder_of(network) -> Encoder:
    return Encoder(Model(network.recipe, network, "view-0"), torch.device("cpu"))


def test_it_starts_as_the_sensors_own_side_by_side(network):
    encoder, frame = encoder_of(network), frame_of()
    camera, lidar, fused = (encoder.describe(frame, kind).vector for kind in ("camera", "lidar", "fused"))
    assert fused.shape == (512,) and np.linalg.norm(fused) == pytest.approx(1, abs=1e-5)
    assert np.allclose(fused * 2**0.5, np.concatenate([camera, lidar]), atol=1e-5)


def test_training_compares_the_sum_of_both():
    told = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 2.0]]])
    assert torch.allclose(added(told), torch.tensor([[0.6, 0.8], [0.0, 1.0]]))
    assert side_by_side(torch.zeros(1, 2, 4)).isnan().all()


@pytest.mark.parametrize("sensor", ["camera", "lidar"])
def test_without_one_sensor_the_others_half_is_left(network, sensor):
    encoder, frame = encoder_of(network), frame_of()
    alone = {
        "camera": Frame(0, frame.images),
        "lidar": Frame(0, {}, frame.points, T_base_lidar=frame.T_base_lidar, cameras={"camera_0": camera(0.0)}),
    }[sensor]
    halves = encoder.describe(alone, "fused").vector.reshape(2, -1) * 2**0.5
    left, lost = halves if sensor == "camera" else halves[::-1]
    assert np.allclose(left, encoder.describe(frame, sensor).vector, atol=1e-5) and not lost.any()


def test_what_was_not_seen_does_not_matter(trained):
    torch.manual_seed(2)
    images, pictures = torch.randn(1, 3, 3, 160, 320), torch.rand(1, 3, 4, 40, 80)
    yaw, sees = torch.tensor([[0.0, 1.0, -1.0]]), torch.tensor([[[True, True], [True, False], [False, True]]])
    with torch.no_grad():
        first = trained.fuse(images, pictures, yaw, sees)
        images[0, 2], pictures[0, 1] = 7.0, 0.3
        assert torch.allclose(trained.fuse(images, pictures, yaw, sees), first, atol=1e-5)
        images[0, 0] = torch.randn(3, 160, 320)
        assert not torch.allclose(trained.fuse(images, pictures, yaw, sees), first, atol=1e-2)
    assert first.norm(dim=1) == pytest.approx(1, abs=1e-5)


def test_the_order_of_the_views_does_not_matter_but_their_direction_does(trained):
    encoder = encoder_of(trained)
    frame = frame_of((0.0, 0.9, 2.0))
    turned = Frame(0, dict(reversed(frame.images.items())), frame.points, T_base_lidar=frame.T_base_lidar)
    vector = encoder.describe(frame, "fused").vector
    assert np.array_equal(encoder.describe(turned, "fused").vector, vector)
    views = [part[None] for part in vars(frame_views(frame, trained.recipe)).values()]
    with torch.no_grad():
        swapped = trained.fuse(views[0], views[1], views[2].flip(1), views[3])
    assert not np.allclose(swapped[0], vector, atol=1e-3)


def test_all_parts_get_a_gradient(trained):
    images, pictures = torch.randn(2, 2, 3, 160, 320), torch.rand(2, 2, 4, 40, 80)
    network = deepcopy(trained).requires_grad_(True)
    network.fuse(images, pictures, torch.rand(2, 2), torch.ones(2, 2, 2, dtype=torch.bool)).std().backward()
    assert not [name for name, value in network.fused.named_parameters() if not value.grad.abs().sum() > 0]


def test_a_black_camera_counts_as_none(network):
    frame = frame_of((0.0, 1.5))
    black = {name: Image(np.full_like(image.pixels, 3), image.camera) for name, image in frame.images.items()}
    views = frame_views(Frame(0, black | {"camera_1": frame.images["camera_1"]}, frame.points, None,
                              frame.T_base_lidar), network.recipe)  # fmt: skip
    assert views.sees.tolist() == [[False, True], [True, True]]
    assert not views.images[0].any() and views.yaw.tolist() == pytest.approx([0.0, 1.5])
    with pytest.raises(BadInput, match="no camera shows anything"):
        encoder_of(network).describe(Frame(0, black), "fused")


def test_a_frame_without_calibration_has_one_view(network):
    frame = frame_of()
    images = {"b": Image(frame.images["camera_0"].pixels), "a": Image(np.zeros((8, 8, 3), np.uint8))}
    views = frame_views(Frame(0, images, frame.points), network.recipe)
    assert views.sees.tolist() == [[True, True]] and views.images.shape == (1, 3, 160, 320)
    assert is_blank(np.zeros((0, 4, 3), np.uint8)) and not is_blank(images["b"].pixels)


@pytest.mark.parametrize("changes", [{"architecture": "vxp"}, {"modalities": ["camera", "fused"]}])
def test_fused_needs_the_view_model_with_both_sensors(changes):
    values = {"name": "x", "architecture": "view", "modalities": ["camera", "lidar", "fused"]}
    with pytest.raises(ModelError, match="fused needs"):
        parse_recipe(values | changes, "x.yaml")
