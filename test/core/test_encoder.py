"""Frames to descriptors by a whole model, on made-up and real frames."""

import logging
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from vxp_samples import T_BASE_OPTICAL, camera, frame, kitti_frame, lite, picture, street

from vxp_ros.core.config import MAX_POINTS
from vxp_ros.core.datatypes import Frame, Image
from vxp_ros.core.encoder import Encoder, choose_device
from vxp_ros.core.errors import BadInput, ModelError
from vxp_ros.core.geometry import invert, make_transform, quaternion_to_matrix, transform_points
from vxp_ros.core.model_store import Model, init_model, load_model
from vxp_ros.core.models import build_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "lite"
    init_model("vxp_lite", folder)
    return folder


@pytest.fixture(scope="module")
def model(folder) -> Model:
    """Loaded once; no test may change it."""
    return load_model(folder)


@pytest.fixture
def encoder(model):
    """A fresh one, which has not said anything yet."""
    return Encoder(model, torch.device("cpu"))


def lidar(encoder, **changes) -> np.ndarray:
    return encoder.describe(frame(**changes), "lidar").vector


def test_attributes_come_from_the_model(encoder):
    assert encoder.modalities == ("camera", "lidar")
    assert encoder.model_id.startswith("vxp_lite-")
    assert (encoder.length_of("camera"), encoder.device) == (256, "cpu")


@pytest.mark.parametrize("modality", ["camera", "lidar"])
def test_descriptor_of_a_frame(encoder, modality):
    stage_ms = {"search": 1.0}
    descriptor = encoder.describe(frame(), modality, stage_ms)
    assert descriptor.vector.shape == (256,) and descriptor.vector.dtype == np.float32
    assert (descriptor.modality, descriptor.model_id) == (modality, encoder.model_id)
    assert np.linalg.norm(descriptor.vector) == pytest.approx(1, abs=1e-5)
    stages = {"camera": {"image", "image_encoder"}, "lidar": {"points", "lidar_encoder"}}[modality]
    assert stage_ms.keys() == stages | {"search"} and min(stage_ms.values()) > 0


@pytest.mark.parametrize("modality", ["camera", "lidar"])
def test_same_frame_same_descriptor_other_frame_other_descriptor(encoder, folder, modality):
    first = encoder.describe(frame(0), modality).vector
    encoder.describe(frame(1), modality)
    np.testing.assert_array_equal(encoder.describe(frame(0), modality).vector, first)
    np.testing.assert_allclose(Encoder.load(folder, "cpu").describe(frame(0), modality).vector, first, atol=1e-6)
    assert np.linalg.norm(encoder.describe(frame(1), modality).vector - first) > 1e-3


@pytest.mark.parametrize("modality", ["camera", "lidar"])
def test_real_neighbours_are_nearer_than_other_streets(encoder, modality):
    here, beside, elsewhere = (
        encoder.describe(kitti_frame(sequence, number), modality).vector for sequence, number in
        [("00", 0), ("00", 1), ("01", 0)]
    )  # fmt: skip
    assert np.linalg.norm(here - beside) < np.linalg.norm(here - elsewhere)


# --- where the LiDAR is seen from ---


def test_moving_the_lidar_on_the_robot_does_not_change_its_descriptor(encoder):
    T_base_lidar = make_transform(quaternion_to_matrix([0, 0, np.sin(0.6), np.cos(0.6)]), np.array([-0.4, 0.3, 1.7]))
    points = transform_points(invert(T_base_lidar), street()[:, :3].astype(np.float64))
    moved = lidar(
        encoder, points=np.column_stack([points, street()[:, 3]]).astype(np.float32), T_base_lidar=T_base_lidar
    )
    assert np.linalg.norm(moved - lidar(encoder)) < 0.05  # rounding moves the odd point into the next voxel
    wrong = lidar(encoder, T_base_lidar=T_base_lidar)
    assert np.linalg.norm(wrong - lidar(encoder)) > 0.1


def test_camera_pose_and_intrinsics_decide_the_view(encoder):
    turned = make_transform(quaternion_to_matrix([0, 0, np.sin(0.3), np.cos(0.3)]), np.zeros(3)) @ T_BASE_OPTICAL
    narrow = camera(K=np.array([[2000.0, 0, 610], [0, 2000, 170], [0, 0, 1]]))
    straight = lidar(encoder)
    for calibration in (camera(turned), narrow):
        assert np.linalg.norm(lidar(encoder, images={"c": Image(picture(), calibration)}) - straight) > 1e-2


