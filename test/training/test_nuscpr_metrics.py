"""Recall@N, F1max and AP of NUSC-PR by hand and by loops; districts and zero-shot sets."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from nuscpr_world import VERSION, write_tables
from one_line import on_a_line

from vxp_ros.core.errors import SourceError
from vxp_training.datasets.nusc_pr.compat import NuscPrCompat
from vxp_training.datasets.nusc_pr.keyframes import DistrictSplit, Keyframes, Queries, Tuples
from vxp_training.datasets.nusc_pr.make import make_split
from vxp_training.datasets.nusc_pr.read import NuscPrSplit, read_split
from vxp_training.evaluate import answer, top_1_curve
from vxp_training.protocols.nuscpr import annotation_of, report, trials


def test_top_1_curve_worked_by_hand():
    # nearest first: 0.1 right, 0.2 wrong, 0.3 right, 0.4 wrong though a right place is second, 0.45 without any
    result = on_a_line([0.1, 1.2, 2.3, 2.6, 3.45], [[0], [0], [2], [2], []])
    assert [result.recall(k) for k in (1, 2)] == [0.5, 0.75] and result.is_right.tolist() == [1, 0, 1, 0, 0]
    # two queries are retrievable. Precision 1, 1/2, 2/3, 2/4, 2/5 at recall 1/2, 1/2, 1, 1, 1
    curve = top_1_curve([result])
    assert curve["max_f1"] == pytest.approx(2 * (2 / 3) * 1 / (2 / 3 + 1))
    # left sum: from 0 to 1/2 at the start's 1, from 1/2 to 1 at 1/2
    assert curve["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 0.5)


def by_loops(distances: list[float], is_right: list[bool]) -> dict[str, float]:
    """Every threshold tried, every query sorted into true and false positives and negatives."""
    points = [(0.0, 1.0)]
    best = 0.0
    for threshold in sorted(set(distances)):
        pairs = list(zip(distances, is_right, strict=True))
        tp = sum(d <= threshold and right for d, right in pairs)
        fp = sum(d <= threshold and not right for d, right in pairs)
        fn = sum(d > threshold and right for d, right in pairs)
        precision, recall = tp / (tp + fp), tp / (tp + fn) if tp + fn else 0.0
        best = max(best, 2 * precision * recall / (precision + recall) if tp else 0.0)
        points.append((recall, precision))
    area = sum((b[0] - a[0]) * a[1] for a, b in pairwise(points))
    return {"max_f1": best, "average_precision": area}


@pytest.mark.parametrize("seed", range(6))
def test_top_1_curve_equals_loops(seed):
    random = np.random.default_rng(seed)
    right = [random.choice(4, random.integers(0, 3), replace=False).tolist() for _ in range(60)]
    result = on_a_line(random.integers(0, 32, 60) / 10, right)  # with equal distances
    assert 3 < result.is_right.sum() < 57
    want = by_loops(result.distance.tolist(), result.is_right.tolist())
    assert top_1_curve([result]) == pytest.approx(want)


def test_nothing_is_right():
    assert top_1_curve([on_a_line([0.0, 1.0], [[3], []])]) == {"max_f1": 0.0, "average_precision": 0.0}


def test_squared_distances_give_the_same_numbers():
    """FAISS gives squares; order is all that counts."""
    result = on_a_line([0.1, 1.2, 2.3, 2.6, 3.45], [[0], [0], [2], [2], []])
    assert top_1_curve([replace(result, distance=result.distance**2)]) == top_1_curve([result])


def keyframes(district: list[int], x: list[float], log: list[int], seconds: list[float]) -> Keyframes:
    count = len(x)
    return Keyframes(
        token=np.array([f"{i:032d}" for i in range(count)]), stamp_us=np.int64(np.multiply(seconds, 1e6)),
        scene=np.array(log, np.int32), log=np.array(log, np.int32), district=np.array(district, np.int32),
        position=np.column_stack([x, np.zeros(count), np.zeros(count)]),
        is_night=np.arange(count) % 2 == 1, districts=("bs", "son", "sq"),
    )  # fmt: skip


def district(database, query, right) -> DistrictSplit:
    none = Tuples(np.zeros(0, np.int64), np.zeros((0, 2), np.int64), np.zeros((0, 4), np.int64))
    asked = Queries(np.array(query, np.int64), [np.array(row, np.int64) for row in right])
    return DistrictSplit(np.array(database, np.int64), none.query, none, Queries(none.query, None), asked)


@pytest.fixture
def split() -> NuscPrSplit:
    """bs: places 0 and 1, queries 2 and 3. son: places 4, 5, 6, queries 7 and 8, which has no right answer. sq asks
    nothing. Query 2 is of place 0's drive, 30 s later."""
    frames = keyframes([0] * 4 + [1] * 5 + [2], [0, 50, 30, 51, 0, 50, 100, 49, 200, 0],
                       [0, 1, 0, 2, 3, 3, 3, 4, 4, 5], [0, 0, 30, 0, 0, 1, 2, 500, 501, 0])  # fmt: skip
    none = np.zeros(0, np.int64)
    parts = {"bs": district([0, 1], [2, 3], [[1], [1]]), "son": district([4, 5, 6], [7, 8], [[5], []]),
             "sq": district([9], none, [])}  # fmt: skip
    return NuscPrSplit("supervised", frames, parts, {"paper_compat": [], "seed": 1})


