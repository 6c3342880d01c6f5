"""From topics to bundles: hears the sensors, drops what is not worth a query, and groups the rest by moment.

All of it runs on the executor's thread and looks at stamps only; messages stay serialized until the worker's thread
makes a Frame of a bundle (`framing.py`). Every message and every bundle is accounted for, by reason.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node

from ..core.config import InputSettings, QosSettings
from ..core.datatypes import Camera
from ..core.errors import BadInput
from .conversions import to_camera, to_matrix
from .gates import RateGate, TravelGate
from .ledger import Ledger, LogLimiter
from .odometry import OdometryBuffer, has_leapt
from .pairing import JUMP_NS, Pairer
from .streams import Stream, camera_info_streams, depth_of, odometry_stream, sensor_streams
from .wire import decode, stamp_of

logger = logging.getLogger(__name__)

# A simulated clock that steps back by less than this is jittery; by more, a bag has looped or the world was reset.
CLOCK_JUMP = 0.5
# The first frame waits so many seconds for the cameras' calibration. The LiDAR is described as a camera sees it, and a
# place described with the calibration does not match one described without.
CALIBRATION_PATIENCE = 5.0


@dataclass(frozen=True)
class Bundle:
    """Messages of one moment. messages: bytes by stream name, or decoded messages when they came with a request.

    stamps: nanoseconds by stream name.
    """

    stamps: dict[str, int]
    messages: dict[str, Any]

    def stamp_ns(self, prefers_camera: bool = False) -> int:
        """The moment: the stamp of the sensor that the query is made with."""
        names = sorted(self.stamps, key=lambda name: (name == "lidar") == prefers_camera)
        return self.stamps[names[0]]


class SensorInput:
    """The subscriptions of one node.

    offer: takes each bundle that passed the gates. needs_all: make bundles of complete sets only; otherwise the sensors
    that still speak go on without a silent one.
    """

    def __init__(
        self,
        node: Node,
        inputs: InputSettings,
        qos: QosSettings,
        offer: Callable[[Bundle], None],
        needs_all: bool,
    ):
        self.inputs = inputs
        self.streams = sensor_streams(inputs)
        self.calibrations = camera_info_streams(inputs)
        self.odom = odometry_stream()
        self.pairer = Pairer(tuple(self.streams), int(inputs.sync_tolerance * 1e9))
        self.odometry = OdometryBuffer()
        self.cameras: dict[str, Camera] = {}  # calibrations heard, with
        self.camera_frames: dict[str, str] = {}  # the frames that they are in
        self.bundles = Ledger()
        self.latest: Bundle | None = None
        self.is_paused = False
        self.on_reset: Callable[[], None] = lambda: None
        self.base_frame = ""  # whose odometry is wanted
        self.needs_all = needs_all
        self._node, self._qos, self._offer = node, qos, offer
        self._rate, self._travel = RateGate(), TravelGate()
        self._newest_odom_ns = 0
        self._held: Bundle | None = None
        self._limiter, self._once_a_minute = LogLimiter(), LogLimiter(60.0)
        self._clock = node.get_clock()  # the jump handle is only good while its clock lives
        self._jump_handle = None

    def open(self) -> None:
        """Subscribe to everything."""
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(seconds=-CLOCK_JUMP), on_clock_change=True)
        self._jump_handle = self._clock.create_jump_callback(threshold, post_callback=lambda _jump: self.reset())
        # In this order the executor serves what is ready: a frame's pose and calibration before the frame.
        handlers = [(self.odom, self._on_odom)]
        handlers += [(stream, self._on_camera_info) for stream in self.calibrations.values()]
        handlers += [(stream, self._on_sensor) for stream in self.streams.values()]
        for stream, handler in handlers:
            is_sensor = handler == self._on_sensor
            reliability = self._qos.sensor_reliability if is_sensor else "best_effort"
            stream.open(self._node, partial(self._receive, stream, handler), reliability, depth_of(stream, self._qos))

    def close(self) -> None:
        """Unsubscribe and forget what waits; the counts stay."""
        if self._jump_handle is not None:
            self._jump_handle.unregister()
            self._jump_handle = None
        for stream in self.all_streams():
            stream.close()
        self.reset()

    def all_streams(self) -> list[Stream]:
        return [*self.streams.values(), *self.calibrations.values(), self.odom]

    def refresh(self) -> None:
        """Let the subscriptions follow their publishers' QoS, and no frame wait for ever. Call a few times a second."""
        self._release()
        for stream in self.streams.values():
            if stream.subscription is not None:
                stream.subscription.refresh()

    def reset(self) -> None:
        """Start anew after a jump of the clock: nothing from before it may meet anything from after it."""
        self.pairer.reset()
        self._forget()

    def account(self, stream: Stream) -> dict:
        """{"received", "processed", "dropped": {reason: n}, "in_flight"} of a stream.

        A sensor's message is processed when it has become part of a bundle, and in flight while it waits for partners.
        """
        counts = stream.ledger.snapshot()
        if self.streams.get(stream.name) is not stream:
            return counts
        for reason, number in (+self.pairer.dropped[stream.name]).items():
            counts["dropped"][reason] = counts["dropped"].get(reason, 0) + number
        counts["processed"] = self.pairer.paired[stream.name]
        counts["in_flight"] = len(self.pairer.waiting[stream.name])
        return counts

    def _receive(self, stream: Stream, handle: Callable[[Stream, bytes], None], data: bytes) -> None:
        """The guard of every callback: bad data is counted and told, and never ends the node."""
        stream.receive()
        try:
            handle(stream, data)
        except BadInput as problem:
            stream.ledger.drop(problem.reason)
            self._tell(f"{stream.topic} {problem.reason}", f"message on {stream.topic} dropped: {problem}")
        except Exception:
            stream.ledger.drop("internal_error")
            logger.exception("unexpected error in the callback of %s", stream.topic)

    def _on_sensor(self, stream: Stream, data: bytes) -> None:
        stamp_ns = self._plausible_stamp(data)
        if not self.needs_all:
            self.pairer.streams = self._partners(stream)
        resets = self.pairer.resets
        groups = self.pairer.add(stream.name, stamp_ns, data)
        if self.pairer.resets > resets:
            self._forget()
        for group in groups:
            stamps = {name: waiting.stamp_ns for name, waiting in group.items()}
            self._consider(Bundle(stamps, {name: waiting.item for name, waiting in group.items()}))

    def _on_camera_info(self, stream: Stream, data: bytes) -> None:
        message = decode(data, stream.message_type)
        camera = to_camera(message)
        self.camera_frames[stream.name] = message.header.frame_id
        self.cameras[stream.name] = camera
        stream.ledger.finish()
        self._release()

    def _on_odom(self, stream: Stream, data: bytes) -> None:
        stamp_ns = self._plausible_stamp(data)
        message = decode(data, stream.message_type)
        if stamp_ns < self._newest_odom_ns - JUMP_NS:
            self.odometry.clear()
        T_odom_base = to_matrix(message.pose.pose)
        if has_leapt(self.odometry.latest(), T_odom_base, stamp_ns - self._newest_odom_ns):
            self._tell("odom_leapt", f"odometry on {stream.topic} began anew: what follows is another drive")
            self.reset()
        self._newest_odom_ns = stamp_ns
        self.odometry.add(stamp_ns, T_odom_base)
        self._check_child(message.child_frame_id)
        stream.ledger.finish()

    def _check_child(self, frame: str) -> None:
        """Of LiDAR odometry it is often the LiDAR: then all poses are off by where that sits."""
        if frame and self.base_frame and frame != self.base_frame:
            text = f"odometry is that of {frame}, but frames.base is {self.base_frame}: set one of them"
            if text := self._once_a_minute.text(frame, text):
                logger.warning(text)

    def _plausible_stamp(self, data: bytes) -> int:
        """The stamp, if it can be true; one from the future would make everything after it look late."""
        stamp_ns = stamp_of(data)
        now_ns = self._clock.now().nanoseconds
        if now_ns == 0:
            raise BadInput("no_clock", "use_sim_time is set but nobody publishes /clock")
        ahead = (stamp_ns - now_ns) / 1e9
        if ahead > self.inputs.max_future:
            raise BadInput("future", f"its stamp is {ahead:.3f} s in the future; are the clocks synchronised?")
        return stamp_ns

    def _partners(self, stream: Stream) -> tuple[str, ...]:
        """The sensors that a bundle with `stream` needs: all, but a silent one must not silence the others."""
        return tuple(name for name, other in self.streams.items() if not stream.has_outlasted(other))

    def _consider(self, bundle: Bundle) -> None:
        self.latest = bundle
        self.bundles.receive()
        if self._held is not None:
            self.bundles.drop("superseded")
        self._held = bundle
        self._release()

    def _release(self) -> None:
        """Hand the held bundle on, unless it still waits for a calibration or a gate closes."""
        if self._held is None or self._awaits_calibration():
            return
        bundle, self._held = self._held, None
        reason = self._gate(bundle)
        if reason:
            self.bundles.drop(reason)
        else:
            self._offer(bundle)

    def _awaits_calibration(self) -> bool:
        is_complete = set(self.calibrations) <= set(self.cameras)
        has_waited = time.monotonic() - self.odom.opened > CALIBRATION_PATIENCE
        return "lidar" in self.streams and not is_complete and not has_waited

    def _gate(self, bundle: Bundle) -> str:
        """Why this bundle is not worth a query now; "" when it is."""
        stamp_ns, here = bundle.stamp_ns(), self.odometry.latest()
        if self.is_paused:
            return "paused"
        if self.is_too_old(bundle):
            return "too_old"
        if not self._travel.admits(here, self.inputs.min_travel):
            return "min_travel"
        if not self._rate.admits(stamp_ns, self.inputs.max_rate):
            return "max_rate"
        self._travel.pass_through(here)
        return ""

    def is_too_old(self, bundle: Bundle) -> bool:
        age = (self._clock.now().nanoseconds - bundle.stamp_ns()) / 1e9
        if age > self.inputs.max_age:
            self._tell(
                "too_old",
                f"frame dropped: its stamp is {age:.3f} s old, input.max_age is {self.inputs.max_age:g} s; "
                "a bag needs use_sim_time and /clock",
            )
        return age > self.inputs.max_age

    def _forget(self) -> None:
        """The pairer has just been reset."""
        if self._held is not None:
            self._held = None
            self.bundles.drop("reset")
        self.odometry.clear()
        self._newest_odom_ns = 0
        self._rate.reset()
        self._travel.reset()
        self.latest = None
        self.on_reset()

    def _tell(self, key: str, message: str) -> None:
        text = self._limiter.text(key, message)
        if text:
            logger.warning(text)
