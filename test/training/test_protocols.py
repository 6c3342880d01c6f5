"""The protocols on synthetic runs in the coordinates of the published boxes, each rule against brute force."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vxp_ros.core.errors import SourceError
from vxp_training.datasets.annotation import Annotation, concatenate
from vxp_training.protocols import kitti_3dv, kitti_cmvm, kitti_sample, kitti_v1, oxford, town, vivid
from vxp_training.protocols.trial import Compat, Trial, in_squares


def drive(name: str, positions: np.ndarray, yaw=0.0, step_s: float = 0.1) -> Annotation:
    """positions: [N, 2] northing, easting."""
    count = len(positions)
    none = np.full(count, "")
    stamps = np.round(np.arange(count) * step_s * 1e9).astype(np.int64)
    return Annotation(np.full(count, name), stamps, positions[:, 0].astype(float), positions[:, 1].astype(float),
                      np.broadcast_to(yaw, count).astype(float), none, none)  # fmt: skip


def line(start, end, step: float) -> np.ndarray:
    count = int(np.linalg.norm(np.subtract(end, start)) / step) + 1
    return np.linspace(start, end, count).round(6)  # whole steps add up exactly


def check_positives(annotation: Annotation, trial: Trial, radius: float, has_gate: bool) -> None:
    """Every pair by the definition."""
    for number, query in enumerate(trial.queries):
        metres = np.hypot(annotation.northing[trial.database] - annotation.northing[query],
                          annotation.easting[trial.database] - annotation.easting[query])  # fmt: skip
        turned = np.angle(np.exp(1j * (annotation.yaw[trial.database] - annotation.yaw[query])))
        right = metres <= radius
        if has_gate:
            right &= np.abs(turned) < 0.5
        if trial.allowed is not None:
            right &= trial.allowed[number]
        assert trial.positives[number].tolist() == np.flatnonzero(right).tolist()


# --- squares


def test_squares_are_strict_and_joined():
    positions = np.array([[0, 0], [9.99, -9.99], [10, 0], [95, 0], [50, 50]])
    assert in_squares(positions, np.array([[0, 0], [100, 0]]), 10.0).tolist() == [True, True, False, True, False]


# --- Oxford


def oxford_run(name: str, seed: int) -> Annotation:
    """A way through all four squares and outside of them, 25 m between frames, a few metres beside other runs'."""
    random = np.random.default_rng(seed)
    way = np.vstack([line(a, b, 25.0) for a, b in zip(oxford.TEST_CENTRES[:-1], oxford.TEST_CENTRES[1:], strict=True)])
    way = np.vstack([line(way[0] - [600, 0], way[0], 25.0), way]) + random.normal(0, 6, (1, 2))
    steps = np.diff(way, axis=0, append=way[-1:])
    yaw = np.arctan2(steps[:, 0], steps[:, 1]) + random.normal(0, 0.3, len(way))
    return drive(name, way, (yaw + np.pi) % (2 * np.pi) - np.pi)


@pytest.fixture(scope="module")
def runs() -> Annotation:
    return concatenate([oxford_run(name, seed) for seed, name in enumerate(oxford.RUNS)])


def test_oxford_has_506_ordered_pairs(runs):
    trials = oxford.trials(runs)
    assert len(trials) == 506 and len({trial.name for trial in trials}) == 506
    assert len(oxford.RUNS) == len(set(oxford.RUNS)) == 23
    assert {trial.group for trial in trials} == {"oxford"}


def test_oxford_asks_inside_the_squares_in_the_whole_other_run(runs):
    inside = oxford.is_test(runs)
    assert 0.1 < inside.mean() < 0.9
    by_hand = [any(max(abs(p[0] - c[0]), abs(p[1] - c[1])) < 150 for c in oxford.TEST_CENTRES) for p in runs.positions]
    assert inside.tolist() == by_hand
    for trial in oxford.trials(runs)[::50]:
        asked, offered = trial.name.split(" in ")
        assert trial.queries.tolist() == [row for row in runs.rows_of(asked) if inside[row]]
        assert trial.database.tolist() == runs.rows_of(offered).tolist()
        check_positives(runs, trial, 20.0, has_gate=True)


