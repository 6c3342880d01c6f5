"""Retrieval metrics on cases that can be worked by hand."""

import numpy as np
import pytest

from vxp_ros.core.evaluate import chance_recall, distances_to_places, percentiles, precision_recall, recall_at_k

INF = float("inf")


def test_recall_counts_only_queries_that_have_a_right_answer():
    errors = [[1.0, 50.0], [50.0, 4.0], [50.0, 60.0], [90.0, 80.0]]
    nearest = [1.0, 4.0, 5.0, 70.0]  # the last query's place is not in the map
    assert recall_at_k(errors, nearest, radius=5.0, ks=(1, 2)) == {1: pytest.approx(1 / 3), 2: pytest.approx(2 / 3)}


def test_recall_includes_the_radius_itself_and_grows_with_it():
    errors, nearest = [[5.0], [9.0]], [5.0, 5.0]
    assert recall_at_k(errors, nearest, 5.0, (1,)) == {1: 0.5}
    assert recall_at_k(errors, nearest, 10.0, (1,)) == {1: 1.0}


def test_recall_beyond_the_candidates_there_are():
    assert recall_at_k([[INF, INF], [1.0, INF]], [0.0, 1.0], 5.0, (1, 10)) == {1: 0.5, 10: 0.5}


def test_recall_without_an_answerable_query_is_not_a_number():
    assert np.isnan(recall_at_k([[1.0]], [30.0], 5.0, (1,))[1])


def test_precision_recall_by_hand():
    # by distance: right, right, wrong, right; one more answerable query got no candidate
    curve = precision_recall(
        distances=np.array([0.4, 0.1, INF, 0.3, 0.2]),
        is_right=np.array([True, True, False, False, True]),
        is_answerable=np.array([True, True, True, False, True]),
    )
    assert curve.thresholds.tolist() == [0.1, 0.2, 0.3, 0.4]
    assert curve.precision.tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4])
    assert curve.recall.tolist() == pytest.approx([1 / 4, 2 / 4, 2 / 4, 3 / 4])
    assert curve.average_precision == pytest.approx(0.25 * 1 + 0.25 * 1 + 0 + 0.25 * 0.75)
    assert curve.max_f1 == pytest.approx(0.75)  # at the last threshold, both are 3/4
    assert curve.recall_at_full_precision == pytest.approx(0.5)


def test_equal_distances_are_accepted_together():
    curve = precision_recall([0.2, 0.2], [True, False], [True, True])
    assert curve.precision.tolist() == [0.5]
    assert curve.recall_at_full_precision == 0.0


def test_perfect_and_hopeless_retrieval():
    everything = np.ones(3, dtype=bool)
    perfect = precision_recall([0.1, 0.2, 0.3], everything, everything)
    assert (perfect.average_precision, perfect.max_f1, perfect.recall_at_full_precision) == (1.0, 1.0, 1.0)
    hopeless = precision_recall([0.1, 0.2, 0.3], ~everything, everything)
    assert (hopeless.average_precision, hopeless.max_f1, hopeless.recall_at_full_precision) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("queries", [0, 3])
def test_precision_recall_without_candidates(queries):
    curve = precision_recall(np.full(queries, INF), np.zeros(queries, bool), np.ones(queries, bool))
    assert len(curve.thresholds) == 0
    assert curve.average_precision == 0.0


def test_chance_is_the_mean_share_of_right_places():
    places = [[0, 0, 0], [2, 0, 0], [100, 0, 0], [200, 0, 0]]
    truth = [[1, 0, 0], [100, 0, 0], [999, 0, 0]]  # two of four right, one of four right, not answerable
    assert chance_recall(truth, places, 2.5) == pytest.approx((0.5 + 0.25) / 2)
    assert np.isnan(chance_recall([[999, 0, 0]], places, 2.5))


def test_distances_have_one_row_per_query():
    assert distances_to_places([[0, 0, 0], [0, 3, 4]], [[0, 0, 0]]).tolist() == [[0.0], [5.0]]


def test_percentiles_ignore_what_is_not_finite():
    assert percentiles([1.0, 2.0, 3.0, INF]) == {"p50": 2.0, "p95": pytest.approx(2.9)}
    assert np.isnan(percentiles([])["p50"])
