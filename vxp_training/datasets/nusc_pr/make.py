"""`vxp nuscpr`: nuScenes tables in, a scheme's folder out, whole or not at all."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Literal

from vxp_ros.core import fsio
from vxp_ros.core.errors import SourceError
from vxp_ros.sources.nuscenes import find_tables

from .compat import NuscPrCompat
from .files import FACTS, infos_files, self_supervised_files, supervised_files, write_files
from .infos import read_tables
from .keyframes import DistrictSplit, Keyframes
from .self_supervised import split_self_supervised
from .supervised import split_supervised

Scheme = Literal["supervised", "self-supervised"]
FOLDERS = {"supervised": "supervised_data", "self-supervised": "self_supervised_data"}
FORMAT = 2
STEPS = 4
Progress = Callable[[int, int], None]


def make_split(
    scheme: Scheme,
    dataroot: Path,
    version: str,
    out: Path,
    seed: int = 1,
    compat: NuscPrCompat = NuscPrCompat(),
    progress: Progress = lambda done, total: None,
) -> dict:
    """Write the folder `out`/supervised_data or `out`/self_supervised_data and return what its split.json holds.

    Raises SourceError when that folder is there already and what `read_tables` raises, OSError where nothing can be
    written.
    """
    target = out / FOLDERS[scheme]
    if target.exists():
        raise SourceError(f"{target} is there already; remove it or choose another folder")
    find_tables(dataroot, version)  # before anything is made
    fsio.create_folders(out)
    scratch = fsio.create_scratch(out, f".{target.name}.", ".new")
    try:
        progress(0, STEPS)
        infos, keyframes = read_tables(dataroot, version)
        progress(1, STEPS)
        split = (split_supervised if scheme == "supervised" else split_self_supervised)(keyframes, seed, compat)
        progress(2, STEPS)
        split_files = (supervised_files if scheme == "supervised" else self_supervised_files)(infos, keyframes, split)
        hashes = write_files(scratch, chain(split_files, infos_files(infos, keyframes, compat)))
        progress(3, STEPS)
        facts = describe(scheme, version, seed, compat, keyframes, split, hashes)
        write_files(scratch, [(FACTS, (json.dumps(facts, indent=2) + "\n").encode())])
        fsio.sync_folder(scratch)
        fsio.rename_folder(scratch, target)
        fsio.sync_folder(out)
        progress(STEPS, STEPS)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return facts


def describe(
    scheme: Scheme,
    version: str,
    seed: int,
    compat: NuscPrCompat,
    keyframes: Keyframes,
    split: dict[str, DistrictSplit],
    hashes: dict[str, str],
) -> dict:
    """split.json. files: path -> sha256."""
    return {
        "format": FORMAT,
        "made_by": "vxp nuscpr",
        "scheme": scheme,
        "version": version,
        "seed": seed,
        "paper_compat": [name for name, is_on in asdict(compat).items() if is_on],
        "keyframes": len(keyframes),
        "scenes": len(set(keyframes.scene.tolist())),
        "drives": len(set(keyframes.log.tolist())),
        "districts": {name: count(keyframes, name, part) for name, part in split.items()},
        "files": hashes,
    }


def count(keyframes: Keyframes, name: str, part: DistrictSplit) -> dict[str, int]:
    """Numbers of one district. Queries without a right answer are counted apart, never left out."""
    rows = keyframes.rows_of(name)
    return {
        "keyframes": len(rows),
        "scenes": len(set(keyframes.scene[rows].tolist())),
        "drives": len(set(keyframes.log[rows].tolist())),
        "database": len(part.database),
        "train": len(part.train),
        "tuples": len(part.tuples),
        "validation": len(part.validation),
        "validation_without_right": part.validation.without_right,
        "test": len(part.test),
        "test_without_right": part.test.without_right,
    }
