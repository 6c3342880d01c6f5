"""A few frames of several KITTI sequences, each sequence a place: for the free sample of real data, no published
protocol. Chance is one in the number of places."""

import numpy as np

from vxp_ros.core.errors import SourceError

from ..datasets.annotation import Annotation
from .trial import Compat, Trial


def trials(annotation: Annotation, compat: Compat = Compat()) -> list[Trial]:
    """One trial: the database is each drive's first frame, the queries are all others; right is the own drive.

    Raises SourceError when there are fewer than two drives.
    """
    drives = annotation.drives
    if len(drives) < 2:
        raise SourceError(f"kitti-sample needs two drives or more, the data has {len(drives)}")
    database = np.array([annotation.rows_of(name)[0] for name in drives])
    queries = np.setdiff1d(np.arange(len(annotation)), database)
    right = [np.flatnonzero(annotation.drive[database] == annotation.drive[query]) for query in queries]
    return [Trial("places", f"{len(drives)} places", queries, database, right)]
