"""Nodes that are killed (SIGKILL) in the middle of their work and started again, as launch's `respawn` does."""

import random
import signal
import sys
import time

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from lifecycle_msgs.srv import GetState
from live_rig import EXTRINSICS, LATCHED, NodeProcess
from nav_msgs.msg import Path as PathMsg

from vxp_ros.msg import Keyframe, PlaceCandidates
from vxp_ros.ros.conversions import stamp_to_ns

pytestmark = [pytest.mark.ros, pytest.mark.slow]
OK = 0
PATIENCE_S = 240  # the record has the seconds; a computer with other work takes a minute to load torch


class Respawning:
    """A localizer that is started again whenever it was killed."""

    def __init__(self, robot, model, map_root, autostart=True):
        self.robot, self.autostart = robot, autostart
        self.arguments = ["-p", f"model.weights:={model}", "-p", f"map.path:={map_root / 'town'}", *EXTRINSICS]
        self.arguments += ["-p", "input.max_rate:=0.0", "-p", "input.max_age:=60.0"]
        self.candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
        self.start()

    def start(self) -> None:
        self.process = NodeProcess("localizer", *self.arguments, autostart=self.autostart)

    def kill(self) -> None:
        """And take in all that it had sent, which must not pass for the work of the next one."""
        assert self.process.stop(signal.SIGKILL) == -signal.SIGKILL
        number = -1
        while number != (number := len(self.candidates)):
            self.robot.spin(0.5)

    def seconds_to_ok(self, number, patience) -> float | None:
        """Until a frame is answered rightly and the diagnostics are all OK again."""
        begin, begin_ns = time.monotonic(), self.robot.now_ns()
        self.robot.diagnostics.clear()

        def is_back() -> bool:
            new = [answer for answer in self.candidates if stamp_to_ns(answer.header.stamp) >= begin_ns]
            levels = [status.level[0] for status in self.robot.diagnostics.values()]
            is_right = any(answer.candidates and answer.candidates[0].place_id == number for answer in new)
            return is_right and len(levels) >= 7 and max(levels) == OK

        is_well = self.robot.repeat_until(lambda: self.robot.show(number), is_back, patience, 0.1)
        return time.monotonic() - begin if is_well else None


def work_for(robot, seconds) -> None:
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        robot.show(random.randrange(4))
        robot.spin(0.1)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.by_hand) for seed in range(1, 5))])
def test_a_killed_localizer_comes_back(ros, robot, model, map_root, seed, count, record_property):
    """Killed at random moments, while starting up too."""
    kills, rng, seconds = count(1, 10), random.Random(seed), []
    node = Respawning(robot, model, map_root)
    try:
        assert node.seconds_to_ok(1, PATIENCE_S) is not None, node.process.output()
        for kill in range(kills):
            work_for(robot, rng.uniform(0.0, 1.0))
            node.kill()
            node.start()
            if kill % 5 == 4:  # and again before it is up
                robot.spin(rng.uniform(0.0, 2.0))
                node.kill()
                node.start()
            seconds.append(node.seconds_to_ok(kill % 4, PATIENCE_S))
            assert seconds[-1] is not None, node.process.output()
        record_property("kills that it came back from", f"{len(seconds)} of {kills}")
        record_property(
            "seconds to OK, least, median and most",
            tuple(round(value, 1) for value in (min(seconds), sorted(seconds)[kills // 2], max(seconds))),
        )
        assert node.process.stop() == 0
    finally:
        node.process.stop()


def test_a_node_that_waits_for_somebody_does_not_come_back(ros, robot, model, map_root):
    """The naive control: a respawn that nobody configures and activates. The time counts from when it is up."""
    node = Respawning(robot, model, map_root, autostart=False)
    try:
        state = robot.call(GetState, "/vxp_localizer/get_state", timeout=PATIENCE_S).current_state
        assert state.label == "unconfigured"
        assert node.seconds_to_ok(1, 15) is None
        assert node.process.is_alive()
    finally:
        node.process.stop(signal.SIGKILL)


TOPICS = {
    "localizer": (PlaceCandidates, "/vxp_localizer/candidates", 10),
    "mapper": (Keyframe, "/vxp_mapper/keyframes", LATCHED),
    "loop_closer": (Keyframe, "/vxp_loop_closer/keyframes", LATCHED),
    "pose_graph": (PathMsg, "/vxp_pose_graph/path", LATCHED),
}


class Fleet:
    """All nodes as processes, fed by one robot that drives on; and whether each does its work."""

    def __init__(self, robot, model, map_root, maps):
        self.robot, self.x = robot, 0.0
        common = ["-p", f"model.weights:={model}", *EXTRINSICS, "-p", "input.max_age:=60.0"]
        self.arguments = {
            "localizer": [*common, "-p", f"map.path:={map_root / 'town'}"],
            "mapper": [*common, "-p", f"map.root:={maps}"],
            "loop_closer": [*common, "-p", f"map.root:={maps}"],
            "pose_graph": [*remap("keyframes"), *remap("loop_closures")],
        }
        self.heard = {name: robot.listen(*topic) for name, topic in TOPICS.items()}
        self.processes = {name: self.make(name) for name in TOPICS}

    def make(self, name) -> NodeProcess:
        return NodeProcess(name, *self.arguments[name], autostart=name != "pose_graph")

    def drive(self, seconds) -> None:
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            self.step()

    def step(self) -> None:
        self.x += 1.5
        self.robot.show(int(self.x) % 4, odom=self.x)
        self.robot.spin(0.2)

    def working(self, names, patience) -> set[str]:
        """Those of `names` that say something new while the robot drives on."""
        before = {name: len(self.heard[name]) for name in names}
        begin, found = time.monotonic(), set()
        while found != set(names) and time.monotonic() - begin < patience:
            self.step()
            found = {name for name in names if len(self.heard[name]) > before[name]}
        return found

    def stop(self) -> list[int]:
        return [process.stop() for process in self.processes.values()]


def remap(topic) -> list[str]:
    return ["-r", f"{topic}:=/vxp_loop_closer/{topic}"]


@pytest.mark.by_hand
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="kiss-matcher has no wheel for Python 3.13")
def test_any_node_may_be_killed_at_work(ros, robot, model, map_root, tmp_path, count, record_property):
    """The others go on meanwhile, and it works again without help. The harness sees the dead one as dead."""
    pytest.importorskip("gtsam", reason="gtsam is not installed (extra slam)")
    rounds, rng, back = count(1, 3), random.Random(2), []
    fleet = Fleet(robot, model, map_root, tmp_path / "maps")
    names = set(TOPICS)
    try:
        assert fleet.working(names, PATIENCE_S) == names
        for victim in sorted(names) * rounds:
            fleet.drive(rng.uniform(0.0, 1.0))
            fleet.processes[victim].stop(signal.SIGKILL)
            robot.spin(0.5)  # what it had sent
            others = names - {victim} - ({"pose_graph"} if victim == "loop_closer" else set())
            assert fleet.working(others, 60) == others, (victim, "killed")
            assert fleet.working({victim}, 1.0) == set()
            begin = time.monotonic()
            fleet.processes[victim] = fleet.make(victim)
            assert fleet.working(names, PATIENCE_S) == names, (victim, "back", fleet.processes[victim].output()[-2000:])
            back.append(time.monotonic() - begin)
        record_property("kills", len(back))
        record_property("seconds until all work again, most", round(max(back), 1))
        assert fleet.stop() == [0] * len(names)
    finally:
        fleet.stop()
