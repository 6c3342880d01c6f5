"""Recording for real: small pictures of a small town, in one process and in several, killed and taken up again."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from town_calls import die, double

from vxp_ros.core.errors import SourceError, VxpError
from vxp_training.datasets.town.splits import Split
from vxp_training.datasets.town.store import task as tasks
from vxp_training.datasets.town.store.master import Recording
from vxp_training.datasets.town.store.master_files import FRAMES
from vxp_training.datasets.town.store.processes import Workers
from vxp_training.datasets.town.store.recording import default_cache, record
from vxp_training.datasets.town.store.task import RigChoice, Task

SPLIT = Split("town-tiny", 9, "demo", (2, 2), 60.0)
TASK = Task(SPLIT, "sunny", RigChoice(size=(64, 36), rings=16), spacing=4.0, samples=1)
LIMIT = 4


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    calls = []
    cache = tmp_path_factory.mktemp("cache")
    return record(TASK, cache, LIMIT, processes=1, progress=lambda *count: calls.append(count)), cache, calls


def contents(recording: Recording) -> dict[str, bytes]:
    """Everything that the recording's frames consist of, heads included."""
    files = [path for path in recording.folder.rglob("*") if path.is_file() and path.name not in (".lock", "meta.json")]
    return {str(path.relative_to(recording.folder)): path.read_bytes() for path in files}


def test_frames_are_what_the_town_looked_like(recorded):
    recording, _, calls = recorded
    assert calls == [(done, LIMIT) for done in range(LIMIT + 1)]
    frames = list(recording)
    assert len(frames) == len(recording) == LIMIT and not recording.problems
    for frame in frames:
        assert frame.images["camera"].pixels.shape == (36, 64, 3) and frame.images["camera"].pixels.std() > 5
        assert len(frame.points) > 5000 and frame.rings.max() == 15
    steps = np.linalg.norm(np.diff(recording.poses[:, :3, 3], axis=0), axis=1)
    np.testing.assert_allclose(steps, 4.0, atol=0.2)
    assert (np.diff(recording.stamps_ns) > 0).all()


def test_the_car_stands_on_the_road_and_sees_it_below(recorded):
    """Points straight below the horizon behind the car lie at the height of the road, 1.85 m under the LiDAR."""
    frame = recorded[0].frame(0)
    near = np.linalg.norm(frame.points[:, :2], axis=1) < 9
    lowest = frame.points[near & (frame.rings < 3), 2]
    assert np.median(lowest) == pytest.approx(-1.85, abs=0.15)


def test_a_second_call_renders_nothing(recorded):
    recording, cache, _ = recorded
    before = {path: path.stat().st_mtime_ns for path in recording.folder.rglob("*.*") if path.name != ".lock"}
    start = time.monotonic()
    record(TASK, cache, LIMIT, processes=1)
    assert time.monotonic() - start < 5.0
    after = {path: path.stat().st_mtime_ns for path in recording.folder.rglob("*.*") if path.name != ".lock"}
    assert after == before


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", "poses", "half frame"])
def test_what_is_damaged_is_rendered_anew_and_alike(recorded, damage, tmp_path):
    recording, cache, _ = recorded
    before = contents(recording)
    victim = recording.folder / FRAMES / "000002.range.png"
    if damage == "gone":
        victim.unlink()
    elif damage == "cut":
        victim.write_bytes(victim.read_bytes()[:-9])
    elif damage == "flipped":
        data = bytearray(victim.read_bytes())
        data[60] ^= 1
        victim.write_bytes(bytes(data))
    elif damage == "poses":
        (recording.folder / "poses.npy").write_bytes(b"no poses")
    else:
        victim.with_name("000002.sha256").unlink()
    assert contents(recording) != before
    again = record(TASK, cache, LIMIT, processes=1)
    assert contents(again) == before


def test_more_frames_are_added_to_those_there(recorded):
    _, cache, _ = recorded
    calls = []
    longer = record(TASK, cache, LIMIT + 1, processes=1, progress=lambda *count: calls.append(count))
    assert calls == [(LIMIT, LIMIT + 1), (LIMIT + 1, LIMIT + 1)] and len(longer) == LIMIT + 1
    assert len(record(TASK, cache, LIMIT, processes=1)) == LIMIT


@pytest.mark.slow
def test_two_processes_record_the_same_as_one(recorded, tmp_path):
    """Elsewhere and spread over processes: the same points, poses and, on one computer, pictures, to the last bit."""
    record(TASK, recorded[1], LIMIT + 1, processes=1)
    one = Recording(recorded[0].folder)
    two = record(TASK, tmp_path, LIMIT + 1, processes=2)
    assert contents(one) == contents(two)
    assert one.meta == two.meta


def test_another_day_is_another_drive(recorded):
    _, cache, _ = recorded
    rain = record(replace(TASK, day="rain"), cache, 2, processes=1)
    assert rain.folder != recorded[0].folder and rain.stamps_ns[0] - recorded[0].stamps_ns[0] > 86400e9
    assert rain.meta["geometry_sha256"] != recorded[0].meta["geometry_sha256"]
    assert np.linalg.norm(rain.poses[0, :3, 3] - recorded[0].poses[0, :3, 3]) < 10  # the same street


