"""KITTI as in VXP's 3DV paper: a sequence is looked up in its own past, only revisits count.

Values of this protocol compare with no other KITTI numbers (specification, section 9).
"""

import numpy as np

from vxp_ros.core.errors import SourceError

from ..datasets.annotation import Annotation
from ..datasets.prepare import rows_apart
from .trial import YAW_GATE, Compat, Trial, in_squares, positives_within

RADIUS_M = 20.0
SPACING_M, HEAD_START_M = 20.0, 5.0
PAST_NS = 10 * 1_000_000_000
KEPT = 25
FETCHED = 2 * KEPT + 1
# northing, easting in Mercator metres of the raw OXTS. The authors' columns have the two names the wrong way round,
# and list the centres in that order; here both are true.
BOXES = {
    "00": np.array([[4116330, 613180], [4116230, 613050], [4116570, 613050], [4116455, 613135]], np.float64),
    "02": np.array([[4116915, 619375], [4116800, 619400], [4116700, 619400], [4116450, 619390]], np.float64),
}
HALF_WIDTH_M = 50.0


def is_test(annotation: Annotation) -> np.ndarray:
    """[N] bool: rows of 00 and 02 inside the boxes. VXP trains on 03 to 10 and on the rest of 00 and 02."""
    inside = np.zeros(len(annotation), bool)
    for sequence, centres in BOXES.items():
        rows = annotation.drive == sequence
        inside[rows] = in_squares(annotation.positions[rows], centres, HALF_WIDTH_M)
    return inside


def trials(annotation: Annotation, compat: Compat = Compat(), has_boxes: bool = True) -> list[Trial]:
    """One trial each for 00 and 02. Database: a frame every 20 m. Queries: the same with a head start of 5 m, of those
    the ones in the test boxes. Right: within 20 m and 0.5 rad, seen more than 10 s before; only such frames may be
    answered. 51 nearest are fetched, those that are too young dropped, 25 kept.

    The authors lose the head start (`kitti_headstart_lost`) and read recall@1 % from the 25 (`kitti_r1pct_filtered`).
    has_boxes: False asks everywhere, for data whose positions are not the raw OXTS's. Raises SourceError when neither
    sequence is there or a box is empty.
    """
    rows = {sequence: rows_of(annotation, sequence, has_boxes) for sequence in present(annotation)}
    return [trial(annotation, sequence, *entry, compat) for sequence, entry in rows.items()]


def present(annotation: Annotation) -> list[str]:
    """Which of the two sequences the data has."""
    there = [sequence for sequence in BOXES if sequence in annotation.drives]
    if not there:
        raise SourceError(f"this protocol asks KITTI 00 and 02; the data has {', '.join(annotation.drives)}")
    return there


def rows_of(annotation: Annotation, sequence: str, has_boxes: bool) -> tuple[np.ndarray, np.ndarray]:
    """All rows of the sequence, and which of them may be asked [N] bool."""
    rows = annotation.rows_of(sequence)
    if not has_boxes:
        return rows, np.ones(len(rows), bool)
    inside = in_squares(annotation.positions[rows], BOXES[sequence], HALF_WIDTH_M)
    if not inside.any():
        north, east = annotation.positions[rows].mean(axis=0)
        raise SourceError(
            f"KITTI {sequence}: no frame lies in the test boxes around northing {BOXES[sequence][0, 0]:.0f}, easting "
            f"{BOXES[sequence][0, 1]:.0f}; positions lie around {north:.0f}, {east:.0f}. The boxes are in Mercator "
            "metres of the raw OXTS, which the benchmark's poses are not: prepare kitti-table:CSV with the authors' "
            "table, or ask everywhere with --no-boxes"
        )
    return rows, inside


def trial(annotation: Annotation, sequence: str, rows: np.ndarray, inside: np.ndarray, compat: Compat) -> Trial:
    positions = annotation.positions[rows]
    database = rows[rows_apart(positions, SPACING_M)]
    head_start = None if compat.kitti_headstart_lost else HEAD_START_M
    asked = rows_apart(positions, SPACING_M, head_start)
    queries = rows[asked[inside[asked]]]
    stamps = annotation.stamp_ns
    allowed = stamps[queries][:, None] - stamps[database][None] > PAST_NS
    right = positives_within(annotation, queries, database, RADIUS_M, YAW_GATE, allowed)
    return Trial(sequence, f"{sequence} in its past", queries, database, right, allowed, FETCHED,
                 compat.kitti_r1pct_filtered)  # fmt: skip
