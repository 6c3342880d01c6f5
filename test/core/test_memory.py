"""Memory of processes that run for days: what stays behind, and how much of it frames take anew."""

import gc
import platform
import subprocess
import sys
import weakref

import numpy as np
import psutil
import pytest

from vxp_ros.core import memory as memory_module
from vxp_ros.core.memory import (
    CHUNK_BYTES,
    THRESHOLDS,
    LastingMemory,
    give_back_freed_memory,
    heap_in_use,
    new_memory,
    search_everything,
    search_only_what_comes,
)

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")

FRAMES = """
import resource, sys
from vxp_ros.core.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
sizes = [1_000_000] * 10  # together more than twice the largest, which is what glibc keeps by default
for frame in range(30):
    if frame == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [b"x" * size for size in sizes]
    del blocks
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 20)
"""

CLOUDS = """
import sys
import numpy as np, psutil
from vxp_ros.core.memory import LastingMemory, keep_freed_memory

keep_freed_memory()
lasting = LastingMemory()
copy = lasting.copy if sys.argv[1] == "lasting" else np.array
before = psutil.Process().memory_info().rss
clouds, small = [], []
for _ in range(2_000):
    transient = np.ones(15_000, np.float32)  # what a frame needs for a moment
    clouds.append(copy(transient))
    small.append(b"x" * 1_000)
    del transient
del clouds, lasting, copy
print((psutil.Process().memory_info().rss - before) / 1e6)
"""

THREADS = """
import ctypes, sys, threading

if sys.argv[1] == "default":
    ctypes.CDLL(None).mallopt(-8, 8)  # as by itself on a computer with one core; it counts from the first thread on
from vxp_ros.core.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
blocks, all_have_one = [], threading.Barrier(50, timeout=60)

def take():
    blocks.append(b"x" * 20_000)
    all_have_one.wait()

threads = [threading.Thread(target=take) for _ in range(50)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len({id(block) >> 26 for block in blocks}))  # a thread's heap begins at a multiple of 64 MiB
"""

GROWTH = """
import resource, sys, threading
from contextlib import nullcontext
from vxp_ros.core.memory import filled_heap, keep_freed_memory

def work():
    with filled_heap() if sys.argv[1] == "filled" else nullcontext():
        grow()

def grow():
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    small = []
    for frame in range(30):  # each a bit larger than the holes of those before
        blocks = [b"x" * (1_000_000 + 10_000 * frame) for _ in range(40)]
        small.append(b"x" * 10_000)
        del blocks
    print(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)

keep_freed_memory()
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""

ENDED = """
import sys, threading
import psutil
from vxp_ros.core import memory

rss_mb = lambda: psutil.Process().memory_info().rss / 1e6
memory.keep_freed_memory()
if sys.argv[1] == "kept":
    memory.give_back_heap = lambda: None

def work():
    with memory.filled_heap():
        pass

before = rss_mb()
thread = threading.Thread(target=work)
thread.start()
thread.join()
memory.give_back_freed_memory()
print(rss_mb() - before)
"""

CYCLES = """
import gc, sys
from collections import deque

gc.set_threshold(700, 10, 10)  # as before Python 3.13
from vxp_ros.core.memory import search_only_what_comes

alive = 0

class Part:
    __slots__ = ("itself",)  # one object, whatever the Python

    def __init__(self):
        global alive
        self.itself, alive = self, alive + 1

    def __del__(self):
        global alive
        alive -= 1

lasting = [[] for _ in range(600_000)]  # as libraries and a model
gc.collect()
if sys.argv[1] == "passed over":
    search_only_what_comes()
used = deque(maxlen=20_000)  # for long enough to count as old
for _ in range(120_000):
    used.append(Part())
