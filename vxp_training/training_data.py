"""Frames of prepared folders, and which of them train and which choose the weights."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vxp_ros.core.datatypes import Frame
from vxp_ros.core.errors import SourceError

from .datasets.annotation import Annotation, neighbours
from .datasets.nusc_pr.read import NuscPrSplit
from .datasets.prepared import PreparedData
from .mining import POSITIVE_M, Poses
from .split_frames import SplitFrames
from .split_tuples import as_rows, tuple_sets

logger = logging.getLogger(__name__)


class Folder(Protocol):
    """What is asked of a data set; `datasets.prepared.PreparedData` is one."""

    annotation: Annotation

    def __len__(self) -> int: ...

    def fingerprint(self) -> str: ...

    def frame(self, row: int) -> Frame: ...


@dataclass(frozen=True)
class TrainingData:
    """Rows of all folders, one folder after the other. change: made to every frame (published calibrations).
    split: whose keyframes the rows are, for the stages that learn from one."""

    folders: Sequence[Folder]
    poses: Poses
    train: np.ndarray
    validate: np.ndarray
    change: Callable[[Frame], Frame] = lambda frame: frame
    split: NuscPrSplit | None = None

    def frame(self, row: int) -> Frame:
        folder, number = self.place(row)
        return self.change(folder.frame(number))

    def name(self, row: int) -> str:
        """For people: whose frame it is."""
        folder, number = self.place(row)
        return f"the frame of {folder.annotation.drive[number]} at {folder.annotation.stamp_ns[number]} ns"

    def place(self, row: int) -> tuple[Folder, int]:
        """The row's folder and its row there."""
        for folder in self.folders:
            if row < len(folder):
                return folder, int(row)
            row -= len(folder)
        raise IndexError(row)


def gather(
    train: Sequence[Folder],
    validate: Sequence[Folder] = (),
    *,
    part: float = 0.1,
    square: float = 100.0,
    seed: int = 0,
    change: Callable[[Frame], Frame] = lambda frame: frame,
) -> TrainingData:
    """Rows that have image and cloud. Without folders to validate on, squares of the training data are set aside.

    Raises SourceError when nothing is left to train or to validate on.
    """
    folders = [*train, *validate]
    if not train:
        raise SourceError("no data to train on: give prepared folders with --data (see vxp data prepare)")
    tables = [folder.annotation for folder in folders]
    poses = Poses.of(tables)
    is_whole = np.concatenate([(table.image != "") & (table.cloud != "") for table in tables])
    rows = np.flatnonzero(is_whole)
    count = sum(len(folder) for folder in train)
    if validate:
        trained, validated = rows[rows < count], rows[rows >= count]
    else:
        trained, validated = split_by_squares(poses, rows, part, square, seed)
    for chosen, use in ((trained, "train"), (validated, "validate")):
        if not len(chosen):
            raise SourceError(f"no frame with image and cloud to {use} on, of {len(rows)} in {len(folders)} folder(s)")
    return TrainingData(folders, poses, trained, validated, change)


def gather_split(split: NuscPrSplit, folders: Sequence[PreparedData]) -> TrainingData:
    """The keyframes of a NUSC-PR split. Who trains and who validates is the split's own rule.

    Says how many keyframes and tuples are missing; raises SourceError when all are.
    """
    frames = SplitFrames(split, folders)
    if frames.missing:
        kept, every = len(frames.split.tuples()), len(split.tuples())
        logger.warning(f"{frames.missing} of the split's {len(frames)} keyframes are not in the prepared data, so that "
                       f"{every - kept} of {every} tuples are left out; prepare with --spacing 0")  # fmt: skip
    trained, validated = (np.unique(as_rows(tuples)) for tuples in tuple_sets(frames.split))
    return TrainingData([frames], Poses.of([frames.annotation]), trained, validated, split=frames.split)


def split_by_squares(poses: Poses, rows: np.ndarray, part: float, square: float, seed: int):
    """(training rows, validation rows): whole squares of `square` metres until `part` of the rows validates.

    Training rows within the positive radius of a validation row belong to neither, so that no place is seen twice.
    """
    keys = np.floor_divide(poses.positions[rows], square).astype(np.int64)
    squares, member = np.unique(keys, axis=0, return_inverse=True)
    member = member.reshape(-1)
    order = np.random.default_rng(seed).permutation(len(squares))
    sizes = np.bincount(member, minlength=len(squares))[order]
    taken = order[np.cumsum(sizes) - sizes < part * len(rows)]
    is_validated = np.isin(member, taken)
    trained, validated = rows[~is_validated], rows[is_validated]
    if not len(validated) or not len(trained):
        return trained, validated
    near = neighbours(poses.positions[trained], poses.positions[validated], POSITIVE_M)
    return trained[[len(found) == 0 for found in near]], validated
