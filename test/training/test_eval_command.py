"""`vxp data` and `vxp eval` as people call them, with a real model on tiny data."""

import json

import cv2
import numpy as np
import pytest
from town_masters import make_master

from vxp_ros.cli.main import run
from vxp_ros.core.model_store import init_model
from vxp_training.datasets.annotation import read_annotation
from vxp_training.datasets.town import splits
from vxp_training.datasets.town.layouts import export

KEYS = {"trials", "asked", "queries", "recall_at", "recall_at_1pct", "recall_at_1", "interval_95", "chance",
        "average_precision", "max_f1", "recall_at_full_precision", "precision_recall"}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("model") / "lite"
    init_model("vxp_lite", folder)
    return str(folder)


@pytest.fixture(scope="module")
def kitti(tmp_path_factory):
    """A day of a tiny town that calls itself sequence 00 of KITTI, and the same as sequence 01."""
    folder = tmp_path_factory.mktemp("town")
    days = [make_master(folder, day, frames=6) for day in ("sunny", "sameday")]
    export("kitti", days, folder / "kitti")
    (folder / "kitti/town.json").unlink()
    return folder / "kitti"


@pytest.fixture(scope="module")
def data(kitti, tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "kitti"
    assert run(["data", "prepare", f"kitti:{kitti}:00", f"kitti:{kitti}:01", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("descriptors")


def test_prepare_says_what_it_wrote(kitti, tmp_path, capsys):
    assert run(["data", "prepare", f"kitti:{kitti}:00", "--out", str(tmp_path / "d"), "--spacing", "7.5"]) == 0
    shown = capsys.readouterr().out
    assert "3 frames" in shown and f"kitti:{kitti}:00" in shown
    assert len(read_annotation(tmp_path / "d/annotation.csv")) == 3


def test_prepare_names_what_is_missing(tmp_path, capsys):
    assert run(["data", "prepare", f"kitti:{tmp_path}:00", "--out", str(tmp_path / "d")]) == 1
    assert f"vxp: KITTI data: {tmp_path}/sequences/00/calib.txt is missing" in capsys.readouterr().err


def test_results_that_cannot_be_written_are_refused_before_the_work(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    question = ["eval", "kitti-cmvm", "--model", "no_model", "--data", "no_data"]
    (tmp_path / "out" / "report.json").mkdir(parents=True)
    for answer in (["--json", str(tmp_path)], ["--out", str(tmp_path / "file")], ["--out", str(tmp_path / "out")]):
        assert run([*question, *answer]) == 1
        assert answer[1] in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_protocol_writes_all_that_it_promises(data, model, cache, tmp_path, capsys):
    out, result = tmp_path / "out", tmp_path / "result.json"
    options = ["--model", model, "--data", str(data), "--cache", str(cache)]
    assert run(["eval", "kitti-cmvm", *options, "--out", str(out), "--json", str(result)]) == 0
    report = json.loads(result.read_text())
    assert report == json.loads((out / "report.json").read_text())
    assert report["protocol"] == "kitti-cmvm" and report["model"].startswith("vxp_lite-")
    assert list(report["modes"]) == ["2D-2D", "3D-3D", "2D-3D", "3D-2D"] and list(report["groups"]) == ["00"]
    for numbers in report["modes"].values():
        assert set(numbers) == KEYS
        assert list(numbers["recall_at"]) == [str(k) for k in range(1, 26)] and list(numbers["recall_at_1"]) == [
            "5", "10", "25"]  # fmt: skip
        # 4 m apart on a line: within 10 m are two frames before and behind, or those of them that are there
        assert numbers["queries"] == 6 and numbers["chance"] == pytest.approx((2 + 3 + 4 + 4 + 3 + 2) / 6 / 5)
        assert numbers["recall_at"]["25"] == 1.0
    assert cv2.imread(str(out / "curves.png")).std() > 5
    for mode in report["modes"]:
        assert cv2.imread(str(out / f"examples-{mode}.jpg")).std() > 5
    shown = capsys.readouterr().out
    assert "R@1%" in shown and "2D-3D" in shown


def test_the_second_time_nothing_is_described(data, model, cache, monkeypatch):
    options = ["--model", model, "--data", str(data), "--cache", str(cache)]
    assert run(["eval", "kitti-cmvm", *options]) == 0
    monkeypatch.setattr("vxp_ros.core.encoder.Encoder.describe", lambda *_: pytest.fail("described again"))
    assert run(["eval", "kitti-cmvm", *options, "--limit", "2"]) == 0


def test_the_box_protocols_say_what_positions_they_need(data, model, cache, tmp_path, capsys):
    options = ["--model", model, "--data", str(data), "--cache", str(cache)]
    assert run(["eval", "kitti-v1", *options]) == 1
    assert "no frame lies in the test boxes" in capsys.readouterr().err
    assert run(["eval", "kitti-v1", *options, "--no-boxes", "--json", str(tmp_path / "v1.json")]) == 0
    assert json.loads((tmp_path / "v1.json").read_text())["has_boxes"] is False
    assert run(["eval", "kitti-3dv", *options, "--no-boxes"]) == 1  # two seconds of driving hold no revisit
    assert "no query has a right answer" in capsys.readouterr().err


def test_other_words_than_those_there_are(data, model, cache, tmp_path, capsys):
    options = ["--model", model, "--data", str(data), "--cache", str(cache)]
    assert run(["eval", "oxford", *options]) == 1
    assert "oxford needs at least two of its 23 runs" in capsys.readouterr().err
    assert run(["eval", "kitti-cmvm", *options, "--paper-compat", "nothing"]) == 1
    assert "there is no switch 'nothing'" in capsys.readouterr().err
    assert run(["eval", "kitti-cmvm", "--model", model, "--data", str(tmp_path)]) == 1
    assert "is no prepared folder" in capsys.readouterr().err
    assert run(["eval", "town", "--model", model, "--map-day", "rain"]) == 1
    assert "rain is the day of the map" in capsys.readouterr().err
    assert run(["eval", "town", "--model", model, "--splits", "atlantis"]) == 1
    assert "there is no split 'atlantis'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_town_is_recorded_and_asked(monkeypatch, model, cache, tmp_path, capsys):
    monkeypatch.setitem(splits.SPLITS, "town-tiny", splits.Split("town-tiny", 9, "demo", (2, 2), 60.0))
    options = ["--splits", "town-tiny", "--days", "sameday,rain", "--map-spacing", "12", "--query-spacing", "24",
               "--cache", str(cache), "--town-cache", str(tmp_path), "--processes", "1"]  # fmt: skip
    result = tmp_path / "town.json"
    assert run(["eval", "town", "--model", model, *options, "--json", str(result)]) == 0
    report = json.loads(result.read_text())
    assert list(report["groups"]) == ["sameday", "rain"] and report["map_spacing_m"] == 12
    for modes in report["groups"].values():
        for numbers in modes.values():
            assert numbers["asked"] == 3 and 0 < numbers["chance"] < 0.5
            low, high = numbers["interval_95"]
            assert 0 <= low <= numbers["recall_at"]["1"] <= high <= 1
    assert "sameday" in capsys.readouterr().out
    assert np.isfinite(report["modes"]["2D-2D"]["recall_at"]["1"])
