"""Files of strangers, read whole: never a pipe or a device, which have no end, and never more than was agreed."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from .memory import new_memory

LARGE_BYTES = 64 << 10  # from here on, memory of its own; smaller ones find room on the heap between others


def read_plain_file(path: Path, limit: int, follow: bool = True) -> bytes:
    """All bytes of a plain file of at most `limit` bytes. follow: whether it may be a link to one.

    Raises OSError whose strerror is the reason.
    """
    with open_plain_file(path, limit, follow) as file:
        return read_to_end(file, path, limit)


def read_large_file(path: Path, size: int) -> bytes | memoryview:
    """As read_plain_file, for a file of just `size` bytes that is no link; many bytes come in memory of their own.

    That goes back to the computer with its last reader. On the heap, pieces of it would stay with the process: a node
    that loads a map again and again grew by 13 MB in an hour.
    """
    with open_plain_file(path, size, follow=False) as file:
        if size < LARGE_BYTES:
            return read_to_end(file, path, size)
        memory = new_memory(size)
        if file.readinto(memory) < size or file.read(1):
            raise OSError(errno.EIO, f"it has not the {size} bytes of a moment ago", str(path))
        return memory.toreadonly()


def open_plain_file(path: Path, limit: int, follow: bool) -> BufferedReader:
    no_link = 0 if follow else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | no_link)  # a pipe would wait for a writer
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(path))
        if status.st_size > limit:
            raise too_large(path, limit)
        return open(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def read_to_end(file: BufferedReader, path: Path, limit: int) -> bytes:
    data = file.read(limit + 1)  # it may have grown
    if len(data) > limit:
        raise too_large(path, limit)
    return data


def too_large(path: Path, limit: int) -> OSError:
    return OSError(errno.EFBIG, f"it has more than {limit} bytes", str(path))
