"""The relative pose of two maps: which matches agree, what is refused, and real registration on made-up towns."""

import sys

import numpy as np
import pytest
from map_pairs import T_A_B, first_map, second_map

from vxp_ros.core.config import AlignmentSettings
from vxp_ros.core.datatypes import Place
from vxp_ros.core.errors import MapError
from vxp_ros.core.geometry import invert, make_transform, rotation_angle, rotation_z
from vxp_ros.core.map_alignment import agreement, align_maps, sample
from vxp_ros.core.map_consensus import Match, fit, residuals
from vxp_ros.core.place_map import PlaceMap

needs_registration = pytest.mark.skipif(sys.version_info >= (3, 13), reason="kiss-matcher has no wheel for Python 3.13")
T_OTHER = make_transform(rotation_z(-1.0), np.array([300.0, 80.0, 0.0]))


def matches(count: int, T_a_b: np.ndarray = T_A_B, seed: int = 0, drift: float = 0.0) -> list[Match]:
    """Moments of a drive of 20 m each along x, found within some centimetres. drift: metres aside per metre."""
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        T_b_base = make_transform(rotation_z(rng.uniform(-3, 3)), np.array([20.0 * number, rng.normal(), 0.0]))
        noise = make_transform(rotation_z(rng.normal(0, 0.003)), rng.normal(0, 0.05, 3))
        aside = make_transform(np.eye(3), np.array([0.0, drift * 20.0 * number, 0.0]))
        found.append(Match(T_a_b @ aside @ T_b_base @ noise, T_b_base, 0.06, 0.004))
    return found


def off(T: np.ndarray, truth: np.ndarray = T_A_B) -> tuple[float, float]:
    error = invert(truth) @ T
    return float(np.linalg.norm(error[:3, 3])), float(np.degrees(rotation_angle(error[:3, :3])))


def test_the_pose_is_found_among_wrong_matches():
    wrong = [*matches(1, T_OTHER, seed=1), *matches(2, T_OTHER @ T_OTHER, seed=2)]
    best = agreement([*wrong, *matches(12)], 20, AlignmentSettings())
    assert len(best) == 12
    metres, degrees = off(fit(best))
    assert metres < 0.1 and degrees < 0.1


def test_headings_settle_what_one_spot_leaves_open():
    here = [Match(T_A_B @ match.T_b_base, match.T_b_base, 0.06, 0.004) for match in matches(1) + matches(1)]
    assert np.allclose(fit(here), T_A_B)


def test_maps_that_bend_against_each_other_still_agree_and_the_residuals_say_so():
    bent = matches(16, drift=0.02)
    best = agreement(bent, 16, AlignmentSettings())
    assert len(best) == 16
    straight = fit(best)
    metres, _ = residuals(straight, best)
    assert metres.max() < 1.0  # a shear is nearly a turn
    torn = bent[:8] + matches(16, drift=-0.02)[8:]
    assert residuals(fit(torn), torn)[0].max() > 1.5


def test_two_that_agree_are_too_few():
    with pytest.raises(MapError, match=r"2 of them agree, 3 are needed.*--same-frame"):
        agreement([*matches(2), *matches(1, T_OTHER)], 40, AlignmentSettings())
    with pytest.raises(MapError, match="0 were found again"):
        agreement([], 40, AlignmentSettings())


def test_two_poses_that_many_agree_about_are_refused():
    with pytest.raises(MapError, match="6 places agree about one pose and 4 about another"):
        agreement([*matches(6), *matches(4, T_OTHER)], 40, AlignmentSettings())
    assert len(agreement([*matches(6), *matches(3, T_OTHER)], 40, AlignmentSettings())) == 6


def test_places_are_sampled_by_the_path_and_evenly():
    drive = PlaceMap({"lidar": "test"})
    cloud = np.zeros((3, 3), np.float32)
    for number in range(101):
        T = make_transform(np.eye(3), np.array([float(number), 0.0, 0.0]))
        drive.add(Place(number, T, {"lidar": np.ones(2, np.float32)}, cloud=None if number % 10 == 0 else cloud))
    assert [place.stamp_ns for place in sample(drive, AlignmentSettings(spacing=25.0))] == [1, 26, 51, 76]
    few = sample(drive, AlignmentSettings(spacing=1.0, queries=3))
    assert [place.stamp_ns for place in few] == [1, 49, 99]
    assert sample(PlaceMap({"lidar": "test"}), AlignmentSettings()) == []


@needs_registration
def test_two_drives_through_one_town_are_aligned():
    first, second, asked = first_map(), second_map(), []
    alignment = align_maps(first, second, progress=lambda places: asked.extend(places) or places)
    metres, degrees = off(alignment.T_a_b)
    assert metres < 0.15 and degrees < 0.3
    assert len(asked) == alignment.tried == 5
    assert 3 <= alignment.agreeing <= alignment.verified <= alignment.tried
    assert len(alignment.metres) == len(alignment.degrees) == alignment.agreeing
    assert alignment.metres.max() < 0.5
    length = len(first)
    first.merge(second, alignment.T_a_b)
    truth = [T_A_B @ pose for pose in second.poses]
    assert np.abs(first.poses[length:, :3, 3] - np.array(truth)[:, :3, 3]).max() < 0.3
    assert len(first) == 10 and {place.drive for place in first.places()} == {0, 1}


@pytest.mark.slow
@needs_registration
def test_maps_of_two_towns_are_refused():
    with pytest.raises(MapError, match="could not be aligned"):
        align_maps(first_map(), second_map(town=7))


def test_maps_without_clouds_are_refused():
    with pytest.raises(MapError, match="point clouds"):
        align_maps(first_map(), second_map(clouds=False))
    with pytest.raises(MapError, match="point clouds"):
        align_maps(second_map(clouds=False), first_map())
