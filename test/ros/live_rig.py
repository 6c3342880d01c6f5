"""A rig for the tests of the nodes: messages from arrays, a node that plays the robot, and node processes."""

import array
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from vxp_ros.ros.audience import Audience
from vxp_ros.ros.publishers import make_header, to_pose_msg

RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
IDENTITY = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
LOOKS_AHEAD = [0.0, 0.0, 0.0, -0.5, 0.5, -0.5, 0.5]  # an optical frame
EXTRINSICS = ["-p", f"extrinsics.lidar:={IDENTITY}", "-p", f"extrinsics.cameras:={LOOKS_AHEAD}"]


def localizer_parameters(model, map_root) -> dict[str, object]:
    """group__name -> value, for a localizer on the map "town"."""
    return {
        "model__weights": str(model),
        "model__device": "cpu",
        "map__root": str(map_root),
        "map__path": "town",
        "extrinsics__lidar": IDENTITY,
        "extrinsics__cameras": LOOKS_AHEAD,
        "input__max_rate": 0.0,
        "input__max_age": 60.0,  # a busy computer is slow; tests of the age set their own
    }


def as_bytes(values: np.ndarray) -> array.array:
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(values).tobytes())
    return data


def image_message(pixels: np.ndarray, stamp_ns: int, frame_id: str = "camera") -> Image:
    height, width = pixels.shape[:2]
    header = make_header(stamp_ns, frame_id)
    return Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width, data=as_bytes(pixels))


def cloud_message(points: np.ndarray, stamp_ns: int, frame_id: str = "velodyne") -> PointCloud2:
    """points: [N, 4] float32."""
    names = ("x", "y", "z", "intensity")
    fields = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate(names)]
    cloud = PointCloud2(header=make_header(stamp_ns, frame_id), height=1, width=len(points), fields=fields)
    cloud.point_step, cloud.row_step, cloud.is_dense = 16, 16 * len(points), True
    cloud.data = as_bytes(points.astype("<f4"))
    return cloud


def camera_info_message(width: int, height: int, K: np.ndarray, stamp_ns: int) -> CameraInfo:
    info = CameraInfo(header=make_header(stamp_ns, "camera"), width=width, height=height)
    info.k = [float(value) for value in K.ravel()]
    return info


def odometry_message(T_odom_base: np.ndarray, stamp_ns: int) -> Odometry:
    odometry = Odometry(header=make_header(stamp_ns, "odom"), child_frame_id="base_link")
    odometry.pose.pose = to_pose_msg(T_odom_base)
    return odometry


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A made-up place: pixels [96, 128, 3] uint8 and points [3000, 4] float32, most of them ahead of the robot."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    pixels = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    corners = rng.uniform([5, -15, -1], [45, 15, 3], (30, 3))
    points = np.repeat(corners, 100, axis=0) + rng.normal(0, 0.7, (3000, 3))
    return pixels, np.hstack([points, rng.uniform(0, 1, (3000, 1))]).astype(np.float32)


K = np.array([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]])


