"""Counts of what came in and what became of it, and log lines that do not flood. Knows nothing of rclpy."""

import threading
import time
from collections import Counter


class Ledger:
    """received == processed + sum(dropped) + in_flight, at every moment. Safe to use from several threads."""

    def __init__(self):
        self.received = 0
        self.processed = 0
        self.dropped: Counter[str] = Counter()
        self._lock = threading.Lock()

    def receive(self) -> None:
        with self._lock:
            self.received += 1

    def finish(self) -> None:
        with self._lock:
            self.processed += 1

    def drop(self, reason: str) -> None:
        with self._lock:
            self.dropped[reason] += 1

    def snapshot(self) -> dict:
        """{"received", "processed", "dropped": {reason: n}, "in_flight"} at one moment."""
        with self._lock:
            dropped = dict(self.dropped)
            in_flight = self.received - self.processed - sum(dropped.values())
            return {
                "received": self.received,
                "processed": self.processed,
                "dropped": dropped,
                "in_flight": in_flight,
            }


class LogLimiter:
    """Lets one line per key pass every `period` seconds and says how many were held back meanwhile."""

    def __init__(self, period: float = 5.0, clock=time.monotonic):
        self.period = period
        self._clock = clock
        self._last: dict[str, float] = {}
        self._held: Counter[str] = Counter()

    def text(self, key: str, message: str) -> str | None:
        """The line to log now, or None while this key must keep quiet."""
        now = self._clock()
        if now - self._last.get(key, -1e9) < self.period:
            self._held[key] += 1
            return None
        self._last[key] = now
        held = self._held.pop(key, 0)
        return f"{message} ({held} more like this since the last line)" if held else message
