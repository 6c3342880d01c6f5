"""`vxp map build` killed at any moment, then the same command again: the map is whole, as if nothing had been."""

import random
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
from map_builds import OLDER, build_in_child, files_of, save_in_place, seconds_of

from vxp_ros.cli.main import run
from vxp_ros.core.map_folder import debris
from vxp_ros.core.map_store import save_map


def build_and_kill(save, source: str, model: str, folder: Path, kills: int, steps: int) -> Counter:
    """Kill builds by turns at a random moment of all their time, and before one of `steps` changes of the disk; by
    turns, too, where no map is and over an older one.

    Counts which kills left a broken save behind, and where the map was broken then, or after the command was repeated.
    """
    older, newer, counts, rng = folder / "older", folder / "newer", Counter(), random.Random(0)
    assert build_in_child(save, (source, older / "town", model, *OLDER)) == 0
    longest = seconds_of(save, (source, newer / "town", model))
    while counts["kills"] < kills:
        root, number = folder / "maps", counts["kills"]
        shutil.rmtree(root, ignore_errors=True)
        if number // 2 % 2:
            shutil.copytree(older, root, symlinks=True)
        before, arguments = files_of(root / "town"), (source, root / "town", model)
        when = {"step": rng.randint(1, steps)} if number % 2 else {"seconds": rng.uniform(0, longest)}
        code = build_in_child(save, arguments, **when)
        if code == 0:
            continue  # it was over before
        assert code == -signal.SIGKILL
        counts["kills"] += 1
        counts["debris"] += root.exists() and bool(debris(root, "town"))
        counts["broken"] += files_of(root / "town") not in (before, files_of(newer / "town"))
        code = build_in_child(save, arguments)
        counts["mended"] += code == 0 and files_of(root / "town") == files_of(newer / "town")
        counts["left"] += len(debris(root, "town")) + len(list(root.iterdir())) > 4  # link, lock, and a version before
        counts["checked"] += run(["map", "check", str(root / "town")]) == 0
    return counts


@pytest.mark.slow
def test_a_killed_build_leaves_no_trace_in_the_next(source, tiny_model, tmp_path, count, record_property):
    kills = count(4, 20)
    counts = build_and_kill(save_map, source, tiny_model, tmp_path, kills, steps=45)
    record_property("kills", kills)
    record_property("that left a broken save behind", counts["debris"])
    record_property("broken maps", counts["broken"])
    record_property("equal to the unbroken build after the same command again", counts["mended"])
    record_property("with debris then", counts["left"])
    assert counts["mended"] == counts["checked"] == kills
    assert counts["broken"] == counts["left"] == 0
    assert counts["debris"] > 0  # else no kill hit a save


@pytest.mark.slow
def test_the_kill_harness_catches_a_naive_saver(source, tiny_model, tmp_path, count, record_property):
    kills = count(4, 20)
    counts = build_and_kill(save_in_place, source, tiny_model, tmp_path, kills, steps=17)
    record_property("kills", kills)
    record_property("broken maps of the naive saver", counts["broken"])
    assert counts["broken"] >= kills / 4