class Robot:
    """Publishes sensor data and keeps what nodes under test answer: `self.heard[topic]` is a list of messages."""

    def __init__(self, **qos):
        self.node = rclpy.create_node(f"robot_{os.getpid()}")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        profile = qos.get("profile", RELIABLE)
        self.images = self.node.create_publisher(Image, "image", profile)
        self.infos = self.node.create_publisher(CameraInfo, "camera_info", RELIABLE)
        self.odometry = self.node.create_publisher(Odometry, "odom", RELIABLE)
        self.clouds = self.node.create_publisher(PointCloud2, "points", profile)  # last: see meet()
        self.heard = defaultdict(list)
        self.diagnostics = {}
        self.clients = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RELIABLE)

    def now_ns(self) -> int:
        return self.node.get_clock().now().nanoseconds

    def listen(self, message_type, topic, qos=RELIABLE) -> list:
        self.node.create_subscription(message_type, topic, self.heard[topic].append, qos)
        return self.heard[topic]

    def _on_diagnostics(self, message) -> None:
        for status in message.status:
            self.diagnostics[status.name.split(": ")[-1]] = status

    def level(self, name: str) -> int:
        """Of a diagnostic status; -1 before it was heard."""
        status = self.diagnostics.get(name)
        return -1 if status is None else status.level[0]

    def values(self, name: str) -> dict[str, str]:
        status = self.diagnostics.get(name)
        return {} if status is None else {value.key: value.value for value in status.values}

    def show(self, seed: int, stamp_ns: int | None = None, *, image=True, points=True, odom=None) -> int:
        """Publish the scene `seed` as one moment; returns its stamp."""
        stamp_ns = self.now_ns() if stamp_ns is None else stamp_ns
        pixels, cloud = scene(seed)
        if odom is not None:
            T = np.eye(4)
            T[0, 3] = odom
            self.odometry.publish(odometry_message(T, stamp_ns))
        if image:
            self.infos.publish(camera_info_message(128, 96, K, stamp_ns))
            self.images.publish(image_message(pixels, stamp_ns))
        if points:
            self.clouds.publish(cloud_message(cloud, stamp_ns))
        return stamp_ns

    def show_cloud(self, cloud: np.ndarray, T_odom_base: np.ndarray | None = None) -> int:
        """Publish [N, 4] points with scene 0's picture as one moment; returns its stamp."""
        stamp_ns = self.now_ns()
        if T_odom_base is not None:
            self.odometry.publish(odometry_message(T_odom_base, stamp_ns))
        self.infos.publish(camera_info_message(128, 96, K, stamp_ns))
        self.images.publish(image_message(scene(0)[0], stamp_ns))
        self.clouds.publish(cloud_message(cloud, stamp_ns))
        return stamp_ns

    def spin(self, seconds: float) -> None:
        self.spin_until(lambda: False, seconds)

    def spin_until(self, condition, timeout: float = 10.0) -> bool:
        end = time.monotonic() + timeout
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.executor.spin_once(timeout_sec=min(left, 0.02))
        return True

    def repeat_until(self, act, condition, timeout: float = 20.0, period: float = 0.2) -> bool:
        """Act now and then until the condition holds."""
        end = time.monotonic() + timeout
        while not condition() and time.monotonic() < end:
            act()
            self.spin_until(condition, period)
        return condition()

    def meet(self, timeout: float = 30.0, has_lidar: bool = True) -> None:
        """Wait until somebody listens to all topics, with the reliability that suits their publishers.

        A node that has chosen to be reliable to the publisher made last knows of all those made before.
        """
        lidar = (self.clouds,) if has_lidar else ()
        publishers = (self.images, self.infos, self.odometry, *lidar)
        sensors = [entry for entry in (self.images, *lidar) if entry is not self.odometry]
        audience = Audience(self.node, list(publishers), sensors)

        def is_there() -> bool:
            return all(entry.get_subscription_count() for entry in publishers) and not audience.loses()

        assert self.spin_until(is_there, timeout), [entry.get_subscription_count() for entry in publishers]

    def call(self, service_type, name: str, request=None, timeout: float = 20.0):
        """The answer of a service. One client per service: a server may answer before it has met a new client."""
        if name not in self.clients:
            self.clients[name] = self.node.create_client(service_type, name)
            assert self.clients[name].wait_for_service(timeout_sec=timeout), f"no service {name}"
            self.spin(0.3)
        future = self.clients[name].call_async(request or service_type.Request())
        assert self.spin_until(future.done, timeout), f"{name} did not answer within {timeout} s"
        return future.result()

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()


class NodeProcess:
    """`python -m vxp_ros.ros.NAME --autostart ...` as a process of its own."""

    def __init__(self, name: str, *ros_arguments: str, autostart: bool = True):
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by stop()
        command = [sys.executable, "-m", f"vxp_ros.ros.{name}", *(["--autostart"] if autostart else [])]
        self.process = subprocess.Popen(
            [*command, "--ros-args", *ros_arguments],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def output(self) -> str:
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def wait(self, timeout: float) -> int:
        return self.process.wait(timeout)

    def stop(self, number: int = signal.SIGINT, timeout: float = 30.0) -> int:
        """The exit code; the process is dead afterwards in any case."""
        try:
            if self.is_alive():
                os.kill(self.process.pid, number)
            return self.process.wait(timeout)
        finally:
            if self.is_alive():
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class SpinningNode:
    """A node of ours in this process, spun by a thread of its own."""

    def __init__(self, make_node, name: str, **parameters):
        given = [Parameter(key.replace("__", "."), value=value) for key, value in parameters.items()]
        self.node = make_node(name, parameter_overrides=given)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._is_stopping = False
        self._thread.start()

    def _spin(self) -> None:
        while not self._is_stopping:
            self.executor.spin_once(timeout_sec=0.05)

    def do(self, act):
        """The result of `act()`, run on the executor's thread as a transition would be."""
        task = self.executor.create_task(act)
        end = time.monotonic() + 30
        while not task.done():
            assert time.monotonic() < end, "the node's executor is stuck"
            time.sleep(0.005)
        return task.result()

    def bring_up(self) -> None:
        self.do(self.node.trigger_configure)
        self.do(self.node.trigger_activate)
        assert self.node.state == "active", self.node.failure

    def close(self) -> None:
        try:
            self.do(self.node.close)
        finally:
            self.end()

    def end(self) -> None:
        """Without the node's own clean-up."""
        self._is_stopping = True
        self._thread.join(30)
        self.executor.shutdown()
        self.node.destroy_node()


def show_and_wait(robot, heard, *numbers, **options):
    """Show scenes one by one, each until its answer has come; returns the stamps."""
    stamps = []
    for number in numbers:
        before = len(heard)
        stamps.append(robot.show(number, **options))
        assert robot.spin_until(lambda before=before: len(heard) > before), "no answer"
    return stamps


def assert_accounted(robot, node, bundles=None):
    """received == processed + dropped + in flight, and nothing stays in flight."""
    assert robot.spin_until(lambda: node.sensors.bundles.snapshot()["in_flight"] == 0)
    for stream in node.sensors.all_streams():
        account = node.sensors.account(stream)
        waiting = account["in_flight"]
        assert account["received"] == account["processed"] + sum(account["dropped"].values()) + waiting
    if bundles is not None:
        assert node.sensors.bundles.snapshot()["received"] == bundles
