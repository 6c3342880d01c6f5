"""Map safety: kills at random moments of a save, with a naive saver that the same harness must catch."""

import random
import signal
import time
from pathlib import Path

from map_samples import generation_of
from map_saver import load_in_place, start_saver

from vxp_ros.core.map_folder import debris
from vxp_ros.core.map_store import load_map

LONGEST_LIFE_S = 0.1  # of a child, after its first save


def kill_while_saving(scheme: str, path: Path, first: int, rng: random.Random) -> int:
    """Let a child save in a tight loop and kill it at a random moment after its first save.

    Returns the last generation whose save had returned.
    """
    child = start_saver(scheme, path, first, 1_000_000)
    try:
        acknowledged = child.stdout.readline()
        time.sleep(rng.uniform(0, LONGEST_LIFE_S))
        assert child.poll() is None, "the child died by itself"
    finally:
        child.send_signal(signal.SIGKILL)
        acknowledged += child.communicate()[0]
    return int(acknowledged[: acknowledged.rindex(b"\n")].split()[-1])


def is_broken(load, path: Path, acknowledged: int) -> bool:
    """True unless a map loads that is, in all its parts, the last acknowledged one or the one after it."""
    try:
        return generation_of(load(path)) not in (acknowledged, acknowledged + 1)
    except Exception:
        return True


def test_kills_while_saving_leave_the_old_map_or_the_new_one(tmp_path, count, record_property):
    rng, kills = random.Random(1), count(50, 1000)
    corrupt, leftovers, killed_inside = 0, [], 0
    for i in range(kills):
        acknowledged = kill_while_saving("atomic", tmp_path / "town", 1000 * i, rng)
        killed_inside += bool(debris(tmp_path, "town"))
        corrupt += is_broken(load_map, tmp_path / "town", acknowledged)
        leftovers.append(len(debris(tmp_path, "town")))
    record_property("kills", kills)
    record_property("that left a broken save behind", killed_inside)
    record_property("corrupt maps", corrupt)
    record_property("debris after the next open", max(leftovers))
    assert corrupt == 0
    assert max(leftovers) == 0
    assert len(list(tmp_path.iterdir())) <= 4  # link, lock, this version and the one before
    assert killed_inside > kills / 4  # else the kills did not test much


def test_the_kill_harness_catches_a_naive_saver(tmp_path, count, record_property):
    rng, kills, corrupt = random.Random(2), count(20, 200), 0
    for i in range(kills):
        acknowledged = kill_while_saving("in-place", tmp_path / "naive", 1000 * i, rng)
        corrupt += is_broken(load_in_place, tmp_path / "naive", acknowledged)
    record_property("kills", kills)
    record_property("corrupt maps of the naive saver", corrupt)
    assert corrupt > kills / 2
