"""A child process that saves maps in a loop, for tests that kill it: `python map_saver.py SCHEME PATH FIRST COUNT`.

Saves the generations FIRST, FIRST + 1... and prints each when its save has returned. SCHEME "atomic" is `save_map`;
"in-place" is the naive saver that the same test must catch: it writes the files over those of the last save.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from map_samples import make_map

from vxp_ros.core import fsio, map_columns
from vxp_ros.core.datatypes import Place
from vxp_ros.core.errors import MapError
from vxp_ros.core.map_store import save_map
from vxp_ros.core.place_map import PlaceMap

PLACES, CLOUD_POINTS, READY = 20, 4000, 40  # 1 MB a map


def save_in_place(place_map: PlaceMap, folder: Path) -> None:
    """Naive: no temporary name, no flush, no hashes."""
    folder.mkdir(exist_ok=True)
    places, dimensions = place_map.places(), place_map.dimensions
    for name, buffers in map_columns.to_files(places, dimensions).items():
        fsio._step("write", folder / name)
        (folder / name).write_bytes(b"".join(buffers))
    header = {"places": len(places), "dimensions": dimensions, "models": place_map.models, "rig": place_map.rig}
    (folder / "manifest.json").write_text(json.dumps(header))


def load_in_place(folder: Path) -> PlaceMap:
    """The naive loader: trusts the bytes, and raises only when a parser stumbles."""
    header = json.loads((folder / "manifest.json").read_text())
    arrays = {path.stem: np.load(path, allow_pickle=False) for path in folder.glob("*.npy")}
    offsets, thumbnails = arrays["clouds_offsets"], arrays["thumbnails_offsets"]
    data = (folder / "thumbnails.bin").read_bytes()
    place_map = PlaceMap(header["models"], rig=header["rig"])
    for i in range(header["places"]):
        cloud = arrays["clouds"][offsets[i] : offsets[i + 1]]
        place_map.add(
            Place(
                int(arrays["stamp"][i]),
                arrays["T_map_base"][i],
                {m: arrays[f"descriptors_{m}"][i] for m in header["dimensions"] if arrays[f"has_{m}"][i]},
                None if np.isnan(arrays["odometry"][i]).any() else arrays["odometry"][i],
                int(arrays["drive"][i]),
                cloud if len(cloud) else None,
                data[thumbnails[i] : thumbnails[i + 1]],
            )
        )
    return place_map


def save_with_patience(place_map: PlaceMap, path: Path) -> None:
    """Save, again and again while another process is saving; every other refusal is an error."""
    while True:
        try:
            save_map(place_map, path, overwrite=True)
            return
        except MapError as problem:
            if "is being saved by process" not in str(problem):
                raise


def start_saver(scheme: str, path: Path, first: int, count: int) -> subprocess.Popen:
    """This file as a child process, with the package of this source tree."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = f"{Path(__file__).parents[2]}:{environment.get('PYTHONPATH', '')}"
    command = [sys.executable, __file__, scheme, path, str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def main() -> None:
    scheme, path, first, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    save = {"atomic": save_with_patience, "in-place": save_in_place}[scheme]
    # Made beforehand, so that the process does little but save, and a kill hits a save nearly always.
    ready = {generation: make_map(generation, PLACES, CLOUD_POINTS) for generation in range(first, first + READY)}
    for generation in range(first, first + count):
        save(ready.pop(generation, None) or make_map(generation, PLACES, CLOUD_POINTS), path)
        print(generation, flush=True)


if __name__ == "__main__":
    main()
