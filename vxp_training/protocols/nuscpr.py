"""NUSC-PR: queries of a district against its database, right within 9 m (specification of EINet, section 5)."""

import numpy as np

from vxp_ros.core.errors import SourceError

from ..datasets.annotation import Annotation
from ..datasets.nusc_pr.keyframes import Keyframes, Queries
from ..datasets.nusc_pr.read import NuscPrSplit
from ..datasets.nusc_pr.supervised import counted
from ..datasets.prepared import WORLD_GAP_M
from ..evaluate import Answers, summarise, top_1_curve
from .trial import Trial

REPORTED = (1, 5, 10, 20)


def annotation_of(keyframes: Keyframes) -> Annotation:
    """The table that trials refer to: row = keyframe. Districts share no map and lie `WORLD_GAP_M` apart."""
    none = np.full(len(keyframes), "")
    east = keyframes.position[:, 0] + WORLD_GAP_M * keyframes.district
    return Annotation(
        drive=np.array([f"{keyframes.districts[d]}-{log}" for d, log in
                        zip(keyframes.district, keyframes.log, strict=True)]),
        stamp_ns=1000 * keyframes.stamp_us, northing=keyframes.position[:, 1], easting=east,
        yaw=np.zeros(len(keyframes)), image=none, cloud=none,
    )  # fmt: skip


def trials(split: NuscPrSplit, part: str = "test") -> list[Trial]:
    """One trial per district that has queries. part: "test", or "validation" of a split that says what is right."""
    found = {name: getattr(district, part) for name, district in split.districts.items()}
    return [trial(split, name, queries) for name, queries in found.items() if len(queries)]


def trial(split: NuscPrSplit, name: str, queries: Queries) -> Trial:
    if queries.right is None:
        raise SourceError(f"the split says nothing about validation queries of {name}; make it without "
                          "nuscpr_no_val_gt")  # fmt: skip
    database = split.districts[name].database
    numbers = [np.searchsorted(database, right) for right in queries.right]
    allowed = allowed_pairs(split.keyframes, queries.query, database) if split.is_leak_free else None
    return Trial(name, name, queries.query, database, numbers, allowed)


def allowed_pairs(keyframes: Keyframes, queries: np.ndarray, database: np.ndarray) -> np.ndarray | None:
    """[Q, D] bool: all but what a query's own drive saw within a minute. None for all: no drive is on both sides,
    unless it drove past the threshold's hour."""
    shared = np.flatnonzero(np.isin(keyframes.log[queries], keyframes.log[database]))
    if not len(shared):
        return None
    allowed = np.ones((len(queries), len(database)), bool)
    allowed[shared] = counted(keyframes, queries[shared], database)
    return allowed


def report(split: NuscPrSplit, answers: list[Answers]) -> dict:
    """Numbers of each district, of those together that training has not seen (None when there are none), and of each
    district with queries by night again by day and by night."""
    by_district = {result.trial.group: result for result in answers}
    unseen = [by_district[name] for name in split.zero_shot if name in by_district]
    return {
        "scheme": split.scheme,
        "paper_compat": split.facts["paper_compat"],
        "seed": split.facts["seed"],
        "districts": {name: numbers([result]) for name, result in by_district.items()},
        "zero_shot": numbers(unseen) if unseen else None,
        "night": {
            name: by_light(split, result) for name, result in by_district.items() if is_dark(split, result).any()
        },
    }


def by_light(split: NuscPrSplit, result: Answers) -> dict:
    """Numbers of the queries by day and of those by night, of each that there are."""
    parts = {"day": ~is_dark(split, result), "night": is_dark(split, result)}
    return {light: numbers([result.only(np.flatnonzero(mask))]) for light, mask in parts.items() if mask.any()}


def is_dark(split: NuscPrSplit, result: Answers) -> np.ndarray:
    return split.keyframes.is_night[result.trial.queries]


def numbers(results: list[Answers]) -> dict:
    """recall_at and recall_at_1pct (of the database's places) count queries with a right answer; without_right is the
    share of the others. max_f1 and average_precision are `top_1_curve`'s."""
    summary, curve = summarise(results), top_1_curve(results)
    asked, answerable = summary["asked"], summary["queries"]
    return {
        "asked": asked,
        "without_right": 1 - answerable / asked,
        "recall_at": {str(k): summary["recall_at"][str(k)] for k in REPORTED},
        "recall_at_1pct": summary["recall_at_1pct"],
        "interval_95": summary["interval_95"],
        "chance": summary["chance"],
        **curve,
    }
