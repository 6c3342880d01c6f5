"""Loop closures of made-up drives: past blocks of houses, with real registrations, and by hand for the consensus."""

import sys

import numpy as np
import pytest
from scan_samples import block, pose, scan

from vxp_ros.core.calibration import Calibration, PairCalibration
from vxp_ros.core.config import LoopSettings, MatchSettings
from vxp_ros.core.consensus import Consensus
from vxp_ros.core.datatypes import LoopClosure, Place
from vxp_ros.core.errors import BadInput
from vxp_ros.core.geometry import invert
from vxp_ros.core.loops import LoopFinder, descriptor_distance
from vxp_ros.core.odometry_path import OdometryPath
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.registration import register

needs_libraries = pytest.mark.skipif(sys.version_info >= (3, 13), reason="kiss-matcher has no wheel for Python 3.13")
SECOND = 1_000_000_000
LOOKS = {"home": [1.0, 0.0, 0.0], "away": [0.0, 1.0, 0.0]}


def place(T_odom_base, seconds: float, look: str = "away", cloud=None, drive: int = 0) -> Place:
    vector = np.array(LOOKS[look], np.float32)
    return Place(int(seconds * SECOND), T_odom_base, {"lidar": vector}, drive=drive, cloud=cloud)


def road(*places: Place) -> PlaceMap:
    place_map = PlaceMap({"lidar": "test"})
    for entry in places:
        place_map.add(entry)
    return place_map


# Home is left at once, and seen again after a round of 200 m, from poses that odometry has wrong by 2 m.

HOME = [pose(0, 0, 0), pose(2, 0, 0.05)]
BACK = [pose(1, -1, 0.1), pose(3, -1, 0.1)]
AROUND = [pose(50, 0, 1), pose(50, 50, 2), pose(0, 50, -2)]
DRIFT = pose(1.5, -1.0, 0.01)


@pytest.fixture(scope="module")
def clouds() -> dict[str, list[np.ndarray]]:
    home = block(0)
    return {
        "home": [scan(home, T, number) for number, T in enumerate(HOME)],
        "around": [scan(block(number + 1), pose(0, 0, 0), number) for number in range(len(AROUND))],
        "back": [scan(home, T, 10 + number) for number, T in enumerate(BACK)],
        "alike": [scan(block(9), T, 20 + number) for number, T in enumerate(BACK)],
    }


def drive(clouds, back="back", look="home", offset=DRIFT) -> PlaceMap:
    return road(
        *(place(T, i, "home", cloud) for i, (T, cloud) in enumerate(zip(HOME, clouds["home"], strict=True))),
        *(place(T, 20 * (i + 1), "away", c) for i, (T, c) in enumerate(zip(AROUND, clouds["around"], strict=True))),
        *(place(offset @ T, 90 + i, look, cloud) for i, (T, cloud) in enumerate(zip(BACK, clouds[back], strict=True))),
    )


@needs_libraries
def test_home_is_found_again_once_two_keyframes_agree(clouds):
    finder = LoopFinder(drive(clouds))
    told = [finder.find(place_id) for place_id in range(7)]
    assert [len(changes) for changes in told] == [0, 0, 0, 0, 0, 0, 2]
    for closure in told[-1]:
        truth = invert(HOME[closure.from_id]) @ BACK[closure.to_id - 5]
        assert np.allclose(closure.T_from_to, truth, atol=0.1)  # not what odometry says, which is 2 m off
        assert not closure.is_retracted and closure.inlier_ratio > 0.5
        assert (closure.from_stamp_ns, closure.to_stamp_ns) == (
            closure.from_id * SECOND,
            (90 + closure.to_id - 5) * SECOND,
        )
    assert {closure.to_id for closure in told[-1]} == {5, 6}


@needs_libraries
def test_a_place_that_only_looks_alike_is_no_loop(clouds):
    finder = LoopFinder(drive(clouds, back="alike"))
    assert [finder.find(place_id) for place_id in range(7)] == [[]] * 7


@needs_libraries
def test_the_same_houses_where_odometry_cannot_be_are_no_loop(clouds):
    finder = LoopFinder(drive(clouds, offset=pose(150, 0, 0)))
    assert finder.candidates(6) == []
    assert [finder.find(place_id) for place_id in range(7)] == [[]] * 7


