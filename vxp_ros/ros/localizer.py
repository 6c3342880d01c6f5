"""The localizer node: answers "where am I?" for every frame of the live sensors, on a prebuilt place map."""

import re
import time
from dataclasses import replace
from pathlib import Path

from ..core.candidates import refusal
from ..core.config import LocalizerSettings, MatchSettings
from ..core.datatypes import Modality, Recognition, Status
from ..core.errors import BadInput, MapError
from ..core.map_report import sensors_in_words
from ..core.map_store import load_map, path_of_map
from ..core.place_map import PlaceMap
from ..core.recognizer import PlaceRecognizer
from ..core.stopwatch import Stopwatch
from .answers import AnswerPublisher
from .lifecycle import SensorNode
from .localizer_services import LocalizerServices
from .reports import Level, Report
from .running import run
from .search_log import SearchLog
from .sensors import Bundle


class Localizer(SensorNode):
    """Sensors in, place candidates out. Topics and services: docs/ros.md; parameters: docs/parameters.md."""

    def __init__(self, name: str = "vxp_localizer", **options):
        self.place_map: PlaceMap | None = None
        self.log = SearchLog()
        self.is_enabled = True
        super().__init__(name, LocalizerSettings, **options)
        self.answers = AnswerPublisher(self)
        self._localizer_services = LocalizerServices(self)

    # Lifecycle

    def prepare(self) -> None:
        self.log = SearchLog()
        path = map_to_load(self.settings.map.path, self.settings.map.root)
        self.place_map = self.load(path) if path is not None else None
        if self.place_map is None:
            self.get_logger().warning("no map: set the parameter map.path, or call ~/load_map")
        else:
            self.get_logger().info(f"{describe(self.place_map)}; model {self.encoder.model_id}")
        self.pause()

    def begin(self) -> None:
        if self.place_map is not None:
            self.answers.publish_map(self.place_map, self.settings)
        self.publish_status("waiting for the first frame")

    def finish(self) -> None:
        self.place_map = None

    def load(self, path: Path) -> PlaceMap:
        """Raises MapError."""
        models = dict.fromkeys(self.encoder.modalities, self.encoder.model_id)
        return load_map(path, models, self.settings.map.allow_model_mismatch)

    def use_map(self, place_map: PlaceMap) -> None:
        """Search another map from now on."""
        self.place_map, self.log = place_map, SearchLog()
        self.answers.publish_map(place_map, self.settings)
        self.publish_status(f"{describe(place_map)} loaded")

    def start_anew(self) -> None:
        self.log = SearchLog()
        self.publish_status("cleared")

    def enable(self, is_enabled: bool) -> None:
        self.is_enabled = is_enabled
        self.pause()

    def pause(self) -> None:
        """Answer frames as they come, or only on request."""
        self.sensors.is_paused = not (self.is_enabled and self.settings.output.continuous)

    # A frame's way, on the worker's thread

    def process(self, bundle: Bundle) -> str:
        _, reason = self.answer(bundle, self.settings.match)
        return reason

    def answer(self, bundle: Bundle, match: MatchSettings) -> tuple[Recognition, str]:
        """Convert, recognise, publish. Returns the answer and, when the input was bad, the reason; else ""."""
        start, watch = time.perf_counter(), Stopwatch()
        answer, reason = self._recognize(bundle, match, watch)
        with watch.stage("publish"):
            self.log.add(answer)
            self.answers.publish(answer, self.map_id, self.settings)
            self.publish_status(answer.message)
        if reason:
            self.warn(reason, f"bad input: {answer.message}")
        self.timings.add({**watch.stage_ms, **answer.stage_ms, "total": 1000 * (time.perf_counter() - start)})
        return answer, reason

    def _recognize(self, bundle: Bundle, match: MatchSettings, watch: Stopwatch) -> tuple[Recognition, str]:
        stamp_ns = bundle.stamp_ns(prefers_camera=match.query == "camera")
        try:
            with watch.stage("convert"):
                # The newest odometry will do: nothing here is worth waiting for a better one.
                T_odom_base = self.sensors.odometry.pose_at(stamp_ns, timeout=0.0)
                frame = self.frame_maker.make(bundle, stamp_ns, T_odom_base)
        except BadInput as problem:
            return refusal(stamp_ns, query_of(bundle, match), Status.BAD_INPUT, str(problem)), problem.reason
        answer = PlaceRecognizer(self.encoder, self.place_map, match).recognize(frame)
        answer = replace(answer, stage_ms={**watch.stage_ms, **answer.stage_ms})
        return answer, "bad_input" if answer.status == Status.BAD_INPUT else ""

    def publish_status(self, reason: str) -> None:
        has_map = self.place_map is not None
        places = len(self.place_map) if has_map else 0
        self.answers.publish_status(self.log.state(has_map), reason, places, self.log.last_accepted, self.settings)

    # Parameters and diagnostics

    def apply(self, settings: LocalizerSettings) -> None:
        super().apply(settings)
        if self.sensors is not None:
            self.pause()

    @property
    def map_id(self) -> str:
        return self.place_map.map_id if self.place_map is not None else ""

    def hardware_id(self) -> str:
        return self.map_id

    def own_reports(self) -> list[Report]:
        return [map_report(self.place_map, self.encoder.model_id), self.log.report(self.place_map is not None)]


def query_of(bundle: Bundle, match: MatchSettings) -> Modality:
    """The modality of a query that never became a frame."""
    if match.query != "auto":
        return match.query
    return "lidar" if "lidar" in bundle.messages else "camera"


def describe(place_map: PlaceMap) -> str:
    return f"map {place_map.map_id}: {len(place_map)} places by {sensors_in_words(place_map.counts, len(place_map))}"


def map_report(place_map: PlaceMap | None, model_id: str) -> Report:
    if place_map is None:
        return Report("map", Level.ERROR, "no map: set the parameter map.path, or call ~/load_map")
    values = {"map_id": place_map.map_id, "places": len(place_map)}
    values |= {f"model_{modality}": model for modality, model in place_map.models.items()}
    if set(place_map.models.values()) != {model_id}:
        return Report("map", Level.WARN, f"not made by this node's model {model_id}: nothing will match", values)
    return Report("map", Level.OK, describe(place_map), values)


def map_to_load(path: str, root: str) -> Path | None:
    """The folder that the parameter map.path means: a path, or the name of a map under map.root. None: no map.

    Raises MapError.
    """
    if not path:
        return None
    given = Path(path).expanduser().absolute()
    if given.exists() or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", path):
        return given
    named = path_of_map(root, path)
    if not named.exists():
        raise MapError(f"map.path {path}: neither {given} nor {named} exists")
    return named


def main() -> None:
    run(Localizer)


if __name__ == "__main__":
    main()