def test_the_reverse_day_meets_the_same_streets(recorded):
    """Of a part of the route too: the car comes back along the first 60 m, the other way, in the other lane."""
    first = recorded[0].poses
    back = record(replace(TASK, day="reverse"), recorded[1], 1, processes=1).poses
    nearest = np.linalg.norm(first[:, None, :3, 3] - back[:, :3, 3], axis=2)
    assert nearest.min(axis=1).max() < 15 and np.argmin(nearest[0]) > np.argmin(nearest[-1])
    meeting = np.unravel_index(np.argmin(nearest), nearest.shape)
    assert first[meeting[0], :2, 0] @ back[meeting[1], :2, 0] < -0.5


def test_both_routes_are_driven_one_after_the_other(recorded):
    """The unmapped streets come after a pause and lie apart from all that the main route passes."""
    whole = replace(TASK, split=replace(SPLIT, length=None), spacing=10.0)
    main, both = (record(replace(whole, route=route), recorded[1], 1, processes=1) for route in ("main", "both"))
    count = len(main.poses)
    np.testing.assert_array_equal(both.stamps_ns[:count], main.stamps_ns)
    np.testing.assert_allclose(both.poses[:count], main.poses, atol=1e-9)
    gaps = np.diff(both.stamps_ns) / 1e9
    assert (gaps > 0).all() and gaps[count - 1] == 2
    ways = np.linalg.norm(both.poses[count:, None, :2, 3] - main.poses[:, :2, 3], axis=2)
    assert len(both.poses) > count + 10 and np.median(ways.min(axis=1)) > 25


def test_the_key_says_what_was_asked_for():
    keys = {
        TASK.key(),
        replace(TASK, day="rain").key(),
        replace(TASK, spacing=5.0).key(),
        replace(TASK, spacing=None, rate_hz=10.0).key(),
        replace(TASK, rig=replace(TASK.rig, rings=32)).key(),
        replace(TASK, split=replace(SPLIT, seed=10)).key(),
        replace(TASK, samples=2).key(),
        replace(TASK, route="both").key(),
    }
    assert len(keys) == 8 and TASK.key() == replace(TASK).key()


def test_a_change_of_the_generator_is_another_key(monkeypatch):
    before = TASK.key()
    monkeypatch.setattr(tasks, "GENERATOR_VERSION", 10_000)
    assert TASK.key() != before
    monkeypatch.undo()
    monkeypatch.setattr(tasks, "code_digest", lambda: "other code")
    assert TASK.key() != before


# --- processes

CHILD = """
import sys
from pathlib import Path
from test_town_recording import TASK
from vxp_training.datasets.town.store.recording import record

if __name__ == "__main__":
    record(TASK, Path(sys.argv[1]), 12, processes=2, progress=lambda done, total: print(done, flush=True))
"""


def start_recording(cache: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    (cache / "child.py").write_text(CHILD)
    command = [sys.executable, str(cache / "child.py"), str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)


@pytest.mark.slow
def test_a_killed_recording_goes_on_where_it_stopped(recorded, tmp_path):
    """kill -9 of the parent alone: its processes end too, no half file counts, and the rest is rendered."""
    child = start_recording(tmp_path)
    while int(child.stdout.readline()) < 3:
        pass
    group = child.pid
    child.kill()
    child.wait()
    deadline = time.monotonic() + 20
    while processes_of(group) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(group) == []
    folder = TASK.folder(tmp_path)
    there = len(list((folder / FRAMES).glob("*.sha256")))
    assert 3 <= there < 12
    calls = []
    rest = record(TASK, tmp_path, 12, processes=1, progress=lambda *count: calls.append(count))
    assert calls[0] == (there, 12) and len(rest) == 12
    whole = record(TASK, recorded[1], 12, processes=1)
    assert contents(rest) == contents(whole)


def processes_of(group: int) -> list[int]:
    """Living processes of a process group, zombies aside."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(status.parent.name))
    return found


@pytest.mark.slow
def test_only_one_process_records_a_master(tmp_path):
    child = start_recording(tmp_path)
    try:
        child.stdout.readline()
        with pytest.raises(SourceError, match=f"process {child.pid} on .*; wait for it"):
            record(TASK, tmp_path, 12, processes=1)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@pytest.mark.parametrize("count", [1, 2])
def test_workers_give_all_results(count):
    with Workers(count) as workers:
        for number in range(5):
            workers.submit(double, number)
        assert sorted(workers.results()) == [0, 2, 4, 6, 8]
        assert list(workers.results()) == []


def test_a_worker_that_is_killed_is_told_in_one_sentence():
    with pytest.raises(VxpError, match="it goes on where it stopped"), Workers(2) as workers:
        workers.submit(die)
        list(workers.results())


def test_what_a_worker_raises_arrives():
    with pytest.raises(TypeError), Workers(2) as workers:
        workers.submit(double)
        list(workers.results())


# --- where masters lie


def test_the_cache_follows_the_desktop_standard(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "vxp/town"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache/vxp/town"


def test_a_folder_without_a_recording(tmp_path):
    with pytest.raises(SourceError, match="holds no town recording"):
        Recording(tmp_path)
    (tmp_path / "meta.json").write_text('{"format": 99}')
    with pytest.raises(SourceError, match="format 99"):
        Recording(tmp_path)
