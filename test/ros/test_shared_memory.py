"""What a killed process leaves in shared memory, and who may not be robbed of his."""

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from vxp_ros.ros.shared_memory import remove_orphans

SPEAKER = """
import rclpy, time
rclpy.init()
node = rclpy.create_node("speaker")
print("ready", flush=True)
time.sleep(600)
"""
OLD = time.time() - 3600


def segments_of(pid: int) -> set[str]:
    with open(f"/proc/{pid}/maps") as file:
        return {line.split()[-1] for line in file if "/dev/shm/fast" in line and "_port" not in line}


def age(path: str) -> None:
    for name in (path, f"{path}_el"):
        os.utime(name, (OLD, OLD))


@pytest.fixture
def speakers():
    started = []

    def start() -> subprocess.Popen:
        """Each in a domain of its own: nodes that hear each other map each other's segments too."""
        domain = (int(os.environ.get("ROS_DOMAIN_ID", "0")) + 34 * (len(started) + 1)) % 102
        command, environment = [sys.executable, "-c", SPEAKER], {**os.environ, "ROS_DOMAIN_ID": str(domain)}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.ros
def test_segments_of_the_dead_go_and_those_of_the_living_stay(speakers, record_property):
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    dead, living = speakers(), speakers()
    left, kept = segments_of(dead.pid), segments_of(living.pid)
    assert left and kept and not left & kept
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    for path in left | kept:
        age(path)
    assert all(map(os.path.exists, left))  # the naive way, to do nothing, leaves them
    record_property("MiB left by one killed process", round(sum(os.stat(path).st_size for path in left) / 2**20))
    remove_orphans()
    assert not any(os.path.exists(name) for path in left for name in (path, f"{path}_el"))
    assert all(os.path.exists(name) for path in kept for name in (path, f"{path}_el"))


def test_what_is_young_locked_or_of_another_kind_stays(tmp_path):
    names = ["fastdds_0123456789abcdef", "fastdds_fedcba9876543210", "fastdds_aaaaaaaaaaaaaaaa", "fastdds_port7411",
             "notes"]  # fmt: skip
    for name in names:
        for file in (tmp_path / name, tmp_path / f"{name}_el"):
            file.write_bytes(bytes(5000))
        age(str(tmp_path / name))
    os.utime(tmp_path / f"{names[1]}_el")
    with open(tmp_path / f"{names[2]}_el") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_orphans(tmp_path) > 0
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"{name}{suffix}" for name in names[1:] for suffix in ("", "_el")}
