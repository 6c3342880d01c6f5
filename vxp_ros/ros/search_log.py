"""What the localizer remembers of its answers: where localization stands, for ~/status and diagnostics."""

import math
import time
from collections import Counter

from vxp_ros.msg import LocalizationStatus

from ..core.datatypes import Recognition, Status
from .reports import Level, Report

# So many answers in a row without a place, after there was one: the robot is lost.
LOST_AFTER = 5
STATE_NAMES = {
    LocalizationStatus.UNINITIALIZED: "UNINITIALIZED",
    LocalizationStatus.SEARCHING: "SEARCHING",
    LocalizationStatus.LOCALIZED: "LOCALIZED",
    LocalizationStatus.LOST: "LOST",
}


class SearchLog:
    """Counts of answers by status, the last one, and the last accepted one."""

    def __init__(self):
        self.answers: Counter[str] = Counter()
        self.last: Recognition | None = None
        self.last_accepted: Recognition | None = None
        self.verified = 0
        self._accepted_at = self._verified_at = 0.0
        self._inlier_ratio = math.nan  # of the last verification
        self._misses = 0

    def add(self, answer: Recognition) -> None:
        self.answers[answer.status.name] += 1
        self.last = answer
        if answer.status == Status.OK:
            self.last_accepted, self._accepted_at, self._misses = answer, time.monotonic(), 0
        else:
            self._misses += 1
        self._note_verification(answer)

    def _note_verification(self, answer: Recognition) -> None:
        ratios = [entry.inlier_ratio for entry in answer.candidates if not math.isnan(entry.inlier_ratio)]
        if ratios:
            self._inlier_ratio = ratios[0]
        if ratios and answer.candidates[0].is_verified:
            self.verified += 1
            self._verified_at = time.monotonic()

    def state(self, has_map: bool) -> int:
        """A state of LocalizationStatus."""
        if not has_map:
            return LocalizationStatus.UNINITIALIZED
        if self.last_accepted is None:
            return LocalizationStatus.SEARCHING
        return LocalizationStatus.LOST if self._misses >= LOST_AFTER else LocalizationStatus.LOCALIZED

    def report(self, has_map: bool) -> Report:
        """On the last answer; counts and ages of all as values."""
        values = {f"answers_{name}": number for name, number in sorted(self.answers.items())}
        values["state"] = STATE_NAMES[self.state(has_map)]
        last, accepted = self.last, self.last_accepted
        if accepted is not None:
            values["accepted_s_ago"] = f"{time.monotonic() - self._accepted_at:.1f}"
        values["verified"] = self.verified
        if not math.isnan(self._inlier_ratio):
            values["last_inlier_ratio"] = f"{self._inlier_ratio:.3f}"
        if self.verified:
            values["verified_s_ago"] = f"{time.monotonic() - self._verified_at:.1f}"
        if last is None:
            return Report("search", Level.OK, "no query yet", values)
        values["last_status"] = last.status.name
        if last.candidates:
            best = last.candidates[0]
            values |= {"last_score": f"{best.score:.4f}", "last_margin": f"{best.margin:.4f}"}
        is_fine = last.status in (Status.OK, Status.NO_MATCH, Status.AMBIGUOUS)
        return Report("search", Level.OK if is_fine else Level.WARN, last.message, values)
