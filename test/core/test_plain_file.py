"""Files read whole: memory that goes back with its last reader, and files that change while they are read."""

import os

import numpy as np
import pytest

from vxp_ros.core.memory import give_back_freed_memory
from vxp_ros.core.plain_file import LARGE_BYTES, read_large_file, read_plain_file

SIZE = 24 << 20  # smaller than what the C library always maps, so that it learns to put such blocks on the heap


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "clouds.npy"
    path.write_bytes(os.urandom(SIZE))
    return path


def kept_mb(scattered_memory, read) -> float:
    """How much stays with the process when each of ten files is let go while a small block above it is in use."""
    give_back_freed_memory()
    memory, small = scattered_memory(blocks=0), []
    for _ in range(10):
        data = read()
        small.append(b"x" * 1_000)
        del data
    return -memory.given_back_mb


def test_a_large_file_leaves_no_memory_behind(large, scattered_memory):
    read_plain_file(large, SIZE)  # the first is mapped; its end teaches the C library not to map the next
    assert kept_mb(scattered_memory, lambda: read_plain_file(large, SIZE)) > 20  # the control
    assert kept_mb(scattered_memory, lambda: read_large_file(large, SIZE)) < 1


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
