"""`--full` and `--results`: what the reliability record stands on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = """
import pytest

def test_counts(count, record_property, request):
    record_property("trials", count(5, 2000))
    record_property("timeout", [mark.args[0] for mark in request.node.iter_markers("timeout")])

@pytest.mark.timeout(7)
def test_fails():
    raise AssertionError

def test_skips():
    pytest.skip("no such device")

@pytest.fixture
def broken():
    raise OSError

def test_cannot_start(broken):
    pass
"""


def results_of(folder: Path, *options: str) -> dict:
    """What `--results` writes about the sample tests, run with the hooks of these tests."""
    (folder / "test_sample.py").write_text(SAMPLE)
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-q", "--results", "out/file.json", *options]
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=False)
    return json.loads((folder / "out" / "file.json").read_text())


@pytest.mark.parametrize("is_full", [False, True])
def test_results_tell_counts_outcomes_and_where_they_come_from(tmp_path, is_full):
    results = results_of(tmp_path, str(tmp_path / "test_sample.py"), *(["--full"] if is_full else []))
    tests = {name.split("::")[1]: entry for name, entry in results["tests"].items()}
    assert results["full"] == is_full and results["exit_code"] == 1
    assert results["command"].startswith("python -m pytest -p conftest -q --results out/file.json test_sample.py")
    assert str(tmp_path) not in json.dumps(results)
    assert tests["test_counts"]["measured"] == {
        "trials": 2000 if is_full else 5,
        "timeout": [36000] if is_full else [],
    }
    assert {name: entry["outcome"] for name, entry in tests.items()} == {
        "test_counts": "passed",
        "test_fails": "failed in call",
        "test_skips": "skipped: Skipped: no such device",
        "test_cannot_start": "failed in setup",
    }
