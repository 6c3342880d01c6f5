"""The pose graph node: keyframes and loop closures in, a straightened path out. A small SLAM back end on GTSAM."""

import os
import pathlib
import re
import signal
import sys
import time
from collections import Counter
from contextlib import suppress

import rclpy
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Path
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import Trigger

from vxp_ros.msg import Keyframe
from vxp_ros.msg import LoopClosure as LoopClosureMsg

from ..core.config import PoseGraphSettings
from ..core.datatypes import LoopClosure
from ..core.errors import BadInput, ModelError, printable
from ..core.fsio import create_folders, replace_file
from ..core.geometry import pose_to_vector
from ..core.pose_graph import PoseGraph
from .actuation import TF_AHEAD_NS, TF_PERIOD, check_output
from .conversions import to_closure, to_keyframe
from .diagnostics import Diagnostics
from .ledger import LogLimiter
from .parameters import declare
from .publishers import graph_path_message, transform_message
from .qos import latched_qos, overridable, result_qos
from .reports import Level, Report
from .spinning import spin
from .transforms import tf2_ros

KEYFRAME_DEPTH, CLOSURE_DEPTH = 1000, 50
MAX_WAITING = 100
HEALTH_PERIOD = 1.0  # seconds between diagnostics
SAVED = re.compile(r"(?:graph(?:-([0-9]+))?\.g2o|trajectory(?:-([0-9]+))?\.tum)")


