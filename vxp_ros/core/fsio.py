"""Every change that a map makes to the disk goes through here: flushed to the device, and open to fault injection.

FAISS and numpy writers are not used for maps: on a full disk `faiss.write_index` can report success and leave an empty
file. Here a write either reached the device (`fsync`) or raises OSError.
"""

import errno
import fcntl
import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

CHUNK = 1 << 20  # bytes per write call

# Tests set this to make the n-th step fail: called as before_step(operation, path) and may raise OSError.
before_step: Callable[[str, Path], None] | None = None


class Busy(Exception):
    """Another process holds the lock; the text says who."""


def write_file(path: Path, buffers: Iterable[bytes | memoryview]) -> tuple[int, str]:
    """Create `path` from byte buffers, in order, and flush it to the device. Returns (size in bytes, sha256 in hex).

    Raises FileExistsError when something has that name already, OSError when any step fails.
    """
    digest, size = hashlib.sha256(), 0
    _step("open", path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with named_errors(path):
            for chunk in _chunks(buffers):
                _step("write", path)
                _write_all(descriptor, chunk)
                digest.update(chunk)
                size += len(chunk)
            _step("fsync", path)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return size, digest.hexdigest()


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Let an OSError say which file it is about; calls on a descriptor know no name."""
    try:
        yield
    except OSError as problem:
        if problem.filename is None:
            raise OSError(problem.errno, problem.strerror, str(path)) from problem
        raise


def replace_file(path: Path, buffers: Iterable[bytes | memoryview]) -> None:
    """Write `path` anew, flushed: whoever reads it, now or after a crash, finds the old content or the whole new one.

    Not for two writers of one path at a time. Raises OSError when any step fails; the old content then stays.
    """
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)  # of a writer that was killed
    try:
        write_file(scratch, buffers)
        _step("replace", path)
        os.replace(scratch, path)
    except OSError:
        scratch.unlink(missing_ok=True)  # on a full disk each byte counts
        raise
    sync_folder(path.parent)


def create_array(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.memmap:
    """Make a .npy file of zeros, mapped into memory for writing. Raises OSError, and then leaves no file.

    Its space is reserved. A store into a file with holes ends the process (SIGBUS) when the disk has become full.
    """
    _step("open", path)
    try:
        array = np.lib.format.open_memmap(path, "w+", dtype, shape)
        reserve(path)
        return array
    except OSError:
        path.unlink(missing_ok=True)
        raise


def reserve(path: Path) -> None:
    """Give a file with holes all the space of its length; what it holds stays. Raises OSError."""
    _step("write", path)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        with named_errors(path):
            os.posix_fallocate(descriptor, 0, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _chunks(buffers: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    for buffer in buffers:
        view = memoryview(buffer)
        for start in range(0, len(view), CHUNK):
            yield view[start : start + CHUNK]


def _write_all(descriptor: int, view: memoryview) -> None:
    while view:  # the kernel may take less than it was given
        view = view[os.write(descriptor, view) :]


def create_folder(path: Path) -> None:
    """Make one new folder; its parent exists."""
    _step("mkdir", path)
    os.mkdir(path)


def create_scratch(parent: Path, prefix: str, suffix: str) -> Path:
    """Make a new folder in `parent` whose name nobody else has: PREFIX, random letters, SUFFIX. Readable by all."""
    _step("mkdir", parent)
    path = Path(tempfile.mkdtemp(dir=parent, prefix=prefix, suffix=suffix))
    os.chmod(path, 0o755)  # mkdtemp makes it private
    return path


def create_folders(path: Path) -> None:
    """Make a folder and its missing parents, flushed; nothing happens when it is there."""
    if path.is_dir():
        return
    create_folders(path.parent)
    try:
        create_folder(path)
    except FileExistsError:
        if not path.is_dir():  # else another process was faster
            raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries (new, renamed and removed names) to the device."""
    _step("fsync", path)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_folder(source: Path, target: Path) -> None:
    """Give a folder its final name. Raises OSError when a non-empty folder has it."""
    _step("rename", target)
    os.rename(source, target)


def create_link(link: Path, target: str) -> None:
    """Make a new symlink `link` that says `target`."""
    _step("symlink", link)
    os.symlink(target, link)


def replace_link(source: Path, target: Path) -> None:
    """Move the symlink `source` over `target` in one atomic step."""
    _step("replace", target)
    os.replace(source, target)


def remove_file(path: Path) -> None:
    """Remove one file or symlink."""
    _step("unlink", path)
    os.unlink(path)


def remove_folder(path: Path) -> None:
    """Remove a folder and the plain files in it. Raises OSError when it holds folders."""
    for entry in sorted(os.listdir(path)):
        remove_file(path / entry)
    _step("rmdir", path)
    os.rmdir(path)


@contextmanager
def lock(path: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock file `path`, which names its owner. Raises Busy when another holds it for `wait_s` seconds.

    The kernel drops a flock with its process, so the lock of a dead one is simply taken over. The file stays: removing
    it would let two processes lock two files of one name.
    """
    _step("lock", path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        _wait_for_lock(descriptor, wait_s)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            if problem.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() >= deadline:
                owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
                raise Busy(owner or "another process") from None
        time.sleep(0.02)


def _step(operation: str, path: Path) -> None:
    if before_step is not None:
        before_step(operation, path)
