"""Oxford RobotCar (PointNetVLAD's runs, VXP's squares): every run asks every other run."""

from itertools import permutations

import numpy as np

from vxp_ros.core.errors import SourceError

from ..datasets.annotation import Annotation
from .trial import YAW_GATE, Compat, Trial, in_squares, positives_within

RADIUS_M = 20.0
# The 23 full runs of the evaluation.
RUNS = (
    "2014-11-14-16-34-33", "2014-11-18-13-20-12", "2014-12-02-15-30-08", "2014-12-09-13-21-02", "2014-12-10-18-10-50",
    "2014-12-12-10-45-15", "2014-12-16-09-14-09", "2014-12-16-18-44-24", "2015-02-03-08-45-10", "2015-02-10-11-58-05",
    "2015-02-13-09-16-26", "2015-02-17-14-42-12", "2015-03-10-14-18-10", "2015-03-17-11-08-44", "2015-05-19-14-06-38",
    "2015-06-09-15-06-29", "2015-08-12-15-04-18", "2015-08-13-16-02-58", "2015-08-14-14-54-57", "2015-08-28-09-50-22",
    "2015-10-30-13-52-14", "2015-11-12-11-22-05", "2015-11-13-10-28-08",
)  # fmt: skip
# northing, easting
TEST_CENTRES = np.array([
    [5735712.768124, 620084.402381], [5735611.299219, 620540.270327], [5735237.358209, 620543.094379],
    [5734749.303802, 619932.693364],
])  # fmt: skip
HALF_WIDTH_M = 150.0


def is_test(annotation: Annotation) -> np.ndarray:
    """[N] bool: inside the four squares. All other rows may be trained on."""
    return in_squares(annotation.positions, TEST_CENTRES, HALF_WIDTH_M)


def trials(annotation: Annotation, compat: Compat = Compat()) -> list[Trial]:
    """One trial per ordered pair of runs, 506 with all 23: the query run's rows inside the squares against the whole
    other run; right within 20 m and 0.5 rad. Runs that are not there are left out.

    Raises SourceError when fewer than two of the runs, or no row in the squares, are there.
    """
    runs = [run for run in RUNS if run in annotation.drives]
    if len(runs) < 2:
        raise SourceError(f"oxford needs at least two of its 23 runs, the data has {len(runs)}: {', '.join(runs)}")
    rows = {run: annotation.rows_of(run) for run in runs}
    test = is_test(annotation)
    if not test.any():
        raise SourceError("oxford: no frame lies in the four test squares; positions must be the INS's UTM metres")
    return [trial(annotation, rows[a][test[rows[a]]], rows[b], f"{a} in {b}") for a, b in permutations(runs, 2)]


def trial(annotation: Annotation, queries: np.ndarray, database: np.ndarray, name: str) -> Trial:
    right = positives_within(annotation, queries, database, RADIUS_M, YAW_GATE)
    return Trial("oxford", name, queries, database, right)
