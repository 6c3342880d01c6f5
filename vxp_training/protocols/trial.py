"""A trial: one set of queries against one database, with what counts as right and what may be answered."""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from vxp_ros.core.errors import SourceError

from ..datasets.annotation import Annotation, neighbours, yaw_difference

Switches = TypeVar("Switches")
YAW_GATE = 0.5  # radians; the VXP protocols take views that differ by more for different places


@dataclass(frozen=True)
class Trial:
    """queries: [Q], database: [D] rows of the annotation. positives: for each query the right ones, as numbers 0..D-1
    into `database`, all of them allowed. allowed: [Q, D] bool, which may be answered; None for all.

    group: trials of one group are averaged. fetch: how many nearest are looked at before `allowed` drops some, None for
    all. is_1pct_filtered: recall@1 % is read from those, too, instead of from the whole ranking.
    """

    group: str
    name: str
    queries: np.ndarray
    database: np.ndarray
    positives: list[np.ndarray]
    allowed: np.ndarray | None = None
    fetch: int | None = None
    is_1pct_filtered: bool = False

    def limited(self, count: int | None) -> "Trial":
        """With at most `count` queries, spread evenly."""
        if count is None or count >= len(self.queries):
            return self
        return self.only(np.linspace(0, len(self.queries) - 1, count).round().astype(int))

    def only(self, numbers: np.ndarray) -> "Trial":
        """With the queries of these numbers."""
        allowed = None if self.allowed is None else self.allowed[numbers]
        positives = [self.positives[i] for i in numbers]
        return replace(self, queries=self.queries[numbers], positives=positives, allowed=allowed)


@dataclass(frozen=True)
class Compat:
    """The authors' behaviour where it differs from what was meant (specification, section 7.1). All off by default.

    Their swapped column names are no switch here: `read_annotation` puts them right, and boxes are in the true order.
    """

    vivid_thin_global_index: bool = False
    vivid_yaw_zero: bool = False
    kitti_headstart_lost: bool = False
    kitti_r1pct_filtered: bool = False

    @classmethod
    def parse(cls, text: str) -> "Compat":
        """Of "all", "" or switch names with commas. Raises SourceError that lists the switches."""
        return parse_switches(cls, text)


def parse_switches(kind: type[Switches], text: str) -> Switches:
    """A dataclass of bool fields from "all", "" or their names with commas. Raises SourceError that lists them."""
    names = [field.name for field in fields(kind)]
    asked = [part.strip() for part in text.split(",") if part.strip()]
    if asked == ["all"]:
        asked = names
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise SourceError(f"there is no switch {unknown[0]!r}; choose from all, {', '.join(names)}")
    return kind(**dict.fromkeys(asked, True))


def positives_within(
    annotation: Annotation,
    queries: np.ndarray,
    database: np.ndarray,
    radius: float,
    yaw_gate: float | None = None,
    allowed: np.ndarray | None = None,
) -> list[np.ndarray]:
    """For each query the allowed database entries within `radius` metres and, with a gate, less than so many radians
    apart in heading; numbers into `database`, ascending."""
    positions = annotation.positions
    found = neighbours(positions[queries], positions[database], radius)
    if yaw_gate is not None:
        yaw = annotation.yaw
        found = [
            near[yaw_difference(yaw[query], yaw[database[near]]) < yaw_gate]
            for query, near in zip(queries, found, strict=True)
        ]
    if allowed is not None:
        found = [near[row[near]] for near, row in zip(found, allowed, strict=True)]
    return found


def in_squares(positions: np.ndarray, centres: np.ndarray, half_width: float) -> np.ndarray:
    """[N] bool: strictly inside one of the axis-aligned squares. positions: [N, 2], centres: [C, 2]."""
    offsets = np.abs(positions[:, None] - np.asarray(centres)[None])
    return (offsets < half_width).all(axis=2).any(axis=1)


def without_self(queries: np.ndarray, database: np.ndarray) -> np.ndarray:
    """[Q, D] bool: everything but the query's own frame."""
    return queries[:, None] != database[None]
