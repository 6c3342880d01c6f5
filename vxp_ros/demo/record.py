"""What the demo keeps of a run: every answer that came back over ROS, beside the truth."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.datatypes import Status
from ..core.geometry import pose_from_vector
from ..core.place_map import PlaceMap
from .data import Moment

if TYPE_CHECKING:
    from .loops import LoopAct

# Query sensor to map sensor, in the words of the VXP paper: 2D is the camera, 3D the LiDAR. Fused: both at once.
MODES = {
    "2D-2D": ("camera", "camera"),
    "3D-3D": ("lidar", "lidar"),
    "2D-3D": ("camera", "lidar"),
    "3D-2D": ("lidar", "camera"),
    "fused": ("fused", "fused"),
}


@dataclass(frozen=True)
class Answer:
    """One PlaceCandidates message. truth and place: [4, 4] T_map_base of the query and of the best candidate (None
    without a candidate). radius_m: a candidate is right within so many metres of the truth; is_known: the map has such
    a place. end_to_end_ms: from the player's publish of the frame's last message to the receipt here."""

    mode: str
    stamp_ns: int
    status: int
    truth: np.ndarray
    place_id: int | None
    place: np.ndarray | None
    distance: float
    end_to_end_ms: float
    radius_m: float
    is_known: bool
    candidates: int = 0

    @property
    def error_m(self) -> float:
        """Distance between the query's true position and the best candidate's place; inf without a candidate."""
        return float("inf") if self.place is None else float(np.linalg.norm(self.truth[:3, 3] - self.place[:3, 3]))

    @property
    def is_right(self) -> bool:
        return self.error_m <= self.radius_m

    @property
    def is_accepted(self) -> bool:
        """The node believes its best candidate."""
        return self.status == Status.OK

    @property
    def is_refusal(self) -> bool:
        """The node could not use the frame; it counts it as dropped."""
        return self.status == Status.BAD_INPUT


@dataclass(frozen=True)
class DemoRun:
    """Everything the report is made of. answers: those of all modes; summary: what summary.json holds; act: the second
    one, None where it was left out."""

    place_map: PlaceMap
    moments: list[Moment]
    answers: list[Answer]
    summary: dict = field(default_factory=dict)
    act: "LoopAct | None" = None

    def answers_of(self, mode: str) -> list[Answer]:
        return [answer for answer in self.answers if answer.mode == mode]


class Recording:
    """The recorder's file, read while it grows. answers, keyframes, closures: its lines so far; diagnostics: status
    name -> the newest line of it."""

    def __init__(self, path: Path):
        self.path = path
        self.is_ready = False
        self.answers: list[dict] = []
        self.keyframes: list[dict] = []
        self.closures: list[dict] = []
        self.diagnostics: dict[str, dict] = {}
        self._offset = 0

    def update(self) -> "Recording":
        """Read what was appended since the last call."""
        if not self.path.exists():
            return self
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            self._take(json.loads(line))
        return self

    def _take(self, line: dict) -> None:
        if line["kind"] == "ready":
            self.is_ready = True
        elif line["kind"] == "answer":
            self.answers.append(line)
        elif line["kind"] == "keyframe":
            self.keyframes.append(line)
        elif line["kind"] == "closure":
            self.closures.append(line)
        elif line["kind"] == "diagnostics":
            self.diagnostics[line["name"]] = line


def read_sent(path: Path, topics: tuple[str, ...]) -> dict[int, int]:
    """The player's log: {stamp_ns of a frame: monotonic_ns at which the last of its messages on `topics` was sent}."""
    sent: dict[int, int] = {}
    with path.open(newline="") as file:
        for monotonic_ns, topic, stamp_ns in csv.reader(file):
            if topic in topics:
                sent[int(stamp_ns)] = max(sent.get(int(stamp_ns), 0), int(monotonic_ns))
    return sent


@dataclass(frozen=True)
class Truth:
    """What the answers are held against. poses: {stamp_ns: [4, 4] T_map_base} of the queries; places: [N, 3] positions
    of the map's places."""

    poses: dict[int, np.ndarray]
    places: np.ndarray
    radius_m: float

    def is_known(self, stamp_ns: int) -> bool:
        """The map has a place within the radius of this query."""
        gaps = np.linalg.norm(self.places - self.poses[stamp_ns][:3, 3], axis=1)
        return bool((gaps <= self.radius_m).any())


def make_answer(mode: str, line: dict, sent: dict[int, int], truth: Truth) -> Answer:
    """One line of the recorder beside what was sent ({stamp_ns: monotonic_ns}) and the truth."""
    stamp_ns = line["stamp_ns"]
    best = line["candidates"][0] if line["candidates"] else None
    return Answer(
        mode=mode,
        stamp_ns=stamp_ns,
        status=line["status"],
        truth=truth.poses[stamp_ns],
        place_id=best["place_id"] if best else None,
        place=pose_from_vector(best["pose"]) if best else None,
        distance=best["distance"] if best else float("inf"),
        end_to_end_ms=(line["monotonic_ns"] - sent[stamp_ns]) / 1e6,
        radius_m=truth.radius_m,
        is_known=truth.is_known(stamp_ns),
        candidates=len(line["candidates"]),
    )
