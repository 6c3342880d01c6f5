"""The demo's ROS processes: started in their own sessions, watched, measured, and never left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from ..core.errors import VxpError

SAMPLE_PERIOD_S = 0.2
TAIL_LINES = 15


class ProcessError(VxpError):
    """A process that died, failed or did not answer in time; the text ends with the last lines of its log."""


@dataclass
class Child:
    """One running process. cpu_s: seconds of CPU so far; rss_mb: largest resident set seen; wall_s: seconds alive."""

    name: str
    process: subprocess.Popen
    log: Path
    started: float = field(default_factory=time.monotonic)
    cpu_s: float = 0.0
    rss_mb: float = 0.0
    wall_s: float = 0.0

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def cpu_percent(self) -> float:
        """Mean use of one core over the process' life; 100 is one core."""
        return 100 * self.cpu_s / self.wall_s if self.wall_s else 0.0

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"--- last lines of {self.log} ---", *(lines or ["(empty)"])])


class Processes:
    """Context that starts Python modules as processes and leaves none running, whatever happens inside.

    logs: folder for one log per process. environment: what to add to our own environment.
    """

    def __init__(self, logs: Path, environment: dict[str, str]):
        self.logs = logs
        self.environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self.running: list[Child] = []
        self.ended: list[Child] = []
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="vxp_demo_sampler", daemon=True)

    def __enter__(self) -> "Processes":
        self.logs.mkdir(parents=True, exist_ok=True)
        self._sampler.start()
        return self

    def __exit__(self, *_) -> None:
        with uninterruptible():
            for child in list(self.running):
                self.stop(child, patience_s=5.0)
            self._done.set()
            self._sampler.join()

    def start(self, name: str, module: str, *arguments: str | Path) -> Child:
        """Run `python -m MODULE ARGUMENTS` with its output in `logs/NAME.log`."""
        log = self.logs / f"{name}.log"
        command = [sys.executable, "-m", module, *map(str, arguments)]
        with log.open("w") as file:
            file.write(f"$ {' '.join(command)}\n")
            file.flush()
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                env=self.environment, start_new_session=True,
            )  # fmt: skip
        child = Child(name, process, log)
        self.running.append(child)
        return child

    def stop(self, child: Child, patience_s: float = 30.0) -> int:
        """Interrupt it as Ctrl-C would, kill its session if that does not help; returns its exit code."""
        if child.is_alive:
            measure(child)
            child.process.send_signal(signal.SIGINT)
        try:
            child.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
        self.running.remove(child)
        self.ended.append(child)
        return child.process.returncode

    def finish(self, child: Child, timeout_s: float) -> None:
        """Wait for a process that ends by itself while the others live. Raises ProcessError unless it ends well."""
        self.wait_until(lambda: not child.is_alive, timeout_s, f"{child.name} to end", may_end=child)
        if code := self.stop(child):
            raise ProcessError(f"{child.name} failed with exit code {code}\n{child.tail()}")

    def stop_well(self, child: Child) -> None:
        """Interrupt it and insist on exit code 0."""
        if code := self.stop(child):
            raise ProcessError(f"{child.name} ended with exit code {code} when it was interrupted\n{child.tail()}")

    def wait_until(
        self, is_true: Callable[[], bool], timeout_s: float, what: str, may_end: Child | None = None
    ) -> None:
        """Poll until `is_true()`. Raises ProcessError when a process dies meanwhile or the time is over."""
        if not self.poll(is_true, timeout_s, may_end):
            tails = "\n".join(child.tail() for child in self.running)
            raise ProcessError(f"waited {timeout_s:.0f} s in vain for {what}\n{tails}")

    def poll(self, is_true: Callable[[], bool], timeout_s: float, may_end: Child | None = None) -> bool:
        """Like `wait_until`, but False when the time is over."""
        deadline = time.monotonic() + timeout_s
        while not is_true():
            for child in self.running:
                if child is not may_end and not child.is_alive:
                    raise ProcessError(f"{child.name} died with exit code {child.process.returncode}\n{child.tail()}")
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_PERIOD_S):
            for child in list(self.running):
                measure(child)


def measure(child: Child) -> None:
    """Update the process' CPU time and memory, if it still lives."""
    try:
        process = psutil.Process(child.process.pid)
        times, memory = process.cpu_times(), process.memory_info()
    except psutil.Error:
        return
    child.cpu_s = max(child.cpu_s, times.user + times.system)
    child.rss_mb = max(child.rss_mb, memory.rss / 2**20)
    child.wall_s = time.monotonic() - child.started


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM both raise KeyboardInterrupt, so that clean-up runs, even where a shell made us ignore SIGINT.

    Children inherit an ignored signal, but not a handler: under this context they obey SIGINT.
    """
    with handlers(signal.default_int_handler):
        yield


@contextmanager
def uninterruptible() -> Iterator[None]:
    """Ctrl-C is pressed twice by impatient people: the second one must not cut the clean-up short."""
    with handlers(lambda *_: None):
        yield


@contextmanager
def handlers(handler) -> Iterator[None]:
    """Signals can only be handled in the main thread; elsewhere this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
