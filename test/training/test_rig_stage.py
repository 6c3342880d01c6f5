"""Training of LCPR and EINet by places: they learn a street, each from what it looks at, and resume as they were."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from places import Street
from rig_places import RingStreet, ring_model

from vxp_ros.core.errors import ModelError, SourceError
from vxp_ros.core.model_store import load_model
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import Recipe, dump_recipe
from vxp_ros.core.preprocessing.rig import rig_inputs, rig_scan
from vxp_training.distributed import Ranks
from vxp_training.engine import Engine
from vxp_training.feature_cache import Filling
from vxp_training.recipe import PlacesRecipe, TrainingRecipe, parse_training_recipe
from vxp_training.rig_samples import RigFrames, mirrored
from vxp_training.rig_stage import PlacesStage
from vxp_training.train import first_network, run_stages
from vxp_training.training_data import gather

CPU = torch.device("cpu")
KINDS = {
    "einet": ring_model(),
    "without interaction": ring_model(interaction=False),
    "camera": ring_model(modality="camera"),
    "lidar": ring_model(modality="lidar"),
    "lcpr": ring_model("lcpr"),
}


def make_stage(model: Recipe, street: Street | None = None, **changes) -> PlacesStage:
    street = street or RingStreet(6, views=2)
    settings = PlacesRecipe(**{"batch": 12, "lr": 3e-3, "epochs": 10} | changes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PlacesStage(build_model(model), model, settings, gather([street], [street]))


STREET = gather([street := RingStreet(4)], [street])


def losses(folder, kind: str = "step") -> list[float]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in entries if entry["kind"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_a_street(tmp_path, kind):
    stage = make_stage(KINDS[kind], RingStreet(6, views=4), epochs=8 if kind == "lidar" else 2)
    Engine(CPU).train(stage, tmp_path)
    curve = losses(tmp_path)
    assert np.mean(curve[-3:]) < 0.5 * np.mean(curve[:3])
    files = {path.stem for path in tmp_path.glob("*.npy")}
    assert files == {"images", "scans", "depths"} - {
        "einet": set(), "without interaction": {"depths"}, "camera": {"depths", "scans"},
        "lidar": {"depths", "images"}, "lcpr": {"depths"},
    }[kind]  # fmt: skip


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_on_a_gpu_and_describes_as_the_cpu_does(tmp_path, kind):
    stage = make_stage(KINDS[kind])
    Engine(torch.device("cuda"), workers=2).train(stage, tmp_path)
    curve = losses(tmp_path)
    assert np.mean(curve[-3:]) < 0.5 * np.mean(curve[:3])
    inputs = rig_inputs(stage.data.frame(1), stage.model, "cuda")
    on_cpu = [None if part is None else part.cpu() for part in inputs]
    with torch.no_grad():
        there = stage.network.eval().fuse(*inputs).cpu()
        assert torch.linalg.norm(there - stage.network.cpu().fuse(*on_cpu)) < 1e-2


def test_several_processes_make_the_samples_of_one(tmp_path):
    for workers in (0, 2):
        (tmp_path / str(workers)).mkdir()
        stage = make_stage(KINDS["einet"])
        stage.prepare(tmp_path / str(workers), Ranks(), Filling(5, CPU, lambda name, done, total: None, workers))
    for name in ("images", "scans", "depths"):
        one, two = (np.load(tmp_path / str(workers) / f"{name}.npy") for workers in (0, 2))
        assert np.array_equal(one, two) and one.any()


@pytest.mark.slow
def test_the_depth_head_is_no_part_of_the_model_and_depth_is_learnt(tmp_path):
    stage = make_stage(KINDS["einet"], depth=1.0, lr=1e-3)  # at 3e-3 the depth ends anywhere
    Engine(CPU).train(stage, tmp_path)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    depth = [entry["depth"] for entry in entries if entry["kind"] == "step"]
    assert np.mean(depth[-3:]) < 0.5 * depth[0]
    assert not any("decoder" in name for name in stage.network.state_dict())
    assert make_stage(KINDS["einet"], depth=0.0).describer.decoder is None


@pytest.mark.slow
def test_batches_hold_what_the_robot_would_see(tmp_path):
    stage = make_stage(KINDS["einet"], epochs=1)
    Engine(CPU).train(stage, tmp_path)
    stage.eval()
    batch = stage.collate([stage.sample(row, None) for row in (0, 1, 2 + len(stage.data.poses))])
    assert batch.is_mirrored.tolist() == [False, False, True] and batch.positives[0, 1] and batch.negatives[0, 2]
    inputs = rig_inputs(stage.data.frame(1), stage.model, "cpu")
    with torch.no_grad():
        wanted = stage.network(*inputs)
        found, _ = stage.describer(RigFrames.stack([stage.cache.get(1)]).float())
    assert torch.allclose(found, wanted, atol=5e-3)  # kept as float16


def test_a_mirrored_frame_is_what_a_mirrored_street_looks_like():
    model = KINDS["einet"]
    street = RingStreet(2)
    frame = street.frame(0)
    scan = rig_scan(frame, model)
    flipped = frame.points.copy()
    flipped[:, 1] *= -1
    plain = ring_model(interaction=False)
    other = rig_scan(replace(frame, points=flipped), plain)
    frames = RigFrames(torch.empty(1, 0), rig_scan(frame, plain)[None], torch.empty(1, 0))
    assert scan.shape[0] == 5 and (mirrored(frames, 3).scans[0] != other).float().mean() < 0.02
    images = torch.arange(3.0).view(1, 3, 1, 1, 1) + torch.tensor([0.0, 0.5]).view(1, 1, 1, 1, 2)
    turned = mirrored(RigFrames(images, torch.empty(1, 0), torch.empty(1, 0)), 3).images
    assert turned.flatten().tolist() == [0.5, 0.0, 2.5, 2.0, 1.5, 1.0]


@pytest.mark.slow
def test_a_training_of_one_recipe(tmp_path):
    (tmp_path / "ring.yaml").write_text(dump_recipe(KINDS["einet"]))
    recipe = parse_training_recipe(
        {"model": str(tmp_path / "ring.yaml"), "stages": ["places"], "places": {"epochs": 1, "batch": 8}}, "test"
    )
    street = RingStreet(4)
    run_stages(recipe, gather([street], [street]), tmp_path / "run", CPU, Ranks())
    model = load_model(tmp_path / "run" / "model")
    assert model.recipe.architecture == "einet" and "places" in model.recipe.trained_on
    _, goes_on = first_network(replace(recipe, start=[str(tmp_path / "run" / "model")]))
    assert all(torch.equal(a, b) for a, b in zip(
        goes_on.state_dict().values(), model.network.state_dict().values(), strict=True
    ))  # fmt: skip


def test_a_seed_makes_the_same_depth_head_too(tmp_path):
    (tmp_path / "ring.yaml").write_text(dump_recipe(KINDS["einet"]))
    settings = {"epochs": 1, "batch": 8, "depth": 1.0}
    curves = []
    for run, seed in enumerate((0, 0, 1)):
        recipe = {"model": str(tmp_path / "ring.yaml"), "stages": ["places"], "places": settings, "seed": seed}
        torch.seed()  # whatever was drawn before
        run_stages(parse_training_recipe(recipe, "test"), STREET, tmp_path / str(run), CPU, Ranks())
        curves.append(losses(tmp_path / str(run) / "1-places"))
    assert curves[0] == curves[1] != curves[2]


def test_stages_that_do_not_fit_the_network_are_refused(tmp_path):
    (tmp_path / "ring.yaml").write_text(dump_recipe(KINDS["lcpr"]))
    with pytest.raises(ModelError, match="lcpr model"):
        first_network(TrainingRecipe(str(tmp_path / "ring.yaml"), stages=["joint"]))
    with pytest.raises(ModelError, match="joint, fusion or of places"):
        parse_training_recipe({"stages": ["places", "joint"]}, "test")


@pytest.mark.parametrize("workers", [0, 1])
def test_frames_of_fewer_cameras_say_so(tmp_path, workers):
    with pytest.raises(SourceError, match=r"frame of street at 0 ns: .*3 cameras.*prepared data"):
        Engine(CPU, workers=workers).train(make_stage(KINDS["lcpr"], Street(4)), tmp_path)
