"""Tuples of a split in prepared data, and mined triplets, against obvious loops."""

from dataclasses import replace

import numpy as np
import pytest
from split_street import SplitStreet, street_data, street_split

from vxp_ros.core.errors import SourceError
from vxp_training.datasets.nusc_pr.keyframes import Queries
from vxp_training.split_frames import SplitFrames
from vxp_training.split_tuples import NEGATIVES, answerable, as_rows, mine, tuple_sets
from vxp_training.training_data import gather_split


class Part:
    """Some rows of a street, in another order, as a prepared folder further east would hold them."""

    def __init__(self, street: SplitStreet, rows, number: int):
        self.street, self.rows, self.number = street, list(rows), number
        table = street.annotation.select(np.array(self.rows))
        self.annotation = replace(table, easting=table.easting + 100_000.0 * number)

    def __len__(self) -> int:
        return len(self.rows)

    def frame(self, row: int):
        return self.street.frame(self.rows[row])

    def fingerprint(self) -> str:
        return str(self.rows)


def without(street: SplitStreet, missing: set[int]) -> list[Part]:
    rows = [row for row in np.random.default_rng(0).permutation(len(street)).tolist() if row not in missing]
    return [Part(street, rows[:9], 0), Part(street, rows[9:], 1)]


def test_keyframes_are_found_where_they_are():
    street = SplitStreet()
    frames = SplitFrames(street_split(street), without(street, {5, 10}))
    assert frames.missing == 2 and np.flatnonzero(~frames.is_there).tolist() == [5, 10]
    for row in set(range(len(street))) - {5, 10}:
        assert frames.frame(row).stamp_ns == row  # the street's frames are stamped with their rows
    with pytest.raises(SourceError, match=r"keyframe 0+5 is not in the prepared data"):
        frames.frame(5)
    assert frames.fingerprint() != SplitFrames(street_split(street), without(street, {5})).fingerprint()


def test_two_cars_at_the_same_time_are_told_apart():
    street = SplitStreet()
    street.annotation.stamp_ns[:] = 1000
    frames = SplitFrames(street_split(street), without(street, set()))
    assert [frames.frame(row).stamp_ns for row in range(len(street))] == list(range(len(street)))


def test_tuples_with_a_missing_keyframe_are_left_out_and_counted(caplog):
    street, missing = SplitStreet(), {0, 7, 14}  # a database frame, a validation query, a training query
    split = street_split(street)
    data = gather_split(split, without(street, missing))
    whole = [row for row in as_rows(split.tuples()).tolist() if not set(row) & missing]
    assert as_rows(data.split.tuples()).tolist() == whole and 0 < len(whole) < len(split.tuples())
    assert (
        f"3 of the split's 24 keyframes are not in the prepared data, so that {6 - len(whole)} of 6 tuples"
        in caplog.text
    )
    part, before = data.split.districts["bs"], split.districts["bs"]
    assert part.validation.query.tolist() == [row for row in before.validation.query if row != 7]
    found = dict(zip(part.validation.query, part.validation.right, strict=True))
    for query, right in zip(before.validation.query, before.validation.right, strict=True):
        assert query == 7 or found[query].tolist() == [row for row in right if row not in missing]


def test_a_frame_without_a_cloud_is_missing():
    street = SplitStreet()
    street.annotation.cloud[3] = ""
    assert SplitFrames(street_split(street), [street]).missing == 1


def test_data_of_something_else_say_so():
    street = SplitStreet()
    split = street_split(street)
    street.annotation.stamp_ns[:] += 1000
    with pytest.raises(SourceError, match="none of the split's 24 keyframes is in the prepared data; prepare"):
        SplitFrames(split, [street])
    street.annotation.stamp_ns[:] -= 1000
    with pytest.raises(SourceError, match="no tuple to train on in bs"):
        gather_split(split, without(street, set(range(0, 24, 4))))


