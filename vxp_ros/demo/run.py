"""The demo from data to report: bags, a map made by the mapper node, five modes asked of the localizer node.

Every ROS part is a process of its own on real Fast DDS; this one only starts, watches and stops them, and imports no
ROS. A run fails when a process dies, a frame is unaccounted for, or no candidate arrives.
"""

import logging
import random
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ..core.errors import VxpError
from ..core.json_file import write_json
from ..core.map_store import load_map, path_of_map
from ..core.model_store import load_model
from ..core.place_map import PlaceMap
from ..core.resources import find_config
from .controls import control_recalls
from .data import DemoData, check_length, frame_rate, make_town, read_bags, rig_parameters
from .pictures import draw_all
from .processes import Child, Processes, interruptible
from .record import MODES, DemoRun, Recording, Truth, make_answer, read_sent
from .report import write_report
from .summary import Replay, account, check, check_accounting, summarise

logger = logging.getLogger(__name__)

MODEL = "vxp_view"  # the shipped one
MAP_NAME = "demo"
MARKER = ".vxp_demo"
# Everything that a run leaves in its folder; nothing else there is ever deleted.
PARTS = ("town", "logs", "maps", "pictures", "mapper.yaml", "localizer.yaml", "report.html", "summary.json")
REMAPPINGS = (
    "image:=/camera/image_raw",
    "image/compressed:=/camera/image_raw/compressed",
    "camera_info:=/camera/camera_info",
    "points:=/points",
    "odom:=/odom",
)
# Frames per second that two cores can bear: the mapper describes each by both sensors, the localizer by one.
MAPPING_HZ, QUERY_HZ = 2.0, 4.0
SENSOR_TOPICS = ("/camera/image_raw", "/camera/image_raw/compressed", "/points")
# The field's usual radius for places 5 m apart.
RADIUS_M = 10.0
START_TIMEOUT_S, REPLAY_TIMEOUT_S, SETTLE_TIMEOUT_S = 90.0, 180.0, 30.0


@dataclass
class Workspace:
    """Where one run keeps its parts, and how long its phases took."""

    out: Path
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        logger.info("%s ...", name)
        start = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - start


def run_demo(out: Path, bags: tuple[Path, Path] | None = None, radius_m: float = RADIUS_M) -> dict:
    """Run the whole demo into the folder `out`; returns what summary.json holds. Raises VxpError when it fails.

    bags: one to make the map from and one to ask with; None: a synthetic town's. radius_m: an answer is right within so
    many metres of the truth.
    """
    out = prepare_folder(out, bags or ())
    space = Workspace(out)
    with interruptible():
        with space.phase("data"):
            data = make_town(out / "town") if bags is None else read_bags(*bags, f"bags {bags[0]} and {bags[1]}")
            check_length(data.map_bag, data.places, MAPPING_HZ, REPLAY_TIMEOUT_S)
            check_length(data.query_bag, data.queries, QUERY_HZ, REPLAY_TIMEOUT_S)
        with space.phase("model"):
            model_id = load_model(MODEL).model_id
            write_parameters(space, "mapper", rig_parameters(data.map_bag, data.places[0]))
            write_parameters(space, "localizer", rig_parameters(data.query_bag, data.queries[0]))
        with Processes(out / "logs", ros_environment(out)) as processes:
            mapping = build_map(space, processes, data)
            check_accounting({mapping.name: account(mapping)})
            place_map = load_map(path_of_map(out / "maps", MAP_NAME))
            replays = [mapping, *(localize(space, processes, data, mode) for mode in MODES)]
        with space.phase("report"):
            return report(space, model_id, data, place_map, replays, radius_m)


