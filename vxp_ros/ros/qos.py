"""Quality of service: how results are sent, and subscriptions that hear a sensor whatever its driver offers."""

import inspect
from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

RELIABILITIES = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}
# Humble lacks it; there the publishers are looked at on every refresh instead.
HAS_MATCHED_EVENT = "matched" in inspect.signature(SubscriptionEventCallbacks).parameters


def result_qos(depth: int = 10) -> QoSProfile:
    """Answers: nothing lost, nothing kept for late readers."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)


def latched_qos(depth: int = 1) -> QoSProfile:
    """Facts that a late reader still wants: the map, the state, markers."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def service_qos() -> QoSProfile:
    """Requests: a burst of them waits for its "busy" instead of being lost; ROS keeps ten by default."""
    return QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)


def overridable() -> QoSOverridingOptions:
    """Lets YAML override history, depth and reliability (qos_overrides./topic.publisher.reliability: ...)."""
    return QoSOverridingOptions.with_default_policies()


class SensorSubscription:
    """Messages of one topic as serialized bytes, with a reliability that fits the topic's publishers.

    A reliable reader never hears a best-effort driver, and a best-effort reader loses large messages of a reliable
    one; so "auto" is reliable only if every publisher is. Bytes, because the middleware loses messages that it cannot
    decode without a word, and because most messages are dropped by their stamp before anybody needs the rest.
    """

    def __init__(
        self,
        node: Node,
        message_type: type,
        topic: str,
        callback: Callable[[bytes], None],
        reliability: str,
        depth: int,
    ):
        self.topic = node.resolve_topic_name(topic)
        self.message_type = message_type
        self._node = node
        self._callback = callback
        self._depth = depth
        self._override = f"qos_overrides.{self.topic}.subscription.reliability"
        is_overridden = self._override in node._parameter_overrides
        self._wanted = "override" if is_overridden else reliability
        self._needs_look = False
        self._subscription = None
        self._subscribe()

    def refresh(self) -> None:
        """Follow the publishers after one came or went. Call now and then on the executor's thread."""
        if not (self._needs_look or not HAS_MATCHED_EVENT):
            return
        self._needs_look = False
        if self._wanted == "auto" and self._best_reliability() != self._reliability:
            self.close()
            self._subscribe()

    def close(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def count_publishers(self) -> int:
        return self._node.count_publishers(self.topic)

    @property
    def reliability(self) -> str:
        """As subscribed now: reliable or best_effort."""
        return self._reliability.name.lower()

    def problem(self) -> str:
        """Why some publisher cannot be heard, in one sentence; "" when all can be."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        wrong = {info.topic_type for info in publishers} - {type_name(self.message_type)}
        if wrong:
            return (
                f"{self.topic} carries {' and '.join(sorted(wrong))}; this node expects {type_name(self.message_type)}"
            )
        is_unheard = any(info.qos_profile.reliability != ReliabilityPolicy.RELIABLE for info in publishers)
        if self._reliability == ReliabilityPolicy.RELIABLE and is_unheard:
            return (
                f"a publisher of {self.topic} is best_effort and this node listens as reliable, so it hears nothing "
                "of it: set qos.sensor_reliability to auto or best_effort"
            )
        return ""

    def _subscribe(self) -> None:
        if self._wanted == "override":
            self._reliability = RELIABILITIES["best_effort"]  # replaced from the parameter, see below
        elif self._wanted == "auto":
            self._reliability = self._best_reliability()
        else:
            self._reliability = RELIABILITIES[self._wanted]
        profile = QoSProfile(depth=self._depth, reliability=self._reliability, durability=DurabilityPolicy.VOLATILE)
        self._subscription = self._node.create_subscription(
            self.message_type,
            self.topic,
            self._callback,
            profile,
            event_callbacks=self._events(),
            qos_overriding_options=self._override_options(),
            raw=True,
        )
        self._reliability = profile.reliability  # rclpy writes overrides into the profile

    def _override_options(self) -> QoSOverridingOptions:
        """A declared reliability parameter would freeze "auto" at its first choice, so it exists only when given."""
        kinds = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH]
        return QoSOverridingOptions(kinds + [QoSPolicyKind.RELIABILITY] * (self._wanted == "override"))

    def _events(self) -> SubscriptionEventCallbacks:
        events = {"incompatible_qos": self._on_change}
        if HAS_MATCHED_EVENT:
            events["matched"] = self._on_change
        return SubscriptionEventCallbacks(**events)

    def _on_change(self, _event) -> None:
        self._needs_look = True  # a subscription cannot be destroyed from inside its own event

    def _best_reliability(self) -> ReliabilityPolicy:
        offered = [info.qos_profile.reliability for info in self._node.get_publishers_info_by_topic(self.topic)]
        all_reliable = bool(offered) and all(entry == ReliabilityPolicy.RELIABLE for entry in offered)
        return RELIABILITIES["reliable" if all_reliable else "best_effort"]


def type_name(message_type: type) -> str:
    """As the graph says it, e.g. sensor_msgs/msg/PointCloud2."""
    return f"{message_type.__module__.partition('.')[0]}/msg/{message_type.__name__}"
