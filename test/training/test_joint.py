"""Joint training: what meets in a batch, what the loss sees, and that a view model learns a street by heart."""

import json

import numpy as np
import pytest
import torch
from places import Street, tiny_model

from vxp_ros.core.errors import ModelError
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import ViewRecipe
from vxp_training.engine import Engine
from vxp_training.joint import JointStage, cropped, depth_error, thinned
from vxp_training.mining import Poses, on_other_drives, place_batches, positives_of
from vxp_training.place_task import share_found, with_mirror_world
from vxp_training.recipe import JointRecipe, TrainingRecipe, parse_training_recipe
from vxp_training.schedule import rise_and_fall
from vxp_training.train import first_network
from vxp_training.training_data import gather

CPU = torch.device("cpu")
MODEL = tiny_model(architecture="view", normalise=True, view=ViewRecipe([8, 12], [8, 8, 8], mixed=16, rows=4, mixers=1))


def make_stage(**changes) -> tuple[JointStage, dict]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_model(MODEL)
    street = Street(8, views=2)
    stage = JointStage(network, MODEL, JointRecipe(**{"batch": 16, "lr": 1e-3} | changes), gather([street], [street]))
    return stage, {name: tensor.clone() for name, tensor in network.state_dict().items()}


def losses(folder) -> list[dict]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [entry for entry in entries if entry["kind"] == "step"]


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [0, 5])
def test_both_branches_learn_a_street_by_heart_and_the_frozen_blocks_stay(tmp_path, frozen):
    stage, before = make_stage(epochs=10, frozen_blocks=frozen)
    Engine(CPU).train(stage, tmp_path)
    curve = losses(tmp_path)
    assert curve[-1]["across"] < 0.5 * curve[0]["across"]
    after = stage.network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    early = [f"camera.backbone.encoder._blocks.{i}." for i in range(frozen)] + ["camera.backbone.encoder._conv_stem"]
    assert bool({name for name in moved if name.startswith(tuple(early))}) == (frozen == 0)
    assert any(name.startswith("camera.backbone.encoder._blocks.10.") for name in moved)
    assert {name.split(".")[0] for name in moved} == {"camera", "lidar"}
    assert not [name for name in moved if "backbone" in name and "running" in name]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_both_branches_learn_on_a_gpu(tmp_path):
    stage, _ = make_stage(epochs=10)
    Engine(torch.device("cuda"), workers=2).train(stage, tmp_path)
    curve = losses(tmp_path)
    assert curve[-1]["across"] < 0.5 * curve[0]["across"]


def test_frozen_maps_give_what_the_whole_network_gives(tmp_path):
    stage, _ = make_stage(epochs=1, dropout=0.0)
    Engine(CPU).train(stage, tmp_path)
    stage.eval()
    batch = stage.collate([stage.sample(row, None) for row in (0, 1, 16, 17)])
    with torch.no_grad():
        images = torch.stack(
            [stage.image(row, mirrored) for row, mirrored in [(0, False), (1, False), (0, True), (1, True)]]
        )
        features = stage.encoder.finish(batch.maps, 5)
        assert torch.allclose(features, stage.network.camera.backbone(images), atol=2e-2)  # maps are kept as float16
    assert batch.positives.tolist() == [[True, True, False, False]] * 2 + [[False, False, True, True]] * 2
    assert batch.negatives.tolist() == [[False, False, True, True]] * 2 + [[True, True, False, False]] * 2


def test_batches_are_pairs_of_one_neighbourhood_and_use_each_frame_as_anchor_at_most_once():
    towns = [Street(60, views=2, spacing=20.0).annotation, Street(60, views=2, spacing=20.0).annotation]
    poses = Poses.of(towns)
    batches = place_batches(poses, positives_of(poses), 8, np.random.default_rng(0))
    rows = np.concatenate(batches)
    assert sorted(set(rows)) == list(range(240))
    anchors = rows[::2]
    assert len(set(anchors)) == len(anchors)
    for batch in batches:
        for anchor, partner in batch.reshape(-1, 2):
            assert anchor != partner and np.linalg.norm(poses.positions[anchor] - poses.positions[partner]) <= 10
    spread = [np.ptp(poses.positions[batch, 0]) for batch in batches]
    assert np.median(spread) < 1200  # of one town, although the towns lie 10,000 km apart


def test_partners_come_from_another_drive_where_there_is_one():
    positives = [np.array([1, 2]), np.array([0, 2]), np.array([0, 1]), np.array([4]), np.array([3])]
    found = on_other_drives(positives, np.array(["a", "a", "b", "c", "c"]))
    assert [rows.tolist() for rows in found] == [[2], [2], [0, 1], [4], [3]]


