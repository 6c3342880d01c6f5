"""What benchmark_soak.py sees of its processes: their memory, what their diagnostics say, and the chores it gives."""

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from std_srvs.srv import Trigger

from vxp_ros.demo.processes import Child, ProcessError
from vxp_ros.srv import LoadMap

ODOM_TOPIC = "/odom"


def memory_of(pid: int) -> dict:
    """The resident set in MiB with its parts, that of the children, and the numbers of threads and open files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = {key: value.split()[0] for key, _, value in (line.partition(":") for line in lines) if value.split()}
    return {
        "rss_mb": int(values["VmRSS"]) / 1024,
        "anonymous_mb": int(values["RssAnon"]) / 1024,
        "shared_mb": int(values["RssShmem"]) / 1024,
        "children_mb": children_mb(pid),
        "threads": int(values["Threads"]),
        "files": len(os.listdir(f"/proc/{pid}/fd")),
    }


def children_mb(pid: int) -> float:
    total = 0
    for child in psutil.Process(pid).children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return total / 2**20


class Watch:
    """A node that hears /diagnostics and calls services. values: node -> report -> its keys and values."""

    def __init__(self, children: dict[str, Child], names: tuple[str, ...], map_name: str):
        rclpy.init(args=[])
        self.children, self.names, self.map_name = children, names, map_name
        self.node = rclpy.create_node("vxp_soak")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.values: dict[str, dict] = {name: {} for name in names}
        self.chores: Counter[str] = Counter()
        self._parameter = 5
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)
        make = self.node.create_client
        self._load = make(LoadMap, "/vxp_localizer/load_map")
        self._set = make(SetParameters, "/vxp_localizer/set_parameters")
        self._clear = make(Trigger, "/vxp_loop_closer/clear")

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node, _, report = status.name.partition(": ")
            if (name := node.removeprefix("vxp_")) in self.values:
                self.values[name][report] = {value.key: value.value for value in status.values}

    def wait_for_nodes(self, seconds: float) -> None:
        """Until both are active. Raises ProcessError."""
        for _ in range(int(seconds * 2)):
            self.spin(0.5)
            self.check_alive()
            if all("lidar" in self.values[name] and "topic" in self.values[name]["lidar"] for name in self.names):
                return
        raise ProcessError("the nodes did not become active; their logs say why")

    def check_alive(self) -> None:
        for child in self.children.values():
            if not child.is_alive:
                raise ProcessError(f"{child.name} died with exit code {child.process.returncode}\n{child.tail()}")

    def spin(self, seconds: float) -> None:
        end = self.node.get_clock().now().nanoseconds + int(seconds * 1e9)
        while (left := end - self.node.get_clock().now().nanoseconds) > 0:
            self.executor.spin_once(timeout_sec=left / 1e9)

    def do_chores(self) -> None:
        """Load the localizer's map again, set one of its parameters, and count and clear what the loop closer has."""
        self._parameter = 9 - self._parameter
        value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=self._parameter)
        request = SetParameters.Request(parameters=[Parameter(name="match.top_k", value=value)])
        self._call("set", self._set, request, lambda answer: answer.results[0].successful)
        self._call("load", self._load, LoadMap.Request(name=self.map_name), lambda answer: answer.success)
        closures = self.values["loop_closer"].get("closures", {})
        self.chores.update({key: int(closures.get(key, 0)) for key in ("registrations", "published")})
        self._call("clear", self._clear, Trigger.Request(), lambda answer: answer.success)

    def hold(self, seconds: float) -> None:
        """Stop both nodes for a while: all that is sent to them waits, as much as their queues take."""
        processes = [self.children[name].process for name in self.names]
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            self.spin(seconds)
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)
        self.chores["held"] += 1

    def _call(self, name: str, client, request, is_good) -> None:
        self.chores[f"{name}_asked"] += 1

        def done(future) -> None:
            self.chores[f"{name}_{'done' if is_good(future.result()) else 'refused'}"] += 1

        client.call_async(request).add_done_callback(done)

    def used_mb(self, name: str) -> float:
        """MiB that a node's heaps had in use after a frame, some seconds ago; 0 when it has not said."""
        return float(self.values[name].get("encoder", {}).get("heap_in_use_mb", 0))

    def moment(self) -> dict:
        """The numbers of this moment that the fit and the file want."""
        places = self.values["loop_closer"].get("keyframes", {}).get("places", 0)
        p95 = self.values["localizer"].get("encoder", {}).get("total_ms_p95", "nan")
        return {"places": int(places), "total_ms_p95": float(p95)}

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()


def keep_every_message() -> None:
    """The naive control: a node that forgets nothing."""
    rclpy.init()
    node, kept = rclpy.create_node("vxp_leak"), []
    node.create_subscription(Odometry, ODOM_TOPIC, kept.append, qos_profile_sensor_data)
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)
