"""Files of strangers, read whole: never a pipe or a device, which have no end, and never more than was agreed."""

import errno
import os
import stat
from pathlib import Path


def read_plain_file(path: Path, limit: int, follow: bool = True) -> bytes:
    """All bytes of a plain file of at most `limit` bytes. follow: whether it may be a link to one.

    Raises OSError whose strerror is the reason.
    """
    no_link = 0 if follow else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | no_link)  # a pipe would wait for a writer
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(path))
        if status.st_size <= limit:
            data = file.read(limit + 1)  # it may have grown
            if len(data) <= limit:
                return data
        raise OSError(errno.EFBIG, f"it has more than {limit} bytes", str(path))
