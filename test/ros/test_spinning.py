"""What callbacks raise does not end a node: it is counted, told, and no reason to spin without rest."""

import time
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from live_rig import NodeProcess
from rclpy.executors import ExternalShutdownException
from rosgraph_msgs.msg import Clock

from vxp_ros.ros import spinning
from vxp_ros.ros.spinning import Failures, spin

pytestmark = pytest.mark.ros


class FailingExecutor:
    """Raises the next of `problems` each time; none of them: a success."""

    def __init__(self, problems):
        self.problems, self.calls = iter(problems), 0

    def spin_once(self, timeout_sec: float) -> None:
        self.calls += 1
        problem = next(self.problems)
        if problem:
            raise problem


def failures_of_nobody() -> tuple[Failures, list[str]]:
    lines: list[str] = []
    return Failures(SimpleNamespace(get_logger=lambda: SimpleNamespace(error=lines.append))), lines


def negative_clock_hurts_not(robot, process: NodeProcess) -> None:
    clock = robot.node.create_publisher(Clock, "/clock", 1)
    assert robot.spin_until(clock.get_subscription_count, 30), process.output()
    before_1970 = Clock()
    before_1970.clock.sec = -5
    told = lambda: "Seconds value must not be negative" in process.output()  # noqa: E731
    assert robot.repeat_until(lambda: clock.publish(before_1970), told, 20), process.output()
    assert process.is_alive(), process.output()


@pytest.mark.parametrize("name", ["localizer", "pose_graph"])
def test_a_clock_before_1970_ends_no_node(robot, name):
    """The mapper and the loop closer run as the localizer does."""
    if name == "pose_graph":
        pytest.importorskip("gtsam", reason="gtsam is not installed (extra slam, Python 3.11 or later)")
    process = NodeProcess(name, "-p", "use_sim_time:=true", autostart=False)
    try:
        negative_clock_hurts_not(robot, process)
        assert robot.spin_until(lambda: robot.level("callbacks") == 1), process.output()
        assert "ValueError: Seconds" in robot.diagnostics["callbacks"].message
        assert robot.spin_until(lambda: robot.level("callbacks") == 0)  # none since
        assert process.stop() == 0, process.output()
    finally:
        process.stop()


def test_nor_the_recorder(robot, tmp_path):
    arguments = ["--", "nobody", "--out", str(tmp_path / "out.jsonl")]
    process = NodeProcess("recorder", "-p", "use_sim_time:=true", *arguments, autostart=False)
    try:
        negative_clock_hurts_not(robot, process)
        assert process.stop() == 0, process.output()
    finally:
        process.stop()


def test_a_defect_that_stays_is_told_and_takes_no_processor(ros):
    failures, lines = failures_of_nobody()
    executor = FailingExecutor(iter(lambda: ValueError("broken"), None))
    end, begin = time.monotonic() + 2.0, time.process_time()
    spin(executor, failures, lambda: time.monotonic() > end)
    assert failures.count == executor.calls and 20 < failures.count < 20 + 2.0 / spinning.PAUSE + 5
    assert time.process_time() - begin < 0.5
    assert len(lines) == 1 and "ValueError: broken" in lines[0] and "Traceback" in lines[0]


def test_failures_among_successes_cause_no_pause(ros, monkeypatch):
    pauses = []
    monkeypatch.setattr(spinning.time, "sleep", pauses.append)
    failures, _ = failures_of_nobody()
    executor = FailingExecutor([ValueError("bad message"), None] * 100 + [KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        spin(executor, failures)
    assert (failures.count, executor.calls, pauses) == (100, 201, [])


def test_the_end_of_the_context_is_the_end_and_no_failure(ros):
    failures, lines = failures_of_nobody()

    def end_of_context():
        ros.shutdown()
        yield ExternalShutdownException()

    spin(FailingExecutor(end_of_context()), failures)
    assert (failures.count, failures.reports(), lines) == (0, [], [])
