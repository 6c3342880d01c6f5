"""Single rules of NUSC-PR on keyframes made by hand: dates, drives, edges, switches one by one."""

from dataclasses import fields

import numpy as np
import pytest

from vxp_training.datasets.nusc_pr.compat import NuscPrCompat
from vxp_training.datasets.nusc_pr.draws import draw_distinct, draw_repeated, generator
from vxp_training.datasets.nusc_pr.infos import with_clean_keys, with_legacy_keys
from vxp_training.datasets.nusc_pr.keyframes import Keyframes, abbreviation, in_order, threshold_days
from vxp_training.datasets.nusc_pr.nearness import distances, thinned
from vxp_training.datasets.nusc_pr.self_supervised import split_self_supervised
from vxp_training.datasets.nusc_pr.self_supervised import test_scenes as scenes_for_test
from vxp_training.datasets.nusc_pr.supervised import DAY_US, late, split_supervised

SECOND = 1_000_000
STREAM = [0.3129166741419481, 0.8571803624033394, 0.1597608040360743]


def frames(x, seconds, log=None, scene=None, y=None) -> Keyframes:
    """Keyframes of bs on a line."""
    count = len(x)
    zeros = np.zeros(count)
    position = np.column_stack([x, zeros if y is None else y, zeros]).astype(np.float64)
    numbers = np.zeros(count, np.int32)
    return Keyframes(
        token=np.array([f"{i:032d}" for i in range(count)]),
        stamp_us=np.round(np.asarray(seconds, np.float64) * SECOND).astype(np.int64) + 1_526_915_243_000_000,
        scene=numbers if scene is None else np.asarray(scene, np.int32),
        log=numbers if log is None else np.asarray(log, np.int32), district=numbers, position=position,
        is_night=np.zeros(count, bool), districts=("bs",),
    )  # fmt: skip


def test_thinning_keeps_what_is_more_than_a_metre_away():
    x = [0.0, 1.0, 1.0000002, 2.0, 2.1, -1.0, -1.1, 0.5]
    assert thinned(np.column_stack([x, np.zeros(8)]).astype(np.float32), 1.0).tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize("seed", range(5))
def test_thinning_equals_loops(seed):
    xy = np.random.default_rng(seed).uniform(-8, 8, (400, 2)).astype(np.float32)
    kept = []
    for i in range(400):
        if all(np.linalg.norm(xy[i].astype(np.float64) - xy[j].astype(np.float64)) > 1.0 for j in kept):
            kept.append(i)
    assert thinned(xy, 1.0).tolist() == kept and len(kept) < 300


LATE = 106 * 86400


def test_nine_metres_are_right():
    split = split_supervised(frames([9.0, -9.001, 0.0], [0, 1, LATE], log=[0, 0, 1]), 0)["bs"]
    assert split.database.tolist() == [0, 1] and split.test.query.tolist() == [2]
    assert [right.tolist() for right in split.test.right] == [[0]]


def test_tuples_hold_nine_metres_and_not_eighteen():
    x = [0.0, 9.0, 18.0, 20.0, 22.0, 24.0, 26.0, 0.0]
    split = split_supervised(frames(x, range(8), log=[0] * 7 + [1]), 0)["bs"]
    assert split.train.tolist() == split.tuples.query.tolist() == [7]
    assert sorted(split.tuples.positives[0]) == [0, 1] and sorted(split.tuples.negatives[0]) == [3, 4, 5, 6]


def test_a_minute_of_the_own_drive_does_not_count():
    # the query stands at the first place again; another drive is as near, and far places are of another drive too
    x = [0.0, 2.0, 4.0, 30.0, 32.0, 34.0, 36.0, 0.0]
    log = [0, 1, 1, 1, 1, 1, 1, 0]
    for apart_s, positives in ((60.0, [1, 2]), (60.000001, [0, 1, 2])):
        found = set()
        for seed in range(20):
            split = split_supervised(frames(x, [0, 1, 2, 3, 4, 5, 6, apart_s], log=log), seed)["bs"]
            assert split.tuples.query.tolist() == [7]
            found |= set(split.tuples.positives[0].tolist())
        assert sorted(found) == positives