class PoseGraphNode(Node):
    """Listens to `keyframes` and `loop_closures` of a loop closer.

    Raises ModelError when GTSAM is missing, ValueError for parameters that cannot be, or TF that is not installed,
    OSError for a folder that cannot be made.
    """

    def __init__(self, name: str = "vxp_pose_graph", **options):
        super().__init__(name, **options)
        self.settings = declare(self, PoseGraphSettings)
        check_output(self.settings.output)
        if self.settings.output.save_to:
            require_writable(self.folder)  # told before the drive
        self.counts: Counter = Counter()
        self.failure = ""  # why the last optimisation or writing came to nothing; "" after a success
        self.last_error = ""
        self._told_refused = 0
        self._not_before = 0.0  # an optimisation takes at most half of the time
        self._limiter = LogLimiter()
        self._start_graph()
        quality = {"qos_overriding_options": overridable()}
        self._path = self.create_publisher(Path, "~/path", latched_qos(), **quality)
        self._map_to_odom = self.create_publisher(TransformStamped, "~/map_to_odom", latched_qos(), **quality)
        self.create_subscription(Keyframe, "keyframes", self._on_keyframe, latched_qos(KEYFRAME_DEPTH), **quality)
        self.create_subscription(
            LoopClosureMsg, "loop_closures", self._on_closure, result_qos(CLOSURE_DEPTH), **quality
        )
        self.create_service(Trigger, "~/save", self._on_save)
        self.create_timer(self.settings.output.period, self.update)
        self.diagnostics = Diagnostics(self, HEALTH_PERIOD, self.reports, lambda: self.failure, lambda: "")
        if self.settings.output.publish_tf:
            self._broadcaster = tf2_ros.TransformBroadcaster(self)
            self.create_timer(TF_PERIOD, self._broadcast)

    def _start_graph(self) -> None:
        self.graph = PoseGraph(self.settings.graph)
        self._waiting: list[LoopClosure] = []  # closures whose keyframes have not come
        self._has_news = False
        self._number = 0  # of the files that hold this graph; 0 before the first

    # In

    def _on_keyframe(self, msg: Keyframe) -> None:
        try:
            keyframe_id, stamp_ns, T_odom_base = to_keyframe(msg)
            if self.graph.ids and (keyframe_id, stamp_ns) == (self.graph.ids[-1], self.graph.stamps_ns[-1]):
                return  # a middleware may deliver a latched message twice
            if self.graph.ids and (keyframe_id <= self.graph.ids[-1] or stamp_ns < self.graph.stamps_ns[-1]):
                self._begin_another(keyframe_id)
            self.graph.add_keyframe(keyframe_id, stamp_ns, T_odom_base)
        except BadInput as problem:
            self._refuse("keyframe", problem)
            return
        self.counts["keyframes"] += 1
        self._has_news = True
        waiting, self._waiting = self._waiting, []
        for closure in waiting:
            self._take(closure)

    def _begin_another(self, keyframe_id: int) -> None:
        """What the last drive gave is kept, if there is a folder for it."""
        self.get_logger().info(f"keyframe {keyframe_id} begins another drive: a new graph")
        if self.settings.output.save_to:
            try:
                self.get_logger().info(self.save())
            except (OSError, RuntimeError) as problem:
                self._fail(f"the last graph was not saved: {problem}")
        self._start_graph()

    def _on_closure(self, msg: LoopClosureMsg) -> None:
        try:
            self._take(to_closure(msg))
        except BadInput as problem:
            self._refuse("closure", problem)

    def _take(self, closure: LoopClosure) -> None:
        try:
            if closure.is_retracted:
                self._retract(closure)
                return
            self.graph.add_closure(closure)
        except BadInput as problem:
            if problem.reason == "unknown_keyframe" and self._may_come(closure):
                self._waiting = [*self._waiting, closure][-MAX_WAITING:]
            else:
                self._refuse("closure", problem)
            return
        self.counts["closures"] += 1
        self._has_news = True

    def _may_come(self, closure: LoopClosure) -> bool:
        """Whether its newer keyframe is one of the future; one that lies before the graph's first never comes."""
        return closure.from_id >= 0 and closure.to_id > max(self.graph.ids, default=-1)

    def _retract(self, closure: LoopClosure) -> None:
        ends = closure.from_id, closure.to_id
        self._waiting = [entry for entry in self._waiting if (entry.from_id, entry.to_id) != ends]
        if self.graph.retract(*ends):
            self.counts["retracted"] += 1
            self._has_news = True

    def _refuse(self, what: str, problem: BadInput) -> None:
        self.counts[f"refused_{problem.reason}"] += 1
        self.last_error = f"{what} refused: {problem}"
        if text := self._limiter.text(problem.reason, self.last_error):
            self.get_logger().warning(text)

    def _fail(self, message: str) -> None:
        self.failure = self.last_error = message = printable(message)
        self.get_logger().error(message)

    # Out

    def update(self) -> None:
        """Optimise and tell, if something has come since the last time."""
        if not self._has_news or time.monotonic() < self._not_before:
            return
        self._has_news, start = False, time.monotonic()
        try:
            self.graph.optimize()
        except RuntimeError as problem:  # GTSAM, on numbers that it cannot solve
            self._fail(f"not optimised: {str(problem).strip().partition(chr(10))[0]}")
            return
        finally:
            self._not_before = 2 * time.monotonic() - start
        self.failure = ""
        graph, frames = self.graph, self.settings.frames
        self._path.publish(graph_path_message(graph, frames))
        newest_ns = graph.stamps_ns[-1]
        self._map_to_odom.publish(transform_message(graph.T_map_odom, newest_ns, frames.map, frames.odom))

    def _broadcast(self) -> None:
        if len(self.graph):
            stamp_ns, frames = self.get_clock().now().nanoseconds + TF_AHEAD_NS, self.settings.frames
            self._broadcaster.sendTransform(transform_message(self.graph.T_map_odom, stamp_ns, frames.map, frames.odom))

    def reports(self) -> list[Report]:
        """One diagnostic status: an error while optimising or saving fails, a warning after something was refused."""
        refused = {key: count for key, count in sorted(self.counts.items()) if key.startswith("refused_")}
        is_new, self._told_refused = refused and sum(refused.values()) > self._told_refused, sum(refused.values())
        closures, doubted = len(self.graph.closures), sum(weight < 0.5 for weight in self.graph.weights.values())
        values = {
            "keyframes": len(self.graph),
            "closures": closures,
            "closures_accepted": self.counts["closures"],
            "closures_doubted": doubted,
            "closures_retracted": self.counts["retracted"],
            "closures_waiting": len(self._waiting),
            "last_error": self.last_error,
            **refused,
        }
        if self.failure:
            return [Report("graph", Level.ERROR, self.failure, values)]
        if is_new:
            return [Report("graph", Level.WARN, self.last_error, values)]
        message = f"{len(self.graph)} keyframes, {closures} closures, {doubted} of them doubted"
        return [Report("graph", Level.OK, message, values)]

    @property
    def folder(self) -> pathlib.Path:
        return pathlib.Path(self.settings.output.save_to).expanduser().absolute()

    def save(self) -> str:
        """Write graph.g2o and trajectory.tum, or graph-2.g2o and so on after those that other drives and other runs
        have left; a graph that is saved again replaces its own. Returns what was done.

        Raises OSError, ValueError when there is nothing to save or no folder, or RuntimeError when GTSAM cannot solve
        it.
        """
        if not self.settings.output.save_to:
            raise ValueError("the parameter output.save_to names no folder")
        if not len(self.graph):
            raise ValueError("the graph is empty, nothing was saved: no keyframe has come")
        self.graph.optimize()
        folder = self.folder
        create_folders(folder)
        self._number = self._number or next_number(folder)
        number = f"-{self._number}" if self._number > 1 else ""
        self.graph.write_g2o(folder / f"graph{number}.g2o")
        rows = zip(self.graph.stamps_ns, self.graph.poses, strict=True)
        lines = [
            " ".join([f"{stamp / 1e9:.9f}", *(f"{value:.9g}" for value in pose_to_vector(T))]) for stamp, T in rows
        ]
        replace_file(folder / f"trajectory{number}.tum", ["".join(f"{line}\n" for line in lines).encode()])
        return f"{len(self.graph)} keyframes and {len(self.graph.closures)} closures in {folder}/graph{number}.g2o"

    def _on_save(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.success, response.message = True, self.save()
        except (OSError, ValueError, RuntimeError) as problem:
            response.success, response.message = False, printable(str(problem))
            self.last_error = f"not saved: {problem}"
        return response


def require_writable(folder: pathlib.Path) -> None:
    """Make the folder. Raises OSError or ValueError when no graph could be saved there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise ValueError(f"output.save_to {folder} cannot be written: choose another folder")


def next_number(folder: pathlib.Path) -> int:
    """Past all that is there: 1 for graph.g2o in an empty folder, 2 for graph-2.g2o, and so on."""
    found = [SAVED.fullmatch(name) for name in os.listdir(folder)]
    return 1 + max((int(match[1] or match[2] or 1) for match in found if match), default=0)


def main() -> int:
    """Returns 0, or 1 with a sentence when it cannot start or cannot save at the end."""
    try:
        # rclpy's own handlers would invalidate the context before the graph is saved.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        node = PoseGraphNode()
    except (ModelError, OSError, ValueError, RuntimeError) as problem:
        print(f"cannot start: {problem}", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with suppress(KeyboardInterrupt):
        spin(executor, node.diagnostics.failures)
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C may come twice
        signal.signal(number, signal.SIG_IGN)
    try:
        if node.settings.output.save_to and len(node.graph):
            print(node.save())
        return 0
    except (OSError, RuntimeError) as problem:
        print(f"the graph was not saved: {problem}", file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
