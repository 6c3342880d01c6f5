"""No package older than its last known hole: at import, in setup.cfg, and in the locks."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vxp_ros.core.floors import FLOORS, parse_version, require

ROOT = Path(__file__).parents[2]
# Of packages that come with others: matplotlib reads and writes pictures with Pillow.
LOCKED = {floor.distribution: floor.version for floor in FLOORS.values()} | {"pillow": "12.2.0", "pyyaml": "6.0"}


@pytest.mark.parametrize(
    ("text", "numbers"), [("2.13.0+cpu", (2, 13, 0)), ("12.2", (12, 2)), ("2.10.0rc1", (2, 10, 0)), ("unknown", ())]
)
def test_versions(text, numbers):
    assert parse_version(text) == numbers


@pytest.mark.parametrize(
    ("module", "old"), [("torch", "2.9.1+cu128"), ("torch", "2.5.1"), ("faiss", "1.8.0"), ("safetensors", "0.4.5")]
)
def test_old_releases_are_refused_with_the_fix(module, old):
    with pytest.raises(
        ImportError, match=rf"{old.split('+')[0]}.* is too old: .*pip install '.*>={FLOORS[module].version}"
    ):
        require(module, old)
    require(module, FLOORS[module].version)


USERS = {
    "torch": "vxp_ros.core.models.backbones",
    "faiss": "vxp_ros.core.index",
    "safetensors": "vxp_ros.core.model_store",
}


@pytest.mark.parametrize("module", FLOORS)
def test_an_old_release_ends_the_import_and_so_the_command(module):
    """In a process of its own, whose package says that it is old."""
    program = f"import {module}; {module}.__version__ = '0.1'; import {USERS[module]}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "ImportError: " in done.stderr.splitlines()[-1] and "0.1 is too old" in done.stderr


def test_setup_cfg_asks_for_the_same():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lists = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    wanted = dict(re.fullmatch(r"([\w.-]+)>=([\d.]+)", line).groups() for text in lists for line in text.split("\n")
                  if line.startswith(tuple(floor.distribution for floor in FLOORS.values())))  # fmt: skip
    assert wanted == {floor.distribution: floor.version for floor in FLOORS.values()}


@pytest.mark.parametrize("lock", sorted(ROOT.glob("requirements/lock-*.txt")), ids=lambda path: path.stem)
def test_the_locks_hold_none_older(lock):
    pinned = dict(line.split("==") for line in lock.read_text().splitlines() if "==" in line and line[0] not in "# ")
    for name, floor in LOCKED.items():
        assert parse_version(pinned[name]) >= parse_version(floor), name
