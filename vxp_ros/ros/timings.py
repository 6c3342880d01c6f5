"""How long each stage of the pipeline took over the last queries. Plain Python."""

import threading
from collections import deque

import numpy as np

WINDOW = 200


class Timings:
    """Milliseconds per stage over the last 200 queries. The worker's thread adds, the executor's thread reads."""

    def __init__(self):
        self._stages: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def add(self, stage_ms: dict[str, float]) -> None:
        with self._lock:
            for stage, milliseconds in stage_ms.items():
                self._stages.setdefault(stage, deque(maxlen=WINDOW)).append(milliseconds)

    def percentiles(self) -> dict[str, float]:
        """{"search_ms_p50": ..., "search_ms_p95": ..., ...} of every stage seen so far."""
        with self._lock:
            stages = {stage: list(values) for stage, values in self._stages.items()}
        return {
            f"{stage}_ms_p{percent}": float(np.percentile(values, percent))
            for stage, values in stages.items()
            for percent in (50, 95)
        }

    def clear(self) -> None:
        with self._lock:
            self._stages.clear()