def with_unlike_place(clouds, number: int = 0) -> PlaceMap:
    """The last keyframe sees home, but its descriptor is that of the places around."""
    path = drive(clouds)
    path.add(place(DRIFT @ HERE, 93, "away", scan(block(number), HERE, 30)))
    return path


HERE, RECOGNISED = pose(4, -1, 0.1), MatchSettings(max_distance=0.5)


@needs_libraries
@pytest.mark.parametrize("follow", [20.0, 0.0])
def test_after_a_closure_old_places_need_not_be_recognised(clouds, follow):
    guesses = []

    def watched(source, target, **guess):
        guesses.append(guess)
        return register(source, target, **guess)

    finder = LoopFinder(with_unlike_place(clouds), RECOGNISED, loop=LoopSettings(follow=follow), register=watched)
    assert finder.likely(7) == []
    assert sum(len(finder.find(place_id)) for place_id in range(7)) == 2
    (closure,) = finder.find(7)
    assert closure.to_id == 7
    assert np.allclose(closure.T_from_to, invert(HOME[closure.from_id]) @ HERE, atol=0.1)
    assert bool(guesses[-1]) == (follow > 0)


@needs_libraries
@pytest.mark.parametrize(("rear", "heading", "found"), [("home", np.pi, 2), (None, np.pi, 0), ("home", 0.0, 0)])
def test_a_street_driven_the_other_way_is_recognised_by_the_view_backwards(clouds, rear, heading, found):
    """Odometry is too bad to expect a place, and right about the heading. The first guess of three is not tried."""
    home, back = block(0), [pose(x, -1, heading) for x in (3, 1, -1)]
    path = road(
        *(place(T, i, "home", cloud) for i, (T, cloud) in enumerate(zip(HOME, clouds["home"], strict=True))),
        *(place(T, 20 * (i + 1), "away", c) for i, (T, c) in enumerate(zip(AROUND, clouds["around"], strict=True))),
        *(place(T, 90 + i, "away", scan(home, T, 40 + i)) for i, T in enumerate(back)),
    )
    finder = LoopFinder(path, RECOGNISED, loop=LoopSettings(drift=0.2))
    vector = None if rear is None else np.array(LOOKS[rear], np.float32)
    told = [closure for place_id in range(8) for closure in finder.find(place_id, vector if place_id > 4 else None)]
    assert all(closure.to_id in (6, 7) for closure in told)
    assert len(told) == found
    for closure in told:
        truth = invert(HOME[closure.from_id]) @ back[closure.to_id - 5]
        assert np.allclose(closure.T_from_to, truth, atol=0.1)


@needs_libraries
def test_where_the_old_place_must_be_another_one_is_refused(clouds):
    finder = LoopFinder(with_unlike_place(clouds, number=7), RECOGNISED)
    assert sum(len(finder.find(place_id)) for place_id in range(7)) == 2
    assert finder.find(7) == []


@needs_libraries
def test_a_pair_of_clouds_is_registered_once(clouds):
    """By odometry and by its descriptor the same place comes first."""
    tried = []

    def refuse(source, target):
        tried.append((id(source), id(target)))
        raise BadInput("too_few_points", "never accepted")

    finder = LoopFinder(drive(clouds), register=refuse)
    assert finder.find(6) == [] and len(tried) == len(set(tried)) > 1


def test_an_expected_place_need_not_share_a_descriptor(clouds):
    dark = Place(0, np.eye(4), {"camera": np.array([1.0, 0, 0], np.float32)})
    path = drive(clouds)
    assert descriptor_distance(path.place(0), dark) == np.inf
    assert descriptor_distance(path.place(0), path.place(2)) == pytest.approx(np.sqrt(2))
    (candidate, T_guess), *_ = LoopFinder(path).expected(6)
    assert candidate.place_id in (0, 1) and T_guess is None  # 200 m of odometry are no first guess


