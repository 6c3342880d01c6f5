"""summary.json: what came of every frame, how right and how fast the answers were, and what it cost."""

import os
import platform
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version

import numpy as np

from .. import __version__
from ..core.config import MatchSettings
from ..core.datatypes import Status
from ..core.errors import VxpError
from ..core.evaluate import distances_to_places, percentiles, recall_at_k
from ..core.place_map import PlaceMap
from .controls import shuffled_map_recall
from .data import DemoData, Moment, frame_rate
from .processes import Child
from .record import MODES, Answer, Recording

SENSORS = ("camera", "lidar")
PACKAGES = ("torch", "spconv", "faiss-cpu", "numpy", "opencv-python-headless", "ros-rclpy", "ros-rmw-fastrtps-cpp")
CAVEATS = (
    "The model learnt from synthetic towns alone, of other streets and styles than this one; real streets differ.",
)


@dataclass(frozen=True)
class Replay:
    """One bag played to one node. name: of the phase, for the localizer its mode. sent: {stamp_ns: monotonic_ns} of
    the frames."""

    name: str
    node: str
    sent: dict[int, int]
    recording: Recording
    children: list[Child]

    def is_settled(self) -> bool:
        """True when the node has received every frame and none is on its way through it any more."""
        self.recording.update()
        return account(self)["balanced"] and self.has_looked_back()

    def has_looked_back(self) -> bool:
        """True when a loop closer is through with its keyframes; other nodes have nothing to look back at."""
        values = self.values("closures")
        done = sum(int(values.get(key, 0)) for key in ("looked_at", "superseded", "failed"))
        return not values or done >= len(self.recording.keyframes)

    def values(self, status: str) -> dict[str, str]:
        """Keys and values of one diagnostic status of the node; empty before the first."""
        return self.recording.diagnostics.get(f"{self.node}: {status}", {}).get("values", {})


def summarise(
    model_id: str,
    place_map: PlaceMap,
    data: DemoData,
    replays: list[Replay],
    answers: list[Answer],
    controls: dict,
    radius_m: float,
    seconds: dict[str, float],
    loops: dict,
) -> dict:
    """All numbers of a run; nothing is judged here. replays: the mapping, one per mode, and the loop closing where
    there was one, whose own numbers are `loops`."""
    by_mode = {mode: [answer for answer in answers if answer.mode == mode] for mode in MODES}
    rows = {replay.name: account(replay) for replay in replays}
    latency = {
        replay.name: {"end_to_end": end_to_end(by_mode[replay.name]), **stages(replay)}
        for replay in replays
        if replay.name in MODES
    }
    positions = place_map.poses[:, :3, 3]
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": model_id,
        "map": place_map.map_id,
        "map_places": len(place_map),
        "frames_sent": {
            "map": len(replays[0].sent),
            "query": sum(len(replay.sent) for replay in replays if replay.name in MODES),
        },
        "queries_answered": sum(answer.place is not None for answer in answers),
        "candidates": sum(answer.candidates for answer in answers),
        "recall_at_1": {
            mode: recall_at_1(given, asked(data.queries, given), positions, radius_m) for mode, given in by_mode.items()
        },
        "recall_at_1_of_all_sent": {
            mode: recall_at_1(given, data.queries, positions, radius_m) for mode, given in by_mode.items()
        },
        "recall_radius_m": radius_m,
        "min_probability": MatchSettings().min_probability,
        "verdicts": {mode: verdicts(given) for mode, given in by_mode.items()},
        "controls": {
            **controls,
            "shuffled_map": {mode: shuffled_map_recall(given, positions) for mode, given in by_mode.items()},
        },
        "chance": controls["chance"],
        "loops": loops,
        "accounting": rows,
        "balanced": all(row["balanced"] for row in rows.values()),
        "dropped": dict(sum((Counter(row["dropped"]) for row in rows.values()), Counter())),
        "latency_ms": {"end_to_end": end_to_end(answers), **slowest(list(latency.values()))},
        "latency_ms_by_mode": latency,
        "cpu": {child.name: child.cpu_percent for replay in replays for child in replay.children},
        "rss_mb": {child.name: child.rss_mb for replay in replays for child in replay.children},
        "seconds": dict(seconds),
        "data": {
            "name": data.name,
            "map_frames": len(data.places),
            "query_frames": len(data.queries),
            "recorded_hz": frame_rate(data.queries),
        },
        "replay_hz": replay_rate(replays[len(MODES)]),
        "caveats": list(CAVEATS),
        "versions": versions(),
    }


def account(replay: Replay) -> dict:
    """What became of every frame of one replay, in the node's own words, beside what was sent and what came back.

    lost: sent, but never received: the middleware's losses. balanced: every sent message reached the node and is
    processed or dropped for a reason, none is left inside, and every processed frame came back as an answer (or as a
    keyframe of the map).
    """
    sync = replay.values("sync")
    row = {"sent": len(replay.sent), **counts(sync, "frames_")}
    sensors = {sensor: counts(replay.values(sensor)) for sensor in SENSORS}
    results = replay.recording.answers if replay.node == "vxp_localizer" else replay.recording.keyframes
    refused = sum(line.get("status") == Status.BAD_INPUT for line in results)  # answered, and counted as dropped
    row["lost"] = row["sent"] - min(row["received"], *(entry["received"] for entry in sensors.values()))
    row |= {"answers": len(results), "refused": refused, "answered": len(results) - refused, "sensors": sensors}
    row["balanced"] = (
        adds_up(row)
        and all(adds_up(entry) for entry in sensors.values())
        and row["answers"] == row["processed"] + refused
        and row["lost"] == 0
    )
    return row


