"""Answers held against point clouds on a thread of their own, so that no other frame waits for a registration."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..core.config import RegistrationSettings, VerifySettings
from ..core.datatypes import Frame, Recognition
from ..core.errors import ModelError
from ..core.place_map import PlaceMap
from ..core.recognizer import small_cloud
from ..core.registration import THINNING, missing_library
from ..core.registration_process import RegistrationProcess
from ..core.verification import is_worth_verifying, unverified, verify
from .gates import RateGate
from .ledger import LogLimiter
from .worker import NewestWorker

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Query:
    """An answer on its way out. reason: why its input was bad, or "". frame: what was asked, None when it could not be
    made; place_map: what was searched. epoch: the actuator's when it came. start: by time.perf_counter(). is_here: the
    robot's own sensors saw it, just now."""

    answer: Recognition
    reason: str
    frame: Frame | None
    place_map: PlaceMap | None
    epoch: int
    start: float
    is_here: bool = True


class Verifier:
    """Verifies the newest answer, one at a time and so many a second; nobody waits in a queue.

    publish: called with each query that `offer` took, on this object's thread. on_drop: with a query that was not
    published after all, and why. Used from one thread.
    """

    def __init__(self, publish: Callable[[Query], None], on_drop: Callable[[Query, str], None]):
        self.problem = missing_library()
        self.failures = 0
        self._publish = publish
        self._process = RegistrationProcess(RegistrationSettings())
        self._rate = RateGate()
        self._is_busy = self.is_closing = False
        self._limiter = LogLimiter()
        self._worker = NewestWorker(self._handle, on_drop)
        self._settings = VerifySettings()

    def offer(self, query: Query, settings: VerifySettings) -> Query | None:
        """None when the query will be verified and published; else itself, to be published now as it is."""
        self._settings = settings
        reason = self.objection(query, settings) or self._delay(settings)
        if reason:
            return as_it_is(query, settings, reason)
        self._is_busy = True
        self._worker.submit(query)
        return None

    def objection(self, query: Query, settings: VerifySettings) -> str:
        """Why this query cannot be verified at all; "" when it can."""
        if not settings.enable or not is_worth_verifying(query.answer):
            return "no need"
        if self.problem:
            return "the registration libraries are missing"
        frame, best = query.frame, query.answer.candidates[: settings.candidates]
        if frame.points is None or frame.T_base_lidar is None:
            return "no point cloud"
        has_clouds = any(query.place_map.place(candidate.place_id).cloud is not None for candidate in best)
        return "" if has_clouds else "its places have no point clouds"

    def verify(self, query: Query, settings: VerifySettings) -> Query:
        """The query with its answer verified if possible, on the caller's thread: for those who asked and wait."""
        reason = self.objection(query, settings)
        if reason:
            return as_it_is(query, settings, reason)
        try:
            cloud = small_cloud(query.frame, THINNING)
            answer = verify(query.answer, cloud, query.place_map, settings, self._process.register)
        except ModelError as problem:
            if not self.is_closing:
                self._count(problem)
            answer = unverified(query.answer, "the registration failed")
        return replace(query, answer=answer)

    def wait(self) -> None:
        """Until no query is in its hands."""
        while self._is_busy:
            time.sleep(0.01)

    def close(self) -> None:
        """End process and thread."""
        self.abort()
        self._worker.stop()

    def abort(self) -> None:
        """End the process, and with it a registration under way: one that hangs would take half a minute."""
        self.is_closing = True
        self._process.close()

    @property
    def errors(self) -> list[BaseException]:
        """Defects of ours, as of the worker."""
        return self._worker.errors

    def _delay(self, settings: VerifySettings) -> str:
        if self._is_busy:
            return "another one is being verified"
        # By the wall clock: it is the CPU that is rationed, however fast a bag is played.
        return "" if self._rate.admits(time.monotonic_ns(), settings.max_rate) else "verify.max_rate"

    def _handle(self, query: Query) -> None:
        try:
            self._publish(self.verify(query, self._settings))
        finally:
            self._is_busy = False

    def _count(self, problem: ModelError) -> None:
        self.failures += 1
        text = self._limiter.text("failed", f"not verified: {problem}")
        if text:
            logger.warning(text)


def as_it_is(query: Query, settings: VerifySettings, reason: str) -> Query:
    """Nobody is told that what was switched off did not happen."""
    return replace(query, answer=unverified(query.answer, reason)) if settings.enable else query
