"""Answers to trials: exact L2 search, recall, precision against recall, means over trials.

Every frame was described once per sensor before (descriptors.py); a trial only picks rows. Ranks are counted instead
of lists being sorted: the first right answer stands behind all allowed answers that are nearer than it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from vxp_ros.core.evaluate import PrecisionRecall, precision_recall, recall_at_k

from .datasets.annotation import Annotation
from .protocols.trial import Trial

# query - database
MODES = {"2D-2D": ("camera", "camera"), "3D-3D": ("lidar", "lidar"), "2D-3D": ("camera", "lidar"),
         "3D-2D": ("lidar", "camera"), "fused": ("fused", "fused")}  # fmt: skip
KS = tuple(range(1, 26))
RADII_M = (5.0, 10.0, 25.0)
CHUNK = 256  # queries that are searched at a time
NEVER = np.iinfo(np.int64).max
CURVE_POINTS = 200


@dataclass(frozen=True)
class Answers:
    """A trial's result over its Q queries.

    has_positive: [Q] bool. rank: [Q] int64, how many allowed answers are nearer than the first right one; NEVER when it
    is not among those fetched. full_rank: the same whatever was fetched. best: [Q] the nearest allowed answer's number
    in the database, -1 without one. distance: [Q] its descriptor distance, inf without one. error_m: [Q] metres from
    the query to its place; nearest_m: [Q] metres to the nearest allowed place. chance: [Q] share of right ones among
    the allowed.
    """

    trial: Trial
    has_positive: np.ndarray
    rank: np.ndarray
    full_rank: np.ndarray
    best: np.ndarray
    distance: np.ndarray
    error_m: np.ndarray
    nearest_m: np.ndarray
    chance: np.ndarray

    def only(self, numbers: np.ndarray) -> "Answers":
        """Of the queries of these numbers."""
        columns = {field.name: getattr(self, field.name)[numbers] for field in fields(self) if field.name != "trial"}
        return Answers(self.trial.only(numbers), **columns)

    @property
    def is_right(self) -> np.ndarray:
        """[Q] bool: the nearest answer is right."""
        return self.rank == 0

    def recall(self, k: int) -> float:
        """Share of the queries that have a right answer which found one among k; NaN when none has."""
        return share(self.rank < k, self.has_positive)

    def recall_1pct(self) -> float:
        count = one_percent(len(self.trial.database))
        if self.trial.is_1pct_filtered:
            return self.recall(min(count, max(KS)))
        return share(self.full_rank < count, self.has_positive)


def one_percent(places: int) -> int:
    """How many answers recall@1 % looks at."""
    return max(round(places / 100), 1)


def answer(trial: Trial, annotation: Annotation, query_vectors: np.ndarray, database_vectors: np.ndarray) -> Answers:
    """Search a trial's database for its queries. query_vectors: [Q, C], database_vectors: [D, C] float32; a row of NaN
    is a frame that could not be described: as a query it finds nothing, as a place it is never found."""
    count = len(trial.queries)
    starts = range(0, max(count, 1), CHUNK)
    chunks = [np.arange(start, min(start + CHUNK, count)) for start in starts]
    parts = [answer_chunk(trial, annotation, rows, query_vectors[rows], database_vectors) for rows in chunks]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Answers(trial, **columns)


def answer_chunk(
    trial: Trial, annotation: Annotation, rows: np.ndarray, query_vectors: np.ndarray, database_vectors: np.ndarray
) -> dict[str, np.ndarray]:
    """The columns of Answers for some of the queries."""
    distances = l2_distances(query_vectors, database_vectors)
    is_positive = dense([trial.positives[row] for row in rows], len(trial.database))
    allowed = np.ones(distances.shape, bool) if trial.allowed is None else trial.allowed[rows]
    can_answer = allowed & np.isfinite(distances)
    if trial.fetch is not None:
        can_answer &= order_of(distances) < trial.fetch
    best = first_of(distances, can_answer)
    right = first_of(distances, is_positive & np.isfinite(distances))
    is_nearer = nearer_than(distances, right) & allowed
    full_rank = np.where(right >= 0, is_nearer.sum(axis=1), NEVER)
    is_fetched = picked(can_answer, right) == 1
    metres = l2_distances(annotation.positions[trial.queries[rows]], annotation.positions[trial.database])
    return {
        "has_positive": is_positive.any(axis=1),
        "rank": np.where(is_fetched, full_rank, NEVER),
        "full_rank": full_rank,
        "best": best,
        "distance": picked(distances, best),
        "error_m": picked(metres, best),
        "nearest_m": np.where(allowed, metres, np.inf).min(axis=1, initial=np.inf),
        "chance": is_positive.sum(axis=1) / np.maximum(allowed.sum(axis=1), 1),
    }


def l2_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[A, B] float64 between rows; inf where a row holds NaN."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    centre = np.nanmean(b, axis=0) if np.isfinite(b).any() else 0.0
    a, b = a - centre, b - centre  # large coordinates would cost digits below
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.where(np.isnan(squares), np.inf, np.sqrt(np.maximum(squares, 0)))


def order_of(distances: np.ndarray) -> np.ndarray:
    """[Q, D] the place of each entry in its row's ranking; equal ones by number."""
    return np.argsort(np.argsort(distances, axis=1, kind="stable"), axis=1, kind="stable")


