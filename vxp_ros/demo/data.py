"""What the demo drives through: a synthetic town made for it, or two bags of the user's own; and the truth in them."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.datatypes import Frame
from ..core.encoder import first_image
from ..core.errors import SourceError, VxpError
from ..core.geometry import pose_to_vector, transform_points
from ..sources.bag import BagSource

TRUTH_TOPIC = "/ground_truth"
# One clear day to map, another one to come back: rain, other cars, and a stretch of streets that the map has not seen.
TOWN_SPLIT, MAP_DAY, QUERY_DAY = "town-demo", "sunny", "rain"
MAP_SPACING_M, QUERY_SPACING_M = 5.0, 10.0
ROUTE_M = 300.0
# Of the drive with loops; the whole route comes back to its streets.
LOOP_DAY, LOOP_SPACING_M = "sunny", 5.0


@dataclass(frozen=True)
class Moment:
    """One recorded frame with its truth: frame.T_odom_base holds the true pose of the base in the map."""

    frame: Frame

    @property
    def stamp_ns(self) -> int:
        return self.frame.stamp_ns

    @property
    def T_map_base(self) -> np.ndarray:
        return self.frame.T_odom_base

    @property
    def image(self) -> np.ndarray:
        """[H, W, 3] uint8 RGB."""
        return first_image(self.frame).pixels

    @property
    def points(self) -> np.ndarray:
        """[N, 3] float32 in the base frame."""
        return transform_points(self.frame.T_base_lidar, self.frame.points[:, :3])


@dataclass(frozen=True)
class DemoData:
    """Two bags and what they hold. name, remark: for the report."""

    name: str
    map_bag: Path
    query_bag: Path
    places: list[Moment]
    queries: list[Moment]


def make_town(folder: Path) -> DemoData:
    """Let `vxp town` make both days of the demo's town. Raises VxpError when it fails.

    The map day's odometry is exact, as after SLAM; the query day's is not used. Only the query drive goes on through
    streets that the map has not seen.
    """
    map_bag = drive(folder / "map", MAP_DAY, MAP_SPACING_M, "--length", ROUTE_M, "--odometry", "exact")
    query_bag = drive(folder / "query", QUERY_DAY, QUERY_SPACING_M, "--length", ROUTE_M, "--route", "both")
    name = f"the synthetic town {TOWN_SPLIT}: map on a {MAP_DAY} day, queries on a day of {QUERY_DAY}"
    return read_bags(map_bag, query_bag, name)


def make_loop_drive(folder: Path) -> Path:
    """A bag of the town's whole route, which comes back to its streets, with odometry as a car has it."""
    return drive(folder / "loops", LOOP_DAY, LOOP_SPACING_M)


def drive(folder: Path, day: str, spacing_m: float, *options: object) -> Path:
    """Let `vxp town` write one day's bag; returns it."""
    command = [sys.executable, "-m", "vxp_ros.cli.main", "town", "--split", TOWN_SPLIT, "--layout", "bag",
               "--days", day, "--spacing", str(spacing_m), *map(str, options), "--out", str(folder)]  # fmt: skip
    if subprocess.run(command, check=False).returncode:
        raise VxpError("demo failed: the town could not be made; what `vxp town` printed says why")
    return folder / day


def read_bags(map_bag: Path, query_bag: Path, name: str) -> DemoData:
    """Read both bags. Raises SourceError when one lacks frames, poses, calibration or extrinsics."""
    return DemoData(name, map_bag, query_bag, read_moments(map_bag), read_moments(query_bag))


def read_moments(bag: Path) -> list[Moment]:
    """All frames of a bag with their true poses: from /ground_truth where there is such a topic, else from /odom."""
    source = BagSource(bag)
    if TRUTH_TOPIC in source.topics:
        source = BagSource(bag, odom=TRUTH_TOPIC)
    frames = list(source)
    if source.problems:
        raise SourceError(f"bag {bag} is damaged: {dict(source.problems)}; the demo needs every frame of it")
    if len({frame.stamp_ns for frame in frames}) < 2:
        raise SourceError(f"bag {bag} has {len(frames)} usable frames: the demo needs two at least, of different times")
    if any(frame.T_odom_base is None for frame in frames):
        raise SourceError(f"bag {bag} has frames without a pose: the demo needs /ground_truth or /odom")
    if any(frame.T_base_lidar is None or first_image(frame).camera is None for frame in frames):
        raise SourceError(f"bag {bag} lacks camera_info or /tf_static: the demo needs to know how its sensors sit")
    return [Moment(frame) for frame in frames]


def rig_parameters(bag: Path, moment: Moment) -> dict[str, object]:
    """The nodes' parameters for a bag: how its images are packed, and how the sensors sit on the base (x y z qx qy qz
    qw). moment: any of the bag."""
    frame = moment.frame
    is_compressed = any(topic.endswith("/compressed") for topic in BagSource(bag).image_topics)
    return {
        "input.image_transport": "compressed" if is_compressed else "raw",
        "extrinsics.lidar": pose_to_vector(frame.T_base_lidar),
        "extrinsics.cameras": pose_to_vector(first_image(frame).camera.T_base_camera),
    }


def frame_rate(moments: list[Moment]) -> float:
    """Frames per second within a drive: the median, which the pauses between drives do not move."""
    return float(1 / np.median(steps_s(moments)))


def steps_s(moments: list[Moment]) -> np.ndarray:
    """Seconds between frames, [N - 1]; frames of one stamp count as one."""
    return np.diff(np.unique([moment.stamp_ns for moment in moments])) / 1e9


def check_length(bag: Path, moments: list[Moment], hz: float, limit_s: float) -> None:
    """Raise SourceError when the bag, replayed at `hz` frames per second, takes longer than the demo waits."""
    seconds = float(steps_s(moments).sum()) * frame_rate(moments) / hz
    if seconds > limit_s:
        raise SourceError(
            f"bag {bag} takes {seconds:.0f} s to replay at {hz:g} frames per second, the demo waits {limit_s:.0f} s: "
            "cut it to a shorter drive"
        )
