"""What a split is made of and what it is: columns over all keyframes, and row numbers into them."""

import re
from dataclasses import dataclass

import numpy as np

# Location -> (abbreviation, first day that is late), in the order of the benchmark (section 4.1).
DISTRICTS = {
    "boston-seaport": ("bs", 105),
    "singapore-onenorth": ("son", 50),
    "singapore-queenstown": ("sq", 105),
    "singapore-hollandvillage": ("shv", 50),
}
OTHER_THRESHOLD_DAYS = 105  # of places that are not in the benchmark


@dataclass(frozen=True)
class Keyframes:
    """Columns over N keyframes, in the order of `nuscenes_infos.pkl`; a row number is an index into that file.

    token: [N] str, of the sample. stamp_us: [N] int64. scene, log, district: [N] int32; scenes are numbered as in the
    table of scenes, districts as in `districts`. position: [N, 3] float64, the ego pose of LIDAR_TOP in the city's map.
    is_night: [N] bool, the scene's description says so.
    """

    token: np.ndarray
    stamp_us: np.ndarray
    scene: np.ndarray
    log: np.ndarray
    district: np.ndarray
    position: np.ndarray
    is_night: np.ndarray
    districts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.token)

    def rows_of(self, district: str) -> np.ndarray:
        """Row numbers of one district, ascending."""
        return np.flatnonzero(self.district == self.districts.index(district))


@dataclass(frozen=True)
class Tuples:
    """query: [T], positives: [T, 2], negatives: [T, 4] row numbers, int64."""

    query: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    def __len__(self) -> int:
        return len(self.query)

    @classmethod
    def join(cls, parts: "list[Tuples]") -> "Tuples":
        """All of them, ordered by query."""
        query, positives, negatives = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("query", "positives", "negatives")
        )
        order = np.argsort(query, kind="stable")
        return cls(query[order], positives[order], negatives[order])


@dataclass(frozen=True)
class Queries:
    """query: [Q] row numbers, ascending. right: for each the database's row numbers that count as right, ascending, may
    be empty; None as a whole for validation queries as published, which nobody can score."""

    query: np.ndarray
    right: list[np.ndarray] | None

    def __len__(self) -> int:
        return len(self.query)

    @property
    def without_right(self) -> int | None:
        """How many have no right answer."""
        return None if self.right is None else sum(not len(rows) for rows in self.right)


@dataclass(frozen=True)
class DistrictSplit:
    """One district. database, train: [D], [R] row numbers, ascending; train are the training queries, of which `tuples`
    has those that found enough positives and negatives. validation: empty in the self-supervised scheme."""

    database: np.ndarray
    train: np.ndarray
    tuples: Tuples
    validation: Queries
    test: Queries


def abbreviation(location: str) -> str:
    """bs of boston-seaport; a place that is not in the benchmark keeps its name, made fit for file names."""
    return DISTRICTS[location][0] if location in DISTRICTS else re.sub(r"[^A-Za-z0-9-]+", "-", location)


def threshold_days(district: str) -> int:
    """The first day, counted from the district's first keyframe, that is for validation and test."""
    return dict(DISTRICTS.values()).get(district, OTHER_THRESHOLD_DAYS)


def in_order(locations: list[str]) -> tuple[str, ...]:
    """Abbreviations of the districts there are: the benchmark's in its order, then others as they come."""
    known = [location for location in DISTRICTS if location in locations]
    return tuple(dict.fromkeys(abbreviation(location) for location in [*known, *locations]))
