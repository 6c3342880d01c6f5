"""One bag played to one node of ours, with a recorder that listens: the processes of every phase of the demo."""

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ..core.resources import find_config
from .processes import Child, Processes
from .record import Recording, read_sent
from .summary import Replay

logger = logging.getLogger(__name__)

MODEL = "vxp_view"  # the shipped one
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


def ros_environment(out: Path) -> dict[str, str]:
    """A graph of our own on this host, with room for clouds in shared memory."""
    return {
        "ROS_DOMAIN_ID": str(random.SystemRandom().randint(0, 101)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "FASTDDS_DEFAULT_PROFILES_FILE": str(find_config("fastdds_large_data.xml")),
        "ROS_LOG_DIR": str(out / "logs" / "ros"),
    }


def write_parameters(space: Workspace, node: str, rig: dict) -> None:
    """A YAML file for a node: everything in its bag is wanted, from the rig that recorded it."""
    parameters = {
        "use_sim_time": True,
        "model.weights": MODEL,
        "map.root": str(space.out / "maps"),
        "input.max_rate": 0.0,
        "qos.sensor_depth": 10,  # as in the bag: a node that is kept from the CPU for 2 s loses nothing
        **rig,
    }
    (space.out / f"{node}.yaml").write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
