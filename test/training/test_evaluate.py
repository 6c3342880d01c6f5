"""The evaluator against plain loops, and its means and rules against numbers worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from one_line import on_a_line, table

from vxp_ros.core.evaluate import precision_recall
from vxp_training.evaluate import answer, curve_points, l2_distances, one_percent, summarise, wilson
from vxp_training.protocols.trial import Trial


def random_trial(seed: int, fetch: int | None = None, has_rule: bool = False):
    """60 queries of which some have no right answer, 180 places, vectors [60, 8] and [180, 8]."""
    random = np.random.default_rng(seed)
    annotation = table(random.uniform(0, 100, (240, 2)))
    queries, database = np.arange(60), np.arange(60, 240)
    allowed = random.random((60, 180)) < 0.6 if has_rule else None
    right = [np.flatnonzero((random.random(180) < 0.02) & (allowed[i] if has_rule else True)) for i in range(60)]
    vectors = random.normal(size=(240, 8)).astype(np.float32)
    return Trial("g", "t", queries, database, right, allowed, fetch), annotation, vectors


def by_loops(trial: Trial, vectors: np.ndarray, k: int) -> float:
    """Recall@k as one would write it down."""
    hits = []
    for number, query in enumerate(trial.queries):
        if not len(trial.positives[number]):
            continue
        distances = np.linalg.norm(vectors[query].astype(np.float64) - vectors[trial.database], axis=1)
        ranking = list(np.argsort(distances))[: trial.fetch]
        if trial.allowed is not None:
            ranking = [place for place in ranking if trial.allowed[number, place]]
        hits.append(bool(set(ranking[:k]) & set(trial.positives[number].tolist())))
    return float(np.mean(hits))


@pytest.mark.parametrize("fetch", [None, 51, 7])
@pytest.mark.parametrize("has_rule", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_recall_equals_plain_loops(seed, has_rule, fetch):
    trial, annotation, vectors = random_trial(seed, fetch, has_rule)
    result = answer(trial, annotation, vectors[trial.queries], vectors[trial.database])
    for k in (1, 2, 5, 25):
        assert result.recall(k) == by_loops(trial, vectors, k), k
    # recall@1 % looks at the whole ranking: round(180 / 100) = 2 answers
    assert result.recall_1pct() == by_loops(replace(trial, fetch=None), vectors, 2)
    filtered = replace(trial, is_1pct_filtered=True)
    assert answer(filtered, annotation, vectors[trial.queries], vectors[trial.database]).recall_1pct() == by_loops(
        trial, vectors, 2
    )


def test_chunks_do_not_matter(monkeypatch):
    trial, annotation, vectors = random_trial(3, 51, True)
    whole = answer(trial, annotation, vectors[trial.queries], vectors[trial.database])
    monkeypatch.setattr("vxp_training.evaluate.CHUNK", 7)
    parts = answer(trial, annotation, vectors[trial.queries], vectors[trial.database])
    assert np.array_equal(whole.rank, parts.rank) and np.array_equal(whole.best, parts.best)
    assert np.allclose(whole.distance, parts.distance) and np.allclose(whole.error_m, parts.error_m)


def test_best_answers_equal_plain_loops():
    trial, annotation, vectors = random_trial(4, None, True)
    result = answer(trial, annotation, vectors[trial.queries], vectors[trial.database])
    for number in range(60):
        distances = np.linalg.norm(vectors[number].astype(np.float64) - vectors[60:], axis=1)
        distances[~trial.allowed[number]] = np.inf
        place = distances.argmin()
        assert result.best[number] == place and result.distance[number] == pytest.approx(distances[place])
        metres = np.linalg.norm(annotation.positions[number] - annotation.positions[60:], axis=1)
        assert result.error_m[number] == pytest.approx(metres[place])
        assert result.nearest_m[number] == pytest.approx(metres[trial.allowed[number]].min())
        assert result.is_right[number] == (place in trial.positives[number])


def test_distances_far_from_the_origin_are_exact():
    random = np.random.default_rng(0)
    a, b = (random.uniform(0, 5, (20, 2)) + np.array([5_735_941.0, 620_061.0]) for _ in range(2))
    np.testing.assert_allclose(l2_distances(a, b), np.linalg.norm(a[:, None] - b[None], axis=2), atol=1e-6)


def test_recall_worked_by_hand():
    # 0.1 finds 0 (right at 1); 2.9 finds 3, 2, 1, ..: place 1 is third; 5 has no right answer and does not count.
    result = on_a_line([0.1, 2.9, 5.0], [[0], [1], []])
    assert [result.recall(k) for k in (1, 2, 3, 4)] == [0.5, 0.5, 1.0, 1.0]
    assert result.distance == pytest.approx([0.1, 0.1, 2.0], abs=1e-6)
    assert result.chance[:2].tolist() == [0.25, 0.25]


def test_the_mean_is_over_trials_and_not_over_queries():
    one = on_a_line([0.0], [[0]])  # 1 of 1
    many = on_a_line([0.0, 1.0, 2.0, 3.0], [[3], [3], [3], [3]])  # 1 of 4
    numbers = summarise([one, many])
    assert numbers["recall_at"]["1"] == pytest.approx((1 / 1 + 1 / 4) / 2)
    assert numbers["queries"] == 5 and numbers["trials"] == 2
    assert numbers["interval_95"] == pytest.approx(wilson(2, 5))


def test_a_trial_without_right_answers_does_not_count():
    numbers = summarise([on_a_line([0.0], [[0]]), on_a_line([0.0, 1.0], [[], []])])
    assert numbers["recall_at"]["1"] == 1.0 and numbers["queries"] == 1 and numbers["asked"] == 3


def test_precision_recall_worked_by_hand():
    # nearest first: 0.1 right, 0.2 wrong, 0.3 right, 0.45 without a right answer: accepted, it is wrong
    result = on_a_line([0.1, 1.2, 2.3, 3.45], [[0], [0], [2], []])
    numbers = summarise([result])
    assert np.asarray(numbers["precision_recall"])[:, 1:] == pytest.approx(
        np.array([[1, 1 / 3], [1 / 2, 1 / 3], [2 / 3, 2 / 3], [2 / 4, 2 / 3]])
    )
    assert numbers["average_precision"] == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert numbers["max_f1"] == pytest.approx(2 / 3)
    assert numbers["recall_at_full_precision"] == pytest.approx(1 / 3)


def test_recall_by_metres():
    # all queries are at 0 m; the answers lie 0, 10, 20, 30 m away
    numbers = summarise([on_a_line([0.0, 1.0, 2.0, 3.0], [[0]] * 4)])
    assert numbers["recall_at_1"] == {"5": 0.25, "10": 0.5, "25": 0.75}


@pytest.mark.parametrize(("places", "count"), [(1, 1), (49, 1), (149, 1), (151, 2), (250, 2), (350, 4), (1999, 20)])
def test_one_percent_is_rounded_and_at_least_one(places, count):
    assert one_percent(places) == count


def test_frames_that_cannot_be_described():
    trial, annotation, vectors = random_trial(5)
    vectors[0] = vectors[70] = np.nan  # a query and a place
    trial = replace(trial, positives=[np.array([10, 20])] * 60)
    result = answer(trial, annotation, vectors[trial.queries], vectors[trial.database])
    assert result.best[0] == -1 and result.distance[0] == np.inf and not result.is_right[0]
    assert 10 not in result.best
    only_lost = answer(replace(trial, positives=[np.array([10])] * 60), annotation, vectors[:60], vectors[60:])
    assert only_lost.recall(25) == 0.0 and only_lost.recall_1pct() == 0.0


def test_nothing_may_be_answered():
    trial, annotation, vectors = random_trial(6)
    trial = replace(trial, allowed=np.zeros((60, 180), bool), positives=[np.zeros(0, np.int64)] * 60)
    numbers = summarise([answer(trial, annotation, vectors[:60], vectors[60:])])
    assert np.isnan(numbers["recall_at"]["1"]) and numbers["queries"] == 0 and numbers["average_precision"] == 0


def test_a_database_without_a_place_answers_nothing():
    trial, annotation, vectors = random_trial(6, fetch=51, has_rule=True)
    none = np.zeros(0, np.int64)
    trial = replace(trial, database=none, positives=[none] * 60, allowed=np.zeros((60, 0), bool))
    result = answer(trial, annotation, vectors[:60], vectors[:0])
    assert (result.best == -1).all() and np.isinf(result.distance).all() and not result.is_right.any()
    assert summarise([result])["queries"] == 0


def test_random_descriptors_find_what_chance_finds():
    found = []
    for seed in range(40):
        trial, annotation, vectors = random_trial(seed, has_rule=True)
        found.append(answer(trial, annotation, vectors[:60], vectors[60:]))
    numbers = summarise(found)
    assert numbers["recall_at"]["1"] == pytest.approx(numbers["chance"], abs=0.01)


@pytest.mark.parametrize(
    ("hits", "queries", "expected"),
    [(0, 10, (0.0, 0.2775)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1.0)), (81, 263, (0.2553, 0.3662))],
)
def test_wilson_intervals_of_the_textbook(hits, queries, expected):
    assert wilson(hits, queries) == pytest.approx(expected, abs=1e-4)


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    random = np.random.default_rng(0)
    curve = precision_recall(random.random(1000), random.random(1000) < 0.5, np.ones(1000, bool))
    points = curve_points(curve)
    assert points.shape == (200, 3)
    for row in (0, -1):
        assert points[row].tolist() == [curve.thresholds[row], curve.precision[row], curve.recall[row]]
    assert curve_points(precision_recall([], [], [])).shape == (0, 3)
