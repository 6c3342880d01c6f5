"""Calls for other processes, which import this module by its name."""

import os
import signal


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def double(number: int) -> int:
    return 2 * number
