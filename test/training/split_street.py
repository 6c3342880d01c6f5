"""A NUSC-PR split of a made-up street, for the tests of training by tuples and by mined triplets."""

import numpy as np
from rig_places import RingStreet

from vxp_training.datasets.nusc_pr.compat import NuscPrCompat
from vxp_training.datasets.nusc_pr.keyframes import DistrictSplit, Keyframes, Queries
from vxp_training.datasets.nusc_pr.read import NuscPrSplit
from vxp_training.datasets.nusc_pr.supervised import draw_tuples, right_answers
from vxp_training.training_data import TrainingData, gather_split

VIEWS = 4  # of a place: two in the database, one for training, one for validation
MINUTE_US = 60_000_000


class SplitStreet(RingStreet):
    """Its stamps are of microseconds, and each view of a place is another drive's."""

    def __init__(self, places: int = 6):
        super().__init__(places, views=VIEWS)
        view = np.arange(len(self)) % VIEWS
        self.annotation.stamp_ns[:] = 1000 * (10 * MINUTE_US * view + np.arange(len(self)))

    def fingerprint(self) -> str:
        return "street"


def street_split(street: SplitStreet, scheme: str = "supervised") -> NuscPrSplit:
    """All of it is bs; a scene is a place."""
    count, table = len(street), street.annotation
    view = np.arange(count) % VIEWS
    keyframes = Keyframes(
        token=np.array([f"{row:032d}" for row in range(count)]), stamp_us=table.stamp_ns // 1000,
        scene=np.int32(np.arange(count) // VIEWS), log=np.int32(view), district=np.zeros(count, np.int32),
        position=np.column_stack([table.easting, table.northing, np.zeros(count)]), is_night=view == 3,
        districts=("bs",),
    )  # fmt: skip
    database, train, validation = (np.flatnonzero(np.isin(view, some)) for some in ((0, 1), 2, 3))
    tuples = draw_tuples(keyframes, train, database, 1, "bs", NuscPrCompat())
    if scheme == "self-supervised":
        nobody = Queries(database[:0], [])
        part = DistrictSplit(database, tuples.query, tuples, nobody, nobody)
    else:
        right = right_answers(keyframes, database, NuscPrCompat())(validation)
        part = DistrictSplit(database, train, tuples, right, right)
    return NuscPrSplit(scheme, keyframes, {"bs": part}, {"seed": 1, "paper_compat": []})


def street_data(street: SplitStreet | None = None, scheme: str = "supervised") -> TrainingData:
    street = street or SplitStreet()
    return gather_split(street_split(street, scheme), [street])
