"""Map safety: a disk that fails or fills up, a power cut at each step of a save, and several processes at once."""

import errno
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from map_samples import copy_root, generation_of, make_map, tree_hash, version_folder
from map_saver import load_in_place, save_in_place, start_saver
from power_cut import CONTENTS, NAMES, lose

from vxp_ros.core import fsio
from vxp_ros.core.errors import MapError
from vxp_ros.core.map_folder import VERSION_PATTERN, debris
from vxp_ros.core.map_store import load_map, save_map
from vxp_ros.core.place_map import PlaceMap


@pytest.fixture
def tmp_path(tmp_path):
    """In memory where that is possible: these tests save a thousand times, and wait for no real flush."""
    if not Path("/dev/shm").is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


class PowerCut(BaseException):
    """Ends a save at one step; no later step happens either, so nothing is tidied up."""


class Disk:
    """Counts the steps of a save; step number `fail_at`, or each from there on, fails. fault: an errno; None: a cut."""

    def __init__(self, fail_at: int = 1 << 30, fault: int | None = None, stays_broken: bool = False):
        self.fail_at, self.fault, self.stays_broken = fail_at, fault, stays_broken
        self.steps: list[tuple[str, Path]] = []

    def __call__(self, operation: str, path: Path) -> None:
        self.steps.append((operation, path))
        is_due = len(self.steps) == self.fail_at or (self.stays_broken and len(self.steps) > self.fail_at)
        if not is_due:
            return
        if self.fault is None:
            raise PowerCut
        raise OSError(self.fault, os.strerror(self.fault), str(path))

    def run(self, save) -> str:
        """Save on this disk: "saved", "refused" or "cut"."""
        fsio.before_step = self
        try:
            save()
            return "saved"
        except (MapError, OSError):
            return "refused"
        except PowerCut:
            return "cut"
        finally:
            fsio.before_step = None


def steps_of(path: Path, generation: int) -> int:
    disk = Disk()
    assert disk.run(lambda: save_map(make_map(generation), path, overwrite=True)) == "saved"
    return len(disk.steps)


@pytest.mark.slow
@pytest.mark.parametrize("stays_broken", [False, True], ids=["one call", "all calls from there on"])
@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
def test_every_failing_call_leaves_a_whole_map(town, fault, stays_broken, record_property):
    save_map(make_map(1), town, overwrite=True)  # from now on each save also removes a version
    count, refused = steps_of(town, 1), 0
    for n in range(1, count + 1):
        old, new = n, n + 1
        outcome = Disk(n, fault, stays_broken).run(lambda g=new: save_map(make_map(g), town, overwrite=True))
        found = generation_of(load_map(town))
        if outcome == "saved":  # then only the removal of an old version failed
            assert found == new
        else:
            refused += 1
            # A disk that dies for good right after the swap cannot take it back: then the new map is there, whole.
            assert found == old or (stays_broken and found == new)
        if not stays_broken:
            assert not [path for path in town.parent.iterdir() if ".tmp-" in path.name or ".link-" in path.name]
        assert not debris(town.parent, "town")
        if found == new:
            continue
        save_map(make_map(new), town, overwrite=True)
    record_property("failing calls", count)
    record_property("saves refused", refused)
    record_property("broken maps", 0)
    assert count / 2 < refused < count


def test_the_fault_harness_catches_a_naive_saver(tmp_path, record_property):
    """The same fault at each write of the in-place saver leaves a mix of two maps nearly always."""
    folder, broken, writes = tmp_path / "naive", 0, 14
    for n in range(1, writes + 1):
        save_in_place(make_map(1), folder)
        assert Disk(n, errno.ENOSPC).run(lambda: save_in_place(make_map(2), folder)) == "refused"
        try:
            generation_of(load_in_place(folder))
        except Exception:
            broken += 1
    record_property("failing writes", writes)
    record_property("broken maps of the naive saver", broken)
    assert broken > writes / 2


def test_a_first_save_that_fails_leaves_nothing(tmp_path):
    path = tmp_path / "new" / "town"
    count = steps_of(tmp_path / "old" / "town", 1)
    for n in range(1, count):
        if Disk(n, errno.EIO).run(lambda: save_map(make_map(2), path)) == "refused":
            assert not path.is_symlink()
            assert not [entry for entry in tmp_path.glob("new/*") if entry.name != ".town.lock"]
        shutil.rmtree(path.parent, ignore_errors=True)


