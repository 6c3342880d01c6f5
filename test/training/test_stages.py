"""Each stage learns eight pairs by heart; what is frozen stays; samples are what the encoder makes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from places import Street, tiny_model, tiny_network

from vxp_ros.core.encoder import Encoder
from vxp_ros.core.errors import SourceError
from vxp_ros.core.model_store import Model
from vxp_ros.core.models.recipe import PaperCompat
from vxp_training.engine import Engine
from vxp_training.recipe import GlobalRecipe, LocalRecipe, TeacherRecipe, TrainingCompat, TrainingRecipe
from vxp_training.samples import Augmentation, ScanBatch, image_sample, scan_sample
from vxp_training.stages import make_stage
from vxp_training.training_data import gather

CPU = torch.device("cpu")
MODEL = tiny_model()


def recipe(name: str = "", **changes) -> TrainingRecipe:
    """Eight pairs in one batch, no augmentation, long enough to learn them by heart; `changes` to the named stage."""
    optimiser = {"epochs": 2, "lr": 3e-3, "min_lr": 1e-3, "lr_step": 2, "colours": False}
    stages = {
        "teacher": TeacherRecipe(**optimiser | {"lr": 1e-3, "epochs": 4}, batch=16, affine=False),
        "local": LocalRecipe(**optimiser, batch=8, flip=False),
        "global": GlobalRecipe(**optimiser, batch=8, flip=False, motion=False),
    }
    if name:
        stages[name] = replace(stages[name], **changes)
    return TrainingRecipe(teacher=stages["teacher"], local_alignment=stages["local"], global_alignment=stages["global"])


def street_data(views: int = 1, count: int = 8):
    """Trains and validates on the same street; single views are seen six times per epoch."""
    data = gather([Street(count, views)], [Street(count, views)])
    return data if views > 1 else replace(data, train=np.tile(data.train, 6))


def run(name: str, folder, network=None, chosen: TrainingRecipe | None = None, data=None, engine=Engine(CPU)):
    """(network, losses of all steps)."""
    network = network or tiny_network(MODEL)
    data = data or street_data(views=2 if name == "teacher" else 1)
    engine.train(make_stage(name, network, MODEL, chosen or recipe(), data), folder)
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return network, [entry["loss"] for entry in entries if entry["kind"] == "step"]


def state(module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(before: dict, module) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


# --- learning by heart ---


def test_teacher_learns_eight_pairs(tmp_path):
    network = tiny_network(MODEL)
    lidar = state(network.lidar)
    _, curve = run("teacher", tmp_path, network)
    assert len(curve) == 4 and curve[0] > 0 and curve[-1] == 0
    assert not changed(lidar, network.lidar)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["local", "global"])
def test_student_learns_eight_pairs(tmp_path, name):
    network = tiny_network(MODEL)
    teacher, student = state(network.camera), state(network.lidar)
    _, curve = run(name, tmp_path, network)
    assert len(curve) == 12 and curve[-1] < 0.4 * curve[0]
    assert not changed(teacher, network.camera)  # norms included: it stays in eval mode
    heads = {key for key in changed(student, network.lidar) if key.startswith("gem.")}
    assert len(heads) == (3 if name == "global" else 0)  # stage 2 leaves pooling and head alone
    assert "voxel_feat_ext.middle.layers.0.conv.weight" in changed(student, network.lidar)


def test_frozen_backbone_keeps_its_weights_and_norms(tmp_path):
    network = tiny_network(MODEL)
    before = state(network.camera)
    run("teacher", tmp_path, network, recipe("teacher", freeze_backbone=True, epochs=2))
    assert changed(before, network.camera) == {"pooling.p", "pooling.dense_head.weight", "pooling.dense_head.bias"}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["teacher", "local", "global"])
def test_stages_learn_on_a_gpu(tmp_path, name, precision):
    _, curve = run(name, tmp_path, engine=Engine(torch.device("cuda"), precision=precision))
    assert curve[-1] < 0.5 * curve[0]


# --- cached features, switches ---


@pytest.mark.slow
@pytest.mark.parametrize("name", ["local", "global"])
def test_cached_teacher_gives_the_losses_of_the_live_one(tmp_path, name, monkeypatch):
    """With the mirror, so that both variants are looked up."""
    chosen = recipe(name, flip=True, epochs=1)
    _, cached = run(name, tmp_path / "cached", chosen=chosen)
    assert (tmp_path / "cached" / "teacher.npy").exists()
    monkeypatch.setattr(Augmentation, "changes_image", True)
    _, live = run(name, tmp_path / "live", chosen=chosen)
    assert not (tmp_path / "live" / "teacher.npy").exists()
    assert cached == pytest.approx(live, rel=1e-4)


def test_switches_change_what_they_say(tmp_path):
    """One step each, from the same weights and samples."""

    data = gather([Street(8, 1)], [Street(1, 1)])

    def first_loss(chosen: TrainingRecipe, label: str) -> float:
        return run("local", tmp_path / label, chosen=chosen, data=data)[1][0]

    plain = recipe("local", epochs=1)
    losses = {"plain": first_loss(plain, "plain")}
    for label, change in (("mse", {"loss": "mse"}), ("cosine", {"loss": "cosine"}), ("flat", {"depth_weight": False})):
        losses[label] = first_loss(recipe("local", epochs=1, **change), label)
    compat = TrainingCompat(nearest_cell=True, flip_keeps_cx=True)
    losses["nearest"] = first_loss(replace(plain, paper_compat=compat), "nearest")
    assert len({round(value, 6) for value in losses.values()}) == len(losses)
    assert losses["flat"] > 3 * losses["plain"]  # all voxels are beyond 3 m


# --- samples ---


def test_samples_are_what_the_encoder_makes():
    """Training and robot describe a frame alike, with the model's switches on and off."""
    frame = Street().frame(3)
    for model in (MODEL, tiny_model(paper_compat=PaperCompat(resize_no_antialias=True, voxel_cap_scan_order=True))):
        network = tiny_network(model).eval()
        encoder = Encoder(Model(model, network, "tiny"), CPU)
        with torch.inference_mode():
            image = network.camera(image_sample(frame, model, Augmentation(), None)[None])[0]
            scans = ScanBatch.collate([scan_sample(frame, model, Augmentation(), None)])
            scan = network.lidar(scans.voxels, scans.intrinsics).vectors[0]
        np.testing.assert_array_equal(image, encoder.describe(frame, "camera").vector)
        np.testing.assert_array_equal(scan, encoder.describe(frame, "lidar").vector)


