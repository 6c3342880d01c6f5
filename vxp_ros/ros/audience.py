"""Who listens to our publishers, and whether they have settled: what is sent before that would be lost."""

import time
from collections.abc import Callable

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import ReliabilityPolicy

# Listeners come in bursts: a node subscribes to its topics one after another, and the graph tells us of each by itself.
QUIET_SECONDS = 1.0
# A best-effort listener of a reliable publisher is mostly one that follows its publishers' reliability and has not met
# us yet: it is about to subscribe anew, and what is sent meanwhile is lost. One that means it costs this wait.
CHANGE_OF_MIND_SECONDS = 5.0
LOOK_PERIOD = 0.05


class Audience:
    """The subscriptions to the publishers of one node.

    publishers: all of them; the audience has settled when none has gained or lost a subscription for a second.
    essential: those of which one at least must be heard, and whose reliable ones wait longer for reliable listeners.
    """

    def __init__(self, node: Node, publishers: list[Publisher], essential: list[Publisher]):
        self._node, self._publishers, self._essential = node, publishers, essential

    def wait(self, timeout: float, sleep: Callable[[float], bool]) -> bool:
        """Wait until it has settled; False if nobody listens within `timeout` seconds, or `sleep` says to stop.

        sleep: sleeps so many seconds; true when there is no more reason to wait.
        """
        before, quiet_since = None, time.monotonic()
        deadline = quiet_since + timeout
        while not sleep(LOOK_PERIOD):
            now, snapshot = time.monotonic(), self._snapshot()
            if snapshot != before:
                before, quiet_since = snapshot, now
            if self._is_heard():
                if now - quiet_since > (CHANGE_OF_MIND_SECONDS if self.loses() else QUIET_SECONDS):
                    return True
            elif now > deadline:
                return False
        return False

    def loses(self) -> list[str]:
        """Essential topics that we send reliably and that somebody hears at best effort, which loses large messages."""
        reliable = [entry for entry in self._essential if entry.qos_profile.reliability == ReliabilityPolicy.RELIABLE]
        return [
            publisher.topic_name
            for publisher in reliable
            if any(is_best_effort for _, is_best_effort in self._listeners(publisher))
        ]

    def _is_heard(self) -> bool:
        return any(publisher.get_subscription_count() > 0 for publisher in self._essential)

    def _snapshot(self) -> list[tuple]:
        """Both what the publishers have been matched with and what the graph knows: they do not change at once."""
        return [(entry.get_subscription_count(), self._listeners(entry)) for entry in self._publishers]

    def _listeners(self, publisher: Publisher) -> frozenset[tuple[bytes, bool]]:
        """(identity, is best effort) of every subscription to the publisher's topic."""
        found = self._node.get_subscriptions_info_by_topic(publisher.topic_name)
        best_effort = ReliabilityPolicy.BEST_EFFORT
        return frozenset((bytes(info.endpoint_gid), info.qos_profile.reliability == best_effort) for info in found)
