"""Training of the fused descriptor: it learns a street, the trunks stay, and frames that lack something still count."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from places import Street, tiny_model, write_street

from vxp_ros.core.datatypes import Frame, Image
from vxp_ros.core.errors import ModelError, SourceError
from vxp_ros.core.model_store import save_model
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import ViewRecipe, dump_recipe
from vxp_ros.core.models.view_fusion import side_by_side
from vxp_ros.core.preprocessing.views import frame_views
from vxp_training.engine import Engine
from vxp_training.fusion_stage import FusionStage, padded, with_gaps
from vxp_training.recipe import FusionRecipe, TrainingRecipe, parse_training_recipe
from vxp_training.train import first_network, train
from vxp_training.training_data import gather

CPU = torch.device("cpu")
VIEW = ViewRecipe([8, 12], [8, 8, 8], mixed=16, rows=4, mixers=1, tokens=16)
MODEL = tiny_model(architecture="view", normalise=True, view=VIEW, modalities=["camera", "lidar", "fused"])


class TwoCameras(Street):
    """A second camera looks to the left; the last place has lost it."""

    def frame(self, row: int) -> Frame:
        frame = super().frame(row)
        if self.places[row] == self.places[-1]:
            return frame
        camera = frame.images["camera"].camera
        turn = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        left = Image(
            frame.images["camera"].pixels[::-1].copy(), replace(camera, T_base_camera=turn @ camera.T_base_camera)
        )
        return replace(frame, images=frame.images | {"left": left})


def make_stage(street: Street, model=MODEL, **changes) -> FusionStage:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_model(model)
    settings = FusionRecipe(**{"batch": 16, "lr": 3e-3, "epochs": 12} | changes)
    return FusionStage(network, model, settings, gather([street], [street]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Street, TwoCameras])
def test_it_learns_a_street_and_the_trunks_stay(tmp_path, kind):
    stage = make_stage(kind(8, views=2), missing=0.0)
    before = {name: tensor.clone() for name, tensor in stage.network.state_dict().items()}
    Engine(CPU).train(stage, tmp_path)
    curve = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    curve = [entry for entry in curve if entry["kind"] == "step"]
    assert np.mean([entry["loss"] for entry in curve[-3:]]) < 0.6 * curve[0]["loss"]
    moved = {name for name, tensor in stage.network.state_dict().items() if not torch.equal(before[name], tensor)}
    assert moved and all(name.startswith("fused.") for name in moved)
    assert {"fused.turn.weight" in moved} == {kind is TwoCameras}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_it_learns_on_a_gpu(tmp_path):
    stage = make_stage(TwoCameras(8, views=2))
    Engine(torch.device("cuda"), workers=2).train(stage, tmp_path)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    curve = [entry["loss"] for entry in entries if entry["kind"] == "step"]
    assert np.mean(curve[-3:]) < 0.8 * curve[0]


def test_batches_hold_what_the_robot_would_see(tmp_path):
    stage = make_stage(TwoCameras(4, views=2), epochs=1)
    Engine(CPU).train(stage, tmp_path)
    batch = stage.collate([stage.sample(row, None) for row in (0, 1, 16, 6)])
    assert batch.maps.shape[:2] == batch.yaw.shape == (4, 2) and batch.sees.shape == (4, 2, 2)
    assert batch.sees[:, 1].all(dim=1).tolist() == [True, True, True, False]  # the last place has one camera
    assert batch.yaw[2, 1] == pytest.approx(-np.pi / 2, abs=1e-3) and torch.equal(
        batch.pictures[0].flip(-1), batch.pictures[2]
    )
    assert batch.positives[0, 1] and not batch.positives[0, 2] and batch.negatives[0, 3]
    stage.eval()
    with torch.no_grad():
        views = stage.views_of(1)
        wanted = stage.network.fuse(*(part[None] for part in vars(views).values()))
        outcome = stage(batch)
    assert set(outcome.numbers) == {"found", "found_camera", "found_lidar"}
    single = stage.collate([stage.sample(1, None)])
    with torch.no_grad():
        lidar = stage.network.lidar.trunk(single.pictures[0])[None]
        mask = single.pictures[:, :, :1]
        painted = torch.cat([single.colours * mask, mask], dim=2)
        found = side_by_side(stage.network.fused(single.maps, lidar, painted, single.yaw, single.sees))
    assert torch.allclose(found, wanted, atol=5e-3)  # kept as float16


def test_gaps_come_as_often_as_asked_and_blind_nobody():
    torch.manual_seed(0)
    sees = torch.ones(3000, 3, 2, dtype=torch.bool)
    assert torch.equal(with_gaps(sees, 0.0), sees)
    gaps = with_gaps(sees, 0.6)
    lacks = {
        "camera": ~gaps[:, :, 0].any(1) & gaps[:, :, 1].all(1),
        "lidar": ~gaps[:, :, 1].any(1) & gaps[:, :, 0].all(1),
    }
    some = gaps[:, :, 1].all(1) & gaps[:, :, 0].any(1) & ~gaps[:, :, 0].all(1)
    assert [lacks["camera"].float().mean(), lacks["lidar"].float().mean(), some.float().mean()] == pytest.approx(
        [0.2 + 0.2 / 8, 0.2, 0.2 * 6 / 8], abs=0.03
    )
    sees[:, :, 1] = False
    assert with_gaps(sees, 1.0).flatten(1).any(1).all()


def test_a_model_without_a_fused_descriptor_is_refused_before_anything_is_trained(tmp_path):
    plain = tmp_path / "plain.yaml"
    plain.write_text(dump_recipe(replace(MODEL, modalities=["camera", "lidar"])))
    with pytest.raises(ModelError, match="no fused descriptor"):
        first_network(TrainingRecipe(str(plain), stages=["joint", "fusion"]))


class Dark(Street):
    """The last place was driven at night, without a lamp."""

    def frame(self, row: int) -> Frame:
        frame = super().frame(row)
        if self.places[row] < self.places[-1]:
            return frame
        image = frame.images["camera"]
        return replace(frame, images={"camera": replace(image, pixels=np.zeros_like(image.pixels))})


def test_a_frame_in_which_nothing_is_seen_does_not_count(tmp_path):
    stage = make_stage(Dark(8, views=2), epochs=1)
    Engine(CPU).train(stage, tmp_path)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert np.isfinite(losses).all()


def test_more_cameras_than_the_drive_began_with_are_an_error():
    views = frame_views(TwoCameras(2).frame(0), MODEL)
    with pytest.raises(SourceError, match="2 calibrated cameras, its drive began with at most 1"):
        padded(views, 1)


def test_an_untrained_fused_descriptor_follows_the_sensors_and_a_trained_one_stays(tmp_path):
    out, plain = tmp_path / "sensors", replace(MODEL, modalities=["camera", "lidar"])
    save_model(plain, build_model(plain), out)
    fused = tmp_path / "fused.yaml"
    fused.write_text(dump_recipe(MODEL))
    _, network = first_network(TrainingRecipe(str(fused), start=[str(out)], stages=["fusion"]))
    assert torch.equal(network.fused.head["lidar"].describe.weight, network.lidar.head.describe.weight)
    with torch.no_grad():
        network.fused.head["lidar"].describe.weight += 1
    save_model(MODEL, network, tmp_path / "trained")
    _, again = first_network(TrainingRecipe(str(fused), start=[str(tmp_path / "trained")], stages=["fusion"]))
    assert torch.equal(again.fused.head["lidar"].describe.weight, network.fused.head["lidar"].describe.weight)


@pytest.mark.slow
def test_a_restart_between_the_stages_changes_no_loss(tmp_path):
    data, model = str(write_street(tmp_path / "street", Street(6))), tmp_path / "tiny.yaml"
    model.write_text(dump_recipe(MODEL))
    stages = {"joint": {"epochs": 1, "batch": 12}, "fusion": {"epochs": 2, "batch": 12}}
    recipe = {"model": str(model), "stages": list(stages), "data": {"train": [data], "validate": [data]}, **stages}
    run = tmp_path / "run"
    whole, log = train(parse_training_recipe(recipe, "test"), run, "cpu"), run / "2-fusion" / "log.jsonl"
    before = [json.loads(line)["loss"] for line in log.read_text().splitlines()]
    for folder in ("2-fusion", "model"):
        shutil.rmtree(run / folder)
    again = train(parse_training_recipe(recipe, "test"), run, "cpu")
    assert [json.loads(line)["loss"] for line in log.read_text().splitlines()] == before
    assert again.model_id == whole.model_id
