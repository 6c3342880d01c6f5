"""The map that a node searches: which folder its parameters mean, and the map in words."""

import re
from pathlib import Path

from ..core.errors import MapError
from ..core.map_report import sensors_in_words
from ..core.map_store import path_of_map
from ..core.place_map import PlaceMap
from .reports import Level, Report


def describe(place_map: PlaceMap) -> str:
    return f"map {place_map.map_id}: {len(place_map)} places by {sensors_in_words(place_map.counts, len(place_map))}"


def map_report(place_map: PlaceMap | None, model_id: str) -> Report:
    if place_map is None:
        return Report("map", Level.ERROR, "no map: set the parameter map.path, or call ~/load_map")
    values = {"map_id": place_map.map_id, "places": len(place_map)}
    values |= {f"model_{modality}": model for modality, model in place_map.models.items()}
    if set(place_map.models.values()) != {model_id}:
        return Report("map", Level.WARN, f"not made by this node's model {model_id}: nothing will match", values)
    return Report("map", Level.OK, describe(place_map), values)


def map_to_load(path: str, root: str) -> Path | None:
    """The folder that the parameter map.path means: a path, or the name of a map under map.root. None: no map.

    Raises MapError.
    """
    if not path:
        return None
    given = Path(path).expanduser().absolute()
    if given.exists() or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", path):
        return given
    named = path_of_map(root, path)
    if not named.exists():
        raise MapError(f"map.path {path}: neither {given} nor {named} exists")
    return named
