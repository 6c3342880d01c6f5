"""Ranking, margins and verdicts on a street whose answers can be seen."""

import math

import numpy as np
import pytest
from map_samples import MODELS, pose_at

from vxp_ros.core.calibration import Calibration, PairCalibration
from vxp_ros.core.candidates import MARGIN_POOL, find_candidates, judge, margin, with_probabilities
from vxp_ros.core.config import MatchSettings
from vxp_ros.core.datatypes import Place, Status
from vxp_ros.core.place_map import PlaceMap


def street(descriptors: list[float], spacing: float = 5.0) -> PlaceMap:
    """Places `spacing` metres apart along x, each with a descriptor of one number."""
    place_map = PlaceMap(MODELS)
    for i, value in enumerate(descriptors):
        place_map.add(Place(100 + i, pose_at(spacing * i), {"camera": np.array([value], np.float32)}))
    return place_map


def ask(place_map: PlaceMap, value: float, **settings):
    return find_candidates(place_map, np.array([value], np.float32), "camera", MatchSettings(**settings))


def test_the_nearest_descriptors_come_first():
    candidates = ask(street([0, 10, 20, 30, 40]), 19, top_k=3)
    assert [candidate.place_id for candidate in candidates] == [2, 1, 3]
    assert [candidate.distance for candidate in candidates] == [1, 9, 11]
    best = candidates[0]
    assert best.stamp_ns == 102
    assert best.score == pytest.approx(np.exp(-1))
    assert best.T_map_base[0, 3] == 10
    assert not best.is_verified
    assert not best.is_registered
    assert isinstance(best.place_id, int)


def test_fewer_places_than_asked_for():
    assert len(ask(street([0, 1]), 0, top_k=5)) == 2


def test_the_margin_looks_past_places_beside_the_best_one():
    """Places 0 to 2 lie within 10 m of place 0, so the first other place is number 3."""
    best = ask(street([0, 1, 2, 7]), 0, exclusion_radius=10.0)[0]
    assert best.margin == 7
    assert ask(street([0, 1, 2, 7]), 0, exclusion_radius=4.0)[0].margin == 1


def test_the_margin_is_infinite_when_the_whole_map_is_one_place():
    assert ask(street([0, 1, 2], spacing=0.1), 0)[0].margin == float("inf")


def test_the_margin_is_no_more_than_known_when_one_place_fills_the_pool():
    """200 places at one spot, then a twin elsewhere just beyond the pool: not infinitely unlike, whatever it is."""
    values = [i / 1000 for i in range(200)]
    place_map = street(values, spacing=0.001)
    place_map.add(Place(0, pose_at(500), {"camera": np.array([0.2], np.float32)}))
    best = ask(place_map, 0, top_k=5)[0]
    assert best.margin == pytest.approx(values[5 + MARGIN_POOL - 1])
    assert best.margin <= 0.2


def test_a_lower_candidate_may_have_a_negative_margin():
    candidates = ask(street([0, 3], spacing=100), 0)
    assert [candidate.margin for candidate in candidates] == [3, -3]


def test_margin_of_a_row():
    positions = np.array([[0.0, 0, 0], [1, 0, 0], [50, 0, 0]])
    distances = np.array([1.0, 2.0, 4.0], np.float32)
    assert margin(0, positions, distances, 10.0) == 3
    assert margin(1, positions, distances, 10.0) == 2
    assert margin(0, positions[:2], distances[:2], 10.0) == float("inf")
    assert margin(0, positions[:2], distances[:2], 10.0, beyond=2.5) == 1.5


@pytest.mark.parametrize(
    "settings, status, words",
    [
        ({}, Status.OK, "place 1 at distance 1.000"),
        ({"max_distance": 1.0}, Status.OK, "place 1"),
        ({"max_distance": 0.9}, Status.NO_MATCH, "distance 1.000 is above match.max_distance 0.9"),
        ({"min_margin": 8.0}, Status.OK, "place 1"),
        ({"min_margin": 8.1}, Status.AMBIGUOUS, "margin 8.000 is below match.min_margin 8.1"),
        ({"min_margin": 8.1, "max_distance": 0.5}, Status.NO_MATCH, "max_distance"),
    ],
)
def test_the_verdict_and_its_reason(settings, status, words):
    match = MatchSettings(**settings)
    found, message = judge(ask(street([0, 10, 20], spacing=100), 9), match)
    assert found == status
    assert words in message


CALIBRATION = Calibration({("camera", "camera"): PairCalibration(2.0, 1.0, 4.0)})


def test_each_candidate_has_the_probability_of_its_own_distance_and_margin():
    found = ask(street([0, 10, 20], spacing=100), 9)
    given = with_probabilities(found, CALIBRATION, "camera", "camera")
    assert [entry.place_id for entry in given] == [1, 0, 2]
    assert given[0].probability == pytest.approx(1 / (1 + math.exp(-1)) / (1 + math.exp(-2)))  # 1 from 8 beyond: 0.644
    assert given[0].probability > given[1].probability > given[2].probability
    assert all(math.isnan(entry.probability) for entry in with_probabilities(found, CALIBRATION, "camera", "lidar"))
    assert with_probabilities((), CALIBRATION, "camera", "camera") == ()


@pytest.mark.parametrize(
    "calibration, settings, status, words",
    [
        (CALIBRATION, {"min_probability": 0.64}, Status.OK, "place 1 at distance 1.000, probability 0.64"),
        (CALIBRATION, {"min_probability": 0.65}, Status.AMBIGUOUS, "probability 0.64 is below match.min_probability 0"),
        (CALIBRATION, {}, Status.AMBIGUOUS, "match.min_probability 0.7"),
        (CALIBRATION, {"min_probability": 0.0}, Status.OK, "probability 0.64"),
        (CALIBRATION, {"min_probability": 0.0, "min_margin": 9.0}, Status.AMBIGUOUS, "match.min_margin"),
        (CALIBRATION, {"max_distance": 0.5}, Status.NO_MATCH, "match.max_distance"),
        (Calibration(), {"min_probability": 1.0}, Status.OK, "place 1 at distance 1.000"),
        (Calibration(), {"min_probability": 1.0, "min_margin": 9.0}, Status.AMBIGUOUS, "match.min_margin"),
    ],
)
def test_a_probability_is_held_against_its_limit(calibration, settings, status, words):
    found = with_probabilities(ask(street([0, 10, 20], spacing=100), 9), calibration, "camera", "camera")
    said, message = judge(found, MatchSettings(**settings))
    assert said == status
    assert words in message


def test_no_candidate_is_no_match():
    assert judge((), MatchSettings()) == (Status.NO_MATCH, "the map holds no place with such a descriptor")