def test_the_yaw_gate_wraps_around():
    centre = oxford.TEST_CENTRES[0]
    yaws = [3.1, -3.1, 2.7, 3.1 + 0.49, 3.1 + 0.51]
    map_run = drive(oxford.RUNS[0], np.tile(centre, (5, 1)), np.array(yaws))
    query_run = drive(oxford.RUNS[1], centre[None], 3.1)
    trials = {trial.name: trial for trial in oxford.trials(concatenate([map_run, query_run]))}
    assert trials[f"{oxford.RUNS[1]} in {oxford.RUNS[0]}"].positives[0].tolist() == [0, 1, 2, 3]


def test_oxford_with_few_runs(runs):
    two = runs.select(np.isin(runs.drive, oxford.RUNS[3:5]))
    assert len(oxford.trials(two)) == 2
    with pytest.raises(SourceError, match="at least two of its 23 runs, the data has 1: 2014-12-02"):
        oxford.trials(runs.select(runs.drive == oxford.RUNS[2]))
    with pytest.raises(SourceError, match="no frame lies in the four test squares"):
        oxford.trials(replace(two, northing=two.northing - 1e5))


# --- ViViD++


def vivid_data() -> Annotation:
    """campus 3,200 frames a metre apart; city 900 frames, two metres apart in the second drive."""
    campus = line((0, 0), (3199, 0), 1.0)
    parts = [
        drive("campus_day1", campus),
        drive("campus_day2", campus + np.array([0, 3.0])),
        drive("city_day1", line((0, 9000), (900, 9000), 1.0)),
        drive("city_day2", line((0, 9004), (900, 9004), 2.0)),
    ]
    return concatenate(parts)  # fmt: skip


def test_vivid_groups_and_strides():
    table = vivid_data()
    trials = vivid.trials(table)
    assert [(trial.group, trial.name) for trial in trials] == [
        (f"{place} day1-day2", text)
        for place in ("campus", "city", "merged") for text in ("day1 in day2", "day2 in day1")
    ]  # fmt: skip
    campus, _, city, _, merged, _ = trials
    assert len(campus.queries) == 1600 and (np.diff(campus.queries) == 2).all()  # stride round(3200 / 1500) = 2
    assert np.diff(table.northing[city.queries]).min() == 20 and np.diff(table.northing[city.database]).min() == 20
    assert len(merged.queries) == 160 + 46
    check_positives(table, city, 25.0, has_gate=True)


def test_vivid_thins_along_the_wrong_sequence_only_on_request():
    table = vivid_data()
    compat = Compat(vivid_thin_global_index=True)
    city = vivid.trials(table, compat)[2]
    # frame i of city_day2 is taken when frame i of campus_day1, a metre per frame, has travelled: 40 m, not 20
    assert np.diff(table.northing[city.database]).tolist() == [40.0] * (len(city.database) - 1)
    assert np.diff(table.northing[city.queries]).min() == 20  # city_day1 has a metre per frame, too


def test_vivid_yaw():
    there_and_back = np.vstack([line((0, 0), (500, 0), 1.0), line((500, 5), (0, 5), 1.0)])
    yaw = np.where(np.arange(len(there_and_back)) < 501, np.pi / 2, -np.pi / 2)
    table = concatenate([drive("campus_day1", there_and_back, yaw), drive("campus_day2", there_and_back, yaw)])
    gated, free = vivid.trials(table)[0], vivid.trials(table, Compat(vivid_yaw_zero=True))[0]
    check_positives(table, gated, 25.0, has_gate=True)
    check_positives(table, free, 25.0, has_gate=False)
    assert sum(map(len, free.positives)) > 1.8 * sum(map(len, gated.positives))


