"""`vxp train` from recipe to model folder: the encoder loads it, kills leave no trace, mistakes are said."""

import json
import multiprocessing
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
import yaml
from places import Street, tiny_model, write_street
from typer.testing import CliRunner

from vxp_ros.core.encoder import Encoder
from vxp_ros.core.errors import ModelError, SourceError
from vxp_ros.core.model_store import load_model
from vxp_ros.core.models.recipe import dump_recipe
from vxp_training.datasets.annotation import read_annotation, write_annotation
from vxp_training.datasets.prepared import TABLE, PreparedData
from vxp_training.distributed import Ranks
from vxp_training.recipe import TrainingRecipe, parse_training_recipe
from vxp_training.train import claimed, open_data, train
from vxp_training.train_command import train as train_command

FORK = multiprocessing.get_context("fork")  # the children need not import torch again
STAGES = ["1-teacher", "2-local", "3-global"]


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    return write_street(tmp_path_factory.mktemp("data") / "street", Street(count=5, views=2))


@pytest.fixture(scope="module")
def content(street, tmp_path_factory) -> dict:
    """A recipe of a few steps with all augmentation but the colours of stage 2 (so that features are cached there)."""
    model = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    model.write_text(dump_recipe(tiny_model(dimension=8)))
    return {
        "model": str(model),
        "checkpoint_s": 0,
        "data": {"train": [str(street)], "validate": [str(street)]},
        "teacher": {"epochs": 2, "batch": 4},
        "local_alignment": {"epochs": 2, "batch": 4, "colours": False},
        "global_alignment": {"epochs": 2, "batch": 4},
    }


