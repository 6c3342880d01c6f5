"""The loop closer node: maps while driving, and says when it has been somewhere before."""

import threading
import time
from collections import Counter
from dataclasses import replace

import numpy as np
from visualization_msgs.msg import MarkerArray

from vxp_ros.msg import LoopClosure as LoopClosureMsg

from ..core.config import FrameSettings, LoopCloserSettings
from ..core.datatypes import Frame, LoopClosure, Place
from ..core.errors import ModelError
from ..core.loops import LoopFinder
from ..core.recognizer import meet
from ..core.registration import Registration, missing_library
from ..core.registration_process import RegistrationProcess
from ..core.stopwatch import Stopwatch
from .mapper import Mapper
from .publishers import closure_message, closures_marker
from .qos import latched_qos, overridable, result_qos
from .reports import Level, Report
from .running import run
from .worker import NewestWorker

CLOSURE_DEPTH = 50


class LoopCloser(Mapper):
    """Sensors and odometry in; keyframes, verified loop closures and a place map out.

    Closures are looked for beside the mapping, the newest keyframe first: when that takes longer than the way to the
    next keyframe, the ones between are not looked at, and nothing queues.
    """

    def __init__(self, name: str = "vxp_loop_closer", **options):
        self.finder: LoopFinder | None = None
        self.registration: RegistrationProcess | None = None
        self.closing: NewestWorker | None = None
        self._lock = threading.Lock()  # of the finder and of what it has found: a map may be cleared meanwhile
        super().__init__(name, LoopCloserSettings, **options)
        self.closures = self.create_lifecycle_publisher(
            LoopClosureMsg, "~/loop_closures", result_qos(CLOSURE_DEPTH), qos_overriding_options=overridable()
        )
        self.markers = self.create_lifecycle_publisher(
            MarkerArray, "~/markers", latched_qos(), qos_overriding_options=overridable()
        )

    # Lifecycle

    def prepare(self) -> None:
        if problem := missing_library():
            raise ModelError(problem)
        if self.settings.keyframe.pose == "tf":
            raise ValueError("keyframe.pose is tf, but loop closures are between poses of odometry: use odom")
        match = self.settings.match
        if "auto" not in (match.query, match.against) and not meet(match.query, match.against):
            raise ValueError(f"match.query {match.query} cannot be compared with match.against {match.against}")
        self.registration = RegistrationProcess()
        super().prepare()
        self._is_over = threading.Event()
        self.closing = NewestWorker(self._look_back, lambda _task, reason: self.counts.update([reason]))

    def start_map(self) -> None:
        settings = self.settings
        with self._lock:
            super().start_map()
            self.markers.publish(closures_marker((), self.place_map, self.pose_frames))  # no lines of the last map
            self.finder = LoopFinder(
                self.place_map,
                settings.match,
                settings.verify,
                settings.loop,
                self.encoder.calibration,
                self._register,
            )
            self.published: dict[tuple[int, int], LoopClosure] = {}
            self.counts, self.last_closure = Counter(), 0.0
            self._lacks_cloud, self._problem = False, ""

    def begin(self) -> None:
        super().begin()
        self.markers.publish(closures_marker(self.published.values(), self.place_map, self.pose_frames))

    def apply(self, settings: LoopCloserSettings) -> None:
        super().apply(settings)
        if self.finder is not None:
            self.finder.use(settings.match, settings.verify, settings.loop)

    def finish(self) -> None:
        self._is_over.set()
        self.registration.close()
        self.closing.stop()
        super().finish()
        self.finder = None

    @property
    def pose_frames(self) -> FrameSettings:
        """The map is in odometry's frame: what straightens it is the SLAM back end's business."""
        return replace(self.settings.frames, map=self.settings.frames.odom)

    # A keyframe's way: on the worker's thread into the map, from there on the closing thread

    def tell(self, place_id: int, place: Place, frame: Frame, watch: Stopwatch) -> None:
        super().tell(place_id, place, frame, watch)
        self._lacks_cloud = place.cloud is None
        if not self._objection():
            with watch.stage("describe_rear"):
                rear = self.recognizer.describe_rear(frame) if self.settings.loop.reverse else None
            self.closing.submit((self.finder, place_id, rear))

    def _look_back(self, task: tuple[LoopFinder, int, np.ndarray | None]) -> None:
        start, (finder, place_id, rear) = time.monotonic(), task
        if finder is not self.finder:  # the map was cleared
            return
        before = self.counts["registrations"]
        try:
            changes = finder.find(place_id, rear)
            self._problem = ""
        except ModelError as problem:
            self.counts["failed"] += 1
            self._problem = f"the last registration failed: {problem}"
            if not self._is_over.is_set():
                self.warn("registration", f"keyframe {place_id} not verified: {problem}")
            return
        with self._lock:
            self.counts["looked_at"] += 1
            is_wanted = finder is self.finder and self.state == "active"
            for change in changes if is_wanted else ():
                self._publish(change)
        if self.counts["registrations"] > before:
            self._rest(time.monotonic() - start)

    def _register(self, source: np.ndarray, target: np.ndarray, **guess: np.ndarray) -> Registration:
        self.counts["registrations"] += 1
        return self.registration.register(source, target, **guess)

    def _publish(self, closure: LoopClosure) -> None:
        self.closures.publish(closure_message(closure, self.settings.frames))
        self.counts["retracted" if closure.is_retracted else "published"] += 1
        key = (closure.from_id, closure.to_id)
        if closure.is_retracted:
            self.published.pop(key, None)
        else:
            self.published[key], self.last_closure = closure, time.monotonic()
        self.markers.publish(closures_marker(self.published.values(), self.place_map, self.pose_frames))

    def _rest(self, seconds: float) -> None:
        """Leave the processor to others for as long as verify.max_rate says."""
        rate = self.settings.verify.max_rate
        if rate > 0:
            self._is_over.wait(max(0.0, 1 / rate - seconds))

    # Diagnostics

    def own_reports(self) -> list[Report]:
        values = {"published": self.counts["published"], "retracted": self.counts["retracted"]}
        values |= {key: count for key, count in sorted(self.counts.items()) if key not in values}
        if self.published:
            values["closed_s_ago"] = f"{time.monotonic() - self.last_closure:.1f}"
        message = f"{len(self.published)} loop closures"
        if objection := self._objection():
            message += f"; none are looked for: {objection}"
        elif objection := self._problem:
            message += f"; {objection}"
        level = Level.WARN if self.closing.errors or objection else Level.OK
        return [*super().own_reports(), Report("closures", level, message, values)]

    def _objection(self) -> str:
        """Why no closure can be found; "" when some can."""
        if not self.settings.verify.enable:
            return "verify.enable is false"
        return "the last keyframe has no point cloud to verify by" if self._lacks_cloud else ""


def main() -> None:
    run(LoopCloser)


if __name__ == "__main__":
    main()