def test_vivid_night_and_evening():
    table = vivid_data()
    night = drive("city_night", table.positions[table.drive == "city_day2"])
    groups = {trial.group for trial in vivid.trials(concatenate([table, night]))}
    assert "city night-day2" in groups and "merged night-day2" not in groups
    with pytest.raises(SourceError, match="two sequences of one place"):
        vivid.trials(night)
    assert vivid.is_test(table).tolist() == [name.endswith("day2") for name in table.drive]


# --- KITTI


def kitti_loop(name: str = "00", centre=None) -> Annotation:
    """A round of 60 x 60 m driven twice at 10 m/s and 10 Hz, the second time two metres further out, through a box."""
    centre = kitti_3dv.BOXES["00"][0] if centre is None else np.asarray(centre)
    rounds = []
    for out in (0.0, 2.0):
        side = 30 + out
        corners = [(-side, -side), (side, -side), (side, side), (-side, side), (-side, -side)]
        rounds += [line(a, b, 1.0)[:-1] for a, b in pairwise(corners)]
    way = np.vstack(rounds)
    steps = np.diff(way, axis=0, append=way[-1:] + np.array([[-1, 0]]))
    return drive(name, way + centre, np.arctan2(steps[:, 0], steps[:, 1]))


def test_kitti_3dv_asks_for_revisits():
    table = kitti_loop()
    (trial,) = kitti_3dv.trials(table)
    travelled = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(table.positions, axis=0), axis=1))])
    assert travelled[trial.database[0]] == 0 and np.diff(travelled[trial.database]).min() >= 20 - 1e-9
    assert travelled[trial.queries[0]] == pytest.approx(15, abs=1.1)  # a head start of 5 m
    assert not set(trial.queries) & set(trial.database)
    age = (table.stamp_ns[trial.queries][:, None] - table.stamp_ns[trial.database][None]) / 1e9
    assert (trial.allowed == (age > 10)).all() and trial.fetch == 51
    check_positives(table, trial, 20.0, has_gate=True)
    has_right = np.array([len(right) > 0 for right in trial.positives])
    assert not has_right[travelled[trial.queries] < 200].any()  # the first round has seen nothing before
    assert has_right[travelled[trial.queries] > 260].mean() > 0.8


def test_ten_seconds_are_not_enough():
    still = np.tile(kitti_3dv.BOXES["00"][0], (500, 1))
    still[:, 0] += np.repeat([0, 20.0, 0, 20.0, 0], 100)
    (trial,) = kitti_3dv.trials(drive("00", still))  # every change of place is a frame, 10 s apart
    assert trial.database.tolist() == [0, 100, 200, 300, 400] == [0, *trial.queries]
    assert trial.allowed[0].tolist() == [False] * 5  # exactly 10 s
    assert trial.allowed[1].tolist() == [True, False, False, False, False]


def test_the_boxes_hold_the_queries_only():
    near = kitti_loop()
    far = drive("00", near.positions + np.array([0, 5000.0]))
    moved = replace(near, stamp_ns=near.stamp_ns + far.stamp_ns[-1] + 10**9)
    table = concatenate([far, moved])
    (trial,) = kitti_3dv.trials(table)
    assert trial.queries.min() >= len(far) > trial.database.min()
    inside = kitti_3dv.is_test(table)
    assert inside[trial.queries].all() and not inside[: len(far)].any() and inside[len(far) :].all()


def test_boxes_are_northing_first():
    """The authors list (613180, 4116330) under wrong names; UTM northings there are the larger numbers."""
    for centres in kitti_3dv.BOXES.values():
        assert (centres[:, 0] > 4e6).all() and (centres[:, 1] < 1e6).all() and len(centres) == 4


def test_kitti_switches():
    table = kitti_loop()
    (lost,) = kitti_3dv.trials(table, Compat(kitti_headstart_lost=True))
    assert set(lost.queries) <= set(lost.database) and lost.queries[0] == 0
    assert not lost.is_1pct_filtered
    (filtered,) = kitti_3dv.trials(table, Compat(kitti_r1pct_filtered=True))
    assert filtered.is_1pct_filtered


