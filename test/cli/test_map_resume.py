"""`vxp map build` after SIGKILL: the same command goes on where the killed one was, to the same map."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from scenes import scene, write

from vxp_ros.cli.main import run
from vxp_ros.core.finished_places import FinishedPlaces

pytestmark = pytest.mark.slow

# A build in a process of its own that keeps every place at once, and kills itself after so many.
BUILD = """
import os, signal, sys
from vxp_ros.cli.main import run
from vxp_ros.core import finished_places
from vxp_ros.core.recognizer import PlaceRecognizer

finished_places.PLACES_PER_PART = 1
make, left = PlaceRecognizer.make_place, [int(sys.argv[1])]

def make_and_die(*arguments):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return make(*arguments)

PlaceRecognizer.make_place = make_and_die
sys.exit(run(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> str:
    return write(tmp_path_factory.mktemp("bags") / "drive", [scene(number) for number in range(6)])


def killed_build(places: int, arguments: list[str]) -> None:
    """A build that dies by SIGKILL before its place number `places`."""
    code = subprocess.run(
        [sys.executable, "-c", BUILD, str(places), *arguments], capture_output=True, check=False
    ).returncode
    assert code == -signal.SIGKILL


def content_of(path) -> dict[str, bytes]:
    """All files of a map but the manifest, which tells the time."""
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != "manifest.json"}


def test_a_killed_build_goes_on_to_the_same_map(
    drive, model, place_map, tmp_path, cache, capsys, count, record_property
):
    kills = count(2, 20)
    for number in range(kills):
        out = tmp_path / f"m{number}"
        arguments = ["map", "build", drive, "--out", str(out), "--model", model]
        finished = 1 + number % 5
        killed_build(finished, arguments)
        assert not out.exists()
        assert run(arguments) == 0
        assert f"({finished} from a build that broke off)" in capsys.readouterr().out
        assert content_of(out) == content_of(place_map)
        assert os.listdir(cache / "vxp" / "builds") == []
    record_property("killed builds that went on to the map of the unbroken one", kills)


def test_another_recording_under_the_same_name_takes_nothing(model, tmp_path, capsys):
    """The control of what a place is found by: by name and time alone, all three would be taken."""
    source = write(tmp_path / "drive", [scene(number) for number in range(6)])
    arguments = ["map", "build", source, "--out", str(tmp_path / "m"), "--model", model]
    killed_build(3, arguments)
    os.rename(tmp_path / "drive", tmp_path / "old")
    write(tmp_path / "drive", [scene(number, points=3000) for number in range(6)])
    assert run(arguments) == 0
    assert "broke off" not in capsys.readouterr().out


def test_a_build_that_forgets_is_caught(drive, model, tmp_path, capsys, monkeypatch):
    """The naive control: it makes every place again."""
    arguments = ["map", "build", drive, "--out", str(tmp_path / "m"), "--model", model]
    killed_build(3, arguments)
    monkeypatch.setattr("vxp_ros.core.finished_places.load_part", lambda *_: {})
    made = []
    make = FinishedPlaces._keep
    monkeypatch.setattr(FinishedPlaces, "_keep", lambda self, *place: made.append(make(self, *place)))
    assert run(arguments) == 0
    assert len(made) == 6 and "broke off" not in capsys.readouterr().out


@pytest.mark.parametrize("room", [1.2, 1.6, 2.0])
def test_what_is_kept_never_costs_the_map_its_room(drive, model, place_map, make_disk, monkeypatch, room):
    """The cache on the map's own disk, which has room for one of them, or hardly for both."""
    disk = make_disk(16)
    size = sum(file.stat().st_blocks * 512 for file in place_map.iterdir())
    monkeypatch.setenv("XDG_CACHE_HOME", str(disk / "cache"))
    monkeypatch.setattr("vxp_ros.core.finished_places.PLACES_PER_PART", 2)
    (disk / "filler").write_bytes(bytes(int(shutil.disk_usage(disk).free - room * size)))
    assert run(["map", "build", drive, "--out", str(disk / "m"), "--model", model]) == 0
    assert content_of(disk / "m") == content_of(place_map)
    assert list((disk / "cache").rglob("*.npy")) == []