def test_a_drive_past_the_threshold_does_not_answer_itself():
    """It drives on over the threshold: what it saw seconds before is in the database, but is no answer."""
    threshold = 105 * 86400
    keyframes = frames([0.0, 500.0, 502.0, 502.5, 505.0], [0, *(threshold + np.array([-90, -20, 0, 50]))],
                       log=[0, 1, 1, 1, 1])  # fmt: skip
    split = split_supervised(keyframes, 0)["bs"]
    assert split.database.tolist() == [0, 1, 2]
    # query 3: 1 is 90 s away and counts, 2 is 20 s away; query 4: 2 is 70 s away
    assert dict(zip(split.test.query.tolist(), map(list, split.test.right), strict=True)) == {3: [1], 4: [1, 2]}
    published = split_supervised(keyframes, 0, NuscPrCompat(nuscpr_db_all_dates=True))["bs"]
    assert published.database.tolist() == [0, 1, 2, 4]
    assert [right.tolist() for right in published.test.right] == [[1, 2, 4]]


def test_days_are_counted_in_microseconds():
    stamps = np.array([0, DAY_US - 1, DAY_US, DAY_US + 1]) + 1_526_915_243_000_000
    assert late(stamps, 1).tolist() == [False, False, True, True]
    rounded = stamps.astype(np.float32)  # steps of 134 s
    assert late(stamps, 1, has_float32=True).tolist() == ((rounded - rounded[0]) / np.float32(DAY_US) >= 1).tolist()
    assert np.spacing(rounded[0]) / SECOND == pytest.approx(134, abs=1)


def drives(count: int = 400, seed: int = 0) -> Keyframes:
    """Four drives up and down a street of 300 m, on days 0, 40, 80 and 120, in scenes of 20 keyframes."""
    random, rows = np.random.default_rng(seed), np.arange(count)
    way = np.cumsum(random.uniform(0, 3, count))
    log = rows * 4 // count
    return frames(150 * np.cos(way / 60), log * 40 * 86400 + rows / 2, log=log, scene=rows // 20,
                  y=random.normal(0, 1, count))  # fmt: skip


def test_chunks_do_not_matter(monkeypatch):
    keyframes = drives()
    for compat in (NuscPrCompat(), everything()):
        whole = split_supervised(keyframes, 3, compat)["bs"]
        monkeypatch.setattr("vxp_training.datasets.nusc_pr.nearness.CHUNK", 7)
        parts = split_supervised(keyframes, 3, compat)["bs"]
        monkeypatch.undo()
        assert len(whole.tuples) > 7
        for name in ("query", "positives", "negatives"):
            np.testing.assert_array_equal(getattr(whole.tuples, name), getattr(parts.tuples, name))
        assert [list(right) for right in whole.test.right] == [list(right) for right in parts.test.right]


def everything() -> NuscPrCompat:
    return NuscPrCompat(**{field.name: True for field in fields(NuscPrCompat)})


def late_rows(keyframes: Keyframes) -> set[int]:
    return set(np.flatnonzero(keyframes.log == 3).tolist())


def test_switches_of_dates():
    keyframes, shown = drives(), {}
    for name, compat in {
        "strict": NuscPrCompat(),
        "database": NuscPrCompat(nuscpr_db_all_dates=True),
        "both": NuscPrCompat(nuscpr_db_all_dates=True, nuscpr_train_all_dates=True),
    }.items():
        split = split_supervised(keyframes, 0, compat)["bs"]
        tuples = {*split.tuples.positives.ravel().tolist(), *split.tuples.negatives.ravel().tolist()}
        shown[name] = (bool(late_rows(keyframes) & set(split.database.tolist())), bool(late_rows(keyframes) & tuples))
    assert shown == {"strict": (False, False), "database": (True, False), "both": (True, True)}


def test_a_tuple_repeats_a_place_only_with_the_switch():
    for has_repeats in (False, True):
        split = split_supervised(drives(), 0, NuscPrCompat(nuscpr_sample_replacement=has_repeats))["bs"]
        assert (split.tuples.positives[:, 0] == split.tuples.positives[:, 1]).any() == has_repeats


def test_validation_is_scored_unless_published():
    known, published = (
        split_supervised(drives(), 0, NuscPrCompat(nuscpr_no_val_gt=off))["bs"] for off in (False, True)
    )
    assert len(known.validation) == int(0.25 * (len(known.validation) + len(known.test))) > 3
    assert published.validation.right is None and published.validation.without_right is None
    assert published.validation.query.tolist() == known.validation.query.tolist()


