"""From a nuScenes folder to a split, a training and the numbers of `vxp eval nuscpr`, on a small town."""

import json
import shutil

import numpy as np
import pytest
from rig_places import ring_model
from town_masters import make_master

from vxp_ros.cli.main import run
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.model_store import load_model
from vxp_ros.core.models.recipe import dump_recipe
from vxp_training.datasets.annotation import read_annotation, write_annotation
from vxp_training.datasets.nusc_pr.make import make_split
from vxp_training.datasets.nusc_pr.read import read_split
from vxp_training.datasets.prepared import CAMERA_POSES, POSES, TABLE, PreparedData
from vxp_training.datasets.town.layouts import export
from vxp_training.datasets.town.layouts.nuscenes import VERSION
from vxp_training.datasets.town.store.task import RigChoice
from vxp_training.split_frames import SplitFrames

pytestmark = pytest.mark.slow

DAYS = ("sunny", "sameday", "rain", "night")  # the last two are after the threshold of 105 days
FRAMES = 12


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Four days as nuScenes, both splits, the prepared folder and a model that learnt for two steps."""
    root = tmp_path_factory.mktemp("town")
    choice = RigChoice(cameras=6, size=(64, 36), rings=16)
    export("nuscenes", [make_master(root, day, FRAMES, choice) for day in DAYS], root / "nuscenes")
    for scheme in ("supervised", "self-supervised"):
        make_split(scheme, root / "nuscenes", VERSION, root)
    assert run(["data", "prepare", f"nuscenes:{root / 'nuscenes'}", "--spacing", "0", "--out", str(root / "data")]) == 0
    (root / "ring.yaml").write_text(dump_recipe(ring_model("einet", "lidar", cameras=6, cells=[16, 96])))
    once = "{epochs: 1, batch: 8}"
    (root / "once.yaml").write_text(
        f"model: {root / 'ring.yaml'}\nstages: [tuples, mined]\ntuples: {once}\nmined: {once}"
    )
    options = ["--data", str(root / "data"), "--split", str(root / "supervised_data"), "--out", str(root / "run")]
    assert run(["train", str(root / "once.yaml"), *options]) == 0
    return root


def ask(town, *more: str, data: str = "data", split: str = "supervised_data") -> int:
    options = ["--split", str(town / split), "--data", str(town / data), "--cache", str(town / "cache")]
    return run(["eval", "nuscpr", "--model", str(town / "run/model"), *options, *more])


def test_every_keyframe_is_in_the_prepared_folder_once(town):
    split = read_split(town / "supervised_data")
    frames = SplitFrames(split, [PreparedData(town / "data")])
    assert frames.missing == 0 and len(np.unique(frames.place, axis=0)) == len(frames) == len(DAYS) * FRAMES
    for row in (0, 20, 47):
        frame = frames.frame(row)
        assert frame.stamp_ns == 1000 * split.keyframes.stamp_us[row] and len(frame.images) == 6
        assert np.array_equal(frame.T_odom_base[:3, 3], split.keyframes.position[row])


def test_both_stages_made_a_model(town):
    trained_on = load_model(town / "run/model").recipe.trained_on
    assert "stages tuples, mined" in trained_on and "frames of data" in trained_on
    assert (town / "run/2-mined/mined.npz").exists() and (town / "run/1-tuples/model").is_dir()


def by_loops(town, lights: set[bool]) -> dict:
    """Recall@1 and 5, AP and max F1 of test queries by day (False) or night, from the frames themselves."""
    split = read_split(town / "supervised_data")
    frames, encoder = SplitFrames(split, [PreparedData(town / "data")]), Encoder.load(str(town / "run/model"), "cpu")
    part = split.districts["town-tiny"]
    vectors = {int(row): encoder.describe(frames.frame(int(row)), "lidar").vector.astype(np.float64)
               for row in {*part.database, *part.test.query}}  # fmt: skip
    hits, tops = {1: [], 5: []}, []
    for query, right in zip(part.test.query.tolist(), part.test.right, strict=True):
        if bool(split.keyframes.is_night[query]) in lights:
            order = sorted(part.database.tolist(), key=lambda row: np.linalg.norm(vectors[row] - vectors[query]))
            for k in hits:
                hits[k].append(bool(set(order[:k]) & set(right.tolist())))
            tops.append((float(np.linalg.norm(vectors[order[0]] - vectors[query])), order[0] in right))
    best, area, before = 0.0, 0.0, (0.0, 1.0)
    for threshold, _ in sorted(tops):
        tp = sum(d <= threshold and is_right for d, is_right in tops)
        fn, fp = sum(is_right for _, is_right in tops) - tp, sum(d <= threshold for d, _ in tops) - tp
        precision, recall = tp / (tp + fp), tp / (tp + fn)
        best = max(best, 2 * tp / (2 * tp + fp + fn))
        area += (recall - before[0]) * before[1]
        before = recall, precision
    shares = {f"R@{k}": np.mean(found) for k, found in hits.items()}
    return shares | {"max_f1": best, "average_precision": area, "asked": len(tops)}


def test_the_numbers_are_those_of_loops(town, tmp_path, capsys):
    assert ask(town, "--json", str(tmp_path / "report.json"), "--out", str(tmp_path / "out")) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["protocol"] == "nuscpr" and report["missing_keyframes"] == 0 and list(report["nuscpr"]) == ["3D-3D"]
    found = report["nuscpr"]["3D-3D"]
    parts = found["night"]["town-tiny"]
    for numbers, lights in ((found["districts"]["town-tiny"], {False, True}), (parts["day"], {False}),
                            (parts["night"], {True})):  # fmt: skip
        wanted = by_loops(town, lights)
        shares = {f"R@{k}": numbers["recall_at"][str(k)] for k in (1, 5)}
        assert {**shares, **{key: numbers[key] for key in list(wanted)[2:]}} == pytest.approx(wanted, abs=1e-6)
    assert parts["day"]["asked"] + parts["night"]["asked"] == found["districts"]["town-tiny"]["asked"] == 18
    shown = capsys.readouterr().out
    assert "town-tiny night" in shown and "no answer" in shown and "supervised, leak-free, seed 1" in shown
    assert (tmp_path / "out/curves.png").is_file() and (tmp_path / "out/examples-3D-3D.jpg").is_file()


def test_other_queries_and_other_schemes(town, tmp_path, capsys):
    assert ask(town, "--part", "validation", "--json", str(tmp_path / "v.json")) == 0
    split = read_split(town / "supervised_data").districts["town-tiny"]
    report = json.loads((tmp_path / "v.json").read_text())
    assert report["nuscpr"]["3D-3D"]["districts"]["town-tiny"]["asked"] == len(split.validation) == 6
    assert ask(town, "--limit", "2", split="self_supervised_data") == 0
    assert "self-supervised, leak-free" in capsys.readouterr().out
    assert ask(town, "--part", "validation", split="self_supervised_data") == 1
    assert "has no validation queries" in capsys.readouterr().err


def test_missing_keyframes_are_counted(town, capsys):
    """A folder with half of the rows, and one of another moment."""
    for name, rows, shift in (("half", slice(None, None, 2), 0), ("other", slice(None), 1_000_000)):
        shutil.copytree(town / "data", town / name)
        table = read_annotation(town / "data" / TABLE).select(rows)
        table.stamp_ns[:] += shift
        write_annotation(town / name / TABLE, table)
        for matrices in (POSES, CAMERA_POSES):
            np.save(town / name / matrices, np.load(town / "data" / matrices)[rows])
    assert ask(town, data="half") == 0
    assert "24 of 48 keyframes are not in the prepared data" in capsys.readouterr().out
    assert ask(town, data="other") == 1
    assert "none of the split's 48 keyframes is in the prepared data" in capsys.readouterr().err
    assert ask(town, split="data") == 1
    assert "is no folder of a NUSC-PR split" in capsys.readouterr().err