@pytest.mark.parametrize("protocol", [kitti_3dv, kitti_v1])
def test_positions_that_are_no_oxts_are_named(protocol):
    table = kitti_loop(centre=(100.0, 50.0))
    with pytest.raises(SourceError, match=r"KITTI 00: no frame lies in the test boxes around northing 4116330.*"
                                          r"around 100, 50\..*--no-boxes"):  # fmt: skip
        protocol.trials(table)
    assert len(protocol.trials(table, has_boxes=False)[0].queries) > 10
    with pytest.raises(SourceError, match="asks KITTI 00 and 02; the data has 07"):
        protocol.trials(kitti_loop("07"))


def test_kitti_v1_excludes_only_the_frame_itself():
    table = kitti_loop()
    (trial,) = kitti_v1.trials(table)
    assert len(trial.queries) == len(trial.database) == len(table)
    assert (trial.allowed == ~np.eye(len(table), dtype=bool)).all() and trial.fetch is None
    check_positives(table, trial, 20.0, has_gate=True)


def test_kitti_cmvm():
    table = concatenate([kitti_loop("00"), kitti_loop("01"), kitti_loop("07")])
    trials = kitti_cmvm.trials(table)
    assert [trial.group for trial in trials] == ["00", "07"]
    for trial in trials:
        assert set(table.drive[trial.queries]) == set(table.drive[trial.database]) == {trial.group}
        check_positives(table, trial, 10.0, has_gate=False)
    with pytest.raises(SourceError, match="asks KITTI 00, 02, 05, 06, 07, 08; the data has 01"):
        kitti_cmvm.trials(kitti_loop("01"))


def test_kitti_sample_has_a_frame_per_place():
    table = concatenate([drive(name, line((0, 0), (9, 0), 1.0)) for name in ("00", "01", "02")])
    (trial,) = kitti_sample.trials(table)
    assert trial.database.tolist() == [0, 10, 20] and len(trial.queries) == 27
    assert [right.tolist() for right in trial.positives] == [[0]] * 9 + [[1]] * 9 + [[2]] * 9
    with pytest.raises(SourceError, match="two drives or more"):
        kitti_sample.trials(drive("00", np.zeros((3, 2))))


# --- Town


def test_town_asks_within_its_own_town():
    way = line((0, 0), (100, 0), 5.0)
    names = ("town-a-sunny", "town-a-rain", "town-b-sunny", "town-b-rain")
    table = concatenate([drive(name, way + np.array([0, 1.0 * number])) for number, name in enumerate(names)])
    trials = town.trials(table, ["town-a", "town-b"], "sunny", ["rain"])
    assert [(trial.group, trial.name) for trial in trials] == [
        ("rain", "town-a, rain in sunny"), ("rain", "town-b, rain in sunny")]  # fmt: skip
    for trial in trials:
        assert {name[:6] for name in table.drive[np.concatenate([trial.queries, trial.database])]} == {trial.name[:6]}
        check_positives(table, trial, 10.0, has_gate=False)
    with pytest.raises(SourceError, match="no drive town-a-snow"):
        town.trials(table, ["town-a"], "sunny", ["snow"])


# --- what they share


def test_a_limit_spreads_the_queries():
    trial = kitti_v1.trials(kitti_loop())[0]
    few = trial.limited(3)
    assert few.queries.tolist() == [trial.queries[0], trial.queries[len(trial.queries) // 2], trial.queries[-1]]
    assert [a.tolist() for a in few.positives] == [trial.positives[list(trial.queries).index(q)].tolist()
                                                   for q in few.queries]  # fmt: skip
    assert few.allowed.shape == (3, len(trial.database)) and trial.limited(None) is trial


def test_switches_are_parsed():
    assert Compat.parse("") == Compat() and Compat.parse("all").vivid_yaw_zero
    assert Compat.parse("kitti_headstart_lost, vivid_yaw_zero") == Compat(kitti_headstart_lost=True,
                                                                          vivid_yaw_zero=True)  # fmt: skip
    with pytest.raises(SourceError, match="no switch 'kitti'; choose from all, vivid_thin_global_index"):
        Compat.parse("kitti")
