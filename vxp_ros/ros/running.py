"""A node's process: start, spin, and an orderly end on Ctrl-C, SIGTERM or launch's shutdown."""

import argparse
import gc
import signal
import sys
from collections.abc import Callable

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from ..core.memory import keep_freed_memory
from .lifecycle import SensorNode
from .shared_memory import remove_orphans
from .spinning import spin, spin_once


def run(make_node: Callable[[], SensorNode], argv: list[str] | None = None) -> None:
    """Run a node until a signal, then exit with 0; with 1 and one sentence when it cannot start."""
    arguments, ros_arguments = parse(sys.argv if argv is None else argv)
    stop = StopSignal()
    try:
        sys.exit(serve(make_node, arguments.autostart, ros_arguments, stop))
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # Python restores the defaults at its end; Ctrl-C comes twice
            signal.signal(number, signal.SIG_IGN)
        rclpy.try_shutdown()
        gc.collect()  # frees the node's shared memory, which would outlive the process
        gc.freeze()  # else Python searches all of torch for garbage, more than once: 1 s more until the end


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description="a vxp_ros node; ROS arguments follow --ros-args", allow_abbrev=False)
    parser.add_argument("--autostart", action="store_true", help="configure and activate at once, without launch")
    ours = argv[1 : argv.index("--ros-args")] if "--ros-args" in argv else argv[1:]
    theirs = argv[len(ours) + 1 :]
    return parser.parse_args(ours), [argv[0], *theirs]


class StopSignal:
    """Notes SIGINT and SIGTERM. A flag instead of an exception: nothing is interrupted half-way, not even twice."""

    def __init__(self):
        self.is_set = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, _number, _frame) -> None:
        self.is_set = True


def serve(make_node: Callable[[], SensorNode], autostart: bool, ros_arguments: list[str], stop: StopSignal) -> int:
    """The exit code."""
    keep_freed_memory()
    remove_orphans()  # of a node that was killed, as this one may have been a moment ago
    try:
        # rclpy's own handlers would invalidate the context before the node has saved its map and said its last word.
        rclpy.init(args=ros_arguments, signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
    except (ValueError, RuntimeError) as problem:  # YAML or a command line that rcl, or we, cannot accept
        print(f"cannot start: {problem}", file=sys.stderr)
        return 1
    executor, failures = SingleThreadedExecutor(), node.diagnostics.failures
    executor.add_node(node)
    try:
        if autostart and not bring_up(node):
            print(f"{node.get_name()}: {node.failure}", file=sys.stderr)
            return 1
        spin(executor, failures, lambda: stop.is_set)
    except KeyboardInterrupt:
        pass
    finally:
        node.failure = (
            ""  # what failed before is told; what fails now, as the mapper's last save, decides the exit code
        )
        node.close()
        for _ in range(10):  # the answers to requests that were under way
            spin_once(executor, failures, 0.0)
        executor.shutdown()
        node.destroy_node()
    return 1 if node.failure else 0


def bring_up(node: SensorNode) -> bool:
    """Configure and activate, as a launch file or a lifecycle manager would."""
    succeeded = TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() == succeeded and node.trigger_activate() == succeeded