def prepare_folder(out: Path, bags: Iterable[Path] = ()) -> Path:
    """An empty place for this run. Replaces what an earlier run left there, and refuses to touch anything else; least
    of all the bags to be read."""
    out = out.expanduser().absolute()
    inside = [bag for bag in bags if bag.expanduser().resolve().is_relative_to(out.resolve())]
    if inside:
        raise VxpError(f"{inside[0]} lies in {out}, which the demo empties first: choose another folder with --out")
    if out.exists() and not out.is_dir():
        raise VxpError(f"{out} is a file: choose a folder for the demo with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).exists():
        raise VxpError(f"{out} holds files that no demo made: choose an empty or new folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).write_text("vxp demo made this folder and replaces its own files here when it runs again\n")
    for part in PARTS:
        path = out / part
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return out


def ros_environment(out: Path) -> dict[str, str]:
    """A graph of our own on this host, with room for clouds in shared memory."""
    return {
        "ROS_DOMAIN_ID": str(random.SystemRandom().randint(0, 101)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "FASTDDS_DEFAULT_PROFILES_FILE": str(find_config("fastdds_large_data.xml")),
        "ROS_LOG_DIR": str(out / "logs" / "ros"),
    }


def write_parameters(space: Workspace, node: str, rig: dict) -> None:
    """A YAML file for the mapper or the localizer: everything in its bag is wanted, from the rig that recorded it."""
    parameters = {
        "use_sim_time": True,
        "model.weights": MODEL,
        "map.root": str(space.out / "maps"),
        "input.max_rate": 0.0,
        "qos.sensor_depth": 10,  # as in the bag: a node that is kept from the CPU for 2 s loses nothing
        **rig,
    }
    (space.out / f"{node}.yaml").write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))


def build_map(space: Workspace, processes: Processes, data: DemoData) -> Replay:
    """Replay the first bag to the mapper, which saves its map when it is interrupted."""
    arguments = [f"keyframe.save_as:={MAP_NAME}", "keyframe.min_travel:=0.0"]
    rate = MAPPING_HZ / frame_rate(data.places)
    with space.phase("mapping"):
        return replay(space, processes, "mapping", "mapper", data.map_bag, arguments, rate)


def localize(space: Workspace, processes: Processes, data: DemoData, mode: str) -> Replay:
    """Replay the second bag to a fresh localizer that matches as `mode` says."""
    query, against = MODES[mode]
    path = path_of_map(space.out / "maps", MAP_NAME)
    arguments = [f"map.path:={path}", f"match.query:={query}", f"match.against:={against}",
                 "verify.enable:=false"]  # fmt: skip  # what the descriptors find alone is measured
    with space.phase(mode):
        rate = QUERY_HZ / frame_rate(data.queries)
        return replay(space, processes, mode, "localizer", data.query_bag, arguments, rate)


def replay(
    space: Workspace, processes: Processes, name: str, node: str, bag: Path, arguments: list[str], rate: float
) -> Replay:
    """Start node, recorder and player, wait until every frame has become an answer or a drop, stop them in order."""
    log = space.out / "logs"
    recording, sent_log = Recording(log / f"{name}.answers.jsonl"), log / f"{name}.sent.csv"
    running = start_node(space, processes, name, node, arguments)
    recorder = processes.start(
        f"{name}.recorder", "vxp_ros.ros.recorder", f"vxp_{node}", "--out", recording.path, "--ros-args"
    )
    processes.wait_until(lambda: recording.update().is_ready, START_TIMEOUT_S, f"the {node} to come up")
    player = processes.start(
        f"{name}.player", "vxp_ros.ros.bag_player", bag, "--rate", f"{rate:.3f}", "--clock", "100",
        "--wait-for-subscribers", "--log", sent_log,
    )  # fmt: skip
    processes.finish(player, REPLAY_TIMEOUT_S)
    result = Replay(name, f"vxp_{node}", read_sent(sent_log, SENSOR_TOPICS), recording, [running, recorder, player])
    processes.poll(result.is_settled, SETTLE_TIMEOUT_S)  # if it never settles, the check of the summary says so
    processes.stop_well(running)
    recording.update()
    processes.stop_well(recorder)
    return result


def start_node(space: Workspace, processes: Processes, name: str, node: str, arguments: list[str]) -> Child:
    parameters = [text for argument in arguments for text in ("-p", argument)]
    remappings = [text for remapping in REMAPPINGS for text in ("-r", remapping)]
    return processes.start(
        f"{name}.{node}", f"vxp_ros.ros.{node}", "--autostart", "--ros-args", "--params-file",
        space.out / f"{node}.yaml", *parameters, *remappings,
    )  # fmt: skip


def report(
    space: Workspace, model_id: str, data: DemoData, place_map: PlaceMap, replays: list[Replay], radius_m: float
) -> dict:
    """Numbers first, so that they are there to look at even when the run turns out to be a failure."""
    poses = {moment.stamp_ns: moment.T_map_base for moment in data.queries}
    truth = Truth(poses, place_map.poses[:, :3, 3], radius_m)
    answers = [
        make_answer(result.name, line, result.sent, truth)
        for result in replays[1:]
        for line in result.recording.answers
    ]
    controls = control_recalls(data.queries, data.places, MODEL, radius_m)
    summary = summarise(model_id, place_map, data, replays, answers, controls, radius_m, space.seconds)
    write_json(space.out / "summary.json", summary)
    check(summary)
    run = DemoRun(place_map, data.queries, answers, summary)
    write_report(run, draw_all(run, space.out / "pictures"), space.out / "report.html")
    return summary