def test_the_mirrored_world_is_far_from_the_first():
    poses = Poses(np.array([[0.0, 5.0], [3.0, -900.0]]), np.array([0.1, 0.2]))
    both = with_mirror_world(poses)
    assert len(both) == 4 and both.yaw.tolist() == [0.1, 0.2, 0.1, 0.2]
    apart = np.linalg.norm(both.positions[:2, None] - both.positions[2:], axis=2)
    assert apart.min() > 1e6
    assert np.allclose(np.diff(both.positions[2:], axis=0), np.diff(poses.positions, axis=0))


def test_depth_error_counts_cells_with_points_only():
    pictures = torch.zeros(1, 4, 4, 8)
    pictures[0, :2, 0, 0] = torch.tensor([1.0, 0.6])  # one of sixteen: too few to know the depth of the left cell
    pictures[0, :2, :2, 4:] = torch.tensor([1.0, 2.0])[:, None, None]  # half of the right cell, log depth 2
    predicted = torch.tensor([[[9.0, 2.5]]])
    assert depth_error(predicted, pictures).item() == pytest.approx(0.5 - 0.1)  # SmoothL1 with beta 0.2
    assert depth_error(predicted, torch.zeros(1, 4, 4, 8)).item() == 0


def test_map_and_picture_are_cropped_by_one_window():
    torch.manual_seed(0)
    down, across = torch.meshgrid(torch.linspace(0, 1, 41), torch.linspace(0, 1, 81), indexing="ij")
    fine = torch.stack([(a[:-1, :-1] + a[1:, 1:]) / 2 for a in (down, across)])[None].repeat(8, 1, 1, 1)
    coarse = torch.nn.functional.avg_pool2d(fine, 2)
    maps, pictures = cropped(coarse, fine, 0.0)
    assert torch.equal(pictures, fine) and torch.allclose(maps, coarse, atol=1e-6)
    maps, pictures = cropped(coarse, fine, 0.4)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    assert torch.allclose(torch.nn.functional.avg_pool2d(pictures, 2)[inner], maps[inner], atol=0.03)
    spans = pictures.flatten(2).amax(2) - pictures.flatten(2).amin(2)
    assert (spans > 0.55).all() and (spans < 1).all() and spans.std() > 0.02


def test_thinned_scans_lose_points_and_keep_the_depth_of_the_others():
    torch.manual_seed(0)
    pictures = torch.rand(64, 4, 40, 80) + 0.5
    pictures[:, 0] = 1
    before = pictures.clone()
    poorer = thinned(pictures)
    assert torch.equal(pictures, before)
    kept = poorer[:, 0] == 1
    assert 0.5 < kept.float().mean() < 0.9
    assert torch.equal(
        poorer[:, 1:3][kept[:, None].expand(-1, 2, -1, -1)], pictures[:, 1:3][kept[:, None].expand(-1, 2, -1, -1)]
    )
    assert not poorer[:, 1:][~kept[:, None].expand(-1, 3, -1, -1)].any()
    dark = (poorer[:, 3].flatten(1).amax(dim=1) == 0).float().mean()
    assert 0.1 < dark < 0.5


def test_share_found_does_not_ask_about_ignored_columns():
    stage, _ = make_stage()
    batch = stage.collate([(row, torch.zeros(1), torch.zeros(1)) for row in (0, 1, 2)])
    batch.negatives[0, 2] = False  # neither
    similarity = torch.tensor([[0.1, 0.2, 0.9], [0.0, 0.1, 0.9], [0.1, 0.2, 0.9]])
    assert share_found(similarity, batch.positives, batch.negatives).item() == pytest.approx(2 / 3)


def test_the_learning_rate_rises_and_falls():
    rates = [rise_and_fall(done, 1.0, 0.01) for done in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 0.505, 0.01])


@pytest.mark.parametrize("values", [{"stages": ["joint", "teacher"]}, {"stages": ["joint", "joint"]}])
def test_joint_stands_alone(values):
    with pytest.raises(ModelError, match="stages must be"):
        parse_training_recipe(values, "test")


@pytest.mark.parametrize("recipe", [TrainingRecipe("vxp_lite", stages=["joint"]), TrainingRecipe("vxp_view")])
def test_stages_that_do_not_train_the_model_are_refused(recipe):
    with pytest.raises(ModelError, match="cannot train"):
        first_network(recipe)
