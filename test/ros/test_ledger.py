"""Counts that add up, from many threads, and log lines that do not flood."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from vxp_ros.ros.ledger import Ledger, LogLimiter


def total(counts: dict) -> int:
    return counts["processed"] + sum(counts["dropped"].values()) + counts["in_flight"]


@given(st.lists(st.sampled_from(["receive", "finish", "late", "bad_image"]), max_size=100))
def test_the_identity_holds_after_every_step(steps):
    ledger, waiting = Ledger(), 0
    for step in steps:
        if step == "receive":
            ledger.receive()
            waiting += 1
        elif waiting:
            ledger.finish() if step == "finish" else ledger.drop(step)
            waiting -= 1
        counts = ledger.snapshot()
        assert counts["received"] == total(counts) and counts["in_flight"] == waiting >= 0


def test_several_threads():
    ledger = Ledger()

    def work(row: int) -> None:
        for turn in range(2000):
            ledger.receive()
            ledger.finish() if (row + turn) % 3 else ledger.drop(f"reason {row}")

    threads = [threading.Thread(target=work, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = ledger.snapshot()
    assert counts["received"] == total(counts) == 8000 and counts["in_flight"] == 0
    assert len(counts["dropped"]) == 4


def test_one_line_per_key_and_period():
    now = [0.0]
    limiter = LogLimiter(period=5.0, clock=lambda: now[0])
    assert limiter.text("a", "first") == "first"
    assert limiter.text("b", "other") == "other"
    for second in range(1, 5):
        now[0] = float(second)
        assert limiter.text("a", "again") is None
    now[0] = 5.0
    assert limiter.text("a", "again") == "again (4 more like this since the last line)"
    now[0] = 11.0
    assert limiter.text("a", "again") == "again"