def test_a_standing_car_gives_no_negatives():
    moving, standing = 3.0 * np.arange(20), np.zeros(20)
    keyframes = frames(np.concatenate([moving, standing, moving]), np.arange(60) / 2, log=[0] * 40 + [1] * 20,
                       scene=np.repeat([0, 1, 2], 20))  # fmt: skip
    by_rule = {}
    for name, compat in {"strict": NuscPrCompat(), "published": NuscPrCompat(nuscpr_unchecked_negatives=True)}.items():
        scenes = set()
        for seed in range(10):
            scenes |= set((split_self_supervised(keyframes, seed, compat)["bs"].tuples.query // 20).tolist())
        by_rule[name] = scenes
    assert by_rule == {"strict": {0}, "published": {0, 1}}  # the drive of scene 2 is the shorter one, and the test


def test_whole_drives_are_set_apart():
    log_of_scene = np.array([0] * 5 + [1] * 3 + [2] * 2 + [3] * 7 + [0] * 17)  # 34 scenes, 6 for the test
    keyframes = frames(np.arange(34.0), np.arange(34), log=log_of_scene, scene=np.arange(34))
    chosen = set()
    for seed in range(30):
        is_test = scenes_for_test(keyframes, seed, NuscPrCompat())
        logs = set(log_of_scene[is_test].tolist())
        assert is_test.tolist() == np.isin(log_of_scene, list(logs)).tolist() and 1 <= is_test.sum() <= 6
        chosen.add(frozenset(logs))
    assert chosen == {frozenset({1, 2})}  # the others have more than 6 scenes
    random = [scenes_for_test(keyframes, seed, NuscPrCompat(nuscpr_random_scenes=True)) for seed in (0, 1)]
    assert [is_test.sum() for is_test in random] == [6, 6] and (random[0] != random[1]).any()


def test_a_district_of_one_drive_has_no_test():
    split = split_self_supervised(frames(3.0 * np.arange(20), np.arange(20) / 2), 0)["bs"]
    assert len(split.test) == 0 and len(split.database) == 20 and len(split.tuples) == 8


def test_draws_are_even_and_repeatable():
    is_allowed = np.tile(np.arange(10) % 2 == 0, (20_000, 1))
    for draw in (draw_distinct, draw_repeated):
        columns, is_drawn = draw(generator(0, "a"), is_allowed, 2)
        assert is_drawn.all()
        assert np.bincount(columns.ravel(), minlength=10) / 40_000 == pytest.approx(np.arange(10) % 2 * -0.2 + 0.2,
                                                                                    abs=0.01)  # fmt: skip
        np.testing.assert_array_equal(columns, draw(generator(0, "a"), is_allowed, 2)[0])
        assert (columns != draw(generator(0, "b"), is_allowed, 2)[0]).any()
        assert ((columns[:, 0] == columns[:, 1]).mean() > 0.15) == (draw is draw_repeated)
    few = np.array([[True, False, False], [True, True, False], [False, False, False]])
    assert draw_distinct(generator(0, "a"), few, 2)[1].tolist() == [False, True, False]
    assert draw_repeated(generator(0, "a"), few, 2)[1].tolist() == [True, True, False]
    assert draw_distinct(generator(0, "a"), few, 4)[1].tolist() == [False] * 3


def test_the_streams_of_draws_stay_what_they_are():
    """Index files that were published must come out the same from later versions of numpy."""
    assert generator(1, "bs negatives").random(3).tolist() == STREAM


def test_names_of_districts():
    places = ["town-demo", "singapore-queenstown", "boston-seaport", "my own/place", "boston-seaport"]
    assert in_order(places) == ("bs", "sq", "town-demo", "my-own-place")
    assert [threshold_days(name) for name in ("bs", "son", "sq", "shv", "town-demo")] == [105, 50, 105, 50, 105]
    assert abbreviation("singapore-hollandvillage") == "shv"


def test_legacy_keys_go_both_ways():
    record = {"sample_data_token": "d", "ego_pose": {"token": "e", "timestamp": 3}, "timestamp": 4, "filename": "f",
              "calibrated_sensor": {}}  # fmt: skip
    info = {"sample_token": "s", "timestamp": 4, "scene_token": "c", "loc": "l", "cam_infos": {"CAM_FRONT": record},
            "lidar_infos": {"LIDAR_TOP": record}}  # fmt: skip
    legacy = with_legacy_keys(info)
    assert legacy["cam_infos"]["CAM_FRONT"]["timestample"] == legacy["lidar_infos"]["LIDAR_TOP"]["timestamp"] == 4
    assert "timestamp" not in legacy["cam_infos"]["CAM_FRONT"] and legacy["sample_token"] == "s"
    assert with_clean_keys(legacy) == with_clean_keys(info) == info


def test_distances_are_exact():
    a = np.array([[0.0, 0.0, 0.0]])
    assert distances(a, np.array([[9.0, 0.0, 0.0], [0.0, 0.0, 5.0], [3.0, 4.0, 12.0]])).tolist() == [[9.0, 5.0, 13.0]]
