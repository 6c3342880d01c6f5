"""The newest item wins, requests are bounded, nothing is lost without a reason."""

import threading
import time
import weakref
from concurrent.futures import CancelledError

import pytest

from vxp_ros.ros.ledger import Ledger
from vxp_ros.ros.worker import NewestWorker


class Bench:
    """A worker whose handler waits at a gate, with accounts of all items."""

    def __init__(self, handle=None):
        self.gate, self.started = threading.Event(), threading.Event()
        self.done: list = []
        self.dropped: list = []
        self.ledger = Ledger()
        self._custom = handle
        self.worker = NewestWorker(self._handle, self._drop)

    def submit(self, item) -> None:
        self.ledger.receive()
        self.worker.submit(item)

    def _handle(self, item) -> None:
        self.started.set()
        assert self.gate.wait(5)
        if self._custom:
            self._custom(item)
        self.done.append(item)
        self.ledger.finish()

    def _drop(self, item, reason: str) -> None:
        self.dropped.append((item, reason))
        self.ledger.drop(reason)


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.gate.set()
    made.worker.stop()


def wait_for(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_the_newest_wins_and_the_rest_is_counted(bench):
    bench.submit(0)
    assert bench.started.wait(5)
    for item in range(1, 100):
        bench.submit(item)
    bench.gate.set()
    wait_for(lambda: len(bench.done) == 2)
    assert bench.done == [0, 99]
    assert bench.dropped == [(item, "superseded") for item in range(1, 99)]
    wait_for(lambda: bench.ledger.snapshot()["in_flight"] == 0)


@pytest.mark.parametrize("submit", [lambda worker, item: worker.submit(item), NewestWorker.request])
def test_what_was_done_is_not_held_until_the_next(submit):
    class Item:
        def __call__(self):
            done.set()

    done = threading.Event()
    worker, item = NewestWorker(lambda item: item(), on_drop=lambda *_: None), Item()
    gone = weakref.ref(item)
    submit(worker, item)
    assert done.wait(5)
    del item
    wait_for(lambda: gone() is None)
    worker.stop()


def test_a_defect_in_the_handler_is_recorded_and_does_not_end_the_thread():
    def fail_on_one(item):
        if item == 1:
            raise RuntimeError("defect")

    bench = Bench(fail_on_one)
    bench.gate.set()
    for item in (1, 2):
        bench.submit(item)
        wait_for(lambda: bench.ledger.snapshot()["in_flight"] == 0)
    bench.worker.stop()
    assert bench.done == [2] and bench.dropped == [(1, "internal_error")]
    assert [str(problem) for problem in bench.worker.errors] == ["defect"]


def test_requests_go_first_answer_and_are_bounded(bench):
    bench.submit("frame")
    assert bench.started.wait(5)
    bench.submit("next frame")
    futures = [bench.worker.request(lambda row=row: (row, list(bench.done))) for row in range(10)]
    assert [future is None for future in futures] == [False] * NewestWorker.MAX_REQUESTS + [True] * 6
    bench.gate.set()
    answers = [future.result(timeout=5) for future in futures[: NewestWorker.MAX_REQUESTS]]
    assert answers == [(row, ["frame"]) for row in range(NewestWorker.MAX_REQUESTS)]


def test_an_error_in_a_request_reaches_its_caller(bench):
    bench.gate.set()
    with pytest.raises(ZeroDivisionError):
        bench.worker.request(lambda: 1 // 0).result(timeout=5)
    assert bench.worker.request(lambda: "alive").result(timeout=5) == "alive"


def test_a_cancelled_request_does_not_end_the_thread(bench):
    bench.submit("frame")
    assert bench.started.wait(5)
    cancelled = bench.worker.request(lambda: "never")
    assert cancelled.cancel()
    later = bench.worker.request(lambda: "alive")
    bench.gate.set()
    assert later.result(timeout=5) == "alive"


def test_stopping_finishes_what_is_in_hand_and_accounts_for_the_rest(bench):
    bench.submit("in hand")
    assert bench.started.wait(5)
    bench.submit("waiting")
    request = bench.worker.request(lambda: "never")
    threading.Timer(0.05, bench.gate.set).start()
    bench.worker.stop()
    assert bench.done == ["in hand"] and bench.dropped == [("waiting", "shutdown")]
    with pytest.raises(CancelledError):
        request.result(timeout=5)
    bench.submit("too late")
    assert bench.dropped[-1] == ("too late", "shutdown") and bench.worker.request(lambda: 1) is None
    assert bench.ledger.snapshot()["in_flight"] == 0


def test_the_accounts_balance_under_load():
    """A slow consumer and several producers: received == processed + dropped, and the queue never holds two."""
    bench = Bench(lambda item: time.sleep(0.001))
    bench.gate.set()
    producers = [threading.Thread(target=lambda: [bench.submit(item) for item in range(500)]) for _ in range(3)]
    for thread in producers:
        thread.start()
    for thread in producers:
        thread.join()
    bench.worker.stop()
    counts = bench.ledger.snapshot()
    assert counts["received"] == 1500 and counts["in_flight"] == 0
    assert len(bench.done) == counts["processed"] >= 1 and counts["dropped"]["superseded"] > 0