@pytest.fixture(scope="module")
def unbroken(content, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken") / "run"
    return out, run_here(content, out)


def recipe_of(content: dict) -> TrainingRecipe:
    return parse_training_recipe(content, "test")


def run_here(content: dict, out: Path):
    torch.set_num_threads(1)  # whatever other tests and a fork made of it: sums must come in one order
    return train(recipe_of(content), out, "cpu")


def log_of(out: Path) -> list[dict]:
    entries = []
    for stage in STAGES:
        if (out / stage / "log.jsonl").exists():
            entries += [json.loads(line) for line in (out / stage / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


def test_the_encoder_loads_what_was_trained(unbroken, street):
    out, model = unbroken
    encoder = Encoder.load(out / "model", "cpu")
    assert encoder.model_id == model.model_id
    frame = PreparedData(street).frame(0)
    assert encoder.describe(frame, "camera").vector.shape == encoder.describe(frame, "lidar").vector.shape == (8,)
    assert "10 frames of street; stages teacher, local, global" in model.recipe.trained_on
    assert (out / "2-local" / "teacher.npy").exists() and not (out / "3-global" / "teacher.npy").exists()


def test_each_stage_leaves_its_model(unbroken):
    """Stage 2 changes only the LiDAR network's voxel features, stage 3 all of it; the teacher stays as it was."""
    out, _ = unbroken
    one, two, three = (load_model(out / stage / "model").network.state_dict() for stage in STAGES)
    for name in one:
        part = name.split(".")[0] if name.startswith("camera") else ".".join(name.split(".")[:2])
        if name.endswith(("weight", "running_mean")):
            assert torch.equal(one[name], two[name]) == (part != "lidar.voxel_feat_ext"), name
            assert torch.equal(two[name], three[name]) == (part == "camera"), name


def resumed_after_kills(content: dict, unbroken, folder: Path, kills: int) -> int:
    """SIGKILL at a random moment after a random step, in a checkpoint or not; then the same call again.

    Returns how many of the runs have the losses and the model of the unbroken one in the end.
    """
    out, model = unbroken
    same, random = 0, np.random.default_rng(0)
    for number in range(kills):
        run = folder / str(number)
        kill_while_training(content, run, int(random.integers(1, len(log_of(out)) - 1)), random.uniform(0, 0.1))
        assert not (run / "model").exists()
        again = run_here(content, run)
        same += log_of(run) == log_of(out) and again.model_id == model.model_id
    return same


@pytest.mark.slow
def test_killed_runs_go_on_to_the_same_losses(content, unbroken, tmp_path, count, record_property):
    kills = count(2, 20)
    same = resumed_after_kills(content, unbroken, tmp_path, kills)
    record_property("kills", kills)
    record_property("resumed to the same losses and the same model", same)
    assert same == kills


@pytest.mark.slow
def test_the_kill_harness_catches_the_forgetful_engine(content, unbroken, tmp_path, forgetful, count, record_property):
    """It can be right only where a kill comes before a stage's first checkpoint or after its last step."""
    kills = count(2, 20)
    same = resumed_after_kills(content, unbroken, tmp_path, kills)
    record_property("kills", kills)
    record_property("the same losses and the same model by the naive engine", same)
    assert same <= kills / 2


def kill_while_training(content: dict, folder: Path, after: int, seconds: float) -> None:
    """after: lines of the log; seconds: after the last of them."""
    process = FORK.Process(target=run_here, args=(content, folder))
    process.start()
    while process.is_alive() and len_of_log(folder) < after:
        time.sleep(0.01)
    time.sleep(seconds)
    process.kill()
    process.join()
    assert process.exitcode == -9


def len_of_log(out: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in out.glob("*/log.jsonl"))


def test_the_command(content, tmp_path, unbroken, street):
    """Folders of the command line replace the recipe's; a finished run is left alone."""
    out, model = unbroken
    bare = {key: value for key, value in content.items() if key != "data"}
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(bare))
    app = typer.Typer()
    app.command()(train_command)
    options = ["--out", str(out), "--data", str(street), "--validate", str(street), "--device", "cpu"]
    result = CliRunner().invoke(app, [str(tmp_path / "bare.yaml"), *options])
    assert result.exit_code == 0, result.output
    assert model.model_id in result.output
    with pytest.raises(SourceError, match="no data to train on"):
        run_here(bare, tmp_path / "none")


def test_a_run_folder_belongs_to_one_recipe_and_one_process(content, unbroken, tmp_path):
    out, _ = unbroken
    with pytest.raises(ModelError, match="is another recipe"):
        run_here(content | {"seed": 1}, out)
    from vxp_ros.core import fsio

    moved = tmp_path / "street"
    shutil.copytree(content["data"]["train"][0], moved)
    mine = content | {"data": {"train": [str(moved)], "validate": [str(moved)]}}
    with claimed(tmp_path / "mine", recipe_of(mine), open_data(recipe_of(mine)), Ranks()):
        pass
    table = read_annotation(moved / TABLE)
    table.stamp_ns[:] += 1
    write_annotation(moved / TABLE, table)  # another preparation in the same place: caches would be of the old frames
    with pytest.raises(ModelError, match="is of other data"):
        run_here(mine, tmp_path / "mine")
    (tmp_path / "run").mkdir()
    with fsio.lock(tmp_path / "run" / ".lock", 0), pytest.raises(ModelError, match="is in use by process"):
        run_here(content, tmp_path / "run")


def test_stages_can_start_from_a_model(content, unbroken, tmp_path):
    """Stage 3 without stage 2, on the teacher of another run."""
    out, _ = unbroken
    chosen = recipe_of(content | {"start": [str(out / "1-teacher" / "model")], "stages": ["global"]})
    chosen = replace(chosen, global_alignment=replace(chosen.global_alignment, epochs=1))
    model = train(chosen, tmp_path / "run", "cpu")
    before = load_model(out / "1-teacher" / "model").network.camera.state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.camera.state_dict().items())
    assert f", from {load_model(out / '1-teacher' / 'model').model_id}; recipe" in model.recipe.trained_on
    wrong = tmp_path / "wider.yaml"
    wrong.write_text(dump_recipe(tiny_model(dimension=9)))
    with pytest.raises(ModelError, match=r"start: the camera network of .* is none of tiny"):
        train(replace(chosen, model=str(wrong)), tmp_path / "other", "cpu")
