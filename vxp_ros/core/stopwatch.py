"""Wall time per stage of the pipeline."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """stage_ms: milliseconds per named stage, filled by `with watch.stage("search"): ...`."""

    def __init__(self):
        self.stage_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stage_ms[name] = 1000 * (time.perf_counter() - start)
