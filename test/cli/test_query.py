"""`vxp query`: numbers in the JSON as docs/DESIGN.md names them, and what happens with maps that do not fit."""

import json

import numpy as np
import pytest

from vxp_ros.cli.main import run
from vxp_ros.cli.query import Outcome, candidate_errors, evaluate, exit_code_of, latency
from vxp_ros.core.datatypes import Candidate, Recognition, Status
from vxp_ros.core.geometry import make_transform


def test_every_scene_is_found_on_the_map_made_of_it(place_map, source, model, tmp_path, capsys):
    arguments = ["query", str(place_map), source, "--query", "lidar", "--against", "lidar", "--model", model]
    assert run([*arguments, "--json", str(tmp_path / "q.json")]) == 0
    report = json.loads((tmp_path / "q.json").read_text())
    assert report["queries"] == report["answered"] == 6
    assert report["recall_at_1"] == {"2.5": 1.0, "5": 1.0, "10": 1.0, "25": 1.0}
    assert report["precision_recall"]["5"]["average_precision"] == 1.0
    assert {"points", "lidar_encoder", "search", "total"} <= set(report["latency_ms"])
    assert 0 < report["latency_ms"]["total"]["p50"] <= report["latency_ms"]["total"]["p95"]
    assert "recall@1" in capsys.readouterr().out


def test_camera_against_lidar_runs_too(place_map, source, model, tmp_path):
    arguments = ["query", str(place_map), source, "--query", "camera", "--against", "lidar", "--model", model]
    assert run([*arguments, "--json", str(tmp_path / "q.json")]) == 0
    report = json.loads((tmp_path / "q.json").read_text())
    assert report["answered"] == 6
    assert 0.0 <= report["recall_at_1"]["2.5"] <= 1.0  # an untrained model only guesses


def test_a_worn_source_is_a_partial_success(place_map, worn_source, model, tmp_path, capsys):
    arguments = ["query", str(place_map), worn_source, "--model", model]
    assert run([*arguments, "--json", str(tmp_path / "q.json")]) == 2
    report = json.loads((tmp_path / "q.json").read_text())
    assert report["problems"] == {"too_few_points": 1}
    assert "unusable parts of" in capsys.readouterr().out


def test_without_an_answer_the_query_failed(place_map, source, model, tmp_path, capsys):
    arguments = ["query", str(place_map), source, "--model", model, "--points-topic", ""]
    assert run([*arguments, "--json", str(tmp_path / "q.json")]) == 1
    report = json.loads((tmp_path / "q.json").read_text())
    assert (report["queries"], report["answered"], report["refused"]) == (6, 0, 6)
    assert "0 of 6 queries answered" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("report", "code"),
    [
        ({"answered": 5, "refused": 0, "problems": {}}, 0),
        ({"answered": 5, "refused": 1, "problems": {}}, 2),
        ({"answered": 5, "refused": 0, "problems": {"bad_image": 1}}, 2),
        ({"answered": 0, "refused": 5, "problems": {"bad_image": 1}}, 1),
    ],
)
def test_exit_codes(report, code):
    assert exit_code_of(report) == code


@pytest.mark.parametrize(("query", "against"), [("fused", "lidar"), ("lidar", "fused")])
def test_a_modality_that_model_or_map_lacks_is_said_at_once(place_map, source, model, capsys, query, against):
    arguments = ["query", str(place_map), source, "--query", query, "--against", against, "--model", model]
    assert run(arguments) == 1
    errors = capsys.readouterr().err.strip()
    assert "by fused" in errors
    assert len(errors.splitlines()) == 1


def test_a_map_of_another_model_is_refused(place_map, source, tmp_path, capsys):
    other = tmp_path / "other"
    assert run(["model", "init", "vxp_lite", "--out", str(other), "--seed", "5"]) == 0
    assert run(["query", str(place_map), source, "--model", str(other)]) == 1
    errors = capsys.readouterr().err.strip()
    assert len(errors.splitlines()) == 1
    assert "vxp_lite-" in errors


def outcome(truth_x: float | None, *place_xs: float) -> Outcome:
    candidates = tuple(
        Candidate(i, 0, 0.1 * (i + 1), 1.0, 0.0, make_transform(np.eye(3), np.array([x, 0.0, 0.0])))
        for i, x in enumerate(place_xs)
    )
    status = Status.OK if candidates else Status.BAD_INPUT
    answer = Recognition(1, "lidar", status, "too dark", candidates, stage_ms={"search": 2.0} if candidates else {})
    return Outcome(None if truth_x is None else np.array([truth_x, 0.0, 0.0]), answer)


def test_evaluate_by_hand():
    places = np.array([[0.0, 0, 0], [50.0, 0, 0]])
    report = evaluate([outcome(1.0, 0.0), outcome(44.0, 0.0, 50.0), outcome(50.0), outcome(900.0, 50.0)], places)
    assert report["queries"] == 4
    assert report["answered"] == 3
    assert (report["refused"], report["refusals"]) == (1, ["too dark"])
    assert report["answerable"] == {"2.5": 2, "5": 2, "10": 3, "25": 3}
    assert report["recall_at_1"]["2.5"] == 0.5  # one right, one without an answer
    assert report["recall_at_1"]["10"] == pytest.approx(1 / 3)
    assert report["recall_at_5"]["10"] == pytest.approx(2 / 3)
    assert report["latency_ms"]["total"]["p50"] == 2.0


def test_the_first_query_does_not_count_for_latency():
    """It warms everything up."""
    outcomes = [outcome(1.0, 0.0) for _ in range(3)]
    outcomes[0].answer.stage_ms["search"] = 900.0
    assert latency(outcomes)["search"] == {"p50": 2.0, "p95": 2.0}
    assert latency(outcomes[:1])["search"]["p50"] == 900.0


def test_without_poses_there_is_latency_but_no_recall():
    report = evaluate([outcome(None, 0.0)], np.zeros((1, 3)))
    assert report["with_truth"] == 0
    assert "recall_at_1" not in report


def test_errors_are_padded():
    assert candidate_errors(outcome(1.0, 0.0), 3) == [1.0, float("inf"), float("inf")]