def test_each_augmentation_changes_its_part():
    frame, random = Street().frame(0), np.random.default_rng
    plain_image = image_sample(frame, MODEL, Augmentation(), None)
    plain_scan = scan_sample(frame, MODEL, Augmentation(), None)
    for change in ({"colours": True}, {"affine": True}):
        image = image_sample(frame, MODEL, Augmentation(**change), random(0))
        assert not torch.equal(image, plain_image)
        assert torch.equal(image, image_sample(frame, MODEL, Augmentation(**change), random(0)))
    torch.testing.assert_close(image_sample(frame, MODEL, Augmentation(), None, True), plain_image.flip(2))
    mirrored = scan_sample(frame, MODEL, Augmentation(), None, mirrored=True)
    assert mirrored.intrinsics[2] == pytest.approx(1 - plain_scan.intrinsics[2])
    assert mirrored.voxels.points[:, 1].sum() == pytest.approx(-plain_scan.voxels.points[:, 1].sum(), abs=0.05)
    kept = scan_sample(frame, MODEL, Augmentation(flip_keeps_cx=True), None, mirrored=True)
    assert kept.intrinsics[2] == plain_scan.intrinsics[2]
    moved = scan_sample(frame, MODEL, Augmentation(motion=True), random(0))
    assert np.array_equal(moved.intrinsics, plain_scan.intrinsics)
    assert len(moved.voxels) != len(plain_scan.voxels) or (moved.voxels.points != plain_scan.voxels.points).any()


def test_frames_without_a_sensor_are_named():
    frame = Street().frame(0)
    with pytest.raises(SourceError, match="0 ns has no image"):
        image_sample(replace(frame, images={}), MODEL, Augmentation(), None)
    with pytest.raises(SourceError, match="no cloud"):
        scan_sample(replace(frame, points=None), MODEL, Augmentation(), None)
    with pytest.raises(SourceError, match="no calibrated camera"):
        scan_sample(replace(frame, T_base_lidar=None), MODEL, Augmentation(), None)


# --- which data ---


def test_validation_squares_share_no_place_with_training():
    street = Street(count=60, views=3, spacing=7.0)
    data = gather([street], part=0.2, square=50.0)
    north = street.annotation.northing
    assert 0.15 * 180 < len(data.validate) < 0.4 * 180
    assert np.abs(north[data.train][:, None] - north[data.validate]).min() > 10
    assert len(data.train) + len(data.validate) > 0.6 * 180
    again, other = (gather([street], part=0.2, square=50.0, seed=seed) for seed in (0, 1))
    assert np.array_equal(again.validate, data.validate) and not np.array_equal(other.validate, data.validate)


def test_folders_are_told_apart_and_halves_of_pairs_left_out():
    streets = [Street(3), Street(3, seed=5)]
    columns = streets[1].annotation.image.copy()
    columns[2] = ""
    streets[1].annotation = replace(streets[1].annotation, image=columns)
    data = gather(streets[:1], streets[1:])
    assert data.train.tolist() == [0, 1, 2, 3, 4, 5] and data.validate.tolist() == [6, 7, 9, 10, 11]
    np.testing.assert_array_equal(data.frame(7).points, streets[1].frame(1).points)


def test_no_data_is_said():
    with pytest.raises(SourceError, match="no data to train on"):
        gather([])
    street = Street(2)
    street.annotation = replace(street.annotation, cloud=np.full(4, ""))
    with pytest.raises(SourceError, match="no frame with image and cloud to train on, of 0 in 2"):
        gather([street], [street])