def counts(values: dict[str, str], prefix: str = "") -> dict:
    """{"received", "processed", "in_flight", "dropped": {reason: n}} from the values of a diagnostic status."""
    dropped = f"{prefix}dropped_"
    return {
        **{key: int(values.get(prefix + key, 0)) for key in ("received", "processed", "in_flight")},
        "dropped": {key[len(dropped) :]: int(value) for key, value in values.items() if key.startswith(dropped)},
    }


def adds_up(row: dict) -> bool:
    return row["in_flight"] == 0 and row["received"] == row["processed"] + sum(row["dropped"].values())


def verdicts(answers: list[Answer]) -> dict[str, dict[str, int]]:
    """What the node believed, by what the truth is: a place of the map, or one that the map does not have."""
    counts = {}
    for name, is_known in (("known", True), ("unknown", False)):
        rows = [answer for answer in answers if answer.is_known == is_known and not answer.is_refusal]
        accepted = [answer for answer in rows if answer.is_accepted]
        counts[name] = {
            "queries": len(rows),
            "right": sum(answer.is_right for answer in rows),
            "accepted_right": sum(answer.is_right for answer in accepted),
            "accepted_wrong": sum(not answer.is_right for answer in accepted),
            "rejected": len(rows) - len(accepted),
        }
    return counts


def recall_at_1(answers: list[Answer], queries: list[Moment], positions: np.ndarray, radius_m: float) -> float:
    """Share of right best candidates among `queries` to known places; one without an answer counts as wrong."""
    errors = {answer.stamp_ns: answer.error_m for answer in answers}
    truth = np.array([moment.T_map_base[:3, 3] for moment in queries]).reshape(-1, 3)
    nearest = distances_to_places(truth, positions).min(axis=1)
    rows = np.array([errors.get(moment.stamp_ns, np.inf) for moment in queries]).reshape(-1, 1)
    return recall_at_k(rows, nearest, radius_m, (1,))[1]


def asked(queries: list[Moment], answers: list[Answer]) -> list[Moment]:
    """The queries that the node took up; a busy computer drops some for newer ones, as the accounting shows."""
    stamps = {answer.stamp_ns for answer in answers if not answer.is_refusal}
    return [moment for moment in queries if moment.stamp_ns in stamps]


def stages(replay: Replay) -> dict[str, dict[str, float]]:
    """{stage: {"p50", "p95"}} in milliseconds, from the node's diagnostics."""
    values = replay.values("encoder")
    names = [key.removesuffix("_ms_p50") for key in values if key.endswith("_ms_p50")]
    return {name: {p: float(values[f"{name}_ms_{p}"]) for p in ("p50", "p95")} for name in names}


def slowest(modes: list[dict]) -> dict[str, dict[str, float]]:
    """Each stage as it was in the mode where its median is largest. Percentiles of different runs cannot be merged."""
    merged: dict[str, dict[str, float]] = {}
    for stage, values in (entry for mode in modes for entry in mode.items()):
        if stage != "end_to_end" and values["p50"] >= merged.get(stage, values)["p50"]:
            merged[stage] = values
    return merged


def end_to_end(answers: list[Answer]) -> dict[str, float]:
    """Of the answers that were worked for: a refusal of bad input is quick."""
    return percentiles(answer.end_to_end_ms for answer in answers if answer.place is not None)


def replay_rate(replay: Replay) -> float:
    """Frames per second as the player published them."""
    return float(1e9 / np.median(np.diff(sorted(replay.sent.values()))))


def versions() -> dict[str, str]:
    return {
        "vxp_ros": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu_cores": str(os.cpu_count()),
        "ros": os.environ.get("ROS_DISTRO", "unknown"),
        **{package: found for package in PACKAGES if (found := installed(package))},
    }


def installed(package: str) -> str:
    try:
        return version(package)
    except ModuleNotFoundError:  # a ROS that came with the system has no Python package metadata
        return ""


def check(summary: dict) -> None:
    """Raise VxpError with one sentence when the run must not pass for a good one."""
    check_accounting(summary["accounting"])
    silent = [mode for mode in MODES if not summary["latency_ms_by_mode"][mode]["end_to_end"]["p50"] > 0]
    if not summary["candidates"] or silent:
        raise VxpError(f"demo failed: no candidate arrived in {', '.join(silent) or 'any mode'}; see logs/")
    if summary["loops"].get("closures") == 0:
        raise VxpError("demo failed: no loop closure stands at the end; see logs/")
    if "failed" in summary["loops"]:
        raise VxpError(f"demo failed in its second act: {summary['loops']['failed']}")


def check_accounting(rows: dict[str, dict]) -> None:
    """Raise VxpError that says what became of the frames of the first replay that is not balanced."""
    for name, row in rows.items():
        if not row["balanced"]:
            dropped = ", ".join(f"{count} {reason}" for reason, count in row["dropped"].items()) or "none"
            raise VxpError(
                f"demo failed: the frames of {name} are not all accounted for: {row['sent']} sent, "
                f"{row['lost']} lost, {row['received']} received, {row['processed']} processed, {row['answers']} "
                f"answered, {row['in_flight']} in flight, dropped: {dropped}; see logs/"
            )
