"""The recorder as a process: every answer, keyframe and diagnosis becomes one line, with the time of its receipt."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from vxp_ros.core.config import FrameSettings, OutputSettings
from vxp_ros.core.datatypes import Candidate, Recognition, Status
from vxp_ros.core.geometry import make_transform

pytestmark = pytest.mark.ros


def lines_of(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(path, kind: str, count: int = 1, timeout_s: float = 20.0, meanwhile=lambda: None) -> list[dict]:
    deadline = time.monotonic() + timeout_s
    while True:
        found = [line for line in lines_of(path) if line["kind"] == kind]
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, f"{count} lines of {kind} expected, got {lines_of(path)}"
        meanwhile()
        time.sleep(0.05)


def test_recorder(ros, tmp_path):
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
    from geometry_msgs.msg import Pose

    from vxp_ros.msg import Keyframe, PlaceCandidates
    from vxp_ros.ros.publishers import candidates_message, make_header
    from vxp_ros.ros.qos import latched_qos, result_qos

    path = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "vxp_ros.ros.recorder", "vxp_localizer", "--out", str(path)]
    recorder = subprocess.Popen(command)
    node = ros.create_node("vxp_localizer")
    try:
        answers = node.create_publisher(PlaceCandidates, "~/candidates", result_qos())
        keyframes = node.create_publisher(Keyframe, "~/keyframes", latched_qos(10))
        diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", result_qos())
        wait_for(path, "ready")
        while not all(entry.get_subscription_count() for entry in (answers, keyframes, diagnostics)):
            time.sleep(0.02)

        candidate = Candidate(7, 5, 0.25, 0.78, 0.1, make_transform(np.eye(3), np.array([1.0, 2.0, 3.0])))
        before = time.monotonic_ns()
        for answer in (
            Recognition(1_000_000_009, "lidar", Status.OK, "found", (candidate,), stage_ms={"search": 2.5}),
            Recognition(2_000_000_000, "camera", Status.BAD_INPUT, "too dark"),
        ):
            answers.publish(candidates_message(answer, "town.v1", FrameSettings(), OutputSettings()))
        keyframes.publish(Keyframe(header=make_header(3_000_000_000, "map"), id=4, pose=Pose()))
        status = DiagnosticStatus(level=b"\x02", name="vxp_localizer: sync", values=[KeyValue(key="a", value="1")])
        diagnostics.publish(DiagnosticArray(status=[status]))

        first, second = wait_for(path, "answer", 2)
        assert first["stamp_ns"] == 1_000_000_009
        assert before < first["monotonic_ns"] < time.monotonic_ns()
        assert first["candidates"][0]["place_id"] == 7
        assert first["candidates"][0]["pose"] == [1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1.0]
        assert first["processing_ms"] == pytest.approx(2.5)
        assert (second["status"], second["message"], second["candidates"]) == (3, "too dark", [])
        assert wait_for(path, "keyframe")[0]["id"] == 4
        diagnosis = wait_for(path, "diagnostics")[0]
        assert (diagnosis["name"], diagnosis["level"], diagnosis["values"]) == ("vxp_localizer: sync", 2, {"a": "1"})
    finally:
        node.destroy_node()
        recorder.send_signal(signal.SIGINT)
        assert recorder.wait(20) == 0


def test_interrupted_before_anything_was_said(ros, tmp_path):
    path = tmp_path / "out.jsonl"
    recorder = subprocess.Popen([sys.executable, "-m", "vxp_ros.ros.recorder", "nobody", "--out", str(path)])
    node = ros.create_node("onlooker")
    while not node.count_subscribers("/diagnostics"):  # the last thing that it subscribes to
        assert recorder.poll() is None
        time.sleep(0.05)
    node.destroy_node()
    time.sleep(0.5)
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(20) == 0
    assert lines_of(path) == []
