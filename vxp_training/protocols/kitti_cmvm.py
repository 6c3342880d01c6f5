"""KITTI as in CMVM (ICRA 2025) and RangeBEV (IV 2025): every frame of a sequence in the whole sequence, itself out.

Their models are trained on 11 to 21. Specification, section 6.2, has their numbers, VXP's among them.
"""

import numpy as np

from vxp_ros.core.errors import SourceError

from ..datasets.annotation import Annotation
from .trial import Compat, Trial, positives_within, without_self

RADIUS_M = 10.0
SEQUENCES = ("00", "02", "05", "06", "07", "08")


def trials(annotation: Annotation, compat: Compat = Compat()) -> list[Trial]:
    """One trial and one group per sequence that is there; right within 10 m, whatever the heading and the time.

    Raises SourceError when none of the sequences is there.
    """
    names = np.char.zfill(annotation.drive, 2)
    found = []
    for sequence in SEQUENCES:
        rows = np.flatnonzero(names == sequence)
        if len(rows):
            allowed = without_self(rows, rows)
            right = positives_within(annotation, rows, rows, RADIUS_M, allowed=allowed)
            found.append(Trial(sequence, f"{sequence} in itself", rows, rows, right, allowed))
    if not found:
        raise SourceError(f"kitti-cmvm asks KITTI {', '.join(SEQUENCES)}; the data has {', '.join(annotation.drives)}")
    return found
