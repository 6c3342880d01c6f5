"""/diagnostics, and the console's warnings about silent sensors, by wall time: a stopped clock must not stop them."""

import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from ..core.errors import printable
from .ledger import LogLimiter
from .qos import overridable, result_qos
from .reports import Level, Report, silence
from .spinning import Failures
from .streams import Stream

# How often the sensors are looked at. Their change of level is published at once, well within 2 s of the fault.
TICK = 0.25
CLOCK_PATIENCE = 5.0


class Diagnostics:
    """Publishes a node's reports.

    reports: makes them; called once per period, and whenever `signature` changes. hardware_id: which map or device.
    """

    def __init__(
        self,
        node: Node,
        period: float,
        reports: Callable[[], list[Report]],
        signature: Callable[[], object],
        hardware_id: Callable[[], str],
    ):
        self._node, self._period = node, period
        self.failures = Failures(node)
        self._reports, self._signature, self._hardware_id = reports, signature, hardware_id
        self._publisher = node.create_publisher(
            DiagnosticArray, "/diagnostics", result_qos(), qos_overriding_options=overridable()
        )
        self._last_publish = -1e9
        self._last_signature: object = None
        self._limiter = LogLimiter(period=30.0)
        self._started = time.monotonic()
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(TICK, self._tick, clock=self._steady)
        self.on_tick: Callable[[], None] = lambda: None

    def expect_clock(self) -> None:
        """From now on /clock has 5 s to begin, if simulated time is asked for."""
        self._started = time.monotonic()

    def has_clock(self) -> bool:
        """False when simulated time is asked for and none has arrived for 5 s."""
        if self._node.get_clock().now().nanoseconds > 0:
            self._started = time.monotonic()
        return time.monotonic() - self._started < CLOCK_PATIENCE

    def warn_about(self, streams: list[Stream], timeout: float) -> None:
        """Console lines for sensors that have been silent for `timeout` seconds, and for a missing /clock."""
        for stream in streams:
            if stream.subscription is not None and stream.age() > timeout:
                self._warn(stream.topic, silence(stream))
        if not self.has_clock():
            self._warn("/clock", "use_sim_time is true but nobody publishes /clock: play the bag with --clock")

    def close(self) -> None:
        self._timer.cancel()

    def _warn(self, key: str, message: str) -> None:
        text = self._limiter.text(key, message)
        if text:
            self._node.get_logger().warning(text)

    def _tick(self) -> None:
        self.on_tick()
        signature, now = self._signature(), time.monotonic()
        if signature == self._last_signature and now - self._last_publish < self._period:
            return
        self._last_signature, self._last_publish = signature, now
        self._publisher.publish(self._message())

    def _message(self) -> DiagnosticArray:
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        prefix, hardware_id = self._node.get_name(), self._hardware_id()
        message.status = [
            to_status(report, prefix, hardware_id) for report in [*self._reports(), *self.failures.reports()]
        ]
        return message


def to_status(report: Report, prefix: str, hardware_id: str) -> DiagnosticStatus:
    values = [KeyValue(key=str(key), value=printable(str(value))) for key, value in report.values.items()]
    return DiagnosticStatus(
        level=bytes([report.level]),
        name=f"{prefix}: {report.name}",
        message=printable(report.message),
        hardware_id=hardware_id,
        values=values,
    )


def stale(name: str, state: str) -> Report:
    return Report(name, Level.STALE, f"the node is {state}")
