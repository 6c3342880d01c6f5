"""Where config/ and weights/ are, whatever way the package was installed (source tree, colcon or pip), and caches."""

import os
import sys
from pathlib import Path


def share_folder() -> Path:
    """The folder that holds config/ and weights/.

    Beside the package in a source tree (also through --symlink-install), `PREFIX/share/vxp_ros` after colcon or pip.
    Raises FileNotFoundError that lists the places looked at.
    """
    package = Path(__file__).parents[1]
    installed = [Path(prefix, "share", "vxp_ros") for prefix in [*package.parents[2:6], Path(sys.prefix)]]
    places = [package.resolve().parent, *installed]
    for place in places:
        if (place / "config" / "models").is_dir():
            return place
    raise FileNotFoundError("vxp_ros: config/ not found in any of " + ", ".join(map(str, places)))


def user_cache(name: str) -> Path:
    """vxp/NAME in the user's cache folder: what may be lost at any time.

    For a user without a home folder, a path that no file can have.
    """
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        home = Path(os.devnull)
    return home / "vxp" / name


def find_config(name: str) -> Path:
    """Path of a shipped configuration, e.g. "models/vxp_lite.yaml"."""
    return _find("config", name)


def find_weights(name: str) -> Path:
    """Path of a shipped model folder."""
    return _find("weights", name)


def _find(folder: str, name: str) -> Path:
    path = share_folder() / folder / name
    if not path.exists():
        known = ", ".join(sorted(entry.name for entry in path.parent.glob("*"))) or "nothing"
        raise FileNotFoundError(f"{folder}/{name} is not part of this installation; {path.parent} holds {known}")
    return path
