"""Fitting and judging a calibration on answers whose probabilities are known."""

import numpy as np
import pytest

from vxp_ros.core.calibration import PairCalibration
from vxp_ros.core.datatypes import Place
from vxp_ros.core.geometry import make_transform
from vxp_ros.core.place_map import PlaceMap
from vxp_training.calibration import Outcomes, ask, balanced, believed, fit_pair, probabilities, reliability

TRUE = PairCalibration(0.7, 0.1, 0.05)


def drawn(count: int) -> Outcomes:
    """Answers that are right as often as TRUE says."""
    random = np.random.default_rng(0)
    outcomes = Outcomes(
        random.uniform(0.2, 1.2, count), random.exponential(0.1, count), np.zeros(count, bool), np.ones(count, bool)
    )
    is_right = random.uniform(size=count) < probabilities(TRUE, outcomes)
    return Outcomes(outcomes.distance, outcomes.margin, is_right, np.ones(count, bool))


def test_the_numbers_behind_the_answers_are_found():
    outcomes = drawn(20_000)
    found = fit_pair(outcomes, np.full(20_000, 1 / 20_000))
    assert found.half_distance == pytest.approx(TRUE.half_distance, abs=0.01)
    assert found.distance_scale == pytest.approx(TRUE.distance_scale, rel=0.05)
    assert found.margin_scale == pytest.approx(TRUE.margin_scale, rel=0.1)


def test_answers_told_apart_without_error_still_give_finite_scales():
    distance = np.array([0.3, 0.4, 0.9, 1.0])
    outcomes = Outcomes(distance, np.full(4, np.inf), distance < 0.5, distance < 0.5)
    found = fit_pair(outcomes, np.full(4, 0.25))
    assert 0.4 < found.half_distance < 0.9
    assert 1e-3 < found.distance_scale < 0.2


def test_true_probabilities_are_reliable_and_boastful_ones_are_not():
    outcomes = drawn(20_000)
    weights = np.full(20_000, 1 / 20_000)
    said = probabilities(TRUE, outcomes)
    honest = reliability(said, outcomes.is_right, weights)
    assert honest.error < 0.015
    assert honest.weight.sum() == pytest.approx(1)
    boastful = reliability(np.full(20_000, 0.95), outcomes.is_right, weights)
    assert boastful.error == pytest.approx(0.95 - outcomes.is_right.mean())
    assert np.isnan(boastful.said[0]) and boastful.weight[9] == pytest.approx(1)


def test_reliability_by_hand():
    said, is_right = np.array([0.05, 0.05, 0.95, 1.0]), np.array([False, True, True, True])
    curve = reliability(said, is_right, np.array([0.4, 0.2, 0.2, 0.2]))
    assert curve.true[0] == pytest.approx(1 / 3)
    assert curve.said[9] == pytest.approx(0.975)
    assert curve.error == pytest.approx(abs(0.03 - 0.2) + abs(0.39 - 0.4))


def test_known_and_unknown_queries_weigh_what_they_are_to():
    outcomes = Outcomes(np.zeros(5), np.zeros(5), np.zeros(5, bool), np.array([True, False, False, False, False]))
    assert balanced(outcomes, 0.5) == pytest.approx([0.5, 0.125, 0.125, 0.125, 0.125])


def test_what_is_believed_is_counted_by_what_it_is():
    is_right, is_known = np.array([1, 1, 0, 0, 0], bool), np.array([1, 1, 1, 0, 0], bool)
    outcomes = Outcomes(np.zeros(5), np.zeros(5), is_right, is_known)
    counts = believed(np.array([0.9, 0.1, 0.8, 0.7, 0.2]), outcomes, 0.7)
    assert counts == {
        "known": 3, "right": 2, "unknown": 2, "believed_right": 1, "believed_wrong": 1, "believed_unknown": 1,
        "precision": pytest.approx(1 / 3), "recall": 0.5,
    }  # fmt: skip


def test_a_map_is_asked_as_the_recogniser_asks_it():
    place_map = PlaceMap({"camera": "m"})
    for i in range(3):
        T = make_transform(np.eye(3), np.array([50.0 * i, 0, 0]))
        place_map.add(Place(i, T, {"camera": np.array([10.0 * i, 0], np.float32)}))
    vectors = np.array([[1, 0], [19, 0], [9, 0]], np.float32)
    outcomes = ask(place_map, vectors, np.array([[2.0, 0, 0], [50, 0, 0], [500, 0, 0]]), "camera", radius=10.0)
    assert outcomes.distance == pytest.approx([1, 1, 1])
    assert outcomes.margin == pytest.approx([8, 8, 8])
    assert outcomes.is_right.tolist() == [True, False, False]
    assert outcomes.is_known.tolist() == [True, True, False]
    assert len(Outcomes.joined([outcomes, outcomes[:1]])) == 4
