"""`vxp eval loops|slam` as people call them: what is wrong with a question is said before the work."""

import json
from types import SimpleNamespace

import cv2
import pytest
import typer

from vxp_ros.cli.main import run
from vxp_ros.core.errors import SourceError
from vxp_training import loop_command, loop_eval
from vxp_training.loop_command import check_question, slam_in_words

ROW = {
    "revisits": 1,
    "keyframes": 4,
    "candidates": {
        "average_precision": 0.5, "max_f1": 0.5, "extended_precision": 0.5, "recall_at_full_precision": 0.0,
        "precision_recall": [[0.1, 0.5, 0.5], [0.2, 0.5, 1.0]],
    },
    "closures": {"published": 1, "wrong": 0, "far_off": 0, "recall": 1.0, "worst_m": 0.1, "worst_deg": 0.1},
}  # fmt: skip


def drives(*names: str, problem: str = ""):
    """What stands in for recording and describing drives: these, and then perhaps a problem."""

    def town_drives(*_):
        yield from (SimpleNamespace(name=name) for name in names)
        if problem:
            raise SourceError(problem)

    return town_drives


@pytest.fixture
def evaluated(monkeypatch) -> list[str]:
    """Names of the drives that `vxp eval loops` has evaluated."""
    names = []

    def evaluate_loops(drive, *_):
        names.append(drive.name)
        return {"drive": drive.name, **ROW}

    monkeypatch.setattr(loop_eval, "evaluate_loops", evaluate_loops)
    monkeypatch.setattr(loop_command, "town_drives", drives("first", "second"))
    return names


@pytest.mark.parametrize("command", ["loops", "slam"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--splits", "town-test-1,town-tset-2"], "there is no split 'town-tset-2'"),
        (["--splits", ","], "--splits names no town"),
        (["--day", "sunshine"], "got sunshine"),
        (["--spacing", "nan"], "--spacing"),
        (["--json", "FILE/new.json"], "FILE"),
    ],
)
def test_a_wrong_question_is_refused_before_the_work(monkeypatch, evaluated, tmp_path, capsys, command, options, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("")
    monkeypatch.setattr(loop_command, "require_evo", lambda: pytest.fail("the work began"))
    monkeypatch.setattr("vxp_ros.core.pose_graph.load_gtsam", lambda: None)
    assert run(["eval", command, *options]) == 1
    assert told in " ".join(capsys.readouterr().err.split())
    assert evaluated == []


def test_no_number_is_refused_even_where_typers_bounds_let_it_through():
    with pytest.raises(typer.BadParameter, match="--drift must be a number"):
        check_question("town-val", "sunny", drift=float("nan"))


def test_what_is_finished_stays_when_the_next_drive_fails(monkeypatch, evaluated, tmp_path, capsys):
    monkeypatch.setattr(loop_command, "town_drives", drives("first", problem="the disk is full"))
    out = tmp_path / "loops.json"
    assert run(["eval", "loops", "--json", str(out)]) == 1
    assert "the disk is full" in capsys.readouterr().err
    assert [row["drive"] for row in json.loads(out.read_text())["drives"]] == evaluated == ["first"]


def test_the_curves_are_drawn_beside_the_file(evaluated, tmp_path):
    assert run(["eval", "loops", "--json", str(tmp_path / "loops.json")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loops-curves.png", "loops.json"]
    assert cv2.imread(str(tmp_path / "loops-curves.png")).std() > 5


def test_an_rpe_that_is_left_out_is_told_once():
    row = {"ate_without": 2.0, "ate_with": 1.0, "ate_half_random": 1.0, "closures": 3}
    assert "RPE" not in slam_in_words("short", [row])
    words = slam_in_words("short", [{**row, "rpe_left_out": "too short"}, {**row, "rpe_left_out": "too short"}])
    assert words.endswith("3 closures; no RPE: too short")