def ask(split: NuscPrSplit, vectors: np.ndarray) -> dict:
    table = annotation_of(split.keyframes)
    answers = [answer(trial, table, vectors[trial.queries], vectors[trial.database]) for trial in trials(split)]
    return report(split, answers)


def test_districts_and_zero_shot_by_hand(split):
    vectors = np.array([0, 10, 1, 11, 0, 20, 40, 19, 41, 0], np.float32)[:, None]
    result = ask(split, vectors)
    assert list(result["districts"]) == ["bs", "son"] and result["scheme"] == "supervised"
    bs, son = result["districts"].values()
    # query 2 is nearest to place 0, but that is its own drive 30 s before; so place 1 is the answer and right
    assert bs["recall_at"] == {"1": 1.0, "5": 1.0, "10": 1.0, "20": 1.0} and bs["without_right"] == 0.0
    assert son["recall_at"]["1"] == 1.0 and son["without_right"] == 0.5 and son["asked"] == 2
    assert son["max_f1"] == pytest.approx(2 / 3) and result["zero_shot"] == son  # both answers at 1: one is wrong


def test_published_rules_let_the_own_drive_answer(split):
    vectors = np.array([0, 10, 1, 11, 0, 20, 40, 19, 41, 0], np.float32)[:, None]
    split.facts["paper_compat"] = ["nuscpr_db_all_dates"]
    assert ask(split, vectors)["districts"]["bs"]["recall_at"]["1"] == 0.5


def test_the_self_supervised_scheme_has_no_unseen_district(split):
    vectors = np.zeros((10, 2), np.float32)
    assert ask(replace(split, scheme="self-supervised"), vectors)["zero_shot"] is None


@pytest.mark.parametrize("scheme", ["supervised", "self-supervised"])
@pytest.mark.parametrize("compat", [NuscPrCompat(), NuscPrCompat(nuscpr_db_all_dates=True, nuscpr_no_val_gt=True)])
def test_a_split_from_tables_is_asked(tmp_path, scheme, compat):
    """Descriptors that are positions find every place that is there; random ones find what chance finds."""
    write_tables(tmp_path)
    make_split(scheme, tmp_path, VERSION, tmp_path / "out", compat=compat)
    split = read_split(tmp_path / "out" / ("supervised_data" if scheme == "supervised" else "self_supervised_data"))
    result = ask(split, split.keyframes.position.astype(np.float32))
    asked = [name for name, part in split.districts.items() if len(part.test)]
    assert list(result["districts"]) == asked and "bs" in asked
    for name, numbers in result["districts"].items():
        test = split.districts[name].test
        assert numbers["asked"] == len(test) and numbers["without_right"] == test.without_right / len(test)
        if numbers["without_right"] < 1:
            assert numbers["recall_at"]["1"] == 1.0
    if scheme == "supervised" and compat.nuscpr_no_val_gt:
        with pytest.raises(SourceError, match="nothing about validation queries of bs"):
            trials(split, "validation")
    elif scheme == "supervised":
        assert [trial.name for trial in trials(split, "validation")] == ["bs", "son", "sq"]