def first_of(distances: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """[Q] number of the nearest entry under the mask, the first of equal ones; -1 where the mask is empty."""
    if not distances.shape[1]:
        return np.full(len(distances), -1)
    nearest = np.where(mask, distances, np.inf).argmin(axis=1)
    return np.where(mask.any(axis=1), nearest, -1)


def nearer_than(distances: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """[Q, D] bool: entries that stand before entry `numbers` [Q] of their row."""
    reference = picked(distances, numbers)[:, None]
    is_before = np.arange(distances.shape[1])[None] < numbers[:, None]
    return (distances < reference) | ((distances == reference) & is_before)


def picked(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """[Q] values[q, numbers[q]]; inf for number -1."""
    if not values.shape[1]:
        return np.full(len(values), np.inf)
    found = np.take_along_axis(values, np.maximum(numbers, 0)[:, None], axis=1)[:, 0]
    return np.where(numbers >= 0, found, np.inf)


def dense(lists: Sequence[np.ndarray], columns: int) -> np.ndarray:
    mask = np.zeros((len(lists), columns), bool)
    for row, numbers in enumerate(lists):
        mask[row, numbers] = True
    return mask


def share(is_hit: np.ndarray, counts: np.ndarray) -> float:
    return float(is_hit[counts].mean()) if counts.any() else float("nan")


def summarise(results: Sequence[Answers]) -> dict:
    """The numbers of some trials as JSON has them.

    Recalls and chance are means over the trials that have a query with a right answer, each trial counting the same
    however many queries it has. `queries` counts those queries; the 95 % interval (Wilson) is that of all of them taken
    together. Precision against recall is over all queries, those without a right answer included: to believe an answer
    there is wrong. `recall_at_1` counts by metres alone, over the queries with an allowed place so near.
    """
    queries = sum(int(result.has_positive.sum()) for result in results)
    hits = sum(int((result.is_right & result.has_positive).sum()) for result in results)
    pooled = {name: np.concatenate([getattr(result, name) for result in results])
              for name in ("distance", "is_right", "has_positive")}  # fmt: skip
    curve = precision_recall(pooled["distance"], pooled["is_right"], pooled["has_positive"])
    return {
        "trials": len(results),
        "asked": sum(len(result.trial.queries) for result in results),
        "queries": queries,
        "recall_at": {str(k): mean([result.recall(k) for result in results]) for k in KS},
        "recall_at_1pct": mean([result.recall_1pct() for result in results]),
        "recall_at_1": {f"{radius:g}": mean([by_metres(result, radius) for result in results]) for radius in RADII_M},
        "interval_95": wilson(hits, queries),
        "chance": mean([mean(result.chance[result.has_positive]) for result in results]),
        "average_precision": curve.average_precision,
        "max_f1": curve.max_f1,
        "recall_at_full_precision": curve.recall_at_full_precision,
        "precision_recall": curve_points(curve),
    }


def curve_points(curve: PrecisionRecall) -> np.ndarray:
    """[P, 3] threshold, precision, recall: of a long curve, CURVE_POINTS spread over it."""
    points = np.column_stack([curve.thresholds, curve.precision, curve.recall])
    return points[spread(len(points), CURVE_POINTS)]


def top_1_curve(results: Sequence[Answers]) -> dict[str, float]:
    """F1max and AP as LCPR and AutoPlace have them (specification of EINet, section 5): each query is its nearest
    answer and that answer's distance, and recall is of the queries whose nearest answer is right, not of all.

    AP is the left Riemann sum of precision over recall, which begins at recall 0 with precision 1.
    """
    distance, is_right = (
        np.concatenate([getattr(result, name) for result in results]) for name in ("distance", "is_right")
    )
    curve = precision_recall(distance, is_right, is_right)
    left = np.concatenate([[1.0], curve.precision])[:-1]
    return {"max_f1": curve.max_f1, "average_precision": float(np.sum(np.diff(curve.recall, prepend=0.0) * left))}


def by_metres(result: Answers, radius: float) -> float:
    return recall_at_k(result.error_m[:, None], result.nearest_m, radius, (1,))[1]


def mean(values) -> float:
    """Of the finite ones; NaN without any."""
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    return float(finite.mean()) if len(finite) else float("nan")


def spread(count: int, limit: int) -> np.ndarray:
    """At most `limit` row numbers out of `count`, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(int))


def wilson(hits: int, queries: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927); NaN without queries."""
    if not queries:
        return float("nan"), float("nan")
    p, n = hits / queries, queries
    centre, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return float((centre - half) / (1 + z * z / n)), float((centre + half) / (1 + z * z / n))
