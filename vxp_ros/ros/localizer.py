"""The localizer node: answers "where am I?" for every frame of the live sensors, on a prebuilt place map."""

import threading
import time
from dataclasses import replace
from pathlib import Path

from ..core.candidates import refusal
from ..core.config import LocalizerSettings, MatchSettings
from ..core.datatypes import Frame, Modality, Recognition, Status
from ..core.errors import BadInput
from ..core.geometry import seen_from_now
from ..core.map_store import load_map
from ..core.place_map import PlaceMap
from ..core.recognizer import PlaceRecognizer
from ..core.stopwatch import Stopwatch
from .actuation import Actuator, check_output
from .answers import AnswerPublisher
from .lifecycle import SensorNode
from .localizer_services import LocalizerServices
from .map_in_use import describe, map_report, map_to_load
from .reports import Level, Report
from .running import run
from .search_log import SearchLog
from .sensors import Bundle
from .verifier import Query, Verifier


class Localizer(SensorNode):
    """Sensors in, place candidates out. Topics and services: docs/ros.md; parameters: docs/parameters.md."""

    def __init__(self, name: str = "vxp_localizer", **options):
        self.place_map: PlaceMap | None = None
        self.log = SearchLog()
        self.is_enabled = True
        self.verifier: Verifier | None = None
        self._publishing = threading.Lock()
        super().__init__(name, LocalizerSettings, **options)
        self.answers = AnswerPublisher(self)
        self.actuator = Actuator(self)
        self._localizer_services = LocalizerServices(self)

    # Lifecycle

    def prepare(self) -> None:
        check_output(self.settings.output)
        self.log = SearchLog()
        path = map_to_load(self.settings.map.path, self.settings.map.root)
        self.place_map = self.load(path) if path is not None else None
        if self.place_map is None:
            self.get_logger().warning("no map: set the parameter map.path, or call ~/load_map")
        else:
            self.get_logger().info(f"{describe(self.place_map)}; model {self.encoder.model_id}")
        self.pause()
        self.actuator.reset()
        self.actuator.use(self.settings.output)
        self.verifier = Verifier(self._publish_verified, lambda _query, reason: self.count(reason))
        problem = self.verifier.problem
        if self.settings.verify.enable and problem:
            self.get_logger().warning(f"answers stay unverified: {problem}; or set verify.enable to false")

    def begin(self) -> None:
        if self.place_map is not None:
            self.answers.publish_map(self.place_map, self.settings)
        self.publish_status("waiting for the first frame")

    def close(self) -> None:
        if self.verifier is not None:
            self.verifier.abort()  # the worker may wait for it
        super().close()

    def finish(self) -> None:
        self.verifier.close()
        if self.verifier.errors:
            self.get_logger().error(f"unexpected errors while verifying, the last: {self.verifier.errors[-1]!r}")
        self.actuator.stop()
        self.place_map = self.verifier = None

    def load(self, path: Path) -> PlaceMap:
        """Raises MapError."""
        models = dict.fromkeys(self.encoder.modalities, self.encoder.model_id)
        return load_map(path, models, self.settings.map.allow_model_mismatch)

    def use_map(self, place_map: PlaceMap) -> None:
        """Search another map from now on."""
        self.verifier.wait()  # what is still being verified belongs to the old one
        self.place_map, self.log = place_map, SearchLog()
        self.actuator.reset()
        self.answers.publish_map(place_map, self.settings)
        self.publish_status(f"{describe(place_map)} loaded")

    def start_anew(self) -> None:
        self.verifier.wait()
        self.log = SearchLog()
        self.actuator.reset()
        self.publish_status("cleared")

    def enable(self, is_enabled: bool) -> None:
        self.is_enabled = is_enabled
        self.pause()

    def pause(self) -> None:
        """Answer frames as they come, or only on request."""
        self.sensors.is_paused = not (self.is_enabled and self.settings.output.continuous)

    # A frame's way, on the worker's thread; verified ones end on the verifier's

    def process(self, bundle: Bundle) -> str | None:
        query = self.verifier.offer(self._recognize(bundle, self.settings.match), self.settings.verify)
        return None if query is None else self._publish(query)

    def answer(self, bundle: Bundle, match: MatchSettings, is_here: bool) -> tuple[Recognition, str]:
        """Convert, recognise, verify, publish, while the caller waits. is_here: the robot's own sensors saw it, so that
        its answer may move the robot. Returns the answer and, when the input was bad, the reason; else ""."""
        query = replace(self._recognize(bundle, match), is_here=is_here)
        query = self.verifier.verify(query, self.settings.verify)
        return query.answer, self._publish(query)

    def _recognize(self, bundle: Bundle, match: MatchSettings) -> Query:
        start, watch, epoch = time.perf_counter(), Stopwatch(), self.actuator.epoch
        stamp_ns = bundle.stamp_ns(prefers_camera=match.query == "camera")
        try:
            with watch.stage("convert"):
                # The newest odometry will do: nothing here is worth waiting for a better one.
                T_odom_base = self.sensors.odometry.pose_at(stamp_ns, timeout=0.0)
                frame = self.frame_maker.make(bundle, stamp_ns, T_odom_base)
        except BadInput as problem:
            answer = refusal(stamp_ns, query_of(bundle, match), Status.BAD_INPUT, str(problem))
            return Query(answer, problem.reason, None, self.place_map, epoch, start)
        answer = PlaceRecognizer(self.encoder, self.place_map, match).recognize(frame)
        answer = replace(answer, stage_ms={**watch.stage_ms, **answer.stage_ms})
        reason = "bad_input" if answer.status == Status.BAD_INPUT else ""
        return Query(answer, reason, self._at_stamp(frame, bundle), self.place_map, epoch, start)

    def _at_stamp(self, frame: Frame, bundle: Bundle) -> Frame:
        """The frame with its LiDAR where it was, seen from the base at the frame's stamp: the camera's may differ."""
        T_odom_now = frame.T_odom_base
        if frame.T_base_lidar is None or T_odom_now is None or bundle.stamps["lidar"] == frame.stamp_ns:
            return frame
        T_odom_then = self.sensors.odometry.pose_at(bundle.stamps["lidar"], timeout=0.0)
        if T_odom_then is None:
            return frame
        return replace(frame, T_base_lidar=seen_from_now(frame.T_base_lidar, T_odom_then, T_odom_now))

    def _publish(self, query: Query) -> str:
        """Publish an answer; what its input was dropped for, or "". Answers leave one at a time."""
        answer, watch = query.answer, Stopwatch()
        with self._publishing, watch.stage("publish"):
            self._act(query)
            self.log.add(answer)
            map_id = query.place_map.map_id if query.place_map is not None else ""
            self.answers.publish(answer, map_id, self.settings)
            self.publish_status(answer.message)
        if query.reason:
            self.warn(query.reason, f"bad input: {answer.message}")
        total = 1000 * (time.perf_counter() - query.start)
        self.timings.add({**answer.stage_ms, **watch.stage_ms, "total": total})
        return query.reason

    def _act(self, query: Query) -> None:
        """On an answer that is verified, or OK where there is nothing to verify it by. By now odometry has passed its
        stamp, so this pose is better than the frame's."""
        answer = query.answer
        if answer.status != Status.OK or not query.is_here:
            return
        if not (answer.candidates[0].is_verified or self.verifier.objection(query, self.settings.verify)):
            return
        T_odom_base = self.sensors.odometry.pose_at(answer.stamp_ns, timeout=0.0)
        self.actuator.add(answer, T_odom_base, query.epoch)
        problem = self.actuator.objection(self.settings.output)
        if problem:
            self.warn("no_odometry", problem)

    def _publish_verified(self, query: Query) -> None:
        """On the verifier's thread."""
        is_wanted = self.state == "active" and not self.verifier.is_closing
        self.count(self._publish(query) if is_wanted else "inactive")

    def publish_status(self, reason: str) -> None:
        has_map = self.place_map is not None
        places = len(self.place_map) if has_map else 0
        problem = self.actuator.objection(self.settings.output)
        reason += f"; {problem}" if problem else ""
        self.answers.publish_status(self.log.state(has_map), reason, places, self.log.last_accepted, self.settings)

    # Parameters and diagnostics

    def apply(self, settings: LocalizerSettings) -> None:
        check_output(settings.output)
        super().apply(settings)
        if self.sensors is not None:
            self.pause()
            self.actuator.use(settings.output)

    def _on_reset(self) -> None:
        super()._on_reset()
        self.actuator.reset()

    @property
    def map_id(self) -> str:
        return self.place_map.map_id if self.place_map is not None else ""

    def hardware_id(self) -> str:
        return self.map_id

    def own_reports(self) -> list[Report]:
        return [map_report(self.place_map, self.encoder.model_id), self._search_report()]

    def _search_report(self) -> Report:
        """What the log says, what became of verifications, and whether verified poses may move the robot."""
        output, verifier = self.settings.output, self.verifier
        report = self.log.report(self.place_map is not None)
        values = report.values | {"verify_failures": verifier.failures, "gate": self.actuator.state(output)}
        if verifier.errors:
            return Report("search", Level.ERROR, f"internal error: {verifier.errors[-1]!r}; see the node's log", values)
        problem = self.actuator.objection(output)
        level = max(report.level, Level.WARN) if problem else report.level
        return Report("search", level, problem or report.message, values)


def query_of(bundle: Bundle, match: MatchSettings) -> Modality:
    """The modality of a query that never became a frame."""
    if match.query != "auto":
        return match.query
    return "lidar" if "lidar" in bundle.messages else "camera"


def main() -> None:
    run(Localizer)


if __name__ == "__main__":
    main()
