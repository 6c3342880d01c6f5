"""The view model: LiDAR drawn as the camera sees it, and descriptors that depend on nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from vxp_samples import frame

from vxp_ros.core.encoder import Encoder
from vxp_ros.core.errors import BadInput, ModelError
from vxp_ros.core.model_store import Model, find_recipe, load_model, save_model
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import parse_recipe, read_recipe
from vxp_ros.core.preprocessing.view_image import view_image

VIEW = np.array([0.6, 1.1, 0.5, 0.5])
CELLS = (40, 80)


@pytest.fixture(scope="module")
def recipe():
    return read_recipe(find_recipe("vxp_view"))


@pytest.fixture(scope="module")
def network(recipe):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_model(recipe).eval()


def random_scan(seed=0, count=4000) -> np.ndarray:
    random = np.random.default_rng(seed)
    points = random.uniform([-30, -30, -3, 0], [60, 30, 8, 255], (count, 4))
    return points.astype(np.float32)


def test_a_point_ahead_falls_into_the_middle_and_says_depth_height_and_brightness():
    image = view_image(np.array([[20.0, -0.1, 0.3, 80.0]], np.float32), VIEW, CELLS)
    row, column = int(40 * (0.5 - 1.1 * 0.3 / 20)), int(80 * (0.5 + 0.6 * 0.1 / 20))
    assert image[:, row, column] == pytest.approx([1.0, np.log(2.0), 0.1, 1.0], abs=1e-6)
    assert image[0].sum() == 1 and np.count_nonzero(image) == 4


def test_the_nearest_point_of_a_cell_stays_as_brute_force_says():
    points = random_scan()
    image = view_image(points, VIEW, CELLS)
    nearest = {}
    for x, y, z, _ in points:
        if not 1.0 < x < 100.0:
            continue
        u, v = 80 * (0.5 - 0.6 * y / x), 40 * (0.5 - 1.1 * z / x)
        if 0 <= u < 80 and 0 <= v < 40:
            cell = int(v), int(u)
            nearest[cell] = min(nearest.get(cell, np.inf), x)
    assert int(image[0].sum()) == len(nearest) > 100
    for cell, x in nearest.items():
        assert image[1][cell] == pytest.approx(np.log(x / 10), abs=1e-5)


def test_the_order_of_the_points_and_the_scale_of_the_intensity_do_not_matter():
    points = random_scan()
    points = np.concatenate([points, points[:50] + np.array([0, 0, 0, 9], np.float32)])  # two echoes of one place
    image = view_image(points, VIEW, CELLS)
    assert np.array_equal(image, view_image(points[np.random.default_rng(1).permutation(len(points))], VIEW, CELLS))
    points[:, 3] /= 255
    assert np.allclose(image, view_image(points, VIEW, CELLS), atol=1e-5)


def test_the_mirrored_scan_gives_the_mirrored_picture():
    points, view = random_scan(), np.array([0.6, 1.1, 0.47, 0.5])
    mirrored = points * np.array([1, -1, 1, 1], np.float32)
    image = view_image(mirrored, np.array([0.6, 1.1, 0.53, 0.5]), CELLS)
    assert np.mean(image[0] != view_image(points, view, CELLS)[0, :, ::-1]) < 2e-3  # rounding at the cells' edges


@pytest.mark.parametrize("points", [np.zeros((0, 4), np.float32), np.array([[-5.0, 0, 0, 1]], np.float32)])
def test_a_scan_without_a_point_in_view_is_flagged_and_zero(network, points):
    scans = [network.lidar.prepare(scan, VIEW, "cpu")[0] for scan in (random_scan(), points)]
    vectors, is_valid = network.lidar(torch.cat(scans))
    assert is_valid.tolist() == [True, False]
    assert torch.equal(vectors[1], torch.zeros(256))


def test_both_sensors_give_unit_descriptors_that_do_not_depend_on_the_batch(network):
    images = torch.rand(3, 3, 160, 320, generator=torch.Generator().manual_seed(0))
    scans = torch.cat([network.lidar.prepare(random_scan(seed), VIEW, "cpu")[0] for seed in range(3)])
    with torch.inference_mode():
        for vectors, alone in [
            (network.camera(images), network.camera(images[1:2])),
            (network.lidar(scans).vectors, network.lidar(scans[1:2]).vectors),
        ]:
            assert vectors.shape == (3, 256)
            assert torch.allclose(torch.linalg.vector_norm(vectors, dim=1), torch.ones(3), atol=1e-5)
            assert torch.allclose(vectors[1], alone[0], atol=1e-5)


def test_a_saved_model_describes_as_before(recipe, network, tmp_path):
    save_model(recipe, network, tmp_path / "m")
    loaded = load_model(tmp_path / "m").network
    image = torch.rand(1, 3, 160, 320, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(loaded.camera(image), network.camera(image))


def test_the_encoder_describes_a_frame_by_each_sensor(recipe, network):
    encoder = Encoder(Model(recipe, network, "view-0"), torch.device("cpu"))
    sample, stages = frame(), {}
    vectors = {sensor: encoder.describe(sample, sensor, stages).vector for sensor in ("camera", "lidar")}
    assert set(stages) == {"image", "image_encoder", "points", "lidar_encoder"}
    shuffled = replace(sample, points=sample.points[::-1])
    assert np.array_equal(encoder.describe(shuffled, "lidar").vector, vectors["lidar"])
    behind = replace(sample, points=sample.points * np.array([-1, 1, 1, 1], np.float32))
    with pytest.raises(BadInput, match="no LiDAR point"):
        encoder.describe(replace(sample, points=behind.points[behind.points[:, 0] < -1]), "lidar")


def test_sizes_that_do_not_meet_are_refused():
    values = {"name": "x", "architecture": "view", "image": {"backbone": "efficientnet_lite0", "size": [160, 336]}}
    with pytest.raises(ModelError, match=r"view\.cells"):
        build_model(parse_recipe(values, "test"))
