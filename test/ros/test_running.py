"""A node's process: it starts or says why not, obeys signals, and leaves no request and no memory behind."""

import fcntl
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from live_rig import EXTRINSICS, LATCHED, NodeProcess

from vxp_ros.msg import Keyframe, PlaceCandidates
from vxp_ros.srv import SaveMap

pytestmark = pytest.mark.ros


def shared_memory(pid: int) -> set[str]:
    """The files of shared memory that a process has mapped."""
    with open(f"/proc/{pid}/maps") as file:
        return {line.split()[-1] for line in file if "/dev/shm/" in line}


def test_a_process_started_by_hand(ros, robot, model, map_root, record_property):
    arguments = ["-p", f"model.weights:={model}", "-p", f"map.path:={map_root / 'town'}", *EXTRINSICS]
    candidates = robot.listen(PlaceCandidates, "/robot1/where/candidates")
    topics = ("image", "points", "camera_info", "odom")
    names = ["-r", "__ns:=/robot1", "-r", "__node:=where", *(word for t in topics for word in ("-r", f"{t}:=/{t}"))]
    process = NodeProcess("localizer", *arguments, *names)
    try:
        robot.meet(30)
        robot.show(1)
        assert robot.spin_until(lambda: candidates), process.output()
        assert candidates[0].candidates[0].place_id == 1
        segments = shared_memory(process.process.pid) - shared_memory(os.getpid())
        begin = time.monotonic()
        assert process.stop() == 0, process.output()
        seconds = time.monotonic() - begin
        record_property("seconds to stop", round(seconds, 2))
        assert seconds < 10.0  # a hang, not a busy machine
        assert [path for path in segments if os.path.exists(path)] == []  # 64 MiB each with our profile
        assert "Traceback" not in process.output()
    finally:
        process.stop()


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.2, 0.4, 0.6])
def test_a_second_ctrl_c_changes_nothing(ros, robot, model, map_root, pause):
    """launch and the terminal both send one."""
    process = NodeProcess("localizer", "-p", f"model.weights:={model}", "-p", f"map.path:={map_root / 'town'}")
    try:
        robot.meet(30)
        os.kill(process.process.pid, signal.SIGINT)
        time.sleep(pause)
        if process.is_alive():
            os.kill(process.process.pid, signal.SIGINT)
        assert process.wait(10) == 0, process.output()
    finally:
        process.stop()


def holds_open(pid: int, path: Path) -> bool:
    return any(os.path.realpath(entry) == str(path) for entry in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.slow
def test_a_request_under_way_at_the_end_is_answered(ros, robot, model, tmp_path):
    """Its save waits for a lock that is ours, a second long, and the signal comes while it does."""
    arguments = ["-p", f"model.weights:={model}", "-p", f"map.root:={tmp_path}", *EXTRINSICS]
    keyframes = robot.listen(Keyframe, "/vxp_mapper/keyframes", LATCHED)
    process = NodeProcess("mapper", *arguments)
    lock = tmp_path / ".trip.lock"
    try:
        robot.meet()
        assert robot.repeat_until(lambda: robot.show(0, odom=0.0), lambda: keyframes), process.output()
        assert robot.call(SaveMap, "/vxp_mapper/save_map", SaveMap.Request(name="other")).success
        with lock.open("w") as file:
            file.write("the test")
            file.flush()
            fcntl.flock(file, fcntl.LOCK_EX)
            answer = robot.clients["/vxp_mapper/save_map"].call_async(SaveMap.Request(name="trip"))
            assert robot.spin_until(lambda: holds_open(process.process.pid, lock))
            assert not answer.done()
            os.kill(process.process.pid, signal.SIGINT)
            assert robot.spin_until(answer.done), process.output()
        assert (answer.result().success, "by the test" in answer.result().message) == (False, True)
        assert process.wait(10) == 0, process.output()
    finally:
        process.stop()


PAGES_PER_FRAME = """
import resource, sys
from vxp_ros.ros.running import StopSignal, serve

def refuse():
    raise ValueError("no node today")

if sys.argv[1] == "node":
    assert serve(refuse, False, [], StopSignal()) == 1
for frame in range(20):
    if frame == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [b"x" * 1_000_000 for _ in range(10)]
    del blocks
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_a_node_uses_the_memory_of_the_last_frame_again():
    def pages(process: str) -> float:
        command = [sys.executable, "-c", PAGES_PER_FRAME, process]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert pages("any") > 1_000  # the control
    assert pages("node") < 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "model.weights:=/nowhere"], ["cannot configure", "/nowhere"]),
        (["-p", "match.top_k:=0"], ["cannot start", "match.top_k", "[1, 100]"]),
        (["-p", "match.top:=3"], ["cannot start", "unknown parameter match.top", "match.top_k"]),
        (["--params-file", "/nowhere.yaml"], ["/nowhere.yaml"]),
    ],
)
def test_a_process_that_cannot_start_says_why_and_exits_with_1(ros, arguments, words):
    process = NodeProcess("localizer", *arguments)
    try:
        assert process.wait(30) == 1
        assert all(word in process.output() for word in words), process.output()
        assert "Traceback" not in process.output(), process.output()
    finally:
        process.stop()
