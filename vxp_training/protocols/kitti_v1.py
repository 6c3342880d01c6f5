"""KITTI as in the first version of VXP (March 2024): every frame of the test boxes in the whole sequence, itself out.

The frames just before and after count as right, so that this measures far less than kitti-3dv.
"""

from ..datasets.annotation import Annotation
from .kitti_3dv import RADIUS_M, present, rows_of
from .trial import YAW_GATE, Compat, Trial, positives_within, without_self


def trials(annotation: Annotation, compat: Compat = Compat(), has_boxes: bool = True) -> list[Trial]:
    """One trial each for 00 and 02; right within 20 m and 0.5 rad. has_boxes and errors: as in kitti_3dv."""
    found = []
    for sequence in present(annotation):
        database, inside = rows_of(annotation, sequence, has_boxes)
        queries = database[inside]
        allowed = without_self(queries, database)
        right = positives_within(annotation, queries, database, RADIUS_M, YAW_GATE, allowed)
        found.append(Trial(sequence, f"{sequence} in itself", queries, database, right, allowed))
    return found
