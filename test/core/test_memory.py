"""Freed memory leaves the process, although blocks that are in use lie between what was freed."""

from vxp_ros.core.memory import give_back_freed_memory


def test_freed_memory_goes_back_to_the_computer(scattered_memory):
    memory = scattered_memory()
    assert memory.taken_mb > 180  # the control: all of it is free, and none of it has left the process
    give_back_freed_memory()
    assert memory.given_back_mb > 180
