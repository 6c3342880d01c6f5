"""ViViD++ (driving): one day asks another, campus and city each by itself and merged, both directions."""

from dataclasses import replace

import numpy as np

from vxp_ros.core.errors import SourceError

from ..datasets.annotation import Annotation
from ..datasets.prepare import rows_apart
from .trial import YAW_GATE, Compat, Trial, positives_within

RADIUS_M = 25.0
SPACING_M = 20.0
CAMPUS_FRAMES = 1500
PLACES = {"campus": ("campus",), "city": ("city",), "merged": ("campus", "city")}
PAIRS = (("day1", "day2"), ("night", "day2"), ("evening", "day2"), ("night", "evening"))
TRAIN, TEST = ("campus_day1", "city_day1"), ("campus_day2", "city_day2")


def is_test(annotation: Annotation) -> np.ndarray:
    """[N] bool: the second days. Of the others, only the first days may be trained on (`TRAIN`)."""
    return np.isin(annotation.drive, TEST)


def trials(annotation: Annotation, compat: Compat = Compat()) -> list[Trial]:
    """Two trials per group, one for each direction: right within 25 m and, by the heading of the GPS track, 0.5 rad.
    Queries and database are whole sequences: on the campus every n-th frame so that about 1500 are left, in the city
    and merged a frame every 20 m.

    The authors' yaw is always 0, so that their gate does nothing (`vivid_yaw_zero`). Their 20 m are measured along the
    wrong sequence, but for the first (`vivid_thin_global_index`). Raises SourceError when no pair is complete.
    """
    if compat.vivid_yaw_zero:
        annotation = replace(annotation, yaw=np.zeros(len(annotation)))
    found = []
    for place, parts in PLACES.items():
        for pair in PAIRS:
            names = {time: [f"{part}_{time}" for part in parts] for time in pair}
            if not all(name in annotation.drives for drives in names.values() for name in drives):
                continue
            rows = {time: thinned(annotation, place, drives, compat) for time, drives in names.items()}
            found += [
                trial(annotation, rows[a], rows[b], f"{place} {pair[0]}-{pair[1]}", f"{a} in {b}")
                for a, b in (pair, pair[::-1])
            ]
    if not found:
        raise SourceError("vivid needs two sequences of one place, such as campus_day1 and campus_day2; the data has "
                          f"{', '.join(annotation.drives)}")  # fmt: skip
    return found


def thinned(annotation: Annotation, place: str, drives: list[str], compat: Compat) -> np.ndarray:
    """Rows of these sequences that take part."""
    return np.concatenate([thinned_sequence(annotation, place, annotation.rows_of(name), compat) for name in drives])


def thinned_sequence(annotation: Annotation, place: str, rows: np.ndarray, compat: Compat) -> np.ndarray:
    if place == "campus":
        return rows[:: max(round(len(rows) / CAMPUS_FRAMES), 1)]
    # the authors look up row i of the whole table for frame i of the sequence
    measured = np.arange(len(rows)) if compat.vivid_thin_global_index else rows
    return rows[rows_apart(annotation.positions[measured], SPACING_M)]


def trial(annotation: Annotation, queries: np.ndarray, database: np.ndarray, group: str, name: str) -> Trial:
    right = positives_within(annotation, queries, database, RADIUS_M, YAW_GATE)
    return Trial(group, name, queries, database, right)
