"""The settings: sound defaults, limits that hold, and sentences that name each wrong value."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vxp_ros.core.config import LocalizerSettings, MapperSettings
from vxp_ros.core.settings import build, problem_with, walk

LOCALIZER = {path: (kind, default, metadata) for path, kind, default, metadata in walk(LocalizerSettings)}


@pytest.mark.parametrize("settings_class", [LocalizerSettings, MapperSettings])
def test_every_setting_has_a_meaning_and_a_default_that_it_accepts(settings_class):
    entries = list(walk(settings_class))
    assert len(entries) > 25
    assert len({path for path, *_ in entries}) == len(entries)
    for path, kind, default, metadata in entries:
        assert len(metadata["meaning"]) > 10, path
        assert problem_with(path, kind, default, metadata) == ""


@pytest.mark.parametrize("settings_class", [LocalizerSettings, MapperSettings])
def test_building_from_nothing_and_from_all_defaults_is_the_same(settings_class):
    assert build(settings_class, {}) == settings_class()
    assert build(settings_class, {path: default for path, _, default, _ in walk(settings_class)}) == settings_class()


def test_values_arrive_at_their_path():
    settings = build(LocalizerSettings, {"match.top_k": 3, "frames.base": "body", "input.cameras": ["left", "right"]})
    assert (settings.match.top_k, settings.frames.base) == (3, "body")
    assert settings.input.cameras == ["left", "right"]
    assert settings.match.max_distance == LocalizerSettings().match.max_distance


def test_an_int_passes_for_a_float_and_becomes_one():
    value = build(LocalizerSettings, {"input.max_rate": 5}).input.max_rate
    assert (value, type(value)) == (5.0, float)
    assert build(LocalizerSettings, {"extrinsics.lidar": [0, 0, 1, 0, 0, 0, 1]}).extrinsics.lidar[2] == 1.0


def test_two_settings_objects_do_not_share_their_lists():
    one, other = LocalizerSettings(), LocalizerSettings()
    one.input.cameras.append("rear")
    assert other.input.cameras == LocalizerSettings().input.cameras == ["camera"]


@pytest.mark.parametrize(
    "path, value, words",
    [
        ("match.top_k", 0, r"match.top_k must lie in \[1, 100\], got 0"),
        ("match.top_k", 2.0, "must be int, got 2.0"),
        ("match.top_k", True, "must be int, got True"),
        ("match.top_k", "5", "must be int, got '5'"),
        ("match.max_distance", math.nan, "must lie in .*, got nan"),
        ("match.max_distance", math.inf, "must lie in .*, got inf"),
        ("match.max_distance", False, "must be float, got False"),
        ("match.query", "radar", "must be one of auto, camera, lidar, fused, got 'radar'"),
        ("map.path", "a\0b", "NUL"),
        ("map.path", None, "must be str, got None"),
        ("map.allow_model_mismatch", 1, "must be bool, got 1"),
        ("input.cameras", "camera", "must be a list"),
        ("input.cameras", ["left", 3], "must be str, got 3"),
        ("input.cameras", ["a\0"], "NUL"),
        ("extrinsics.lidar", [0.0, "x"], "must be float, got 'x'"),
        ("extrinsics.lidar", [math.nan], "must be a number, got nan"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(path, value, words):
    with pytest.raises(ValueError, match=words) as caught:
        build(LocalizerSettings, {path: value})
    assert path in str(caught.value)


def test_all_wrong_values_are_named_at_once():
    with pytest.raises(ValueError, match=r"input.max_rate .*; match.top_k "):
        build(LocalizerSettings, {"match.top_k": -1, "input.max_rate": -1.0})


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.lists(st.one_of(st.floats(), st.text())),
    st.binary(),
)


@given(path=st.sampled_from(sorted(LOCALIZER)), value=ANYTHING)
def test_any_value_is_either_refused_in_words_or_kept_within_its_limits(path, value):
    kind, _, metadata = LOCALIZER[path]
    try:
        settings = build(LocalizerSettings, {path: value})
    except ValueError as problem:
        assert str(problem).startswith(path)
        return
    group, name = path.split(".")
    kept = getattr(getattr(settings, group), name)
    assert kept == value
    assert isinstance(kept, list if isinstance(value, list) else kind)
    if metadata["low"] is not None:
        assert metadata["low"] <= kept <= metadata["high"]