def cut_at_each_step(folder: Path, is_believed) -> tuple[int, int, int]:
    """Cut a save at every step and lose, in several ways, what the flushes that are believed have not made safe.

    Returns steps, states looked at, and how many of these hold no whole map or, after success, not the new one.
    """
    fresh, root, crashed = folder / "fresh", folder / "maps", folder / "crashed"
    save_map(make_map(1), fresh / "town")
    old, n, states, broken, outcome = (fresh / "town").readlink().name, 0, 0, 0, "cut"
    while outcome == "cut":
        n += 1
        copy_root(fresh, root)
        disk = Disk(n, stays_broken=True)
        outcome = disk.run(lambda: save_map(make_map(2), root / "town", overwrite=True))
        steps = disk.steps[: n - 1] if outcome == "cut" else disk.steps
        done = [step for step in steps if step[0] != "fsync" or is_believed(step[1], root)]
        root.rename(crashed)
        for contents, names in itertools.product(CONTENTS, NAMES):
            copy_root(crashed, root)
            lose(done, contents, names, root, old)
            broken += not holds_a_whole_map(root, (1, 2) if outcome == "cut" else (2,))
            states += 1
            shutil.rmtree(root)
        shutil.rmtree(crashed)
    return n - 1, states, broken


def holds_a_whole_map(root: Path, generations: tuple[int, ...]) -> bool:
    try:
        return generation_of(load_map(root / "town")) in generations and not debris(root, "town")
    except MapError:
        return False


@pytest.mark.slow
def test_a_power_cut_at_each_step_leaves_a_whole_map(tmp_path, record_property):
    steps, states, broken = cut_at_each_step(tmp_path, lambda path, root: True)
    record_property("steps", steps)
    record_property("states", states)
    record_property("broken", broken)
    assert steps > 40
    assert broken == 0


# A saver that leaves out some of its flushes, or all: which of those in the record are believed.
FORGETFUL = {
    "no flush": lambda path, root: False,
    "no flush of files": lambda path, root: path == root or path.parent == root,
    "no flush of the new folder": lambda path, root: path.parent != root,
    "no flush of the root": lambda path, root: path != root,
}


@pytest.mark.slow
@pytest.mark.parametrize("saver", FORGETFUL)
def test_the_power_cut_harness_catches_a_saver_that_forgets_to_flush(tmp_path, saver, record_property):
    """The same loop over the same save, as if those calls had not been made."""
    _, states, broken = cut_at_each_step(tmp_path, FORGETFUL[saver])
    record_property("states", states)
    record_property("broken", broken)
    assert broken > 0


@pytest.fixture
def small_disk(make_disk):
    return make_disk(1)


def growing_map(generation: int) -> PlaceMap:
    """Every second map is twice as large as the one before, so that it cannot be written into the space of that one."""
    return make_map(generation, cloud_points=1000 * (1 + generation % 2))


