"""The map folder on disk: atomic save, verified load. Format 1 is described in docs/DESIGN.md, section 5.

A save that reports success has been flushed to the device, read back and searched; one that fails, or is killed, leaves
the map that was there before. A load either gives the complete map that one save wrote, or says what is wrong.
"""

import hashlib
import logging
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from .. import __version__
from . import fsio, map_folder, map_manifest
from .datatypes import Modality
from .errors import MapError
from .map_columns import dimensions_of, to_files
from .map_manifest import Manifest
from .map_reader import load, read_map
from .map_report import check_search, describe
from .place_map import PlaceMap

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SavedMap:
    """What a save wrote. path: ROOT/NAME, the symlink. bytes: all files. sha256: of the manifest, which binds them."""

    path: Path
    bytes: int
    sha256: str
    places: int


def path_of_map(root: str | Path, name: str) -> Path:
    """ROOT/NAME for a name that a stranger may have sent.

    Raises MapError unless the name is a plain map name, and what it stands for, if it exists, lies in the root.
    """
    path = Path(os.path.expanduser(root)) / map_folder.check_name(name)
    if path.is_symlink() and not map_folder.points_at(path):
        raise MapError(f"{path} is a link to something else than a map in its folder; it is not followed")
    return path


def save_map(place_map: PlaceMap, path: str | Path, overwrite: bool = False) -> SavedMap:
    """Save a map as `path` = ROOT/NAME; the folder ROOT is made when it is missing.

    A map of that name is replaced only with `overwrite`, and its version stays on disk until the save after next.
    Raises MapError when the map is empty, the name is not free or not allowed, another process is saving it, or the
    disk refuses; the map that was there before is then untouched.
    """
    path = Path(os.path.expanduser(path))
    root, name = path.parent, map_folder.check_name(path.name)
    if len(place_map) == 0:
        raise MapError(f"map {name} was not saved: it holds no place yet")
    try:
        refuse_to_replace(path, overwrite)  # leaves no lock file beside things that are no maps
        fsio.create_folders(root)
        with map_folder.writer_lock(root, name):
            map_folder.clear_debris(root, name)
            refuse_to_replace(path, overwrite)  # another process may have been faster
            saved, version = write_and_publish(place_map, path)
            map_folder.clear_debris(root, name)
    except fsio.Busy as other:
        raise MapError(f"map {name} is being saved by {other}; try again when it has finished") from None
    except OSError as problem:
        where = problem.filename or root
        raise MapError(f"map {name} was not saved: {problem.strerror or problem} ({where})") from problem
    place_map.name, place_map.map_id = name, version
    return saved


def refuse_to_replace(path: Path, overwrite: bool) -> None:
    """Raises MapError when something has this path that must stay."""
    if map_folder.points_at(path):
        if not overwrite:
            raise MapError(f"there is a map {path} already; save under another name or with overwrite")
    elif path.is_symlink() or path.exists():
        raise MapError(f"{path} exists and is no map; save under another name")


def write_and_publish(place_map: PlaceMap, path: Path) -> tuple[SavedMap, str]:
    """Write, flush and verify one version folder, then let NAME stand for it. Returns also the version's name.

    Raises OSError or MapError after it has removed what it made.
    """
    root, name, version = path.parent, path.name, ""
    folder = map_folder.temporary_path(root, name, "tmp")
    try:
        fsio.create_folder(folder)
        manifest = write_files(place_map, folder)
        data = manifest.to_bytes()
        fsio.write_file(folder / map_manifest.NAME, [data])
        fsio.sync_folder(folder)
        check_search(read_map(folder, map_manifest.digest_of(data))[0], samples=2)
        version = map_folder.next_version(root, name, map_manifest.digest_of(data))
        fsio.rename_folder(folder, root / version)
        fsio.sync_folder(root)
        map_folder.publish(root, name, version)
    except BaseException:
        map_folder.discard(root, name, version)
        raise
    size = len(data) + sum(entry["bytes"] for entry in manifest.files.values())
    return SavedMap(path, size, hashlib.sha256(data).hexdigest(), manifest.places), version


def write_files(place_map: PlaceMap, folder: Path) -> Manifest:
    """Write all files but the manifest, from one snapshot of the map, and return the manifest that describes them."""
    places = place_map.places()
    dimensions = dimensions_of(places)
    entries = {}
    for name, buffers in to_files(places, dimensions).items():
        size, digest = fsio.write_file(folder / name, buffers)
        entries[name] = {"bytes": size, "sha256": digest}
    return Manifest(
        format=map_manifest.FORMAT,
        created_by=f"vxp_ros {__version__}",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        models=place_map.models,
        dimensions=dimensions,
        places=len(places),
        map_frame=place_map.map_frame,
        base_frame=place_map.base_frame,
        rig=place_map.rig,
        files=entries,
        complete=True,
    )


def load_map(
    path: str | Path, models: dict[Modality, str] | None = None, allow_model_mismatch: bool = False
) -> PlaceMap:
    """Load the map at `path`: ROOT/NAME, or one version folder. Every byte is checked before it is parsed.

    models: modality -> model_id of the encoder that will search the map; another model's map is refused unless
    `allow_model_mismatch`, which logs a warning. Raises MapError with one sentence that names what is wrong.
    """
    place_map, _ = load(Path(path))
    fault = model_mismatch(place_map, models or place_map.models)
    if fault and not allow_model_mismatch:
        raise MapError(fault)
    if fault:
        logger.warning("%s; loaded all the same, as asked for", fault)
    return place_map


def model_mismatch(place_map: PlaceMap, models: dict[Modality, str]) -> str:
    """Why descriptors of `models` do not belong with this map, or "".

    Each modality that both have must be of one model; with none in common, the ids must meet somewhere (one model's
    camera queries against its LiDAR map).
    """
    map_ids = {modality: place_map.models[modality] for modality in place_map.modalities}
    is_different = any(models.get(modality, model_id) != model_id for modality, model_id in map_ids.items())
    if not is_different and set(map_ids.values()) & set(models.values()):
        return ""
    makers = f"map {place_map.map_id} was made by {_listed(map_ids)}, but the loaded model is {_listed(models)}"
    return f"{makers}: build the map anew, or load its model"


def _listed(models: dict[Modality, str]) -> str:
    return ", ".join(f"{model_id} ({modality})" for modality, model_id in models.items())


def describe_map(path: str | Path) -> dict:
    """What the map at `path` is, JSON-able (`map_report.describe`). Raises MapError when it does not load."""
    return describe(*load(Path(path)))


def check_map(path: str | Path) -> dict:
    """Verify a map in full: bytes, values, and that places find themselves. Raises MapError with the first fault.

    Returns what `describe_map` does, and under "checks" how much was looked at.
    """
    place_map, manifest = load(Path(path))
    searches = check_search(place_map, samples=100)
    return {**describe(place_map, manifest), "checks": {"files": len(manifest.files) + 1, "searches": searches}}
