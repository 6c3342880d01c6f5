"""What the processes of a demo would have written, word by word."""

import json
from pathlib import Path

from vxp_ros.core.geometry import pose_to_vector
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.demo.data import DemoData, Moment
from vxp_ros.demo.processes import Child
from vxp_ros.demo.record import MODES, DemoRun, Recording, Truth, make_answer
from vxp_ros.demo.summary import Replay, summarise

CONTROLS = {"chance": 0.5, "thumbnails_8x16": 1.0, "random_weights": dict.fromkeys(MODES, 0.4)}
RADIUS_M = 2.5
LEFT_OUT = {"left_out": "GTSAM is missing"}


def make_run(replays: list[Replay], data: DemoData, place_map: PlaceMap) -> DemoRun:
    """The run that these replays add up to, its summary included."""
    poses = {entry.stamp_ns: entry.T_map_base for entry in data.queries}
    truth = Truth(poses, place_map.poses[:, :3, 3], RADIUS_M)
    answers = [
        make_answer(replay.name, line, replay.sent, truth)
        for replay in replays[1:]
        for line in replay.recording.answers
    ]
    summary = summarise("m", place_map, data, replays, answers, CONTROLS, RADIUS_M, {"mapping": 3.0}, LEFT_OUT)
    return DemoRun(place_map, data.queries, answers, summary)


class Dialogue:
    """Writes a recorder's file and a player's log for one replay, as the real processes do."""

    def __init__(self, folder: Path, name: str, queries: list[Moment], place_map: PlaceMap):
        self.folder, self.name, self.queries, self.place_map = folder, name, queries, place_map
        self.node = "vxp_mapper" if name == "mapping" else "vxp_localizer"
        self.lines = [{"kind": "ready", "monotonic_ns": 1}]

    def answer(self, number: int, place_id: int | None, after_ms: float = 100.0, status: int = 0) -> None:
        """Query `number`, sent at number + 1 seconds, is answered with a place."""
        T = None if place_id is None else self.place_map.place(place_id).T_map_base
        candidate = {"place_id": place_id, "stamp_ns": 1, "distance": 0.5, "score": 0.6, "margin": 0.1}
        candidates = [] if T is None else [{**candidate, "pose": pose_to_vector(T)}]
        stamp_ns = self.queries[number].stamp_ns
        self.lines.append({"kind": "answer", "monotonic_ns": stamp_ns + int(after_ms * 1e6), "stamp_ns": stamp_ns,
                           "status": status, "candidates": candidates})  # fmt: skip

    def keyframe(self, number: int) -> None:
        self.lines.append({"kind": "keyframe", "monotonic_ns": 1, "stamp_ns": number, "id": number})

    def diagnose(
        self, received: int, processed: int, in_flight: int = 0, sensors: int | None = None, **dropped
    ) -> None:
        """What the node says at the end."""
        frames = {"received": received, "processed": processed, "in_flight": in_flight}
        frames |= {f"dropped_{reason}": number for reason, number in dropped.items()}
        heard = received if sensors is None else sensors
        sensor = {"received": heard, "processed": heard, "in_flight": 0}
        encoder = {
            "search_ms_p50": 0.5,
            "search_ms_p95": 0.9,
            "image_encoder_ms_p50": 70.0,
            "image_encoder_ms_p95": 90.0,
        }
        for name, values in {
            "camera": sensor, "lidar": sensor, "encoder": encoder,
            "sync": {f"frames_{key}": value for key, value in frames.items()},
        }.items():  # fmt: skip
            texts = {key: str(value) for key, value in values.items()}
            self.lines.append({"kind": "diagnostics", "monotonic_ns": 1, "name": f"{self.node}: {name}", "level": 0,
                               "message": "", "values": texts})  # fmt: skip

    def replay(self) -> Replay:
        path = self.folder / f"{self.name}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
        sent = {entry.stamp_ns: entry.stamp_ns for entry in self.queries}
        child = Child(f"{self.name}.node", None, path, cpu_s=1.0, rss_mb=500.0, wall_s=4.0)
        return Replay(self.name, self.node, sent, Recording(path).update(), [child])
