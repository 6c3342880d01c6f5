"""The place map in memory: adding, searching, merging, and what it refuses."""

import threading
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from map_samples import DIMENSION, MODELS, assert_same_place, make_map, make_place, pose_at

from vxp_ros.core.errors import BadInput, MapError
from vxp_ros.core.index import VectorIndex
from vxp_ros.core.map_store import load_map, save_map
from vxp_ros.core.memory import LastingMemory
from vxp_ros.core.place_map import PlaceMap


def test_an_empty_map():
    place_map = PlaceMap(MODELS)
    assert len(place_map) == 0
    assert place_map.modalities == ()
    assert place_map.poses.shape == (0, 4, 4)
    assert (place_map.name, place_map.map_id) == ("", "")
    with pytest.raises(MapError, match="no descriptors"):
        place_map.search(np.zeros(DIMENSION, np.float32), "camera", 1)


def test_poses_that_were_read_before_grow_with_the_map():
    place_map = PlaceMap(MODELS)
    place_map.add(make_place(1))
    assert len(place_map.poses) == 1
    place_map.add(make_place(2))
    assert len(place_map.poses) == 2
    assert np.array_equal(place_map.poses[1], pose_at(2))


@pytest.mark.parametrize("models", [{}, {"radar": "x"}, {"camera": "x", "radar": "x"}])
def test_models_must_name_modalities(models):
    with pytest.raises(ValueError, match="camera, lidar, fused"):
        PlaceMap(models)


def test_places_come_back_as_they_went_in():
    place_map = make_map(generation=4)
    assert len(place_map) == 6
    for i, place in enumerate(place_map.places()):
        assert_same_place(place, make_place(i, 4))
        assert_same_place(place_map.place(i), place)
    assert np.array_equal(place_map.poses[5], pose_at(5, 4))


def test_search_finds_only_places_that_have_the_modality():
    place_map = make_map()  # places 0 and 3 have no camera descriptor
    vector = make_place(3).descriptors["lidar"]
    ids, distances = place_map.search(vector, "lidar", 2)
    assert (ids[0], distances[0]) == (3, 0)
    ids, distances = place_map.search(vector, "camera", 10)
    assert sorted(ids) == [1, 2, 4, 5]
    assert (np.diff(distances) >= 0).all()
    assert ids.dtype == np.int64
    assert distances.dtype == np.float32


def test_added_places_are_found_at_once():
    place_map = make_map()
    new_id = place_map.add(make_place(40))
    assert new_id == 6
    assert place_map.search(make_place(40).descriptors["camera"], "camera", 1)[0].tolist() == [6]
    assert place_map.poses.shape == (7, 4, 4)


def test_what_the_caller_does_with_his_arrays_later_changes_nothing():
    place = make_place(1)
    place_map = PlaceMap(MODELS)
    place_map.add(place)
    place.T_map_base[0, 3] = 99
    place.descriptors["camera"][:] = 99
    place.cloud[:] = 99
    assert_same_place(place_map.place(0), make_place(1))
    with pytest.raises(ValueError, match="read-only"):
        place_map.poses[0] = 0


def test_float64_descriptors_and_poses_as_lists_are_fine():
    place = make_place(1)
    wide = {modality: vector.astype(np.float64) for modality, vector in place.descriptors.items()}
    place_map = PlaceMap(MODELS)
    place_map.add(replace(place, descriptors=wide, T_map_base=place.T_map_base.tolist()))
    assert_same_place(place_map.place(0), make_place(1))


def test_a_cloud_that_is_a_view_is_stored_whole(tmp_path):
    points = np.arange(20, dtype=np.float64).reshape(5, 4)
    place_map = PlaceMap(MODELS)
    place_map.add(replace(make_place(1), cloud=points[::2, :3]))
    place_map.add(make_place(2))
    save_map(place_map, tmp_path / "town")
    assert load_map(tmp_path / "town").place(0).cloud.tolist() == [[0, 1, 2], [8, 9, 10], [16, 17, 18]]


def descriptors(**changes) -> dict:
    return {"descriptors": {"camera": np.zeros(DIMENSION, np.float32), **changes}}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"descriptors": {}}, "at least one descriptor"),
        (descriptors(fused=np.zeros(DIMENSION)), "not fused"),
        (descriptors(lidar=np.zeros(DIMENSION + 1)), "have dimension 8, a new one 9"),
        (descriptors(lidar=np.full(DIMENSION, np.nan)), "finite numbers"),
        (descriptors(lidar=np.full(DIMENSION, np.inf)), "finite numbers"),
        (descriptors(lidar=np.full(DIMENSION, 1e300)), "finite numbers"),
        (descriptors(lidar=np.zeros((1, DIMENSION))), "vector of finite numbers"),
        (descriptors(lidar=np.zeros(0)), "vector of finite numbers"),
        ({"T_map_base": np.full((4, 4), np.nan)}, "rigid transform"),
        ({"T_map_base": 2 * np.eye(4)}, "rigid transform"),
        ({"T_map_base": np.diag([1.0, 1, -1, 1])}, "rigid transform"),
        ({"T_map_base": np.eye(3)}, "rigid transform"),
        ({"T_odom_base": np.zeros((4, 4))}, "rigid transform"),
        ({"cloud": np.zeros((5, 4))}, r"\[M, 3\], got shape \(5, 4\)"),
        ({"cloud": np.full((5, 3), np.inf)}, "finite"),
        ({"stamp_ns": -1}, "nanoseconds"),
        ({"stamp_ns": 1 << 63}, "nanoseconds"),
    ],
)
def test_an_unsound_place_is_refused_and_changes_nothing(changes, words):
    place_map = make_map()
    with pytest.raises(MapError, match=words):
        place_map.add(replace(make_place(7), **changes))
    assert len(place_map) == len(place_map.places()) == 6
    assert place_map.add(make_place(6)) == 6
    vector = make_place(6).descriptors["lidar"]
    assert place_map.search(vector, "lidar", 1)[0].tolist() == [6]