print(alive - len(used))
"""


def number_from(program: str, argument: str) -> float:
    command = [sys.executable, "-c", program, argument]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_freed_memory_goes_back_to_the_computer(scattered_memory):
    memory = scattered_memory()
    assert memory.taken_mb > 180  # the control: all of it is free, and none of it has left the process
    give_back_freed_memory()
    assert memory.given_back_mb > 180


@needs_glibc
def test_frames_use_the_same_memory_again():
    assert number_from(FRAMES, "default") > 1_000  # the control
    assert number_from(FRAMES, "kept") < 50


@needs_glibc
def test_each_thread_has_a_heap_of_its_own():
    assert number_from(THREADS, "default") <= 8  # the control
    assert number_from(THREADS, "kept") == 50


@needs_glibc
def test_a_filled_heap_does_not_grow_with_the_frames():
    assert number_from(GROWTH, "as it is") > 10_000  # the control
    assert number_from(GROWTH, "filled") < 100


@needs_glibc
def test_a_filled_heap_goes_back_with_its_thread():
    assert number_from(ENDED, "kept") > 55  # the control
    assert number_from(ENDED, "given back") < 10


@needs_glibc
def test_blocks_in_use_are_counted_though_they_fill_holes(scattered_memory):
    memory = scattered_memory()
    gc.collect()
    start, taken = heap_in_use(), psutil.Process().memory_info().rss
    blocks = [b"x" * 100_000 for _ in range(100)]
    assert 9.5 < (heap_in_use() - start) / 1e6 < 11
    assert psutil.Process().memory_info().rss - taken < 1e6  # the control: the process has grown by nothing
    del blocks
    assert abs(heap_in_use() - start) < 0.5e6
    assert memory.taken_mb > 180


@needs_glibc
def test_a_map_that_is_let_go_leaves_nothing_on_the_heap():
    assert number_from(CLOUDS, "heap") > 80  # the control
    assert number_from(CLOUDS, "lasting") < 12


def test_reference_cycles_do_not_lie_about_for_long():
    assert number_from(CYCLES, "searched") == 100_000  # the control
    assert number_from(CYCLES, "passed over") < 20_000


@pytest.fixture
def searched():
    """Whatever the test leaves behind."""
    yield
    search_everything()
    gc.collect()


class Part:
    """Of a model, say, that knows itself."""

    def __init__(self):
        self.itself = self


def test_what_stood_is_searched_again_when_it_is_let_go(searched):
    part = Part()
    here = weakref.ref(part)
    search_only_what_comes()
    del part
    gc.collect()
    assert here() is not None  # the control
    search_everything()
    gc.collect()
    assert here() is None and gc.get_threshold() == THRESHOLDS


def test_garbage_is_not_passed_over(searched):
    here = weakref.ref(Part())
    search_only_what_comes()
    assert here() is None


def test_copies_are_equal_read_only_and_their_own():
    lasting, generator = LastingMemory(), np.random.default_rng(1)
    sizes = [1, 7, 0, 1_000, CHUNK_BYTES // 4 - 1, CHUNK_BYTES, 3]
    originals = [generator.normal(size=size).astype(np.float32) for size in sizes]
    copies = [lasting.copy(original) for original in originals]
    expected = [original.copy() for original in originals]
    for original in originals:
        original[:] = -1
    for copy, value in zip(copies, expected, strict=True):
        np.testing.assert_array_equal(copy, value)
        assert not copy.size or not copy.flags.writeable


def test_copies_are_aligned_whatever_came_before():
    lasting = LastingMemory()
    for size in range(1, 20):
        lasting.copy_bytes(bytes(size))
        assert lasting.copy(np.ones(size)).flags.aligned


def test_a_copy_is_contiguous_whatever_the_original():
    original = np.arange(24, dtype=np.float32).reshape(4, 6)[:, ::2].T
    copy = LastingMemory().copy(original)
    np.testing.assert_array_equal(copy, original)
    assert copy.flags.c_contiguous and copy.dtype == original.dtype


def test_bytes_come_back_equal():
    lasting = LastingMemory()
    for data in (b"", b"x", bytes(1_000), memoryview(b"abc")):
        assert lasting.copy_bytes(data) == data
    data = bytearray(b"abc")
    copy = lasting.copy_bytes(memoryview(data))
    data[0] = 0
    assert copy == b"abc" and copy.readonly


def test_no_room_is_an_error_that_loses_nothing(monkeypatch):
    lasting = LastingMemory()
    first = lasting.copy(np.ones(3))
    with monkeypatch.context() as patch:
        patch.setattr(memory_module, "new_memory", no_room)
        with pytest.raises(OSError, match="no room"):
            lasting.copy(np.ones(CHUNK_BYTES))
        np.testing.assert_array_equal(lasting.copy(np.full(3, 2.0)), [2, 2, 2])
    np.testing.assert_array_equal(first, [1, 1, 1])


def no_room(_size):
    raise OSError(12, "no room")


def test_what_the_computer_cannot_give_is_refused():
    with pytest.raises(OSError):
        new_memory(1 << 62)
