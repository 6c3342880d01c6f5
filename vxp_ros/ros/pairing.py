"""Messages of several sensors that belong to one moment. Plain Python: no ROS, no threads, no locks.

message_filters' ApproximateTimeSynchronizer stops pairing for good after a bag loop or one message from the future;
this pairer drops by age, starts anew on a backward jump, and never calls user code.
"""

from collections import Counter
from typing import Any, NamedTuple

# Older than this behind the newest stamp of its stream: a bag has looped or the clock was set back. Transports reorder
# the messages of one sensor by less, if at all; a loop of ten frames at 10 Hz steps back by 0.9 s.
JUMP_NS = 300_000_000


class Waiting(NamedTuple):
    stamp_ns: int
    item: Any


class Pairer:
    """Groups one message of each stream whose stamps lie within `tolerance_ns` of each other.

    streams: their names; a single stream passes straight through. capacity: messages kept per stream. Per stream
    `received == paired + dropped + waiting` at all times; `dropped` counts by reason.
    """

    def __init__(self, streams: tuple[str, ...], tolerance_ns: int, capacity: int = 10):
        self.streams = tuple(streams)
        self.tolerance_ns = tolerance_ns
        self.capacity = capacity
        self.waiting: dict[str, list[Waiting]] = {name: [] for name in self.streams}
        self.received: Counter[str] = Counter()
        self.paired: Counter[str] = Counter()
        self.dropped: dict[str, Counter[str]] = {name: Counter() for name in self.streams}
        self.resets = 0
        self.offsets_ns: dict[str, list[int]] = {name: [] for name in self.streams}
        self._newest: dict[str, int] = {}
        self._last_paired: dict[str, int] = {}

    def add(self, stream: str, stamp_ns: int, item: Any) -> list[dict[str, Waiting]]:
        """Take one message; return the groups it completes (none or one), oldest first."""
        self.received[stream] += 1
        if stamp_ns < self._newest.get(stream, stamp_ns) - JUMP_NS:
            self._forget(stamp_ns + JUMP_NS)
        if self._refuse(stream, stamp_ns):
            return []
        self._newest[stream] = max(stamp_ns, self._newest.get(stream, stamp_ns))
        self.waiting[stream].append(Waiting(stamp_ns, item))
        group = self._best_group(stamp_ns)
        if group is None:
            self._limit(stream)
            return []
        self._take(group)
        return [group]

    def reset(self) -> None:
        """Forget what waits (counted as "reset"): after a clock jump, a bag loop or a change of the sensors."""
        self._forget(float("-inf"))

    def balanced(self) -> bool:
        """The accounting identity, for every stream."""
        return all(
            self.received[name] == self.paired[name] + sum(self.dropped[name].values()) + len(self.waiting[name])
            for name in self.streams
        )

    def median_offset_ns(self, stream: str) -> int:
        """Median of this stream's stamp minus the group's first stream's, over the last groups: clock offset."""
        offsets = sorted(self.offsets_ns[stream])
        return offsets[len(offsets) // 2] if offsets else 0

    def _forget(self, after_ns: float) -> None:
        """Start anew with what is no later than this; messages of the new time may be waiting already."""
        self.resets += 1
        for name, queue in self.waiting.items():
            self.waiting[name] = [entry for entry in queue if entry.stamp_ns <= after_ns]
            self.dropped[name]["reset"] += len(queue) - len(self.waiting[name])
        self._newest = {name: stamp for name, stamp in self._newest.items() if stamp <= after_ns}
        self._last_paired = {name: stamp for name, stamp in self._last_paired.items() if stamp <= after_ns}

    def _refuse(self, stream: str, stamp_ns: int) -> bool:
        """Each message once, and the groups in the order of their stamps."""
        last = self._last_paired.get(stream, stamp_ns - 1)
        if stamp_ns == last or any(entry.stamp_ns == stamp_ns for entry in self.waiting[stream]):
            self.dropped[stream]["duplicate"] += 1
            return True
        if stamp_ns < last:
            self.dropped[stream]["late"] += 1
            return True
        return False

    def _best_group(self, stamp_ns: int) -> dict[str, Waiting] | None:
        """The nearest message of every other stream to this stamp, if all lie within the tolerance of one another."""
        group = {}
        for name in self.streams:
            if not self.waiting[name]:
                return None
            group[name] = min(self.waiting[name], key=lambda entry: abs(entry.stamp_ns - stamp_ns))
        stamps = [entry.stamp_ns for entry in group.values()]
        return group if max(stamps) - min(stamps) <= self.tolerance_ns else None

    def _take(self, group: dict[str, Waiting]) -> None:
        """Remove the group and everything older: it can no longer be paired in order."""
        first = group[self.streams[0]].stamp_ns
        for name, entry in group.items():
            older = [other for other in self.waiting[name] if other.stamp_ns < entry.stamp_ns]
            self.dropped[name]["unpaired"] += len(older)
            self.waiting[name] = [other for other in self.waiting[name] if other.stamp_ns > entry.stamp_ns]
            self.paired[name] += 1
            self._last_paired[name] = entry.stamp_ns
            self.offsets_ns[name] = [*self.offsets_ns[name][-49:], entry.stamp_ns - first]

    def _limit(self, stream: str) -> None:
        """Let go of what came first, not of the oldest stamp: else stamps from the future would evict good ones."""
        queue = self.waiting[stream]
        while len(queue) > self.capacity:
            queue.pop(0)
            self.dropped[stream]["unpaired"] += 1
