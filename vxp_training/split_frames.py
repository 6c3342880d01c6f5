"""The keyframes of a NUSC-PR split as frames of prepared folders (`vxp data prepare nuscenes:... --spacing 0`)."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vxp_ros.core.datatypes import Frame
from vxp_ros.core.errors import SourceError

from .datasets.nusc_pr.keyframes import DistrictSplit, Keyframes, Queries, Tuples
from .datasets.nusc_pr.read import NuscPrSplit
from .datasets.prepared import PreparedData
from .protocols.nuscpr import annotation_of


class SplitFrames:
    """Frames by row of the split's keyframes.

    split: what is left of it without the keyframes that no folder has. is_there: [N] bool. Raises SourceError when no
    folder has any.
    """

    def __init__(self, split: NuscPrSplit, folders: Sequence[PreparedData]):
        self.folders = folders
        self.place = places_in(split.keyframes, folders)
        self.is_there = self.place[:, 0] >= 0
        if not self.is_there.any():
            raise SourceError(
                f"none of the split's {len(split.keyframes)} keyframes is in the prepared data; prepare the nuScenes "
                "that it was made of: vxp data prepare nuscenes:ROOT:SCENE ... --spacing 0"
            )
        self.split = left_of(split, self.is_there)
        self.annotation = annotation_of(split.keyframes)

    def __len__(self) -> int:
        return len(self.place)

    @property
    def missing(self) -> int:
        """How many keyframes are in no folder."""
        return int((~self.is_there).sum())

    def frame(self, row: int) -> Frame:
        """Raises what PreparedData raises, and SourceError for a keyframe that is missing."""
        folder, number = self.place[row]
        if folder < 0:
            raise SourceError(f"the keyframe {self.split.keyframes.token[row]} is not in the prepared data")
        return self.folders[folder].frame(int(number))

    def fingerprint(self) -> str:
        """Sixteen hex digits: the same for the same keyframes of the same folders."""
        parts = [folder.fingerprint().encode() for folder in self.folders]
        return hashlib.sha256(b"".join([*parts, self.place.tobytes()])).hexdigest()[:16]


def places_in(keyframes: Keyframes, folders: Sequence[PreparedData]) -> np.ndarray:
    """[N, 2] int64: of each keyframe the folder and the row there, -1 where no folder has it with image and cloud.

    A keyframe is known by its microsecond and its northing: prepared worlds are moved apart to the east only, and two
    cars may have driven at the same time.
    """
    rows = {}
    for number, folder in enumerate(folders):
        table = folder.annotation
        for row in np.flatnonzero((table.image != "") & (table.cloud != "")):
            key = int(table.stamp_ns[row]) // 1000, float(table.northing[row])
            rows.setdefault(key, (number, int(row)))
    keys = zip(keyframes.stamp_us.tolist(), keyframes.position[:, 1].tolist(), strict=True)
    return np.array([rows.get(key, (-1, -1)) for key in keys], np.int64).reshape(-1, 2)


def left_of(split: NuscPrSplit, is_there: np.ndarray) -> NuscPrSplit:
    """Without keyframes that are not there, and without the tuples that show them."""
    return replace(split, districts={name: district_left(part, is_there) for name, part in split.districts.items()})


def district_left(part: DistrictSplit, is_there: np.ndarray) -> DistrictSplit:
    tuples = part.tuples
    is_whole = is_there[np.column_stack([tuples.query, tuples.positives, tuples.negatives])].all(axis=1)
    return DistrictSplit(
        database=part.database[is_there[part.database]],
        train=part.train[is_there[part.train]],
        tuples=Tuples(tuples.query[is_whole], tuples.positives[is_whole], tuples.negatives[is_whole]),
        validation=queries_left(part.validation, is_there),
        test=queries_left(part.test, is_there),
    )


def queries_left(queries: Queries, is_there: np.ndarray) -> Queries:
    kept = np.flatnonzero(is_there[queries.query])
    if queries.right is None:
        return Queries(queries.query[kept], None)
    return Queries(queries.query[kept], [queries.right[i][is_there[queries.right[i]]] for i in kept])
