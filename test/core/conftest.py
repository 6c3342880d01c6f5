"""Shared by the core tests: helper modules beside the tests, and measured counts printed at the end of the run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_terminal_summary(terminalreporter):
    """Print what tests recorded with `record_property`: the numbers that the documentation quotes."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    lines = [
        f"{report.nodeid.split('::')[-1]}: " + ", ".join(f"{name} {value}" for name, value in report.user_properties)
        for report in reports
        if getattr(report, "when", "") == "call" and report.user_properties and "test/core/" in report.nodeid
    ]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture
def town(tmp_path) -> Path:
    """A saved map of six places; what it holds follows from generation 1."""
    from map_samples import make_map

    from vxp_ros.core.map_store import save_map

    return save_map(make_map(generation=1), tmp_path / "maps" / "town").path