def test_the_expected_place_is_counted_from_the_last_closure():
    """Odometry has the way back 30 m off to the side; a closure of the first keyframe that came back says so."""
    out = [place(pose(10 * i, 0, 0), 10 * i, "home") for i in range(10)]
    back = [place(pose(90 - 10 * i, 30, np.pi), 200 + 10 * i, "away") for i in range(9)]
    other = [place(pose(0, 0, 0), 400, "home", drive=1)]
    path, settings = OdometryPath(road(*out, *back, *other)), LoopSettings()
    assert path.expected(12, None, settings) is None
    closure = LoopClosure(9, 10, 0, 0, pose(0, 3, np.pi), np.eye(6), 0.9, 0.8)
    old, T_old_new, metres = path.expected(12, closure, settings)
    assert (old, metres) == (7, pytest.approx(20 + 20))
    assert np.allclose(T_old_new, pose(0, 3, np.pi), atol=1e-9)
    assert path.expected(19, closure, settings) is None  # another drive, which has no old places yet
    assert path.expected(12, closure, LoopSettings(drift=1.0)) is None  # such odometry cannot tell


@pytest.mark.parametrize(("half_distance", "is_tried"), [(1.0, True), (0.05, False)])
def test_only_likely_candidates_are_held_against_the_clouds(clouds, half_distance, is_tried):
    """The descriptors are 0 apart; all candidates have a margin, so that the distance decides."""
    path, tried = drive(clouds), []

    def refuse(source, target):
        tried.append((source, target))
        raise BadInput("too_few_points", "never accepted")

    numbers = PairCalibration(half_distance, distance_scale=0.1, margin_scale=0.01)
    finder = LoopFinder(path, calibration=Calibration({("lidar", "lidar"): numbers}), register=refuse)
    limit = LoopSettings(min_probability=0.7, drift=1.0)  # no place is expected by such odometry
    finder.use(finder.match, finder.verify, limit)
    assert finder.candidates(6)
    assert finder.find(6) == [] and bool(tried) == is_tried


def test_the_recent_past_is_no_loop():
    path = road(*(place(pose(10 * i, 0, 0), 10 * i, "home") for i in range(10)))
    finder = LoopFinder(path, loop=LoopSettings(min_time_gap=30, min_travel=50, drift=1.0))
    assert [finder.path.first_recent(i, finder.loop) for i in (0, 4, 5, 9)] == [0, 0, 1, 5]
    assert {entry.place_id for entry in finder.candidates(9)} == {0, 1, 2, 3, 4}
    assert finder.candidates(3) == []


def test_a_place_is_no_loop_of_its_own():
    path = road(*(place(pose(i, 0, 0), i, "home") for i in range(3)))
    finder = LoopFinder(path, loop=LoopSettings(min_time_gap=0.0, min_travel=0.0))
    assert [{entry.place_id for entry in finder.candidates(i)} for i in range(3)] == [set(), {0}, {0, 1}]


def test_another_drives_places_are_no_loop():
    parts = [place(pose(i, 0, 0), 100 * i, "home", drive=int(i > 2)) for i in range(6)]
    finder = LoopFinder(road(*parts), loop=LoopSettings(min_time_gap=1, min_travel=0))
    assert {entry.place_id for entry in finder.candidates(5)} == {3, 4}
    assert finder.path.metres(5) == 4.0  # the way from one drive to the other is unknown


def test_a_place_without_descriptors_to_compare_has_no_candidates():
    path = road(*(place(pose(i, 0, 0), 100 * i) for i in range(3)))
    path.models["camera"] = "test"
    path.add(Place(300 * SECOND, pose(3, 0, 0), {"camera": np.ones(2, np.float32)}))
    assert LoopFinder(path, loop=LoopSettings(min_travel=0)).candidates(3) == []


