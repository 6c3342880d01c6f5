"""Children are watched, measured, stopped in order, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from vxp_ros.demo.processes import ProcessError, Processes, interruptible

HERE = Path(__file__).parent
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture
def processes(tmp_path):
    with Processes(tmp_path / "logs", ENVIRONMENT) as processes:
        yield processes


def says(child, word):
    return lambda: word in child.log.read_text()


def test_a_child_ends_as_by_ctrl_c(processes):
    child = processes.start("calm", "stand_ins", "wait")
    processes.wait_until(says(child, "ready"), 20, "it to come up")
    assert os.getsid(child.process.pid) == child.process.pid
    processes.stop_well(child)
    assert "bye" in child.log.read_text()


def test_a_death_is_noticed_and_its_log_shown(processes):
    processes.start("victim", "stand_ins", "fail")
    with pytest.raises(ProcessError, match="victim died with exit code 3") as problem:
        processes.wait_until(lambda: False, 20, "anything")
    assert "the reason why" in str(problem.value)


def test_finish_wants_exit_code_0(processes):
    processes.finish(processes.start("good", "stand_ins", "end"), 20)
    with pytest.raises(ProcessError, match="bad failed with exit code 3"):
        processes.finish(processes.start("bad", "stand_ins", "fail"), 20)


def test_waiting_in_vain(processes):
    processes.start("calm", "stand_ins", "wait")
    assert processes.poll(lambda: False, 0.1) is False
    with pytest.raises(ProcessError, match="in vain for godot"):
        processes.wait_until(lambda: False, 0.1, "godot")


def test_a_deaf_child_is_killed(processes):
    child = processes.start("deaf", "stand_ins", "deaf")
    processes.wait_until(says(child, "ready"), 20, "it to come up")
    assert processes.stop(child, patience_s=0.3) == -signal.SIGKILL


def test_nothing_is_left_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), Processes(tmp_path, ENVIRONMENT) as processes:
        child = processes.start("calm", "stand_ins", "wait")
        processes.wait_until(says(child, "ready"), 20, "it to come up")
        raise RuntimeError
    assert not psutil.pid_exists(child.process.pid)


def test_cpu_and_memory_are_measured(processes):
    child = processes.start("busy", "stand_ins", "busy")
    time.sleep(1.5)
    processes.stop(child, patience_s=1.0)
    assert child.rss_mb > 40
    assert 20 < child.cpu_percent < 120


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_parent_stops_the_children(tmp_path, number):
    """Even when a shell in the background had told us to ignore SIGINT."""
    code = (
        "import signal, sys, time; from pathlib import Path; from vxp_ros.demo.processes import *\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "with interruptible(), Processes(Path(sys.argv[1]), {}) as processes:\n"
        "    child = processes.start('calm', 'stand_ins', 'wait')\n"
        "    processes.wait_until(lambda: 'ready' in child.log.read_text(), 20, 'start')\n"
        "    print(child.process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = {**os.environ, **ENVIRONMENT}
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=environment, text=True)  # fmt: skip
    child = int(parent.stdout.readline())
    parent.send_signal(number)
    assert parent.wait(20) != 0
    assert not psutil.pid_exists(child)
    assert "bye" in (tmp_path / "calm.log").read_text()


def test_handlers_are_restored():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
