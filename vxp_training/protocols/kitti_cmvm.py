"""KITTI as in CMVM (ICRA 2025) and RangeBEV (IV 2025): every frame of a sequence in the whole sequence, itself out.

Their models are trained on 11 to 21. Specification, section 6.2, has their numbers, VXP's among them.
"""

from vxp_ros.core.errors import SourceError

from ..datasets.annotation import Annotation
from .trial import Compat, Trial, positives_within, without_self

RADIUS_M = 10.0
SEQUENCES = ("00", "02", "05", "06", "07", "08")


def trials(annotation: Annotation, compat: Compat = Compat()) -> list[Trial]:
    """One trial and one group per sequence that is there; right within 10 m, whatever the heading and the time.

    Raises SourceError when none of the sequences is there.
    """
    there = [sequence for sequence in SEQUENCES if sequence in annotation.drives]
    if not there:
        raise SourceError(f"kitti-cmvm asks KITTI {', '.join(SEQUENCES)}; the data has {', '.join(annotation.drives)}")
    return [trial(annotation, sequence) for sequence in there]


def trial(annotation: Annotation, sequence: str) -> Trial:
    rows = annotation.rows_of(sequence)
    allowed = without_self(rows, rows)
    right = positives_within(annotation, rows, rows, RADIUS_M, allowed=allowed)
    return Trial(sequence, f"{sequence} in itself", rows, rows, right, allowed)
