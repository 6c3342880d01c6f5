"""The limit for "unknown place" that the map itself sets."""

import numpy as np
import pytest

from vxp_ros.core.datatypes import Place
from vxp_ros.core.geometry import make_transform
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.demo.unknown import FALSE_ACCEPTS, distance_limit


def make_map(vectors: np.ndarray, spacing: float) -> PlaceMap:
    place_map = PlaceMap({"camera": "m"})
    for number, vector in enumerate(vectors.astype(np.float32)):
        T = make_transform(np.eye(3), np.array([number * spacing, 0.0, 0.0]))
        place_map.add(Place(number, T, {"camera": vector}))
    return place_map


def test_the_limit_lets_the_stated_share_of_foreign_places_pass():
    random = np.random.default_rng(0)
    known, foreign = random.standard_normal((2, 400, 16))
    limit = distance_limit(make_map(known, spacing=100.0), "camera", "camera")
    nearest = np.linalg.norm(foreign[:, None] - known[None], axis=2).min(axis=1)
    assert np.mean(nearest <= limit) == pytest.approx(FALSE_ACCEPTS, abs=0.05)


def test_neighbours_do_not_count_as_wrong():
    """Places a metre apart that look the same: only those elsewhere say how near a wrong match comes."""
    vectors = np.repeat(np.eye(4), 20, axis=0)
    limit = distance_limit(make_map(vectors, spacing=1.0), "camera", "camera")
    assert limit == pytest.approx(np.sqrt(2))


def test_a_map_without_two_places_apart_sets_no_limit():
    assert distance_limit(make_map(np.eye(3), spacing=1.0), "camera", "camera") == float("inf")
