"""Drives through towns as one data set: recorded when they are not there yet, read straight from the recordings."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vxp_ros.core.datatypes import Frame

from .annotation import Annotation, concatenate
from .prepare import planar
from .town.splits import Split, check_days, find_split
from .town.store.master import Recording
from .town.store.recording import record
from .town.store.task import RigChoice, Task

RIG = RigChoice(cameras=1, size=(320, 180), rings=32)


class TownDays:
    """Frames of recordings by row of an annotation, like PreparedData. Drives are called TOWN-DAY."""

    def __init__(self, recordings: list[Recording]):
        self.recordings = recordings
        self.annotation = concatenate([table_of(recording) for recording in recordings])
        self._places = [(recording, number) for recording in recordings for number in recording.numbers]

    def __len__(self) -> int:
        return len(self._places)

    def frame(self, row: int) -> Frame:
        """Raises BadInput for a damaged file."""
        recording, number = self._places[row]
        return recording.frame(number)

    def poses(self, drive: str) -> np.ndarray:
        """[N, 4, 4] T_world_base of the drive TOWN-DAY."""
        recording = next(entry for entry in self.recordings if name_of(entry) == drive)
        return recording.poses[recording.numbers]

    def fingerprint(self) -> str:
        facts = [(recording.meta["key"], recording.numbers) for recording in self.recordings]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def table_of(recording: Recording) -> Annotation:
    """No paths: a recording's files are none that others read."""
    numbers = recording.numbers
    north, east, yaw = planar(recording.poses[numbers])
    none = np.full(len(numbers), "")
    return Annotation(
        np.full(len(numbers), name_of(recording)), recording.stamps_ns[numbers], north, east, yaw, none, none
    )


def name_of(recording: Recording) -> str:
    return f"{recording.meta['split']['name']}-{recording.meta['day']['name']}"


@dataclass(frozen=True)
class Spacing:
    """How a drive is sampled: metres between frames, and metres into the route at which they begin."""

    metres: float
    start: float = 0.0


def record_days(
    towns: Sequence[str | Split],
    days: dict[str, Spacing],
    cache: Path | None = None,
    processes: int | None = None,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
    limit: int | None = None,
    rig: RigChoice = RIG,
) -> TownDays:
    """Drives through all of these towns (or splits of these names) on all of these days.

    cache, processes, limit (frames of each drive): as for `recording.record`. progress: gives a drive's name a function
    of (done, all).

    Raises SourceError for unknown towns and days. Towns overlap in space: ask about neighbours town by town.
    """
    splits = [town if isinstance(town, Split) else find_split(town) for town in towns]
    names = check_days(list(days))
    bar = progress or (lambda name: lambda done, total: None)
    tasks = [
        Task(split, day, rig, spacing=days[day].metres, start=days[day].start) for split in splits for day in names
    ]
    return TownDays([record(task, cache, limit, processes, bar(f"{task.split.name} {task.day}")) for task in tasks])
