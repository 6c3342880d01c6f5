"""Memory of processes that run for days: what frames free is used again, and what maps keep lies apart from it.

What is kept for minutes among blocks that come and go with each frame splits the heap, and its pieces add up.
"""

import ctypes
import gc
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache

import numpy as np

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # of glibc's mallopt
MMAP_BYTES = 32 << 20  # the most that glibc takes
KEPT_BYTES = 256 << 20  # more than a frame ever needs
MOST_HEAPS = 1024  # more than a node has threads
BLOCK_BYTES, FIRST_HEAP_BLOCKS = 1 << 20, 60  # the first heap of a thread other than the main one has 64 MiB
CHUNK_BYTES = 8 << 20
THRESHOLDS = gc.get_threshold()  # new objects before the youngest are searched, and how often until older ones are
ALIGNMENT = 64  # a cache line


def keep_freed_memory() -> None:
    """Have glibc keep what a frame frees for the next one, instead of handing it back and forth. Call at the start.

    Ten blocks of a megabyte then cost no new page, instead of 2,400, each time. And each thread has a heap of its own,
    where threads share one above eight for each core: what one keeps would lie among what another needs for a moment.
    Elsewhere nothing happens.
    """
    with suppress(AttributeError):  # no glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, MMAP_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(ARENA_MAX, MOST_HEAPS)


@contextmanager
def filled_heap() -> Iterator[None]:
    """Take at once, and free for use, what frames would bring the calling thread's heap to in time; for its whole work.

    A network's large blocks fit into the holes of the frame before, until a small one that stays takes a hole: then the
    heap grows by a piece of a block, after minutes or hours, and never shrinks. ROS 2's advice for real time is the
    same: touch the memory before the work begins. Takes 60 MiB and 0.03 to 0.2 s, or nothing where there is no room for
    that. Without `keep_freed_memory` the heap goes back at once.
    """
    with suppress(MemoryError):
        blocks = [b"x" * BLOCK_BYTES for _ in range(FIRST_HEAP_BLOCKS)]
        del blocks
    try:
        yield
    finally:
        give_back_heap()


def give_back_heap() -> None:
    """For a thread that ends: `give_back_freed_memory` does not reach what is free at the top of its heap."""
    with suppress(AttributeError, MemoryError):  # no C library that has it
        madvise = ctypes.CDLL(None).madvise
        blocks = [np.empty(BLOCK_BYTES, np.uint8) for _ in range(FIRST_HEAP_BLOCKS)]
        for block in blocks:
            start = -(-block.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
            size = (block.ctypes.data + len(block) - start) // mmap.PAGESIZE * mmap.PAGESIZE
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), mmap.MADV_DONTNEED)


class HeapCounts(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks")),
        *((name, ctypes.c_size_t) for name in ("uordblks", "fordblks", "keepcost")),
    ]


def heap_in_use() -> int:
    """Bytes of glibc's heaps that are in use at the moment: they grow with a leak there even while it fills holes.

    Python's objects of up to 512 bytes and what maps keep lie elsewhere. 0: unknown. Takes 1 ms beside 10,000 holes.
    """
    if (mallinfo := count_heaps()) is None:
        return 0
    counts = mallinfo()
    return counts.uordblks + counts.hblkhd


@cache
def count_heaps() -> Callable[[], HeapCounts] | None:
    """glibc's mallinfo2; None where there is none, or one before 2.33."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is not None:
        mallinfo.restype = HeapCounts
    return mallinfo


def give_back_freed_memory() -> None:
    """For where much was freed at once, as when a node lets go of its model and map. Takes 20 ms in 500 MiB.

    glibc hands a heap's free pages back only from its top: what lay below one small block that is still in use stays
    with the process. Elsewhere nothing happens.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def search_only_what_comes() -> None:
    """Have Python's search for garbage pass over all objects that stand now, such as libraries and the model.

    Python searches everything after many thousand new objects, and only when those that wait are a quarter of what it
    found the last time: beside the 350,000 of torch and the rest that is once in hours, and stops a node for 0.2 s.
    Until then dead reference cycles stay between blocks in use, and so do up to 2,000 freed tuples of each length. For
    a process that is one node: it counts for the whole of it. Takes 0.2 s.
    """
    gc.collect()  # what is garbage already would be passed over, too
    gc.freeze()
    gc.collect()  # finds next to nothing, which the next quarter is counted from
    gc.set_threshold(THRESHOLDS[0], 2, 1)


def search_everything() -> None:
    """Undo `search_only_what_comes`, for where what stood then is let go."""
    gc.unfreeze()
    gc.set_threshold(*THRESHOLDS)


def new_memory(size: int) -> memoryview:
    """`size` > 0 bytes of zeros apart from the heap, which go back to the computer with their last view.

    Raises OSError when the computer has no room.
    """
    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


class LastingMemory:
    """Room apart from the heap for what is kept long, as the places of a map. One thread at a time.

    It is taken in chunks; each goes back to the computer with the last copy that lies in it.
    """

    def __init__(self):
        self._chunk, self._used = memoryview(b""), 0

    def copy(self, array: np.ndarray) -> np.ndarray:
        """The same array, C-contiguous, read-only and in this memory. Raises OSError when the computer has no room."""
        if not array.size:
            return array.copy()
        start = self._take(array.nbytes)
        room = np.ndarray(array.shape, array.dtype, buffer=self._chunk, offset=start)  # one object, not three views
        room[...] = array
        room.flags.writeable = False
        return room

    def copy_bytes(self, data: bytes | memoryview) -> bytes | memoryview:
        """The same bytes, read-only and in this memory. Raises OSError when the computer has no room."""
        return self.copy(np.frombuffer(data, np.uint8)).data if len(data) else b""

    def _take(self, size: int) -> int:
        """Where `size` free bytes of the chunk begin."""
        if self._used + size > len(self._chunk):
            self._chunk, self._used = new_memory(max(size, CHUNK_BYTES)), 0
        start, self._used = self._used, self._used + -(-size // ALIGNMENT) * ALIGNMENT
        return start
