"""Calls of a function, spread over processes that end with their parent, whatever ends it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from vxp_ros.core.errors import VxpError

# Threads inside a process would only take the cores from one another.
ONE_THREAD = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Workers:
    """A context manager. count: how many processes; with 1 the calls run in this one, when their results are asked for.

    Leaving it early, by an exception, drops the calls that have not begun.
    """

    def __init__(self, count: int):
        self.count = count
        self._calls: list[tuple] = []
        self._futures: list[Future] = []
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        if self.count > 1:
            os.environ.update({name: os.environ.get(name, one) for name, one in ONE_THREAD.items()})
            context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks
            self._pool = ProcessPoolExecutor(self.count, context, initializer=begin)
        return self

    def __exit__(self, *_) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, function: Callable, *arguments) -> None:
        """Arrange a call; function and arguments must be picklable."""
        if self._pool:
            self._futures.append(self._pool.submit(function, *arguments))
        else:
            self._calls.append((function, *arguments))

    def results(self) -> Iterator:
        """Results of all calls so far, as they come. Raises what a call raised, VxpError when a process died."""
        calls, self._calls = self._calls, []
        futures, self._futures = self._futures, []
        for function, *arguments in calls:
            yield function(*arguments)
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise VxpError(
                "a process that renders frames was killed, as happens when memory runs out; "
                "run the same command again, with fewer --processes: it goes on where it stopped"
            ) from None


def begin() -> None:
    """In a new process: leave Ctrl-C to the parent, and end when the parent does, even by kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