def test_resizing_the_image_changes_nothing(encoder):
    """The intrinsics count as parts of the image size."""
    half = camera(width=620, height=188, K=np.array([[360.0, 0, 305], [0, 360, 85], [0, 0, 1]]))
    np.testing.assert_allclose(lidar(encoder, images={"c": Image(picture(), half)}), lidar(encoder), atol=1e-6)


def test_first_calibrated_camera_counts(encoder):
    images = {
        "left": Image(picture()),
        "front": Image(picture(), camera()),
        "right": Image(picture(), camera(np.eye(4))),
    }
    np.testing.assert_array_equal(lidar(encoder, images=images), lidar(encoder))


def test_image_and_lidar_are_described_by_the_same_camera(encoder):
    def camera_vector(**images) -> np.ndarray:
        return encoder.describe(frame(images=images), "camera").vector

    front = camera_vector(front=Image(picture(1), camera()))
    calibrated_second = camera_vector(left=Image(picture(2)), front=Image(picture(1), camera()))
    np.testing.assert_array_equal(calibrated_second, front)
    without_pose = camera_vector(left=Image(picture(2), camera(None)), front=Image(picture(1), camera()))
    np.testing.assert_array_equal(without_pose, front)
    none_calibrated = camera_vector(left=Image(picture(2)), right=Image(picture(1)))
    np.testing.assert_array_equal(none_calibrated, camera_vector(left=Image(picture(2))))


def test_a_huge_cloud_is_thinned_evenly_before_it_costs_time(encoder):
    huge = np.repeat(street(0, 9000), 600, axis=0)
    step = np.arange(MAX_POINTS) * len(huge) // MAX_POINTS
    thinned = huge[step]

    def described(points: np.ndarray) -> tuple[np.ndarray, float]:
        start = time.process_time()
        vector = lidar(encoder, points=points)
        return vector, time.process_time() - start

    (slow, seconds), (fast, least) = described(huge), described(thinned)
    np.testing.assert_array_equal(slow, fast)
    assert seconds < 3 * least  # of 18 times as many points


@pytest.mark.parametrize(
    "changes",
    [
        {"images": {}},
        {"images": {"c": Image(picture())}},
        {"images": {"c": Image(picture(), camera(None))}},
        {"T_base_lidar": None},
    ],
    ids=["no camera", "no calibration", "no camera pose", "no lidar pose"],
)
def test_without_a_calibrated_camera_the_nominal_view_is_used_and_said_once(encoder, changes, caplog):
    with caplog.at_level(logging.WARNING):
        first, second = lidar(encoder, **changes), lidar(encoder, **changes)
    assert caplog.text.count("nominal view") == 1
    np.testing.assert_array_equal(first, second)
    fx, fy, cx, cy = lite().lidar.nominal_view
    nominal = camera(K=np.array([[fx * 1240, 0, cx * 1240], [0, fy * 376, cy * 376], [0, 0, 1]]))
    np.testing.assert_allclose(first, lidar(encoder, images={"c": Image(picture(), nominal)}), atol=1e-6)


def test_distortion_is_said_once(encoder, caplog):
    distorted = {"c": Image(picture(), camera(distortion=np.array([-0.3, 0.1, 0, 0, 0]), distortion_model="plumb_bob"))}
    with caplog.at_level(logging.WARNING):
        lidar(encoder, images=distorted), lidar(encoder, images=distorted)
    assert caplog.text.count("not rectified") == 1


# --- bad input ---


def refusal(encoder, modality: str, **changes) -> str:
    with pytest.raises(BadInput) as error:
        encoder.describe(frame(**changes), modality)
    assert len(str(error.value)) > 20
    return error.value.reason


def test_missing_sensors(encoder):
    assert refusal(encoder, "camera", images={}) == "no_sensor"
    assert refusal(encoder, "lidar", points=None) == "no_sensor"
    assert refusal(encoder, "fused") == "no_sensor"


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 4), np.float32),
        np.full((500, 4), -30, np.float32),
        np.full((500, 4), np.nan, np.float32),
        np.full((500, 4), 3e38, np.float32),
        np.array([[0.3, 21, 1, 0]], np.float32),
    ],
    ids=["empty", "behind", "nan", "huge", "beside the view"],
)
def test_clouds_without_a_point_in_view(encoder, points):
    assert refusal(encoder, "lidar", points=points) == "no_point_in_view"


