"""A bag's folder on the disk: made beside its place and renamed when complete, in place of nothing but another bag.

Beside NAME lie, hidden: `.NAME.lock` (stays), `.NAME.XXXXXXXX.new` while a bag is written, and `.NAME.XXXXXXXX.old` for
the moment between the two renames of a replacement. What a killed writer left is put right at the next start.
"""

import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core import fsio
from ..core.errors import SourceError

logger = logging.getLogger(__name__)

METADATA = "metadata.yaml"
STORAGE_SUFFIXES = (".mcap", ".db3")
# What a writer may have open when it is killed, besides.
UNFINISHED = re.compile(r"metadata\.yaml\.tmp|.*\.db3-(journal|wal|shm)")
LOCK_WAIT_S = 1.0  # a reader that gives an old bag its name back holds the lock for a moment


@contextmanager
def new_bag(out: Path, overwrite: bool) -> Iterator[Path]:
    """A path at which to write a bag; it moves to `out` when the block ends well, and goes when it raises.

    Raises SourceError when `out` is no place for a bag (see `check_target`) or another process writes there.
    """
    check_target(out, overwrite)
    fsio.create_folders(out.parent)
    with writer_lock(out):
        clear(out)
        check_target(out, overwrite)
        scratch = hidden(out, "new")
        fsio.create_folder(scratch)
        try:
            yield scratch / out.name
            check_target(out, overwrite)  # writing took its time
            publish(scratch / out.name, out)
        finally:
            remove(scratch)


def check_target(out: Path, overwrite: bool) -> None:
    """Raise SourceError unless a bag may be written there: a new name or, with `overwrite`, a bag and nothing else."""
    if out.name in ("", ".."):
        raise SourceError(f"{str(out)!r} names no new folder; give the bag a name of its own")
    if out.is_symlink():
        raise SourceError(f"{out} is a symbolic link; remove it or choose another name")
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise SourceError(f"{out} exists already; remove it or choose another name")
    if not is_bag(out):
        raise SourceError(f"{out} holds something else than one bag and is not overwritten; choose another name")


def is_bag(path: Path) -> bool:
    """True for a folder with metadata.yaml and nothing besides but storage files."""
    return is_plain_folder(path) and METADATA in os.listdir(path) and all(map(is_bag_file, path.iterdir()))


def is_plain_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def is_bag_file(path: Path) -> bool:
    is_plain = path.is_file() and not path.is_symlink()
    return is_plain and (path.name == METADATA or path.suffix in STORAGE_SUFFIXES)


@contextmanager
def writer_lock(out: Path) -> Iterator[None]:
    """Be the one writer of a bag. Raises SourceError that says who the other is."""
    try:
        with fsio.lock(out.parent / f".{out.name}.lock", LOCK_WAIT_S):
            yield
    except fsio.Busy as problem:
        raise SourceError(f"{out} is being written by {problem}; wait for it or choose another name") from None


def hidden(out: Path, kind: str) -> Path:
    """A fresh path that `leftovers` knows. kind: "new" or "old"."""
    return out.parent / f".{out.name}.{secrets.token_hex(4)}.{kind}"


def leftovers(out: Path, kind: str) -> list[Path]:
    """What killed writers of this bag left, by kind."""
    pattern = re.compile(rf"\.{re.escape(out.name)}\.[0-9a-f]{{8}}\.{kind}")
    entries = os.listdir(out.parent) if out.parent.is_dir() else []
    return [out.parent / entry for entry in sorted(entries) if pattern.fullmatch(entry)]


def publish(new: Path, out: Path) -> None:
    """Give the complete bag its name, flushed to the device. An old one keeps another name until then.

    Whatever moment this is killed at, one of the two has the name or gets it at the next start.
    """
    sync(new)
    old = hidden(out, "old")
    has_old = out.exists()
    if has_old:
        fsio.rename_folder(out, old)
    try:
        fsio.rename_folder(new, out)
    except BaseException:
        if has_old:
            fsio.rename_folder(old, out)
        raise
    fsio.sync_folder(out.parent)
    if has_old:
        remove(old)


def sync(folder: Path) -> None:
    """Flush a new bag's files and their names to the device."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    fsio.sync_folder(folder)
    fsio.sync_folder(folder.parent)


def restore(path: Path) -> None:
    """Give an old bag its name back if its writer was killed before the new one had it. Readers call this too."""
    if not path.name or os.path.lexists(path) or not leftovers(path, "old"):
        return
    try:
        with writer_lock(path):
            take_back(path)
    except (OSError, SourceError) as problem:
        logger.warning("bag %s cannot be restored from %s: %s", path, leftovers(path, "old"), problem)


def clear(out: Path) -> None:
    """Put right what killed writers left; the caller holds the lock."""
    take_back(out)
    for path in [*leftovers(out, "new"), *leftovers(out, "old")]:
        remove(path)


def take_back(out: Path) -> None:
    old = [path for path in leftovers(out, "old") if is_bag(path)]
    if old and not os.path.lexists(out):
        fsio.rename_folder(old[-1], out)
        logger.warning("bag %s was about to be replaced when its writer was killed: the old bag is back", out)


def remove(path: Path) -> None:
    """Remove a hidden folder that holds at most a bag, whole or in parts; log what stays and why."""
    try:
        folders = [entry for entry in path.iterdir() if is_plain_folder(entry)]
        files = [entry for folder in (path, *folders) for entry in folder.iterdir() if entry not in folders]
        if path.is_symlink() or not all(is_bag_file(file) or UNFINISHED.fullmatch(file.name) for file in files):
            logger.warning("%s looks like what a killed writer leaves, but holds other things: left alone", path)
            return
        for folder in (*folders, path):
            fsio.remove_folder(folder)
    except OSError as problem:
        logger.warning("%s is of no use and cannot be removed now: %s", path, problem.strerror)
