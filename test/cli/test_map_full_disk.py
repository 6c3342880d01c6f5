"""`vxp map build` on a disk that fills up: said in one sentence, and the map that was there stays whole."""

import os
import shutil
from pathlib import Path

import pytest
from map_builds import OLDER, build, files_of, save_in_place

from vxp_ros.cli.main import run
from vxp_ros.core import map_store
from vxp_ros.core.map_folder import debris

pytestmark = pytest.mark.usefixtures("one_encoder")


class FullDisks:
    """Builds on a disk with ever more bytes free, from none to twice what the map takes; by turns where no map is and
    over an older one. Each turn is (exit code, files before), with the disk as the build left it."""

    def __init__(self, source: str, model: str, disk: Path, folder: Path):
        self.arguments, self.disk, self.town = (source, disk / "town", model), disk, disk / "town"
        self.older, newer = folder / "older", folder / "newer"
        assert build(source, self.older / "town", model, *OLDER) == 0
        assert build(source, newer / "town", model) == 0
        self.whole = files_of(newer / "town")
        self.used = sum(file.stat().st_blocks * 512 for file in (newer / "town").resolve().iterdir())

    def levels(self, count: int):
        for level in range(count):
            if level % 2:
                shutil.copytree(self.older, self.disk, symlinks=True, dirs_exist_ok=True)
            before, filler = files_of(self.town), self.disk / "filler"
            room = os.statvfs(self.disk).f_bavail * 4096
            filler.write_bytes(bytes(max(0, room - level * 2 * self.used // count)))
            yield build(*self.arguments), before
            for entry in self.disk.iterdir():
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()

    def is_right(self, code: int, before: dict[str, bytes]) -> bool:
        """The new map is there if the build says so, else what was there before."""
        return files_of(self.town) == (before if code else self.whole)


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_costs_no_map(
    source, tiny_model, make_disk, tmp_path, capsys, count, record_property
):
    levels, built = count(6, 40), 0
    disks = FullDisks(source, tiny_model, make_disk(2), tmp_path)
    capsys.readouterr()
    for code, before in disks.levels(levels):
        built += code == 0
        assert disks.is_right(code, before)
        said = capsys.readouterr().err.split("\n")
        said = [line for line in said if line.strip()]
        if code:
            start = f"vxp: map town was not saved: No space left on device ({disks.disk}"
            assert code == 1 and len(said) == 1 and said[0].startswith(start)
        assert (run(["map", "check", str(disks.town)]) == 0) == (code == 0 or bool(before))
        (disks.disk / "filler").unlink()
        assert build(*disks.arguments) == 0 and files_of(disks.town) == disks.whole
        assert not debris(disks.disk, "town") and len(list(disks.disk.iterdir())) <= 4  # link, lock, a version before
        capsys.readouterr()
    record_property("fill levels", levels)
    record_property("built", built)
    record_property("refused, the map before whole, and built when there was room", levels - built)
    assert levels / 4 < built < levels * 3 / 4


def test_the_full_disk_harness_catches_a_naive_saver(
    source, tiny_model, make_disk, tmp_path, monkeypatch, count, record_property
):
    monkeypatch.setattr(map_store, "save_map", save_in_place)
    levels = count(6, 40)
    disks = FullDisks(source, tiny_model, make_disk(2), tmp_path)
    broken = sum(not disks.is_right(code, before) for code, before in disks.levels(levels))
    record_property("fill levels", levels)
    record_property("broken maps of the naive saver", broken)
    assert broken >= levels / 4
