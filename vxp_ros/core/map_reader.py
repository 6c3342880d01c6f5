"""Reading a map folder: find the version, verify every byte, parse, and hand out a PlaceMap."""

import logging
import os
from pathlib import Path

from . import fsio, map_folder
from .errors import MapError
from .map_columns import from_files
from .map_manifest import Manifest, read_folder
from .place_map import PlaceMap

logger = logging.getLogger(__name__)

ATTEMPTS = 5  # a reader starts again when two saves happen while it reads


def load(path: Path) -> tuple[PlaceMap, Manifest]:
    """Read the map that `path` stands for, and clear what broken saves left beside it. Raises MapError."""
    path = Path(os.path.expanduser(path))  # unlike Path.expanduser, leaves an unknown ~user alone
    clear_after_broken_saves(path)
    for attempt in range(ATTEMPTS):
        folder = map_folder.find_version(path)
        try:
            return read_named(folder)
        except (MapError, OSError) as problem:
            is_replaced = map_folder.find_version(path) != folder  # two saves later a version may vanish
            if is_replaced and attempt + 1 < ATTEMPTS:
                continue
            if isinstance(problem, MapError):
                raise
            raise MapError(f"map {path} cannot be read: {problem.strerror} ({problem.filename})") from problem
    raise AssertionError("the last attempt returns or raises")


def read_named(folder: Path) -> tuple[PlaceMap, Manifest]:
    """Read a version folder, whose name says what its manifest's hash must be. Raises MapError, OSError."""
    name, _, digest = map_folder.VERSION_PATTERN.fullmatch(folder.name).groups()
    place_map, manifest = read_map(folder, digest)
    place_map.name, place_map.map_id = name, folder.name
    return place_map, manifest


def read_map(folder: Path, digest: str) -> tuple[PlaceMap, Manifest]:
    """Verify and parse a version folder whose manifest hash starts with `digest`. Raises MapError, OSError."""
    manifest, files = read_folder(folder, digest)
    try:
        places, indexes = from_files(manifest, files)
    except MapError as problem:
        raise MapError(f"{folder}: {problem}") from None
    place_map = PlaceMap(manifest.models, manifest.map_frame, manifest.base_frame, manifest.rig)
    place_map.restore(places, indexes)
    return place_map, manifest


def clear_after_broken_saves(path: Path) -> None:
    """Clear debris on open, unless another process is saving or the disk is read-only."""
    root, name = path.parent, path.name
    try:
        if map_folder.points_at(path) and map_folder.debris(root, name):
            with map_folder.writer_lock(root, name, wait_s=0):
                map_folder.clear_debris(root, name)
    except (fsio.Busy, OSError) as reason:
        logger.debug("what earlier saves left beside %s stays: %s", path, reason)
