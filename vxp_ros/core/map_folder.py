"""The names under a map root: `NAME -> NAME.vK-<hash>`, the version folders, the lock, and what broken saves left.

A version folder never changes once it has its name. A new one is made under a temporary name, and one atomic swap of
the symlink publishes it, so a reader sees the old map or the new one, whatever moment the writer dies at.
"""

import logging
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path

from . import fsio
from .datatypes import MODALITIES
from .errors import MapError
from .map_manifest import DIGEST_DIGITS, NAME, index_file, required_files

logger = logging.getLogger(__name__)

NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
VERSION_PATTERN = re.compile(rf"([A-Za-z0-9_-]{{1,64}})\.v([1-9][0-9]{{0,8}})-([0-9a-f]{{{DIGEST_DIGITS}}})")
TEMPORARY_PATTERN = re.compile(r"([A-Za-z0-9_-]{1,64})\.(tmp|link)-[0-9a-f]{8}")
OUR_FILES = {NAME, *required_files(dict.fromkeys(MODALITIES)), *map(index_file, MODALITIES)}
LOCK_WAIT_S = 1.0  # a reader that clears debris holds the lock for a moment


def check_name(name: str) -> str:
    """The name itself. Raises MapError unless it is 1 to 64 letters, digits, "_" and "-"."""
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        shown = repr(name) if len(str(name)) <= 80 else repr(str(name)[:80]) + "…"
        raise MapError(f"{shown} is no map name: use 1 to 64 letters, digits, '_' and '-'")
    return name


def map_names(root: Path) -> list[str]:
    """The maps that a root holds, sorted."""
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if NAME_PATTERN.fullmatch(entry.name) and points_at(entry))


def free_name(root: Path, name: str) -> str:
    """The name, or NAME-2, NAME-3 and so on where something has it already."""
    names = chain([check_name(name)], (f"{name[:58]}-{number}" for number in count(2)))
    return next(entry for entry in names if not os.path.lexists(root / entry))


def points_at(link: Path) -> str:
    """The name of the version folder beside `link` that it stands for; "" when it is no such link."""
    target = link_target(link)
    return target if VERSION_PATTERN.fullmatch(target) else ""


def link_target(path: Path) -> str:
    """What a symlink says; "" for anything else."""
    try:
        return os.readlink(path)
    except (OSError, ValueError):
        return ""


def find_version(path: Path) -> Path:
    """The version folder that `path` names: itself, or what a symlink leads to. Raises MapError when there is none."""
    try:
        folder = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as problem:
        raise MapError(f"there is no map at {str(path)[:200]!r}: {_reason(problem)}{_maps_in(path.parent)}") from None
    if not VERSION_PATTERN.fullmatch(folder.name) or not folder.is_dir():
        raise MapError(f"{path} is no map: its folder is called {folder.name!r}, not NAME.vK-HASH{_maps_in(path)}")
    return folder


def _reason(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or str(problem)


def _maps_in(folder: Path) -> str:
    with suppress(OSError, ValueError):
        names = map_names(folder)
        return f" (maps in {folder}: {', '.join(names[:20])})" if names else ""
    return ""


@contextmanager
def writer_lock(root: Path, name: str, wait_s: float | None = None) -> Iterator[None]:
    """Be the one writer of a map. wait_s: None for LOCK_WAIT_S. Raises fsio.Busy, which says who the other is."""
    with fsio.lock(root / f".{name}.lock", LOCK_WAIT_S if wait_s is None else wait_s):
        yield


def temporary_path(root: Path, name: str, kind: str) -> Path:
    """A fresh path that `clear_debris` knows. kind: "tmp" for folders, "link" for symlinks."""
    return root / f"{name}.{kind}-{secrets.token_hex(4)}"


def versions(root: Path, name: str) -> list[tuple[int, str]]:
    """(K, folder name) of all versions of a map, oldest first."""
    matches = [VERSION_PATTERN.fullmatch(entry) for entry in os.listdir(root)]
    return sorted((int(match[2]), match[0]) for match in matches if match and match[1] == name)


def next_version(root: Path, name: str, digest: str) -> str:
    """The name of the version folder to come."""
    newest = max((number for number, _ in versions(root, name)), default=0)
    return f"{name}.v{newest + 1}-{digest}"


def publish(root: Path, name: str, version: str) -> None:
    """Let NAME stand for that version, atomically. On OSError it stands for what it did before, if the disk allows."""
    before = points_at(root / name)
    _swap(root, name, version)
    try:
        fsio.sync_folder(root)
    except OSError:  # reported as a failed save, so the old map must be the one that is found
        if before:
            _swap(root, name, before)
        else:
            fsio.remove_file(root / name)
        raise


def _swap(root: Path, name: str, version: str) -> None:
    link = temporary_path(root, name, "link")
    fsio.create_link(link, version)
    fsio.replace_link(link, root / name)


def debris(root: Path, name: str) -> list[Path]:
    """What saves that broke off left of this map, and versions older than the one before the current.

    Kept are the current version, the newest one before it, and whatever another link stands for (a renamed map).
    """
    entries = sorted(os.listdir(root))
    matches = [TEMPORARY_PATTERN.fullmatch(entry) for entry in entries]
    temporary = [match[0] for match in matches if match and match[1] == name]
    kept = {os.path.basename(link_target(root / entry)) for entry in entries if entry not in temporary}
    known = versions(root, name)
    current = VERSION_PATTERN.fullmatch(points_at(root / name))
    limit = int(current[2]) if current and current[1] == name else float("inf")
    kept.update(folder for _, folder in [version for version in known if version[0] < limit][-1:])
    return [root / entry for entry in [*temporary, *(folder for _, folder in known if folder not in kept)]]


def clear_debris(root: Path, name: str) -> None:
    """Remove the debris; the caller holds the lock. What cannot be removed is logged and stays."""
    for path in debris(root, name):
        remove(path)


def discard(root: Path, name: str, version: str) -> None:
    """Remove what a failed save made; the caller holds the lock. A version that NAME stands for stays."""
    if version and version != points_at(root / name):
        remove(root / version)
    clear_debris(root, name)


def remove(path: Path) -> None:
    """Remove a temporary link, or a folder that holds only files with names of format 1; log what stays and why."""
    try:
        if path.is_symlink():
            fsio.remove_file(path)
        elif path.is_dir() and set(os.listdir(path)) <= OUR_FILES:
            fsio.remove_folder(path)
        elif path.exists():
            logger.warning("%s looks like what a broken save leaves, but is none: left alone", path)
    except OSError as problem:
        logger.warning("%s is of no use and cannot be removed now: %s", path, problem.strerror)