def fill_levels(disk: Path, save, load, levels: int) -> tuple[list[bool], list[bool]]:
    """Save onto a disk with ever more bytes free, from none to twice what a map takes.

    Returns for each level whether the save said that it succeeded, and whether what it said is true: then the new map
    is there, else the old one, whole. After a broken level the naive saver gets a fresh start.
    """
    said, true, old = [], [], 0
    assert Disk().run(lambda: save(growing_map(0), disk / "town")) == "saved"
    used = sum(file.stat().st_blocks * 512 for file in version_folder(disk / "town").iterdir())
    for level in range(levels):
        free = os.statvfs(disk).f_bavail * 4096
        (disk / "filler").write_bytes(bytes(max(0, free - level * 2 * used // levels)))
        said.append(Disk().run(lambda g=old + 1: save(growing_map(g), disk / "town")) == "saved")
        try:
            true.append(generation_of(load(disk / "town")) == old + said[-1])
        except Exception:
            true.append(False)
        (disk / "filler").unlink()
        old += said[-1]
        if not true[-1]:
            save(growing_map(old), disk / "town")
    return said, true


def test_a_disk_that_fills_up_at_any_point(small_disk, record_property):
    """With k bytes free: success is reported exactly when the new map is there; else the old one is, whole."""
    left = []

    def load_and_look(path: Path):
        place_map = load_map(path)
        left.extend(debris(small_disk, "town"))
        return place_map

    levels = 100
    said, true = fill_levels(small_disk, lambda m, path: save_map(m, path, overwrite=True), load_and_look, levels)
    record_property("fill levels", levels)
    record_property("saved", sum(said))
    record_property("refused", levels - sum(said))
    record_property("wrong reports or broken maps", levels - sum(true))
    record_property("debris", len(left))
    assert all(true) and not left
    assert 10 < sum(said) < 90


def test_the_full_disk_harness_catches_a_naive_saver(small_disk, record_property):
    levels = 100
    _, true = fill_levels(small_disk, save_in_place, load_in_place, levels)
    record_property("fill levels", levels)
    record_property("wrong reports or broken maps of the naive saver", levels - sum(true))
    assert levels - sum(true) > 10


@contextmanager
def without_privileges():
    """Root may write everywhere: be nobody for a while."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_folder_without_write_permission(town, tmp_path):
    tmp_path.chmod(0o755)
    (town.parent / "town.tmp-0123abcd").mkdir()
    town.parent.chmod(0o555)
    try:
        with without_privileges():
            assert generation_of(load_map(town)) == 1
            with pytest.raises(MapError, match="was not saved: Permission denied"):
                save_map(make_map(2), town, overwrite=True)
            assert generation_of(load_map(town)) == 1
    finally:
        town.parent.chmod(0o755)
    assert debris(town.parent, "town") == [town.parent / "town.tmp-0123abcd"]


def test_a_map_that_may_not_be_read(town, tmp_path):
    tmp_path.chmod(0o755)
    (version_folder(town) / "clouds.npy").chmod(0)
    with without_privileges(), pytest.raises(MapError, match=r"clouds\.npy cannot be read: Permission denied"):
        load_map(town)


def test_a_file_where_the_root_should_be(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MapError, match=r"was not saved: .*(File exists|Not a directory)"):
        save_map(make_map(), tmp_path / "file" / "town")
    assert (tmp_path / "file").read_text() == "mine"


def read_meanwhile(path: Path, scheme: str, load, saves: int, least_opens: int) -> tuple[list[int], int]:
    """Two processes save the same map over and over while this one opens it all the time.

    Returns the generation that each open found, and how often it found none or a mix.
    """
    writers = [start_saver(scheme, path, first, saves) for first in (FIRST, 2 * FIRST)]
    seen, errors = [], 0
    while any(writer.poll() is None for writer in writers) or len(seen) + errors < least_opens:
        try:
            seen.append(generation_of(load(path)))
        except Exception:
            errors += 1
    for first, writer in zip((FIRST, 2 * FIRST), writers, strict=True):
        assert writer.communicate()[0].split()[-1] == str(first + saves - 1).encode()
    return seen, errors


FIRST = 10_000  # generation of the first writer; that of the second is twice this


def test_two_writers_and_a_reader(tmp_path, count, record_property):
    path, saves = tmp_path / "town", count(40, 1000)
    save_map(make_map(1), path)
    seen, errors = read_meanwhile(path, "atomic", load_map, saves, least_opens=count(300, 10_000))
    record_property("saves", 2 * saves)
    record_property("opens meanwhile", len(seen))
    record_property("different maps seen", len(set(seen)))
    record_property("errors", errors)
    assert errors == 0
    assert generation_of(load_map(path)) in {FIRST + saves - 1, 2 * FIRST + saves - 1}
    assert not debris(tmp_path, "town")
    assert len(set(seen)) > 5


def test_the_reader_harness_catches_two_naive_writers(tmp_path, record_property):
    save_in_place(make_map(1), tmp_path / "naive")
    seen, errors = read_meanwhile(tmp_path / "naive", "in-place", load_in_place, saves=40, least_opens=300)
    record_property("opens meanwhile", len(seen) + errors)
    record_property("errors with the naive saver", errors)
    assert errors > 10


def test_a_second_writer_is_told_who_the_first_is(town, monkeypatch):
    monkeypatch.setattr("vxp_ros.core.map_folder.LOCK_WAIT_S", 0.0)
    before = tree_hash(town.parent)
    with (
        fsio.lock(town.parent / ".town.lock", 0),
        pytest.raises(MapError, match=f"is being saved by process {os.getpid()} on .*; try again"),
    ):
        save_map(make_map(2), town, overwrite=True)
    assert tree_hash(town.parent) == before
    save_map(make_map(2), town, overwrite=True)


def test_the_lock_of_a_dead_process_is_taken_over(town):
    script = f"""
import sys, time
from pathlib import Path
from vxp_ros.core import fsio
with fsio.lock(Path({str(town.parent / ".town.lock")!r}), 0):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(MapError, match=f"by process {holder.pid} on"):
        save_map(make_map(2), town, overwrite=True)
    assert generation_of(load_map(town)) == 1  # reading needs no lock
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert VERSION_PATTERN.fullmatch(save_map(make_map(2), town, overwrite=True).path.readlink().name)
    assert f"process {os.getpid()} on" in (town.parent / ".town.lock").read_text()


def test_a_reader_that_two_saves_overtake_starts_again(town, monkeypatch):
    """The version that the link named vanishes between the look at the link and the read."""
    from vxp_ros.core import map_reader

    read, calls = map_reader.read_map, []

    def overtaken(folder, digest):
        calls.append(folder.name)
        if len(calls) == 1:
            monkeypatch.setattr(map_reader, "read_map", read)  # the saves read what they wrote
            save_map(make_map(2), town, overwrite=True)
            save_map(make_map(3), town, overwrite=True)
        return read(folder, digest)

    monkeypatch.setattr(map_reader, "read_map", overtaken)
    assert generation_of(load_map(town)) == 3


def test_each_flush_in_the_records_is_a_real_one(town, monkeypatch):
    """The power cuts above believe what the steps say; here the steps are compared with the calls to the system."""
    real, flushed, disk = os.fsync, [], Disk()
    monkeypatch.setattr(os, "fsync", lambda descriptor: (flushed.append(descriptor), real(descriptor)))
    assert disk.run(lambda: save_map(make_map(2), town, overwrite=True)) == "saved"
    steps = [path for operation, path in disk.steps if operation == "fsync"]
    assert len(flushed) == len(steps) == 16 + 3  # each file, its folder, and the root after the rename and the swap
