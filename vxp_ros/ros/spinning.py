"""Spinning that outlives what callbacks raise: rclpy's own do so for some messages, as for a /clock before 1970."""

import time
import traceback
from collections.abc import Callable

import rclpy
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.node import Node

from ..core.errors import printable
from .ledger import LogLimiter
from .reports import Level, Report

# How soon a signal is seen at the latest; the diagnostics tick as often anyway.
LONGEST_WAIT = 0.25
# Only a defect fails so often without a success in between: it must not take the processor from others.
MANY_IN_A_ROW, PAUSE = 20, 0.1


class Failures:
    """Counts and logs what came out of the callbacks of a node: whole the first time, then a line in 5 s."""

    def __init__(self, node: Node):
        self.count = 0
        self._node = node
        self._last, self._told = "", 0
        self._known: set[str] = set()
        self._limiter = LogLimiter()

    def note(self, problem: Exception) -> None:
        self.count += 1
        where = place_of(problem)
        self._last = printable(f"{type(problem).__name__}: {problem}")
        text = self._limiter.text(where, f"a callback failed, the node goes on: {self._last} ({where})")
        if where not in self._known:
            self._known.add(where)
            text = "\n".join([text, *traceback.format_exception(problem)])
        if text:
            self._node.get_logger().error(printable(text))

    def reports(self) -> list[Report]:
        """One diagnostic status once something has failed: a warning when that was since the last report."""
        if not self.count:
            return []
        level, self._told = Level.WARN if self.count > self._told else Level.OK, self.count
        return [Report("callbacks", level, f"{self.count} failed, the last: {self._last}", {"failed": self.count})]


def place_of(problem: Exception) -> str:
    """FILE:LINE that raised it; `traceback` would read the sources, milliseconds that a flood of messages adds up."""
    step = problem.__traceback__
    while step.tb_next:
        step = step.tb_next
    return f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}"


def spin(executor: Executor, failures: Failures, is_over: Callable[[], bool] = lambda: False) -> None:
    """Until `is_over`, or until the context ends. KeyboardInterrupt passes through."""
    in_a_row = 0
    while rclpy.ok() and not is_over():
        in_a_row = 0 if spin_once(executor, failures, LONGEST_WAIT) else in_a_row + 1
        if in_a_row > MANY_IN_A_ROW:
            time.sleep(PAUSE)


def spin_once(executor: Executor, failures: Failures, timeout: float) -> bool:
    """Whether nothing failed; what failed is noted. When the context has ended, that is no failure."""
    try:
        executor.spin_once(timeout_sec=timeout)
    except ExternalShutdownException:
        pass
    except Exception as problem:
        if rclpy.ok():
            failures.note(problem)
            return False
    return True
