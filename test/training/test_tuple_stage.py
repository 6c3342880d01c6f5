"""EINet's tuples and LCPR's mined triplets: they learn a street, by the schedule that was published, and resume."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from rig_places import ring_model
from split_street import SplitStreet, street_data
from test_engine import Killed, stop_at

from vxp_ros.core.errors import SourceError
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import Recipe
from vxp_training.distributed import Ranks
from vxp_training.engine import Engine
from vxp_training.feature_cache import Filling
from vxp_training.fusion_losses import lazy_triplet
from vxp_training.recipe import MinedRecipe, TuplesRecipe, find_training_recipe, read_training_recipe
from vxp_training.train import open_data
from vxp_training.tuple_stage import MinedStage, TuplesStage, read_arrays

CPU = torch.device("cpu")
LIDAR = ring_model(modality="lidar")
STAGES = {"tuples": (TuplesStage, TuplesRecipe), "mined": (MinedStage, MinedRecipe)}


def make_stage(name: str, model: Recipe = LIDAR, street: SplitStreet | None = None, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_model(model)
    kind, recipe = STAGES[name]
    return kind(network, model, recipe(**{"batch": 3, "lr": 1e-3, "epochs": 2} | changes), street_data(street))


def filling():
    return Ranks(), Filling(4, CPU, lambda *_: None)


def entries(folder, kind: str = "step") -> list[dict]:
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [entry for entry in found if entry["kind"] == kind]


@pytest.mark.slow
def test_it_learns_a_handful_of_tuples(tmp_path):
    Engine(CPU).train(make_stage("tuples", epochs=2, batch=2, trunk=1.0), tmp_path)
    curve = [entry["triplet"] for entry in entries(tmp_path)]
    assert len(curve) == 6 and np.mean(curve[-2:]) < 0.3 * np.mean(curve[:2])
    assert entries(tmp_path, "epoch")[-1]["validation_found"] == 1.0


def test_one_step_by_hand(tmp_path):
    stage = make_stage("tuples", ring_model(), depth=0.5)
    stage.prepare(tmp_path, *filling())
    stage.eval()
    rows = stage.validation_batches()[0]
    batch = stage.collate([stage.sample(int(row), None) for row in rows])
    with torch.no_grad():
        loss, numbers = stage(batch)
        vectors, depth = stage.describer(batch.frames.float())
    assert rows.reshape(-1, 7).tolist() == stage.validated[:3].tolist()
    tuples = vectors.view(3, 7, -1)
    wanted = lazy_triplet(tuples[:, 0], tuples[:, 1:3], tuples[:, 3:])
    assert depth > 0 and loss == pytest.approx((wanted + 0.5 * depth).item(), rel=1e-5)
    apart = [[(one[0] - other).norm().item() for other in one[1:]] for one in tuples]
    assert numbers["found"] == pytest.approx(np.mean([min(row[:2]) < min(row[2:]) for row in apart]))
    assert stage.score(0, {"triplet": 0.1, "loss": 9.0}) == 0.1
    assert not any("decoder" in key for key in stage.network.state_dict())


@pytest.mark.parametrize("model", [LIDAR, ring_model("lcpr")], ids=["lidar", "lcpr"])
def test_a_tuple_with_fewer_negatives(tmp_path, model):
    """The mean is over the triplets that there are."""
    stage = make_stage("mined", model)
    stage.prepare(tmp_path, *filling())
    rows = np.array([[2, 0, 4, 5, 8, -1, -1, -1], [6, 5, 0, -1, -1, -1, -1, -1]])
    batch = stage.collate([stage.sample(int(row), None) for row in rows.ravel()])
    assert batch.number.tolist() == [[0, 1, 2, 3, 4, -1, -1, -1], [5, 6, 7, -1, -1, -1, -1, -1]]
    stage.eval()
    with torch.no_grad():
        found = stage(batch).loss.item()
        vectors = stage.network.fuse(*batch.frames.float().network_inputs())
    apart = torch.cdist(vectors, vectors)
    wanted = [max(0.5 + float(apart[q, p] - apart[q, n]), 0.0) for q, p, n in
              ((0, 1, 2), (0, 1, 3), (0, 1, 4), (5, 6, 7))]  # fmt: skip
    assert found == pytest.approx(np.mean(wanted), abs=1e-4)


def test_triplets_are_those_of_the_weights_at_the_epochs_begin(tmp_path):
    stage = make_stage("mined")
    stage.prepare(tmp_path, *filling())
    batches = stage.epoch_batches(3, np.random.default_rng([0, 0]))
    vectors = stage.describe_all()
    tuples = np.concatenate(batches).reshape(-1, 8)
    assert sorted(tuples[:, 0]) == list(range(2, 24, 4)) and np.isnan(vectors[3]).all()
    for query, positive, *negatives in tuples.tolist():
        apart = np.linalg.norm(vectors - vectors[query], axis=1)
        assert positive == min((query - 2, query - 1), key=lambda row: apart[row])
        others = [row for row in stage.split.districts["bs"].database.tolist() if row // 4 != query // 4]
        hard = sorted((row for row in others if apart[row] < apart[positive] + 0.5), key=lambda row: apart[row])[:6]
        assert negatives == hard + [-1] * (6 - len(hard))
    with torch.no_grad():
        for parameter in stage.parameters():
            parameter.add_(torch.randn_like(parameter))
    again = stage.epoch_batches(3, np.random.default_rng([0, 0]))
    assert [rows.tolist() for rows in again] == [rows.tolist() for rows in batches]  # the epoch's, as they were
    stage.epoch_batches(3, np.random.default_rng([0, 1]))
    assert read_arrays(tmp_path / "mined.npz")["tuples"].tolist() != tuples.tolist()


def test_an_epoch_without_violations_keeps_the_triplets_before(tmp_path):
    stage = make_stage("mined")
    stage.prepare(tmp_path, *filling())
    before = sorted(np.concatenate(stage.epoch_batches(3, np.random.default_rng([0, 0]))).reshape(-1, 8).tolist())
    place = np.arange(24) // 4
    stage.describe_all = lambda: np.eye(6, dtype=np.float32)[place]  # places sqrt(2) apart
    after = np.concatenate(stage.epoch_batches(3, np.random.default_rng([0, 1]))).reshape(-1, 8)
    assert sorted(after.tolist()) == before


@pytest.mark.slow
def test_mined_triplets_are_learnt_also_by_a_training_that_was_stopped_inside_an_epoch(tmp_path, monkeypatch):
    Engine(CPU).train(make_stage("mined"), tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_at(patch, "step", 3)
        with pytest.raises(Killed):
            Engine(CPU, checkpoint_s=0).train(make_stage("mined"), tmp_path / "stopped")
    Engine(CPU, checkpoint_s=0).train(make_stage("mined"), tmp_path / "stopped")
    whole, stopped = ([entry["loss"] for entry in entries(tmp_path / run)] for run in ("whole", "stopped"))
    assert whole == stopped and len(whole) == 4 and np.mean(whole[2:]) < 0.3 * np.mean(whole[:2])


@pytest.mark.slow
def test_the_schedule_halves_every_six_epochs_and_trunks_learn_slower(tmp_path):
    stage = make_stage("tuples", epochs=1, batch=6, lr=1e-4, lr_step=6)
    assert [stage.learning_rate(epoch, 0.5) for epoch in (0, 5, 6, 12)] == [1e-4, 1e-4, 5e-5, 2.5e-5]
    optimiser = stage.make_optimiser(list(stage.trained().parameters()))
    trunk, rest = ({id(p) for p in group["params"]} for group in optimiser.param_groups)
    assert (
        trunk == {id(p) for p in stage.network.scan_stages.parameters()} and id(stage.network.scan_stem.weight) in rest
    )
    before = {name: value.clone() for name, value in stage.network.named_parameters()}
    Engine(CPU).train(stage, tmp_path)
    moved = {name: (value - before[name]).abs().max().item() for name, value in stage.network.named_parameters()}
    slow = [value for name, value in moved.items() if name.startswith("scan_stages")]
    assert max(slow) <= 1.01e-5 < max(moved.values())  # Adam's first step is of the learning rate's size


def test_shipped_recipes_are_the_published_schedules():
    einet, lcpr = (read_training_recipe(find_training_recipe(f"{name}_nuscpr")) for name in ("einet", "lcpr"))
    assert (einet.model, einet.stages, lcpr.model, lcpr.stages) == ("einet", ["tuples"], "lcpr", ["mined"])
    one, two = einet.tuples, lcpr.mined
    assert (one.epochs, one.batch, one.lr, one.lr_step, one.trunk, one.depth) == (40, 4, 1e-4, 6, 0.1, 0.1)
    assert (two.epochs, two.batch, two.lr, two.lr_step) == (
        120,
        1,
        1e-5,
        6,
    ) and one.weight_decay == two.weight_decay == 0


def test_a_split_and_its_stages_go_together():
    recipe = read_training_recipe(find_training_recipe("lcpr_nuscpr"))
    with pytest.raises(SourceError, match="mined learn from a split of vxp nuscpr"):
        open_data(recipe)
    with pytest.raises(SourceError, match="has places and somewhere"):
        open_data(replace(recipe, stages=["places"], data=replace(recipe.data, split="somewhere")))
    with pytest.raises(SourceError, match="leave out --validate"):
        open_data(replace(recipe, data=replace(recipe.data, split="somewhere", validate=["b"])))
