"""Probabilities whose values can be seen, and calibration files that are damaged, foreign or hostile."""

import math

import pytest
import yaml

from vxp_ros.core.calibration import (
    CALIBRATION_FILE,
    Calibration,
    PairCalibration,
    dump_calibration,
    read_calibration,
)
from vxp_ros.core.errors import ModelError

MODEL = "eye-0123456789ab"
PAIR = {"query": "camera", "against": "lidar", "half_distance": 0.8, "distance_scale": 0.1, "margin_scale": 0.01}
INF = float("inf")


@pytest.mark.parametrize(
    "distance, margin, expected",
    [
        (0.8, INF, 0.5),
        (0.0, INF, 1 / (1 + math.exp(-8))),
        (0.8, 0.0, 0.25),  # as likely as not here at all, and a twin as near
        (0.0, 0.0, 0.5 / (1 + math.exp(-8))),
        (0.9, 0.01, 1 / (1 + math.e) / (1 + math.exp(-1))),
        (1e9, INF, 0.0),
        (0.0, -1e9, 0.0),
        (0.0, -INF, 0.0),
    ],
)
def test_the_probability_of_one_pair(distance, margin, expected):
    assert PairCalibration(0.8, 0.1, 0.01).probability(distance, margin) == pytest.approx(expected)


def test_it_falls_with_the_distance_and_rises_with_the_margin():
    pair = PairCalibration(0.8, 0.1, 0.01)
    by_distance = [pair.probability(distance / 10, 0.02) for distance in range(20)]
    by_margin = [pair.probability(0.5, margin / 100) for margin in range(-5, 6)]
    assert by_distance == sorted(by_distance, reverse=True)
    assert by_margin == sorted(by_margin)
    assert all(0 <= value <= 1 for value in by_distance + by_margin)


def test_twins_share_what_one_place_would_have():
    """Two places equally near, far apart: together they are no likelier than that the map knows the place."""
    pair = PairCalibration(0.8, 0.1, 0.01)
    assert 2 * pair.probability(0.6, 0.0) == pytest.approx(pair.probability(0.6, INF))
    assert pair.probability(0.6, 0.003) + pair.probability(0.6, -0.003) == pytest.approx(pair.probability(0.6, INF))


def test_a_pair_that_is_not_calibrated_has_no_probability():
    calibration = Calibration({("camera", "lidar"): PairCalibration(0.8, 0.1, 0.01)})
    assert calibration.probability("camera", "lidar", 0.8, INF) == 0.5
    assert math.isnan(calibration.probability("lidar", "camera", 0.8, INF))
    assert math.isnan(Calibration().probability("camera", "camera", 0.0, INF))


def test_what_is_written_is_what_is_read(tmp_path):
    pairs = {("camera", "lidar"): PairCalibration(0.8, 0.1, 0.01), ("fused", "fused"): PairCalibration(1, 2e-6, 9e5)}
    calibration = Calibration(pairs, MODEL, "town-val")
    (tmp_path / CALIBRATION_FILE).write_text(dump_calibration(calibration))
    assert read_calibration(tmp_path, MODEL) == calibration


def test_no_file_is_no_calibration(tmp_path):
    assert read_calibration(tmp_path, MODEL) == Calibration()


def write(folder, pairs, **changes) -> None:
    content = {"model_id": MODEL, "fitted_on": "town-val", "pairs": pairs, **changes}
    (folder / CALIBRATION_FILE).write_text(yaml.safe_dump(content))


def test_a_calibration_of_another_model_is_refused(tmp_path):
    write(tmp_path, [PAIR], model_id="ear-0123456789ab")
    with pytest.raises(ModelError, match="fitted to the model ear-0123456789ab, not to eye-0123456789ab: fit it anew"):
        read_calibration(tmp_path, MODEL)


@pytest.mark.parametrize("name", ["half_distance", "distance_scale", "margin_scale"])
@pytest.mark.parametrize("value", [math.nan, INF, -INF, 0.0, -0.1, 1e-7, 1e7, True, "0.1", None, [0.1]])
def test_numbers_that_cannot_be_are_named(tmp_path, name, value):
    write(tmp_path, [{**PAIR, name: value}])
    with pytest.raises(ModelError, match=f"{name} must be a number from 1e-06 to 1e\\+06, got"):
        read_calibration(tmp_path, MODEL)


@pytest.mark.parametrize(
    "pairs, changes, words",
    [
        ([{**PAIR, "query": "radar"}], {}, "query must be one of camera, lidar, fused, got 'radar'"),
        ([{**PAIR, "against": ["lidar"]}], {}, "against must be one of"),
        ([PAIR, dict(PAIR)], {}, "one pair of query and against twice"),
        ([{**PAIR, "bias": 1.0}], {}, "must hold query, against, half_distance, distance_scale, margin_scale, got"),
        ([{"query": "camera", "against": "lidar"}], {}, "must hold query, against, half_distance"),
        (["camera"], {}, "must hold query, against, half_distance"),
        (PAIR, {}, "pairs must be a list"),
        (None, {}, "pairs must be a list"),
        ([PAIR], {"prior": 0.5}, "must hold model_id, fitted_on and pairs, and nothing else"),
    ],
)
def test_content_that_makes_no_sense_is_named(tmp_path, pairs, changes, words):
    write(tmp_path, pairs, **changes)
    with pytest.raises(ModelError, match=words):
        read_calibration(tmp_path, MODEL)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "must hold model_id, fitted_on and pairs"),
        ("[1, 2]", "must hold model_id, fitted_on and pairs"),
        ("pairs: [", "not valid YAML"),
        ("model_id: !!python/object/apply:os.system [echo]", "not valid YAML"),
        ("model_id: 2026-99-99", "not valid YAML"),
        ("a: &a [x, x]\nb: [*a, *a]", "aliases"),
        ("{" * 50_000, "that is no calibration.yaml"),
        ("#" * (2 << 20), "that is no calibration.yaml"),
    ],
    ids=["empty", "list", "cut off", "code", "date", "aliases", "braces", "large"],
)
def test_files_that_are_damaged_or_hostile(tmp_path, text, words):
    (tmp_path / CALIBRATION_FILE).write_text(text)
    with pytest.raises(ModelError, match=words):
        read_calibration(tmp_path, MODEL)


def test_a_folder_of_that_name_is_refused(tmp_path):
    (tmp_path / CALIBRATION_FILE).mkdir()
    with pytest.raises(ModelError, match=r"cannot read .*calibration.yaml"):
        read_calibration(tmp_path, MODEL)