@pytest.mark.parametrize("places", [0, 6])
@pytest.mark.parametrize("what", ["thumbnail", "first index", "second index"])
def test_a_place_for_which_there_is_no_memory_is_refused_and_changes_nothing(monkeypatch, places, what):
    place_map = make_map(places=places)
    counts, place = place_map.counts, make_place(7)
    with monkeypatch.context() as patch:
        if what == "thumbnail":
            patch.setattr(LastingMemory, "copy_bytes", fail_after(0, LastingMemory.copy_bytes, OSError))
        else:
            patch.setattr(VectorIndex, "add", fail_after(what == "second index", VectorIndex.add, MemoryError))
        with pytest.raises(MapError, match="no memory for another place"):
            place_map.add(place)
    assert (len(place_map), place_map.counts) == (places, counts)
    assert place_map.add(place) == places
    assert_same_place(place_map.place(places), place)
    assert place_map.search(place.descriptors["lidar"], "lidar", 1)[0].tolist() == [places]


def fail_after(good_calls: int, method, error: type[Exception]):
    """The method, which fails after so many calls."""
    calls = count()

    def call(*arguments):
        if next(calls) < good_calls:
            return method(*arguments)
        raise error("no room")

    return call


def test_a_wrong_query_is_refused_with_both_dimensions():
    place_map = make_map()
    with pytest.raises(MapError, match=r"dimension 8, the query \(9,\)"):
        place_map.search(np.zeros(9, np.float32), "camera", 1)
    with pytest.raises(MapError, match="holds camera and lidar descriptors, but none by fused"):
        place_map.search(np.zeros(8, np.float32), "fused", 1)
    with pytest.raises(BadInput, match="NaN") as caught:
        place_map.search(np.full(8, np.nan, np.float32), "camera", 1)
    assert caught.value.reason == "bad_descriptor"


@pytest.mark.parametrize("place_id", [-1, 6, 1000])
def test_an_unknown_id_is_refused(place_id):
    with pytest.raises(MapError, match="places 0 to 5"):
        make_map().place(place_id)


def test_merge_renumbers_places_and_drives():
    one, other = make_map(generation=0), make_map(generation=1, places=3)
    one.merge(other)
    assert len(one) == 9
    assert len(other) == 3
    assert one.search(make_place(2, 1).descriptors["lidar"], "lidar", 1)[0].tolist() == [8]
    assert [place.drive for place in one.places()] == [0] * 6 + [2] * 3
    assert_same_place(replace(one.place(7), drive=1), make_place(1, 1))


def test_a_map_can_be_merged_into_an_empty_one_and_into_itself():
    empty = PlaceMap(MODELS)
    empty.merge(make_map())
    empty.merge(empty)
    assert len(empty) == 12


@pytest.mark.parametrize(
    "other, words",
    [
        (make_map(models={**MODELS, "camera": "other-0123456789ab"}), "different models"),
        (make_map(dimension=4), "have dimension 8, a new one 4"),
        (PlaceMap(MODELS, map_frame="world"), "different frames"),
        (PlaceMap(MODELS, base_frame="base_footprint"), "different frames"),
    ],
)
def test_maps_that_differ_are_not_merged(other, words):
    place_map = make_map()
    with pytest.raises(MapError, match=words):
        place_map.merge(other)
    assert len(place_map) == 6


@pytest.mark.parametrize("k", [0, -1])
def test_at_least_one_place_must_be_asked_for(k):
    with pytest.raises(ValueError, match="k must be at least 1"):
        make_map().search(make_place(4).descriptors["lidar"], "lidar", k)


def test_the_index_is_searched_and_grown_under_the_lock_only(monkeypatch):
    """FAISS moves its storage while it adds: a search at that moment reads freed memory, too seldom for a race test."""
    place_map, held = make_map(), []
    for name in ("search", "add"):
        real = getattr(VectorIndex, name)

        def watched(index, *arguments, real=real):
            held.append(place_map._lock.locked())
            return real(index, *arguments)

        monkeypatch.setattr(VectorIndex, name, watched)
    place_map.search(make_place(4).descriptors["lidar"], "lidar", 3)
    place_map.add(make_place(7))
    assert held == [True] * 3


def test_searching_while_another_thread_adds():
    place_map, done = make_map(), threading.Event()

    def add():
        for i in range(6, 2000):
            place_map.add(make_place(i))
        done.set()

    writer = threading.Thread(target=add)
    writer.start()
    while not done.is_set():
        ids, distances = place_map.search(make_place(4).descriptors["lidar"], "lidar", 3)
        assert (ids[0], distances[0]) == (4, 0)
        assert len(place_map.poses) <= len(place_map)
    writer.join()
    assert len(place_map) == 2000
