"""Segments of shared memory that killed processes left: nobody else removes them, and each takes up to 67 MiB."""

import fcntl
import os
import re
import time
from contextlib import suppress
from pathlib import Path

SEGMENT = re.compile(r"(fastdds|fastrtps)_[0-9a-f]{16}")
# Fast DDS makes a segment and then locks it; one of this age was locked long ago, or its maker is dead.
SETTLED_S = 60.0


def remove_orphans(folder: Path = Path("/dev/shm")) -> int:
    """Remove the Fast DDS segments whose process is gone, as `fastdds shm clean` does; how many bytes that freed.

    The kernel drops the lock of a segment's process with the process. What belongs to others is left alone.
    """
    freed = 0
    for lock in folder.glob("fast*_el"):
        segment = lock.with_name(lock.name.removesuffix("_el"))
        if SEGMENT.fullmatch(segment.name):
            with suppress(OSError):  # somebody else was faster, or may do what we may not
                freed += remove_if_orphaned(segment, lock)
    return freed


def remove_if_orphaned(segment: Path, lock: Path) -> int:
    """Raises OSError when the lock is held, among others."""
    if time.time() - lock.stat().st_mtime < SETTLED_S:
        return 0
    descriptor = os.open(lock, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = segment.stat().st_blocks * 512 if segment.exists() else 0
        segment.unlink(missing_ok=True)
        lock.unlink()
        return size
    finally:
        os.close(descriptor)
