"""The supervised split (specification, section 4.4): a thinned database of early drives, queries by date."""

import numpy as np

from .compat import NuscPrCompat
from .draws import draw_distinct, draw_order, draw_repeated, generator
from .keyframes import DistrictSplit, Keyframes, Queries, Tuples, threshold_days
from .nearness import NEGATIVE_M, POSITIVE_M, chunks, distances, thinned

SPACING_M = 1.0
VALIDATION_SHARE = 0.25
POSITIVES, NEGATIVES = 2, 4
OWN_DRIVE_US = 60_000_000  # what the same drive saw so shortly before or after is no answer
DAY_US = 86_400_000_000


def split_supervised(
    keyframes: Keyframes, seed: int, compat: NuscPrCompat = NuscPrCompat()
) -> dict[str, DistrictSplit]:
    """District -> its split. Places are compared in the plane, in float32 as the authors' files have them."""
    return {name: split_district(keyframes, name, seed, compat) for name in keyframes.districts}


def split_district(keyframes: Keyframes, name: str, seed: int, compat: NuscPrCompat) -> DistrictSplit:
    rows = keyframes.rows_of(name)
    xy = planar(keyframes)
    is_late = late(keyframes.stamp_us[rows], threshold_days(name), compat.nuscpr_float32_days)
    candidates = rows if compat.nuscpr_db_all_dates else rows[~is_late]
    database = candidates[thinned(xy[candidates], SPACING_M)]
    is_query = ~np.isin(rows, database)
    train, late_queries = rows[is_query & ~is_late], rows[is_query & is_late]
    validation, test = parted(late_queries, generator(seed, f"{name} validation"))
    shown = database if compat.nuscpr_train_all_dates else database[np.isin(database, rows[~is_late])]
    find = right_answers(keyframes, database, compat)
    return DistrictSplit(
        database=database,
        train=train,
        tuples=draw_tuples(keyframes, train, shown, seed, name, compat),
        validation=Queries(validation, None) if compat.nuscpr_no_val_gt else find(validation),
        test=find(test),
    )


def planar(keyframes: Keyframes) -> np.ndarray:
    """[N, 2] float32 x, y."""
    return keyframes.position[:, :2].astype(np.float32)


def late(stamps_us: np.ndarray, days: int, has_float32: bool = False) -> np.ndarray:
    """[N] bool: taken so many days or more after the first."""
    if has_float32:
        stamps = stamps_us.astype(np.float32)
        return (stamps - stamps.min()) / np.float32(DAY_US) >= days
    return stamps_us - stamps_us.min() >= days * DAY_US


def parted(queries: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random quarter for validation and the rest for test, both ascending."""
    count = int(VALIDATION_SHARE * len(queries))
    is_validation = np.zeros(len(queries), bool)
    is_validation[draw_order(random, len(queries))[:count]] = True
    return queries[is_validation], queries[~is_validation]


def counted(keyframes: Keyframes, queries: np.ndarray, database: np.ndarray) -> np.ndarray:
    """[Q, D] bool: the pair counts, being of two drives or more than a minute apart."""
    log, stamps = keyframes.log, keyframes.stamp_us
    apart_us = np.abs(stamps[queries][:, None] - stamps[database][None])
    return (log[queries][:, None] != log[database][None]) | (apart_us > OWN_DRIVE_US)


def right_answers(keyframes: Keyframes, database: np.ndarray, compat: NuscPrCompat):
    """A function from rows of queries to Queries against this database."""
    xy = planar(keyframes)

    def find(queries: np.ndarray) -> Queries:
        right = []
        for part in chunks(len(queries)):
            is_near = distances(xy[queries[part]], xy[database]) <= POSITIVE_M
            if not compat.nuscpr_db_all_dates:
                is_near &= counted(keyframes, queries[part], database)
            right += [database[row] for row in is_near]
        return Queries(queries, right)

    return find


def draw_tuples(
    keyframes: Keyframes, train: np.ndarray, database: np.ndarray, seed: int, name: str, compat: NuscPrCompat
) -> Tuples:
    """Two positives within 9 m and four negatives beyond 18 m for each training query that has so many."""
    draw, xy = draw_repeated if compat.nuscpr_sample_replacement else draw_distinct, planar(keyframes)
    first, second = generator(seed, f"{name} positives"), generator(seed, f"{name} negatives")
    found = [Tuples(*(np.zeros(shape, np.int64) for shape in (0, (0, POSITIVES), (0, NEGATIVES))))]
    for part in chunks(len(train)):
        queries = train[part]
        metres = distances(xy[queries], xy[database])
        is_counted = True if compat.nuscpr_db_all_dates else counted(keyframes, queries, database)
        positives, has_positives = draw(first, (metres <= POSITIVE_M) & is_counted, POSITIVES)
        negatives, has_negatives = draw(second, (metres > NEGATIVE_M) & is_counted, NEGATIVES)
        kept = has_positives & has_negatives
        found.append(Tuples(queries[kept], database[positives[kept]], database[negatives[kept]]))
    return Tuples.join(found)
