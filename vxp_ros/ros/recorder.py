"""Writes what a node of ours says as JSON lines: answers, keyframes, closures and diagnostics, and when they came.

    python -m vxp_ros.ros.recorder vxp_localizer --out answers.jsonl

Every line has `kind` and `monotonic_ns` (time.monotonic_ns, one clock for all processes of a host). Kinds: "ready" (the
node's publishers are matched: nothing is lost from now on), "answer" (PlaceCandidates), "keyframe", "closure",
"diagnostics" (one line per status).
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from vxp_ros.msg import Keyframe, LoopClosure, PlaceCandidates

from ..core.geometry import pose_to_vector
from .conversions import stamp_to_ns, to_matrix
from .qos import latched_qos, result_qos
from .spinning import Failures, spin


class Recorder(Node):
    """Subscribes to `~/candidates`, `~/keyframes` and `~/loop_closures` of the node `name`, and to /diagnostics; writes
    to `file`."""

    def __init__(self, name: str, file):
        super().__init__("vxp_recorder", enable_rosout=False)
        self._file = file
        self._subscriptions_of_node = [
            self.create_subscription(PlaceCandidates, f"/{name}/candidates", self._on_answer, result_qos(100)),
            self.create_subscription(Keyframe, f"/{name}/keyframes", self._on_keyframe, latched_qos(1000)),
            self.create_subscription(LoopClosure, f"/{name}/loop_closures", self._on_closure, result_qos(100)),
        ]
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, result_qos(100))
        self._wait = self.create_timer(0.05, self._look_for_publishers)

    def _look_for_publishers(self) -> None:
        if any(self.count_publishers(entry.topic_name) for entry in self._subscriptions_of_node):
            self._write("ready")
            self._wait.cancel()

    def _on_answer(self, msg: PlaceCandidates) -> None:
        time_of_receipt = time.monotonic_ns()
        duration = msg.processing_time
        self._write(
            "answer",
            time_of_receipt,
            stamp_ns=stamp_to_ns(msg.header.stamp),
            modality=msg.modality,
            status=msg.status,
            message=msg.message,
            processing_ms=1e3 * duration.sec + 1e-6 * duration.nanosec,
            candidates=[as_dict(candidate) for candidate in msg.candidates],
        )

    def _on_keyframe(self, msg: Keyframe) -> None:
        pose = pose_to_vector(to_matrix(msg.pose))
        self._write("keyframe", stamp_ns=stamp_to_ns(msg.header.stamp), id=msg.id, pose=pose)

    def _on_closure(self, msg: LoopClosure) -> None:
        pose = pose_to_vector(to_matrix(msg.transform.pose))
        self._write("closure", from_id=msg.from_id, to_id=msg.to_id, pose=pose, is_retracted=msg.retract)

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            values = {entry.key: entry.value for entry in status.values}
            level = int.from_bytes(status.level, "little")  # a byte field, which rclpy shows as bytes
            self._write("diagnostics", name=status.name, level=level, message=status.message, values=values)

    def _write(self, kind: str, monotonic_ns: int | None = None, **fields) -> None:
        line = {"kind": kind, "monotonic_ns": monotonic_ns or time.monotonic_ns(), **fields}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def as_dict(candidate) -> dict:
    return {
        "place_id": candidate.place_id,
        "stamp_ns": stamp_to_ns(candidate.header.stamp),
        "distance": candidate.distance,
        "score": candidate.score,
        "margin": candidate.margin,
        "pose": pose_to_vector(to_matrix(candidate.pose.pose)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Write what a node says as JSON lines.")
    parser.add_argument("name", help="node to record, e.g. vxp_localizer")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    arguments = parser.parse_args(rclpy.utilities.remove_ros_args(sys.argv)[1:])
    rclpy.init()
    with arguments.out.open("w") as file:
        recorder, executor = Recorder(arguments.name, file), SingleThreadedExecutor()
        executor.add_node(recorder)
        try:
            spin(executor, Failures(recorder))
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C may come twice
            recorder.destroy_node()
            rclpy.try_shutdown()


if __name__ == "__main__":
    main()
