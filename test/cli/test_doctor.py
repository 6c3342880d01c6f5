"""`vxp doctor`: findings on this computer, and the fixes it names for broken ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vxp_ros.cli import doctor
from vxp_ros.cli.main import run
from vxp_ros.core.floors import FLOORS, Floor


def test_a_sound_installation_passes(capsys, tmp_path):
    assert run(["doctor", "--json", str(tmp_path / "d.json")]) == 0
    findings = json.loads((tmp_path / "d.json").read_text())["findings"]
    names = {finding["name"] for finding in findings}
    assert {"Python", "torch", "device", "spconv", "faiss", "OpenCV", "rclpy"} <= names
    assert not [finding for finding in findings if finding["level"] == "FAIL"]
    assert all(finding["fix"] for finding in findings if finding["level"] != "OK")
    assert "OK" in capsys.readouterr().out


def test_model_and_map_that_fit(model, place_map, capsys):
    assert run(["doctor", "--model", model, "--map", str(place_map)]) == 0
    assert "6 places, fits vxp_lite-" in capsys.readouterr().out


def test_a_map_of_another_model_fails(place_map, tmp_path, capsys):
    assert run(["model", "init", "vxp_lite", "--out", str(tmp_path / "other"), "--seed", "5"]) == 0
    assert run(["doctor", "--model", str(tmp_path / "other"), "--map", str(place_map)]) == 1
    assert "FAIL  map" in capsys.readouterr().out


def test_a_missing_model_fails(tmp_path, capsys):
    assert run(["doctor", "--model", str(tmp_path / "none")]) == 1
    assert "fix: vxp model init vxp_lite --out DIR" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("running", "level"), [((3, 9, 1), "FAIL"), ((3, 10, 0), "OK"), ((3, 13, 2), "OK"), ((3, 14), "FAIL")]
)
def test_python(running, level):
    assert doctor.check_python(running).level == level


def test_an_old_or_missing_package_fails(monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda name: "2.9.1+cu128")
    finding = doctor.check_floor(FLOORS["torch"])
    assert finding.level == "FAIL" and "CVE-2026-24747" in finding.text
    assert "torch>=2.10" in finding.fix
    monkeypatch.undo()
    assert doctor.check_floor(Floor("no-such-distribution", "1", "")).level == "FAIL"


def test_a_package_that_does_not_import_fails():
    finding = doctor.check_import("thing", "vxp_no_such_module", "nothing")
    assert finding.level == "FAIL"
    assert "pip install" in finding.fix


def test_without_spconv_the_slow_fallback_is_named(monkeypatch):
    assert doctor.check_spconv().level == "OK"
    monkeypatch.setattr("vxp_ros.core.models.sparse.spconv_ops", None)
    monkeypatch.setattr("vxp_ros.core.models.sparse.spconv_problem", "libcuda.so.1: cannot open")
    finding = doctor.check_spconv()
    assert finding.level == "WARN" and "pip install" in finding.fix
    assert finding.text == "broken (libcuda.so.1: cannot open): the slow fallback in plain torch is used"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert doctor.check_spconv().text == "not installed: the slow fallback in plain torch is used"


def test_spconv_that_really_is_not_there():
    """In a Python that cannot import it."""
    program = (
        "import sys; sys.modules['spconv'] = None; sys.modules['spconv.core'] = None\n"
        "from vxp_ros.cli import doctor; import vxp_ros.core.models.sparse as sparse\n"
        "assert sparse.spconv_ops is None and sparse.spconv_problem\n"
        "doctor.importlib.util.find_spec = lambda name: None\n"
        "print(doctor.check_spconv().level)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert result.stdout.strip() == "WARN", result.stderr


def test_a_device_that_is_not_there_fails():
    assert doctor.check_device("auto").level == "OK"
    finding = doctor.check_device("cuda:99")
    assert finding.level == "FAIL" and "cuda:99" in finding.text and finding.fix


def test_messages_that_do_not_import_fail(monkeypatch):
    assert doctor.check_messages().level == "OK"
    monkeypatch.setitem(sys.modules, "vxp_ros.srv", None)
    finding = doctor.check_messages()
    assert finding.level == "FAIL" and "colcon build" in finding.fix


def test_fast_dds_profile(tmp_path):
    assert doctor.check_profile("").level == "WARN"
    assert doctor.check_profile(str(tmp_path / "gone.xml")).level == "FAIL"
    finding = doctor.check_profile("")
    shipped = Path(finding.fix.split("=", 1)[1].split(" ")[0])
    assert shipped.is_file()
    assert doctor.check_profile(str(shipped)).level == "OK"


def test_shared_memory(monkeypatch, tmp_path):
    assert doctor.check_shared_memory(tmp_path / "none").level == "WARN"
    small = os.statvfs_result((4096, 4096, 16384, 16000, 16000, 0, 0, 0, 0, 255))  # docker's default of 64 MB
    monkeypatch.setattr(os, "statvfs", lambda _: small)
    finding = doctor.check_shared_memory(tmp_path)
    assert finding.level == "WARN"
    assert "--shm-size" in finding.fix
