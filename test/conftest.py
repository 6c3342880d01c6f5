"""Options of all tests: `--full` runs the counts of a release, `--results FILE` keeps what the run measured as JSON.

The same test, with the same naive control, runs at both counts: `count(50, 1000)` is 50, and 1000 under `--full`.
docs/reliability/README.md has the commands, and the files that they wrote.
"""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from origin import origin_of

from vxp_ros.core.json_file import plain
from vxp_ros.core.memory import give_back_freed_memory

FULL_TIMEOUT_S = 10 * 3600  # of each test; the longest soak takes eight hours


def pytest_addoption(parser):
    group = parser.getgroup("vxp_ros")
    group.addoption("--full", action="store_true", help="run the counts of a release; the longest test takes hours")
    group.addoption("--results", type=Path, metavar="FILE", help="write outcomes, times and recorded counts as JSON")


def pytest_configure(config):
    if config.getoption("results") and not hasattr(config, "workerinput"):  # the first process collects from all
        config.pluginmanager.register(Results(config), "vxp_results")


def pytest_collection_modifyitems(config, items):
    if config.getoption("full"):
        for item in items:
            item.add_marker(pytest.mark.timeout(FULL_TIMEOUT_S), append=False)


@pytest.fixture(scope="session")
def count(request):
    """count(ci, full): how many trials this run makes."""
    is_full = request.config.getoption("full")
    return lambda ci, full: full if is_full else ci


@pytest.fixture
def make_disk(tmp_path):
    """make_disk(megabytes): a real disk of that size, for as long as the test runs."""
    folder = tmp_path / "small"

    def make(megabytes: int) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("needs root and the right to mount a tmpfs")
        return folder

    yield make
    if os.path.ismount(folder):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def scattered_memory():
    """scattered_memory(): 200 MB taken and freed again, but for a block here and there; see ScatteredMemory."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another C library than glibc")
    return ScatteredMemory


class ScatteredMemory:
    """What the C library keeps of freed memory: taken_mb, and how much of that the process has by now given back."""

    def __init__(self):
        give_back_freed_memory()  # else the blocks take what earlier tests have left
        before = rss_mb()
        blocks = [bytes([i % 256]) * 100_000 for i in range(2_000)]  # each smaller than what glibc maps by itself
        self._kept = blocks[::20]
        del blocks
        self._start_mb = rss_mb()
        self.taken_mb = self._start_mb - before

    @property
    def given_back_mb(self) -> float:
        return self._start_mb - rss_mb()


def rss_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


class Results:
    """Collects one entry for each test and writes them when all have run, failed ones too."""

    def __init__(self, config):
        self.config, self.began, self.tests = config, time.monotonic(), {}
        self.origin = origin_of(config.rootpath)  # now: the files may change while the tests run

    def pytest_runtest_logreport(self, report):
        entry = self.tests.setdefault(report.nodeid, {"outcome": "passed", "seconds": 0.0, "measured": {}})
        entry["seconds"] = round(entry["seconds"] + report.duration, 2)
        entry["measured"].update(report.user_properties)
        if report.outcome == "skipped":
            entry["outcome"] = f"skipped: {report.longrepr[2] if isinstance(report.longrepr, tuple) else 'expected'}"
        elif report.failed:
            entry["outcome"] = f"failed in {report.when}"

    def pytest_sessionfinish(self, exitstatus):
        content = {
            "command": command_of(self.config),
            **self.origin,
            "full": self.config.getoption("full"),
            "exit_code": int(exitstatus),
            "seconds": round(time.monotonic() - self.began, 1),
        }
        path = self.config.getoption("results")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_json(content, self.tests))


def as_json(content: dict, tests: dict[str, dict]) -> str:
    """One line for each fact and for each test, so that a difference shows what has changed."""
    head = json.dumps(content, indent=1)[:-2]  # without its closing brace
    entries = {name: json.dumps(plain(entry), default=str, allow_nan=False) for name, entry in tests.items()}
    lines = [f"  {json.dumps(name)}: {entry}" for name, entry in entries.items()]
    return head + ',\n "tests": {\n' + ",\n".join(lines) + "\n }\n}\n"


def command_of(config) -> str:
    """As it was typed, with paths below the repository made relative to it."""
    return " ".join(
        ["python -m pytest", *(arg.replace(f"{config.rootpath}/", "") for arg in config.invocation_params.args)]
    )


def pytest_terminal_summary(terminalreporter):
    """Print what tests recorded with `record_property`: the numbers that the documentation quotes."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    lines = [
        f"{report.nodeid.split('::')[-1]}: " + ", ".join(f"{name} {value}" for name, value in report.user_properties)
        for report in reports
        if getattr(report, "when", "") == "call" and report.user_properties
    ]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)
