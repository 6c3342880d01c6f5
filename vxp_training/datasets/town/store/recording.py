"""Records a task into its master folder: one process per core, resumed where a killed run stopped, done only once."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vxp_ros.core import fsio
from vxp_ros.core.errors import SourceError
from vxp_ros.core.resources import user_cache

from .master import Recording
from .master_files import is_frame_whole, is_head_whole, read_meta
from .processes import Workers
from .task import Task

Progress = Callable[[int, int], None]


def default_cache() -> Path:
    """Where masters are kept: vxp/town in the user's cache folder."""
    return user_cache("town")


def record(
    task: Task,
    cache: Path | None = None,
    limit: int | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Recording:
    """Render what is missing of the task's first `limit` frames (None: of all) and return the recording of those.

    cache: where the master folder goes, None for `default_cache()`. processes: None for one per core; 1 renders in this
    one. progress: called as progress(done, all) now and then. The result does not depend on the number of processes.
    Frames are checked against their checksums and rendered anew where they differ. Raises SourceError when another
    process records the same, VxpError when a renderer dies.
    """
    folder = task.folder(cache or default_cache())
    fsio.create_folders(folder)
    with only_writer(folder):
        if is_head_whole(folder, task.key()) and not missing_frames(folder, wanted_numbers(folder, limit)):
            done = len(wanted_numbers(folder, limit))
            if progress:
                progress(done, done)
        else:
            render_missing(task, folder, limit, processes or len(os.sched_getaffinity(0)), progress)
    return Recording(folder, frames=slice(limit))


def wanted_numbers(folder: Path, limit: int | None) -> range:
    count = read_meta(folder)["frames"]
    return range(count if limit is None else min(limit, count))


def missing_frames(folder: Path, numbers: range) -> list[int]:
    return [number for number in numbers if not is_frame_whole(folder, number)]


def render_missing(task: Task, folder: Path, limit: int | None, processes: int, progress: Progress | None) -> None:
    from . import studio  # needs numba and embreex, which a complete master does not

    report = progress or (lambda done, total: None)
    for scratch in folder.rglob(".*.[0-9]*"):  # of killed writers
        scratch.unlink()
    with Workers(processes) as workers:
        if not is_head_whole(folder, task.key()):
            workers.submit(studio.prepare, task, folder, task.key())
            for _ in range(processes - 1):  # the others need not wait for the first
                workers.submit(studio.warm_up, task)
            list(workers.results())
        numbers = wanted_numbers(folder, limit)
        missing = missing_frames(folder, numbers)
        done = len(numbers) - len(missing)
        report(done, len(numbers))
        for number in missing:
            workers.submit(studio.render, task, folder, number)
        for _ in workers.results():
            done += 1
            report(done, len(numbers))


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Raises SourceError that says who else records the same."""
    try:
        with fsio.lock(folder / ".lock", wait_s=0.0):
            yield
    except fsio.Busy as problem:
        raise SourceError(f"{folder} is being recorded by {problem}; wait for it") from None
