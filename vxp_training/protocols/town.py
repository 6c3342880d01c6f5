"""Town: the map is one day, the queries are others; unseen towns of other seeds and styles (docs/benchmark.md)."""

from ..datasets.annotation import Annotation
from .trial import Compat, Trial, positives_within

RADIUS_M = 10.0


def trials(
    annotation: Annotation, towns: list[str], map_day: str, days: list[str], compat: Compat = Compat()
) -> list[Trial]:
    """One trial per town and day, grouped by day; right within 10 m. Drives are called TOWN-DAY."""
    return [trial(annotation, town, map_day, day) for day in days for town in towns]


def trial(annotation: Annotation, town: str, map_day: str, day: str) -> Trial:
    queries, database = annotation.rows_of(f"{town}-{day}"), annotation.rows_of(f"{town}-{map_day}")
    right = positives_within(annotation, queries, database, RADIUS_M)
    return Trial(day, f"{town}, {day} in {map_day}", queries, database, right)
