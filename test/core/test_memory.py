"""The heap of a process: what it keeps for the next frame, and what it gives back."""

import platform
import subprocess
import sys

import pytest

from vxp_ros.core.memory import give_back_freed_memory

FRAMES = """
import resource, sys, threading
from vxp_ros.core.memory import use_one_steady_heap

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    before = 0
    for i in range(40):
        if i == 20:
            before = faults()
        frame = [b"x" * (3 << 20) for _ in range(8)]
        del frame
    print((faults() - before) / 20)

if "steady" in sys.argv:
    use_one_steady_heap()
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_freed_memory_goes_back_to_the_computer(scattered_memory):
    memory = scattered_memory()
    assert memory.taken_mb > 180  # the control: all of it is free, and none of it has left the process
    give_back_freed_memory()
    assert memory.given_back_mb > 180


def pages_per_frame(*arguments: str) -> float:
    """New pages for each frame of 24 MB, on a thread of its own, in a process of its own."""
    command = [sys.executable, "-c", FRAMES, *arguments]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_a_steady_heap_keeps_what_one_frame_frees_for_the_next():
    assert pages_per_frame("steady") < 100
    assert pages_per_frame() > 1_000  # the control