def test_validation_queries_get_tuples_of_their_own():
    data = street_data()
    trained, validated = tuple_sets(data.split)
    assert trained.query.tolist() == list(range(2, 24, 4)) and validated.query.tolist() == list(range(3, 24, 4))
    for query, positives, negatives in zip(validated.query, validated.positives, validated.negatives, strict=True):
        assert sorted(positives) == [query - 3, query - 2] and not set(negatives // 4) & {query // 4}
    assert set(data.train) == set(as_rows(trained).ravel()) and set(data.validate) == set(as_rows(validated).ravel())


def test_a_tenth_of_the_scenes_is_held_out_where_nothing_validates():
    trained, validated = tuple_sets(street_data(scheme="self-supervised").split)
    assert len(validated) == 1 and sorted([*trained.query, *validated.query]) == list(range(2, 24, 4))


def test_only_bs_is_learnt_from_when_supervised():
    split = street_split(SplitStreet())
    both = replace(split, districts={"bs": split.districts["bs"], "son": split.districts["bs"]})
    assert both.trained == ["bs"] and replace(both, scheme="self-supervised").trained == ["bs", "son"]
    assert replace(both, districts={"son": split.districts["bs"]}).trained == ["son"]
    assert list(answerable(both)) == ["bs"]


def mined_by_loops(queries, database, xy, vectors, remembered, random):
    """Every candidate looked at one by one."""

    table = np.linalg.norm(vectors[:, None] - vectors, axis=2)

    def apart(a, b):
        return table[a, b]

    found = []
    for number, query in enumerate(queries.query.tolist()):
        far = [row for row in database.tolist() if np.hypot(*(xy[row] - xy[query])) > 18.0]
        drawn = random.choice(np.array(far), 1000).tolist()
        pool = sorted(set(drawn) | {row for row in remembered[number].tolist() if row >= 0})
        positive = min(queries.right[number].tolist(), key=lambda row: apart(query, row))
        hard = []
        for row in sorted(pool, key=lambda row: apart(query, row))[:60]:
            if len(hard) < 6 and apart(query, row) < apart(query, positive) + 0.5:
                hard.append(row)
        if hard:
            remembered[number] = hard + [-1] * (6 - len(hard))
            found.append([query, positive, *remembered[number]])
    return found


@pytest.mark.parametrize("spread", [0.1, 0.6, 2.0])  # of descriptors: many, some and few violate the margin
def test_mining_equals_loops(spread):
    random = np.random.default_rng(5)
    xy = random.uniform(0, 100, (600, 2)).astype(np.float32)
    database, asked = np.arange(570), np.arange(570, 600)
    right = [np.flatnonzero(np.hypot(*(xy[:570] - xy[query]).T) <= 9.0) for query in asked]
    kept = [i for i, rows in enumerate(right) if len(rows)]
    queries = Queries(asked[kept], [right[i] for i in kept])
    remembered = [np.full((len(queries), NEGATIVES), -1) for _ in range(2)]
    for epoch in range(2):
        vectors = random.normal(0, spread, (600, 3)).astype(np.float32)
        found = mine(queries, database, xy, vectors, remembered[0], np.random.default_rng(epoch))
        wanted = mined_by_loops(queries, database, xy, vectors, remembered[1], np.random.default_rng(epoch))
        assert found.tolist() == wanted and len(found) > 0
        assert remembered[0].tolist() == remembered[1].tolist()


def test_a_hard_negative_is_remembered():
    """It violates the margin again although the second draw has no way to find it: nothing else is far away."""
    xy = np.array([[0, 0], [1, 0], *[[100 + i, 0] for i in range(20_000)]], np.float32)
    vectors = np.full((len(xy), 1), 9.0, np.float32)
    vectors[:2], vectors[17_000] = 0.0, 0.1
    queries, remembered = Queries(np.array([0]), [np.array([1])]), np.array([[17_000, -1, -1, -1, -1, -1]])
    database = np.arange(1, len(xy))
    random = np.random.default_rng(0)
    assert 17_000 not in np.random.default_rng(0).choice(database[1:], 1000)
    assert mine(queries, database, xy, vectors, remembered, random).tolist() == [[0, 1, 17_000, -1, -1, -1, -1, -1]]
    assert len(mine(queries, database, xy, vectors, np.full((1, 6), -1), np.random.default_rng(0))) == 0


def test_mining_needs_poses():
    with pytest.raises(SourceError, match="mined by poses: give a split of vxp nuscpr supervised"):
        answerable(street_data(scheme="self-supervised").split)
