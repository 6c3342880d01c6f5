"""How good the answers are: recall at K, precision against recall, percentiles. Plain numpy on distances and errors.

The retrieval protocol of the field (PointNetVLAD, VXP): a query is right at K if one of its K nearest places lies
within a radius of the truth, and only queries that have such a place in the map at all count for recall.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


def recall_at_k(errors: np.ndarray, nearest: np.ndarray, radius: float, ks: Iterable[int]) -> dict[int, float]:
    """Share of answerable queries with a place within `radius` among their first K candidates.

    errors: [Q, C] metres from the query's true position to each candidate, best first, inf where there is no
    candidate. nearest: [Q] metres to the nearest place of the map; a query with nearest > radius has no right answer
    and does not count. Returns {k: recall in [0, 1]}, NaN when no query is answerable.
    """
    errors = np.asarray(errors, dtype=np.float64)
    is_answerable = np.asarray(nearest) <= radius
    is_hit = errors[is_answerable] <= radius
    if not is_answerable.any():
        return {k: float("nan") for k in ks}
    return {k: float(is_hit[:, :k].any(axis=1).mean()) for k in ks}


@dataclass(frozen=True)
class PrecisionRecall:
    """One point per threshold on the best candidate's descriptor distance, ascending. All arrays [T] float64.

    A query is accepted when its distance is at most the threshold. precision: right among accepted. recall: right and
    accepted among answerable. average_precision: area under the curve by steps. max_f1: the best harmonic mean.
    recall_at_full_precision: the largest recall before the first wrong acceptance.
    """

    thresholds: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    average_precision: float
    max_f1: float
    recall_at_full_precision: float


def precision_recall(distances: np.ndarray, is_right: np.ndarray, is_answerable: np.ndarray) -> PrecisionRecall:
    """The curve that one gets by moving the acceptance threshold over the best candidates' descriptor distances.

    distances: [Q] L2, inf for a query without a candidate (never accepted). is_right: [Q] bool, the best candidate
    lies within the radius. is_answerable: [Q] bool, the map has a place within the radius.
    """
    distances, is_right = np.asarray(distances, dtype=np.float64), np.asarray(is_right, dtype=bool)
    answerable = int(np.count_nonzero(is_answerable))
    has_candidate = np.isfinite(distances)
    order = np.argsort(distances[has_candidate], kind="stable")
    ranked, right = distances[has_candidate][order], np.cumsum(is_right[has_candidate][order])
    # Equal distances are accepted together: keep the last of each run.
    is_last = np.append(ranked[1:] != ranked[:-1], True) if len(ranked) else np.zeros(0, dtype=bool)
    accepted = np.arange(1, len(ranked) + 1)[is_last]
    precision = right[is_last] / accepted
    recall = right[is_last] / max(answerable, 1)
    steps = np.diff(recall, prepend=0.0)
    return PrecisionRecall(
        thresholds=ranked[is_last],
        precision=precision,
        recall=recall,
        average_precision=float(np.sum(steps * precision)),
        max_f1=float(f1_scores(precision, recall).max(initial=0.0)),
        recall_at_full_precision=float(recall[precision == 1.0].max(initial=0.0)),
    )


def f1_scores(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    total = precision + recall
    return np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)


def distances_to_places(truth: np.ndarray, places: np.ndarray) -> np.ndarray:
    """[Q, N] metres between query positions truth [Q, 3] and place positions [N, 3]."""
    truth, places = np.asarray(truth).reshape(-1, 1, 3), np.asarray(places).reshape(1, -1, 3)
    return np.linalg.norm(truth - places, axis=2)


def chance_recall(truth: np.ndarray, places: np.ndarray, radius: float) -> float:
    """Expected recall@1 of an answer drawn evenly from all places, over the answerable queries; NaN without any."""
    is_near = distances_to_places(truth, places) <= radius
    answerable = is_near[is_near.any(axis=1)]
    return float(answerable.mean()) if len(answerable) else float("nan")


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """{"p50", "p95"} of the finite values, linearly interpolated; NaN when there are none."""
    finite = np.asarray([value for value in values if np.isfinite(value)], dtype=np.float64)
    if not len(finite):
        return {"p50": float("nan"), "p95": float("nan")}
    return {"p50": float(np.percentile(finite, 50)), "p95": float(np.percentile(finite, 95))}
