"""Files read whole: memory that goes back with its last reader, and files that change while they are read."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from vxp_ros.core.plain_file import LARGE_BYTES, read_large_file, read_plain_file

SIZE = 24 << 20  # smaller than what the C library always maps, so that it learns to put such blocks on the heap


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "clouds.npy"
    path.write_bytes(os.urandom(SIZE))
    return path


KEPT = """
import sys
from pathlib import Path
import psutil
from vxp_ros.core.plain_file import read_large_file, read_plain_file

read, path, size = globals()[sys.argv[1]], Path(sys.argv[2]), int(sys.argv[3])
read_plain_file(path, size)  # the first is mapped; its end teaches the C library not to map the next
before, small = psutil.Process().memory_info().rss, []
for _ in range(10):
    data = read(path, size)
    small.append(b"x" * 1_000)
    del data
print((psutil.Process().memory_info().rss - before) / 1e6)
"""


def kept_mb(read, path) -> float:
    """How much stays with a process when each of ten files is let go while a small block above it is in use."""
    command = [sys.executable, "-c", KEPT, read.__name__, str(path), str(SIZE)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_a_large_file_leaves_no_memory_behind(large):
    assert kept_mb(read_plain_file, large) > 20  # the control
    assert kept_mb(read_large_file, large) < 1


def test_large_and_small_files_come_back_equal(tmp_path):
    for size in (0, 1, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1):
        (tmp_path / "file").write_bytes(content := os.urandom(size))
        data = read_large_file(tmp_path / "file", size)
        assert bytes(data) == content
        assert not np.frombuffer(data, np.uint8).flags.writeable if size else data == b""


@pytest.mark.parametrize("other", [0, 10, LARGE_BYTES - 1, LARGE_BYTES + 1])
def test_a_file_of_another_size_is_refused(tmp_path, other):
    (tmp_path / "file").write_bytes(bytes(other))
    with pytest.raises(OSError, match="bytes"):
        read_large_file(tmp_path / "file", LARGE_BYTES)


def test_links_are_not_followed_and_folders_not_read(tmp_path):
    (tmp_path / "file").write_bytes(bytes(LARGE_BYTES))
    (tmp_path / "link").symlink_to("file")
    for name in ("link", "."):
        with pytest.raises(OSError):
            read_large_file(tmp_path / name, LARGE_BYTES)
