"""The limit for "I do not know" that the map itself sets."""

import numpy as np
import pytest

from vxp_ros.core.candidates import find_candidates
from vxp_ros.core.config import MatchSettings
from vxp_ros.core.datatypes import Place
from vxp_ros.core.geometry import make_transform
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.demo.unknown import FALSE_ACCEPTS, margin_limit


def make_map(vectors: np.ndarray, xs) -> PlaceMap:
    place_map = PlaceMap({"camera": "m"})
    for number, (vector, x) in enumerate(zip(vectors.astype(np.float32), xs, strict=True)):
        T = make_transform(np.eye(3), np.array([x, 0.0, 0.0]))
        place_map.add(Place(number, T, {"camera": vector}))
    return place_map


def test_the_limit_lets_the_stated_share_of_foreign_places_pass():
    random = np.random.default_rng(0)
    known, foreign = random.standard_normal((2, 400, 16)).astype(np.float32)
    place_map = make_map(known, 100.0 * np.arange(400))
    limit = margin_limit(place_map, "camera", "camera")
    found = [find_candidates(place_map, vector, "camera", MatchSettings())[0].margin for vector in foreign]
    assert np.mean(np.array(found) >= limit) == pytest.approx(FALSE_ACCEPTS, abs=0.05)


def test_neighbours_do_not_count_as_wrong():
    """Three streets of five places a metre apart, alike within a street: the gaps between streets are 2, 1 and 1."""
    positions = [100.0 * street + place for street in range(3) for place in range(5)]
    vectors = np.repeat([[0.0], [1.0], [3.0]], 5, axis=0)
    assert margin_limit(make_map(vectors, positions), "camera", "camera") == pytest.approx(2.0)


def test_a_map_without_two_places_apart_sets_no_limit():
    assert margin_limit(make_map(np.eye(3), np.arange(3.0)), "camera", "camera") == 0.0