def test_many_drives_do_not_crowd_each_other_out():
    parts = [place(pose(i % 10, 0, 0), 100 * i, "home", drive=i // 10) for i in range(200)]
    finder = LoopFinder(road(*parts), loop=LoopSettings(min_time_gap=1, min_travel=0))
    assert {entry.place_id for entry in finder.candidates(199)} == set(range(190, 199))


# The consensus: there and back on one street, 2 m between keyframes

COUNT = 20


@pytest.fixture
def street() -> OdometryPath:
    there = [pose(2 * i, 0, 0) for i in range(COUNT)]
    return OdometryPath(road(*(place(T, i) for i, T in enumerate(there + there[::-1]))))


def closing(to_id: int, off: float = 0.0) -> LoopClosure:
    """Of a keyframe of the way back with the one at the same spot; `off` metres wrong."""
    covariance = np.diag(np.repeat([0.05, 0.003], 3) ** 2)
    return LoopClosure(2 * COUNT - 1 - to_id, to_id, 0, to_id * SECOND, pose(off, 0, 0), covariance, 0.9, 0.8)


def test_one_closure_alone_waits(street):
    consensus = Consensus(street, LoopSettings())
    assert consensus.add(closing(25)) == []
    assert [entry.to_id for entry in consensus.add(closing(26))] == [25, 26]
    assert [entry.to_id for entry in consensus.add(closing(27))] == [27]


def test_alone_it_is_told_at_once_where_one_is_enough(street):
    assert len(Consensus(street, LoopSettings(min_agreeing=1)).add(closing(25))) == 1


def test_a_wrong_one_among_right_ones_is_never_told(street):
    consensus = Consensus(street, LoopSettings())
    assert consensus.add(closing(25)) == consensus.add(closing(26, 4.0)) == consensus.add(closing(27)) == []
    assert [entry.to_id for entry in consensus.add(closing(28))] == [25, 27, 28]  # three against one


def test_wrong_ones_that_agreed_are_withdrawn_when_more_speak_against_them(street):
    consensus = Consensus(street, LoopSettings())
    assert len(consensus.add(closing(22, 4.0)) + consensus.add(closing(23, 4.0))) == 2
    told = [entry for to_id in range(25, 30) for entry in consensus.add(closing(to_id))]
    assert {entry.to_id for entry in told if entry.is_retracted} == {22, 23}
    assert {entry.to_id for entry in told if not entry.is_retracted} == {25, 26, 27, 28, 29}


def test_far_back_closures_are_left_as_they_are(street):
    consensus = Consensus(street, LoopSettings(window=5.0))
    assert len(consensus.add(closing(22, 4.0)) + consensus.add(closing(23, 4.0))) == 2
    told = [entry for to_id in range(27, 35) for entry in consensus.add(closing(to_id))]
    assert not any(entry.is_retracted for entry in told) and len(told) == 8


def test_closures_of_two_drives_do_not_support_each_other():
    parts = [place(pose(0, 0, 0), 100 * i, drive=int(i > 1)) for i in range(4)]
    path = OdometryPath(road(*parts))
    first, second = (LoopClosure(a, b, 0, 0, np.eye(4), np.eye(6), 0.9, 0.8) for a, b in ((0, 1), (2, 3)))
    assert path.agree(first, first, LoopSettings()) is True
    assert path.agree(first, second, LoopSettings()) is None


def test_a_closure_that_odometry_rules_out(street):
    settings = LoopSettings()
    assert street.is_plausible(closing(25), settings)
    assert not street.is_plausible(closing(25, 10.0), settings)  # 22 m of the path: 0.5 m and no more


class TableOfOpinions:
    """Stands for the path: closures agree as drawn."""

    def __init__(self, seed: int, count: int):
        self._opinions = np.random.default_rng(seed).choice([True, False, None], (count, count))

    def metres(self, place_id: int) -> float:
        return float(place_id)

    def agree(self, a: LoopClosure, b: LoopClosure, _settings: LoopSettings) -> bool | None:
        return self._opinions[min(a.to_id, b.to_id), max(a.to_id, b.to_id)]


def test_the_last_closure_is_one_that_stands():
    """Also when one withdrawal makes another."""
    chains = 0
    for seed in range(300):
        consensus, standing = Consensus(TableOfOpinions(seed, 9), LoopSettings()), set()
        for row in range(9):
            changes = consensus.add(LoopClosure(row, row, 0, 0, np.eye(4), np.eye(6), 0.9, 0.8))
            chains += sum(change.is_retracted for change in changes) > 1
            for change in changes:
                (standing.discard if change.is_retracted else standing.add)(change.to_id)
            assert (consensus.last.to_id if consensus.last else -1) == max(standing, default=-1)
    assert chains > 10
