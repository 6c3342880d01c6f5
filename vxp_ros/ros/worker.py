"""Slow work on its own thread; the newest item wins. Knows nothing of rclpy."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Any

logger = logging.getLogger(__name__)


class NewestWorker:
    """One thread that handles the newest submitted item; an item that waits is replaced, never queued.

    handle: called with each item on the worker's thread. on_drop: called with an item that a newer one replaced, or
    that was still waiting at the end. around: entered on the worker's thread before its work, and left after it.
    Requests (jobs of services) go first, a bounded number of them.
    """

    MAX_REQUESTS = 4

    def __init__(
        self,
        handle: Callable[[Any], None],
        on_drop: Callable[[Any, str], None],
        around: AbstractContextManager | None = None,
    ):
        self._handle = handle
        self._on_drop = on_drop
        self._around = around or nullcontext()
        self._slot: list[Any] = []
        self._requests: deque[tuple[Callable[[], Any], Future]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self.errors: list[BaseException] = []  # programming errors, for tests: data errors never get here
        self._thread = threading.Thread(target=self._run, name="vxp_worker", daemon=True)
        self._thread.start()

    def submit(self, item: Any) -> None:
        """Hand over an item; the one that was waiting, if any, is dropped as "superseded"."""
        with self._changed:
            is_late = self._stopping
            replaced, self._slot = ([item], []) if is_late else (self._slot, [item])
            self._changed.notify()
        for old in replaced:
            self._on_drop(old, "shutdown" if is_late else "superseded")

    def request(self, job: Callable[[], Any]) -> Future | None:
        """Run `job` on the worker's thread as soon as possible. None when too many jobs wait: the caller says busy."""
        future: Future = Future()
        with self._changed:
            if self._stopping or len(self._requests) >= self.MAX_REQUESTS:
                return None
            self._requests.append((job, future))
            self._changed.notify()
        return future

    def stop(self) -> None:
        """Finish the item in hand, drop what waits, end the thread."""
        with self._changed:
            self._stopping = True
            waiting, self._slot = self._slot, []
            requests, self._requests = self._requests, deque()
            self._changed.notify()
        for item in waiting:
            self._on_drop(item, "shutdown")
        for _, future in requests:
            future.cancel()
        self._thread.join()

    def _run(self) -> None:
        with self._around:
            self._work()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._slot or self._requests)
                if self._stopping:
                    return
                request = self._requests.popleft() if self._requests else None
                item = None if request else self._slot.pop()
            self._serve(*request) if request else self._process(item)
            request = item = None  # what they hold, perhaps a map that was cleared, goes now and not with the next one

    def _serve(self, job: Callable[[], Any], future: Future) -> None:
        if not future.set_running_or_notify_cancel():  # the caller has given up meanwhile
            return
        try:
            future.set_result(job())
        except Exception as problem:
            future.set_exception(problem)

    def _process(self, item: Any) -> None:
        try:
            self._handle(item)
        except Exception as problem:  # a defect of ours: keep serving, but leave a trace that tests look for
            logger.exception("unexpected error while processing a frame")
            self.errors = [*self.errors[-9:], problem]
            self._on_drop(item, "internal_error")
