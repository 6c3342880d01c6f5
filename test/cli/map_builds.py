"""`vxp map build` for tests that fill its disk or kill it, the files that it leaves, and a naive saver to catch.

`build_in_child` needs a process that it can kill at any change of the disk: `fsio.before_step` counts them.
"""

import itertools
import json
import multiprocessing
import os
import re
import signal
import sys
import time
from pathlib import Path

from vxp_ros.cli.main import run
from vxp_ros.core import fsio, map_columns, map_store
from vxp_ros.core.map_manifest import DIGEST_DIGITS

# Children come from a process that has imported what takes long and started no thread, whatever tests ran before.
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(
    [
        "vxp_ros.cli.main",
        "vxp_ros.core.encoder",
        "vxp_ros.core.recognizer",
        "vxp_ros.core.map_store",
        "vxp_ros.sources.bag",
        "vxp_training.commands",
        "torch._dynamo",
    ]
)
OLDER = ("--min-travel", "7.9")  # half of the places


def build(source: str, out: Path, model: str, *more: str) -> int:
    """The exit code."""
    return run(["map", "build", source, "--out", str(out), "--model", model, "--device", "cpu", "--overwrite", *more])


def save_in_place(place_map, path: Path, overwrite: bool = False) -> map_store.SavedMap:
    """Naive: `save_map` without a temporary name and without a flush; it writes over the files of the last save."""
    folder, places = path.with_name(f"{path.name}.v1-{'0' * DIGEST_DIGITS}"), place_map.places()
    folder.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        path.symlink_to(folder.name)
    files = map_columns.to_files(places, map_columns.dimensions_of(places))
    files["manifest.json"] = (json.dumps({"places": len(places), "models": place_map.models}).encode(),)
    for name, buffers in files.items():
        fsio._step("write", folder / name)
        (folder / name).write_bytes(b"".join(buffers))
    return map_store.SavedMap(path, 0, "", len(places))


def files_of(path: Path) -> dict[str, bytes]:
    """The files of a map, without the time in its manifest; none where there is no map."""
    files = {file.name: file.read_bytes() for file in path.resolve().iterdir()} if path.exists() else {}
    if "manifest.json" in files:
        files["manifest.json"] = re.sub(rb'"created": "[^"]*"', b"", files["manifest.json"])
    return files


def build_in_child(save, arguments: tuple, step: int | None = None, seconds: float | None = None) -> int:
    """Build in a process of its own; returns its exit code, -9 for a kill.

    It is killed before its change number `step` of the disk, or this many seconds after its start.
    """
    process = FRESH.Process(target=child, args=(save, arguments, step))
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode


def child(save, arguments: tuple, step: int | None) -> None:
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  until it dies
    map_store.save_map = save
    numbers = itertools.count(1)
    fsio.before_step = lambda *_: os.kill(os.getpid(), signal.SIGKILL) if next(numbers) == step else None
    sys.exit(build(*arguments))


def seconds_of(save, arguments: tuple) -> float:
    began = time.monotonic()
    assert build_in_child(save, arguments) == 0
    return time.monotonic() - began