def test_one_point_is_a_cloud(encoder):
    one = np.array([[10, 0.1, 0.1, 0]], np.float32)
    assert np.isfinite(lidar(encoder, points=one)).all()


@pytest.mark.parametrize(
    "change", [{"width": 0}, {"K": np.zeros((3, 3))}, {"K": np.full((3, 3), np.nan)}, {"K": -np.eye(3)}]
)
def test_useless_intrinsics(encoder, change):
    with np.errstate(all="ignore"):
        assert refusal(encoder, "lidar", images={"c": Image(picture(), camera(**change))}) == "bad_camera_info"


@pytest.mark.parametrize(
    ("modality", "tensor"), [("camera", "camera.pooling.p"), ("lidar", "lidar.gem.dense_head.bias")]
)
def test_output_that_is_not_finite_is_refused(folder, modality, tensor):
    encoder = Encoder.load(folder, "cpu")
    encoder.network.state_dict()[tensor].fill_(torch.nan)
    assert refusal(encoder, modality) == "bad_descriptor"


def test_an_empty_image_is_refused(encoder):
    assert refusal(encoder, "camera", images={"c": Image(np.zeros((0, 0, 3), np.uint8))}) == "bad_image"


@pytest.mark.parametrize("pixels", [np.zeros((1, 1, 3), np.uint8), np.full((2000, 3000, 3), 255, np.uint8)])
def test_any_image_size_is_described(encoder, pixels):
    assert np.isfinite(encoder.describe(frame(images={"c": Image(pixels)}), "camera").vector).all()


def test_model_with_one_modality():
    recipe = replace(lite(), modalities=["lidar"])
    encoder = Encoder(Model(recipe, build_model(recipe).eval(), "ear-0"), torch.device("cpu"))
    assert encoder.modalities == ("lidar",)
    assert lidar(encoder).shape == (256,)
    assert refusal(encoder, "camera") == "no_sensor"


# --- devices and threads ---


def test_devices():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for wrong in ("gpu", "meta", "cuda:99", ""):
        with pytest.raises(ModelError, match="device"):
            choose_device(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["camera", "lidar"])
def test_one_thread_is_one_thread_in_a_worker_too(folder, modality):
    """CPU time of the whole process must not exceed wall time; torch would take all cores in a fresh thread. In a
    process without OMP_NUM_THREADS, which would hide a missing protection."""
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = f"{Path(__file__).parent}:{environment.get('PYTHONPATH', '')}"
    command = [sys.executable, "-c", WORKER, str(folder), modality]
    result = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
    assert result.returncode == 0, result.stderr
    threads, cpu, wall = map(float, result.stdout.split())
    assert threads == 1
    assert cpu < 1.2 * wall + 0.05


WORKER = """
import sys, threading, time
import torch
from vxp_samples import frame
from vxp_ros.core.encoder import Encoder
folder, modality = sys.argv[1:]
encoder, sample = Encoder.load(folder, "cpu"), frame()
def work():
    torch.set_num_threads(4)
    encoder.describe(sample, modality)
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(3):
        encoder.describe(sample, modality)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - start
    print(torch.get_num_threads(), cpu, wall)
worker = threading.Thread(target=work)
worker.start()
worker.join()
"""


def test_training_state_does_not_leak_into_descriptors(folder):
    """Norms keep their statistics and no gradient is recorded, even if the caller left the model in training mode."""
    encoder = Encoder.load(folder, "cpu")
    before = {name: buffer.clone() for name, buffer in encoder.network.named_buffers()}
    for modality in encoder.modalities:
        encoder.describe(frame(), modality)
    assert all(torch.equal(buffer, before[name]) for name, buffer in encoder.network.named_buffers())
    assert not any(parameter.requires_grad for parameter in encoder.network.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.gpu
@pytest.mark.parametrize("modality", ["camera", "lidar"])
def test_cuda_describes_as_the_cpu_does(encoder, folder, modality):
    there = Encoder.load(folder, "cuda").describe(frame(), modality).vector
    assert np.linalg.norm(there - encoder.describe(frame(), modality).vector) < 1e-2


def test_frames_without_anything(encoder):
    for modality in encoder.modalities:
        with pytest.raises(BadInput):
            encoder.describe(Frame(stamp_ns=0), modality)
