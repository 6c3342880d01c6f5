"""What a build that broke off has finished is taken by the next one, and only if nothing it was made of has changed."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from map_samples import assert_same_place
from test_recognizer import MeanEncoder, frame_at

from vxp_ros.core import finished_places
from vxp_ros.core.config import KeyframeSettings
from vxp_ros.core.datatypes import Image
from vxp_ros.core.errors import BadInput
from vxp_ros.core.finished_places import FinishedPlaces, digest_of
from vxp_ros.core.geometry import make_transform
from vxp_ros.core.recognizer import PlaceRecognizer
from vxp_ros.core.resources import user_cache

POSES = [make_transform(np.eye(3), [10.0 * i, 0, 0]) for i in range(9)]
FRAMES = [frame_at(20 * i) for i in range(9)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch) -> None:
    monkeypatch.setattr(finished_places, "PLACES_PER_PART", 2)


def open_places(
    root: Path, question: str = "bag:drive", model: str = "", device: str = "cpu", **settings
) -> FinishedPlaces:
    encoder = MeanEncoder("camera", "lidar")
    encoder.model_id += model
    encoder.device = device
    return FinishedPlaces(root, question, PlaceRecognizer(encoder), KeyframeSettings(**settings))


def make_all(places: FinishedPlaces, frames=FRAMES) -> list:
    return [places.make(frame, T) for frame, T in zip(frames, POSES, strict=True)]


def test_the_next_build_takes_what_is_finished(tmp_path):
    first = open_places(tmp_path)
    made = make_all(first)
    again = open_places(tmp_path)
    for place, expected in zip(make_all(again), made, strict=True):
        assert_same_place(place, expected)
    assert (first.taken, again.taken) == (0, 8)  # four parts of two; the ninth was in none yet
    again.remove()
    assert list(tmp_path.iterdir()) == []
    third = open_places(tmp_path)
    make_all(third)
    assert third.taken == 0


@pytest.mark.parametrize(
    "change",
    [{"question": "bag:other"}, {"model": "x"}, {"device": "cuda:0"}, {"cloud_voxel": 0.5}, {"min_travel": 2.0}],
)
def test_another_question_takes_nothing(tmp_path, change):
    make_all(open_places(tmp_path))
    other = open_places(tmp_path, **change)
    make_all(other)
    assert other.taken == 0


def test_other_code_takes_nothing(tmp_path, monkeypatch):
    make_all(open_places(tmp_path))
    monkeypatch.setattr(finished_places, "code_of_core", lambda: "other")
    assert open_places(tmp_path)._found == {}


@pytest.mark.parametrize("library", ["torch", "np", "cv2"])
def test_another_library_takes_nothing(tmp_path, monkeypatch, library):
    make_all(open_places(tmp_path))
    assert open_places(tmp_path)._found
    monkeypatch.setattr(getattr(finished_places, library), "__version__", "1.0.0")
    assert open_places(tmp_path)._found == {}


def other_pixel(frame):
    pixels = frame.images["camera"].pixels.copy()
    pixels[3, 5, 1] ^= 1
    return replace(frame, images={"camera": Image(pixels, frame.images["camera"].camera)})


def other_point(frame):
    points = frame.points.copy()
    points[7, 2] = np.nextafter(points[7, 2], np.float32(1e9))
    return replace(frame, points=points)


def other_lens(frame):
    camera = replace(frame.images["camera"].camera, K=np.diag([2.0, 2.0, 1.0]))
    return replace(frame, images={"camera": Image(frame.images["camera"].pixels, camera)})


@pytest.mark.parametrize(
    "change",
    [
        other_pixel,
        other_point,
        other_lens,
        lambda frame: replace(frame, stamp_ns=frame.stamp_ns + 1),
        lambda frame: replace(frame, T_base_lidar=make_transform(np.eye(3), [0, 0, 1e-9])),
        lambda frame: replace(frame, images={}),
    ],
)
def test_a_frame_that_differs_in_one_bit_is_made_anew(tmp_path, change):
    make_all(open_places(tmp_path))
    again = open_places(tmp_path)
    make_all(again, [FRAMES[0], change(FRAMES[1]), *FRAMES[2:]])
    assert again.taken == 7


def test_damaged_parts_are_made_again(tmp_path, caplog):
    made = make_all(open_places(tmp_path))
    (folder,) = tmp_path.iterdir()
    damaged = next(folder.glob("*-0/clouds.npy"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    again = open_places(tmp_path)
    assert "cannot be used are made again" in caplog.text and "clouds.npy" in caplog.text
    for place, expected in zip(make_all(again), made, strict=True):
        assert_same_place(place, expected)
    assert again.taken == 6


def test_where_nothing_can_be_kept_all_is_made(tmp_path, caplog):
    (tmp_path / "builds").write_text("a file")
    places = open_places(tmp_path / "builds")
    assert len(make_all(places)) == 9
    assert caplog.text.count("are not kept") == 1
    places.remove()
    assert (tmp_path / "builds").read_text() == "a file"


def test_what_cannot_be_described_is_refused_every_time(tmp_path):
    for _ in range(2):
        with pytest.raises(BadInput):
            open_places(tmp_path).make(frame_at(1, images=False, points=False), np.eye(4))


def test_what_nobody_went_on_with_is_forgotten(tmp_path):
    make_all(open_places(tmp_path))
    (folder,) = tmp_path.iterdir()
    strangers = [tmp_path / "photos", tmp_path / ("a" * 32)]
    for stranger in strangers:
        stranger.mkdir()
        (stranger / "cat.jpg").write_text("mine")
    for path in (folder, *strangers):
        os.utime(path, (0, 0))
    assert open_places(tmp_path, "bag:other")._found == {}
    assert not folder.exists()
    assert all((stranger / "cat.jpg").read_text() == "mine" for stranger in strangers)


def test_two_builds_at_once_do_not_remove_each_others(tmp_path):
    one, other = open_places(tmp_path), open_places(tmp_path)
    make_all(one)
    make_all(other)
    one.remove()
    again = open_places(tmp_path)
    make_all(again)
    assert again.taken == 8


def test_parts_are_also_kept_by_time(tmp_path, monkeypatch):
    monkeypatch.setattr(finished_places, "PLACES_PER_PART", 100)
    monkeypatch.setattr(finished_places, "SECONDS_PER_PART", 0.0)
    make_all(open_places(tmp_path))
    again = open_places(tmp_path)
    make_all(again)
    assert again.taken == 9


def test_a_part_of_another_model_is_not_taken(tmp_path, caplog):
    make_all(open_places(tmp_path))
    (folder,) = tmp_path.iterdir()
    other = open_places(tmp_path, model="x")
    other._folder = folder
    other._load_parts()
    assert other._found == {} and "made again" in caplog.text


def test_a_user_without_a_home_keeps_nothing_and_builds(monkeypatch, caplog):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert len(make_all(open_places(user_cache("builds")))) == 9
    assert caplog.text.count("are not kept") == 1


def test_digests_tell_types_shapes_and_order_apart():
    a = np.arange(6, dtype=np.float32)
    values = [
        a,
        a.reshape(2, 3),
        a.astype(np.float64),
        (a, a),
        {"a": a},
        {"b": a},
        1,
        1.0,
        "1",
        b"1",
        True,
        None,
        (),
        ((),),
    ]
    assert len({digest_of(value) for value in values}) == len(values)
    assert digest_of(a[::2]) == digest_of(a[::2].copy())
