"""Acting on verified poses, or recognised places: initialpose and map->odom, only where asked for and once enough of
them agree."""

import threading

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleNode

from ..core.config import GraphOutputSettings, OutputSettings
from ..core.consistency import OF_RECOGNISED, ConsistencyGate, odometry_in_map
from ..core.datatypes import Recognition
from .publishers import pose_message, transform_message
from .qos import overridable, result_qos
from .transforms import tf2_ros

TF_PERIOD = 0.1  # seconds
# map->odom is stamped so much ahead, as AMCL does: who transforms data of this moment does not wait for the next one.
TF_AHEAD_NS = 200_000_000


def check_output(output: OutputSettings | GraphOutputSettings) -> None:
    """Raises ValueError when TF is wanted where there is none."""
    if output.publish_tf and tf2_ros is None:
        raise ValueError(
            "output.publish_tf needs tf2_ros, which is not installed for this Python: install it with ROS 2, "
            "or set output.publish_tf to false"
        )


class Actuator:
    """Moves the robot in the map, if at all. The threads of the worker, the verifier and the executor use it."""

    def __init__(self, node: LifecycleNode):
        self._node = node
        self._initialpose = node.create_lifecycle_publisher(
            PoseWithCovarianceStamped, "initialpose", result_qos(1), qos_overriding_options=overridable()
        )
        self._broadcaster = self._timer = None
        self._lock = threading.Lock()
        self._verified, self._recognised = ConsistencyGate(), ConsistencyGate(OF_RECOGNISED)
        self.epoch = 0
        self._forget()

    def use(self, output: OutputSettings) -> None:
        """Start or stop broadcasting, as the parameters say."""
        if output.publish_tf and self._timer is None:
            self._broadcaster = tf2_ros.TransformBroadcaster(self._node)
            self._timer = self._node.create_timer(TF_PERIOD, self._broadcast)
        elif not output.publish_tf:
            self.stop()

    def stop(self) -> None:
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._broadcaster = self._timer = None

    def reset(self) -> None:
        """Forget all poses, those still being verified too: the clock jumped, ~/clear was called, or a map loaded."""
        with self._lock:
            self.epoch += 1
            self._forget()

    def add(self, answer: Recognition, T_odom_base: np.ndarray | None, epoch: int) -> None:
        """Take an answer that is OK, verified or not to be verified. T_odom_base: odometry's pose at its stamp.

        epoch: `self.epoch` when the query came; those from before a reset are ignored.
        """
        output = self._node.settings.output
        with self._lock:
            if epoch != self.epoch:
                return
            self._lacks_odometry = T_odom_base is None
            if T_odom_base is None:
                return
            best = answer.candidates[0]
            self._is_by_places = not best.is_verified
            gate, needed = self._gate(output)
            if not needed or not gate.add(best.T_map_base, T_odom_base, needed):
                return
            self._publish_initialpose(answer, output)
            if best.is_verified:  # the poses of places would make map->odom jump
                self._T_map_odom = odometry_in_map(best.T_map_base, T_odom_base)

    def state(self, output: OutputSettings) -> str:
        """In words, for diagnostics and status."""
        with self._lock:
            if self._lacks_odometry:
                return "closed: no odometry at the stamps of answers"
            gate, needed = self._gate(output)
            if gate.is_open:
                return "open"
            if not needed:
                return "closed: recognised places move nothing, output.min_consistent_places is 0"
            what = "recognised places" if self._is_by_places else "verified poses"
            if len(gate) < needed:
                return f"closed: {len(gate)} of {needed} {what} agree"
            return f"closed: {len(gate)} {what} agree, over {gate.metres:.0f} of {gate.agreement.span:.0f} m"

    def objection(self, output: OutputSettings) -> str:
        """Why what is asked for cannot happen; "" when it can, or nothing is."""
        if (output.publish_initialpose or output.publish_tf) and self._lacks_odometry:
            return "initialpose and map->odom need odometry on the topic odom"
        if output.publish_tf and self._is_by_places and self._T_map_odom is None:
            return "map->odom needs poses that point clouds verify"
        if output.publish_initialpose and self._is_by_places and not output.min_consistent_places:
            return "initialpose needs poses that point clouds verify, or output.min_consistent_places"
        return ""

    def _gate(self, output: OutputSettings) -> tuple[ConsistencyGate, int]:
        """That of the last answer's kind, and how many must agree."""
        if self._is_by_places:
            return self._recognised, output.min_consistent_places
        return self._verified, output.min_consistent

    def _forget(self) -> None:
        self._verified.reset()
        self._recognised.reset()
        self._lacks_odometry = self._is_by_places = False
        self._sent: set[bool] = set()  # whether those that were published were verified
        self._T_map_odom: np.ndarray | None = None

    def _publish_initialpose(self, answer: Recognition, output: OutputSettings) -> None:
        """Once: a verified pose still follows one of a place, which is only near the robot."""
        is_verified = answer.candidates[0].is_verified
        was_sent = True in self._sent or is_verified in self._sent
        if output.publish_initialpose and not (output.initialpose_once and was_sent):
            self._initialpose.publish(pose_message(answer, self._node.settings.frames, output))
            self._sent.add(is_verified)

    def _broadcast(self) -> None:
        """The last pose that was agreed upon: odometry leads on from there, also while the gate is closed again."""
        T_map_odom, frames = self._T_map_odom, self._node.settings.frames
        if T_map_odom is not None and self._node.state == "active":
            stamp_ns = self._node.get_clock().now().nanoseconds + TF_AHEAD_NS
            self._broadcaster.sendTransform(transform_message(T_map_odom, stamp_ns, frames.map, frames.odom))
