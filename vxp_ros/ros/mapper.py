"""The mapper node: drive once, get a place map. Every few metres the frame at hand becomes a place."""

import os
import time
from pathlib import Path

import numpy as np
from std_srvs.srv import Trigger

from vxp_ros.msg import Keyframe
from vxp_ros.srv import SaveMap

from ..core import map_folder
from ..core.config import FrameSettings, MapperSettings
from ..core.datatypes import Frame, Place
from ..core.errors import BadInput, MapError, VxpError, printable
from ..core.keyframes import is_keyframe
from ..core.map_store import SavedMap, path_of_map, save_map
from ..core.place_map import PlaceMap
from ..core.recognizer import PlaceRecognizer
from ..core.stopwatch import Stopwatch
from .lifecycle import SensorNode
from .publishers import keyframe_message
from .qos import latched_qos, overridable
from .reports import Level, Report
from .running import run
from .sensors import Bundle

KEYFRAME_DEPTH = 100
ATTEMPTS = 3  # at the last save


class Mapper(SensorNode):
    """Sensors and poses in, a place map out. Topics and services: docs/ros.md; parameters: docs/parameters.md."""

    needs_all_sensors = True  # a map that silently lacks one sensor's descriptors is found out too late

    def __init__(self, name: str = "vxp_mapper", settings_class: type = MapperSettings, **options):
        self.place_map: PlaceMap | None = None
        self.recognizer: PlaceRecognizer | None = None
        self.last_pose: np.ndarray | None = None
        self.last_added = 0.0
        self.drive = 0
        self.unsaved = 0
        self.is_kept = False  # the map as it is now lies under the name keyframe.save_as
        self.written: set[str] = set()  # names that this drive's map was saved under
        self.pose_problem = ""
        super().__init__(name, settings_class, **options)
        self.keyframes = self.create_lifecycle_publisher(
            Keyframe, "~/keyframes", latched_qos(KEYFRAME_DEPTH), qos_overriding_options=overridable()
        )
        self.jobs.serve(SaveMap, "~/save_map", self._on_save_map)
        self.jobs.serve(Trigger, "~/clear", self._on_clear)

    # Lifecycle

    def prepare(self) -> None:
        settings = self.settings
        if settings.keyframe.save_as:
            require_writable(path_of_map(settings.map.root, settings.keyframe.save_as).parent)  # told before the drive
        if settings.keyframe.pose == "tf" and not self.transforms.has_tf:
            raise ValueError("keyframe.pose is tf, but tf2_ros is not installed here: use odom")
        self.recognizer = PlaceRecognizer(self.encoder)
        self.start_map()
        if settings.keyframe.save_as:
            self._name_at_the_end()
        self.get_logger().info(f"mapping with model {self.encoder.model_id} on {self.encoder.device}")

    def start_map(self) -> None:
        models = dict.fromkeys(self.encoder.modalities, self.encoder.model_id)
        self.place_map = PlaceMap(models, self.pose_frames.map, self.pose_frames.base)
        self.last_pose, self.unsaved, self.is_kept, self.drive = None, 0, False, 0
        self.written = set()

    @property
    def pose_frames(self) -> FrameSettings:
        """With the frame that the places' poses are in as `map`."""
        return self.settings.frames

    def begin(self) -> None:
        """Nothing to say before the first keyframe."""

    def finish(self) -> None:
        self._save_at_the_end()
        self.recognizer = self.place_map = None

    def _save_at_the_end(self) -> None:
        if not self.settings.keyframe.save_as or self._is_kept() or not len(self.place_map):
            return
        problem = None
        for attempt in range(ATTEMPTS):
            try:
                name = self._name_at_the_end(is_taken=attempt > 0)
                self.save(name, overwrite=name in self.written)
                return
            except VxpError as this_one:  # perhaps another node is saving under this name
                problem = this_one
        self.failure = printable(f"the map was not saved: {problem}")
        self.get_logger().error(self.failure)

    def _name_at_the_end(self, is_taken: bool = False) -> str:
        """keyframe.save_as, or another name where it is taken by a map that is not of this drive: a node that was
        killed and started again would replace a whole drive by its end. Raises MapError."""
        root, name = self.settings.map.root, self.settings.keyframe.save_as
        wanted = f"{name[:58]}-2" if is_taken else name
        free = name if name in self.written else map_folder.free_name(path_of_map(root, name).parent, wanted)
        if free != name:
            self.get_logger().warning(f"the name {name} in {root} is taken: this drive is saved as {free}")
        return free

    def _is_kept(self) -> bool:
        """Whether the map as it is now lies where it should at the end."""
        root = Path(self.settings.map.root).expanduser()
        return self.is_kept and self.settings.keyframe.save_as in map_folder.map_names(root)

    def save(self, name: str, overwrite: bool) -> SavedMap:
        """Raises MapError."""
        saved = save_map(self.place_map, path_of_map(self.settings.map.root, name), overwrite)
        self.unsaved = 0
        self.is_kept = self.is_kept or name == self.settings.keyframe.save_as
        self.written.add(name)
        self.get_logger().info(f"saved {saved.places} places, {saved.bytes} bytes, as {saved.path}{self._discord()}")
        return saved

    # A frame's way, on the worker's thread

    def process(self, bundle: Bundle) -> str:
        start, watch, keyframe = time.perf_counter(), Stopwatch(), self.settings.keyframe
        stamp_ns, drive = bundle.stamp_ns(), self.drive
        T_map_base = self._pose(stamp_ns)
        if T_map_base is None:
            return "no_pose"
        if not is_keyframe(self.last_pose, T_map_base, keyframe):
            return "not_moved"
        try:
            with watch.stage("convert"):
                frame = self.frame_maker.make(bundle, stamp_ns, T_map_base if keyframe.pose == "odom" else None)
            with watch.stage("describe"):
                place = self.recognizer.make_place(frame, T_map_base, keyframe, drive)
            if drive != self.drive:  # the clock went back meanwhile
                return "reset"
            place_id = self.place_map.add(place)
        except BadInput as problem:
            self.warn(problem.reason, f"frame dropped: {problem}")
            return problem.reason
        except MapError as problem:
            self.warn("bad_place", f"place refused: {problem}")
            return "bad_place"
        self.tell(place_id, place, frame, watch)
        self.last_pose = T_map_base if drive == self.drive else None
        self.last_added = time.monotonic()
        self.unsaved, self.is_kept = self.unsaved + 1, False
        self.timings.add({**watch.stage_ms, "total": 1000 * (time.perf_counter() - start)})
        return ""

    def tell(self, place_id: int, place: Place, frame: Frame, watch: Stopwatch) -> None:
        """Of a place that the map has just got, and what it was made of."""
        with watch.stage("publish"):
            self.keyframes.publish(keyframe_message(place_id, place, self.encoder.model_id, self.pose_frames))

    def _on_reset(self) -> None:
        """The clock went back: what follows is another drive, whose odometry has nothing to do with the one before."""
        super()._on_reset()
        if self.last_pose is not None:
            self.drive, self.last_pose = self.drive + 1, None

    def _pose(self, stamp_ns: int) -> np.ndarray | None:
        """Where the base was at the stamp, [4, 4] in the map's frame; None, with the reason kept, when unknown."""
        if self.settings.keyframe.pose == "tf":
            pose, frames = self.transforms.map_pose(stamp_ns), self.settings.frames
            self.pose_problem = "" if pose is not None else f"TF has no pose of {frames.base} in {frames.map}"
            return pose
        pose = self.sensors.odometry.pose_at(stamp_ns, self.settings.frames.transform_timeout)
        topic = self.resolve_topic_name("odom")
        self.pose_problem = "" if pose is not None else f"no odometry on {topic} within 0.5 s of the sensors' stamps"
        return pose

    # Services

    async def _on_save_map(self, request: SaveMap.Request, response: SaveMap.Response) -> SaveMap.Response:

        def job() -> None:
            saved = self.save(request.name, bool(request.overwrite))
            response.success, response.message = True, f"{saved.places} places{self._discord()}"
            response.path, response.bytes, response.sha256 = str(saved.path), int(saved.bytes), saved.sha256

        return await self.jobs.run(self.worker, job, response)

    async def _on_clear(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:

        def job() -> None:
            forgotten = len(self.place_map)
            self.start_map()
            response.success, response.message = True, f"{forgotten} places forgotten; the saved maps stay"

        return await self.jobs.run(self.worker, job, response)

    # Diagnostics

    def hardware_id(self) -> str:
        return self.place_map.map_id if self.place_map is not None else ""

    def own_reports(self) -> list[Report]:
        values = {"places": len(self.place_map), "unsaved": self.unsaved, "pose_source": self.settings.keyframe.pose}
        if self.unsaved:
            values["added_s_ago"] = f"{time.monotonic() - self.last_added:.1f}"
        if self.pose_problem:
            return [Report("keyframes", Level.ERROR, self.pose_problem, values)]
        message, discord = f"{len(self.place_map)} places, {self.unsaved} not saved yet", self._discord()
        return [Report("keyframes", Level.WARN if discord else Level.OK, message + discord, values)]

    def _discord(self) -> str:
        """What is wrong with a map of several drives; "" when nothing is."""
        if self.settings.keyframe.pose == "tf" or self.drive == 0:
            return ""
        return (
            f"; {self.drive + 1} drives in one map, whose odometry has nothing in common: save and ~/clear between "
            "drives, then vxp map merge"
        )


def require_writable(root: Path) -> None:
    """Make the folder for maps. Raises OSError or ValueError when no map could be saved there."""
    root.mkdir(parents=True, exist_ok=True)
    if not os.access(root, os.W_OK):
        raise ValueError(f"map.root {root} cannot be written: choose another folder")


def main() -> None:
    run(Mapper)


if __name__ == "__main__":
    main()
