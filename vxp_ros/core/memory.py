"""What a process frees, given back to the computer: the C library would keep most of it for later."""

import ctypes
from contextlib import suppress


def give_back_freed_memory() -> None:
    """Call where much was freed at once: after a node let go of its model and map. Takes about 20 ms in a process of 500 MiB.

    glibc hands a heap's free pages back only from its top: what lay below one small block that is still in use stays
    with the process, and the peaks of maps and frames that meet by chance add up over hours. Elsewhere nothing happens.
    """
    with suppress(AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)
