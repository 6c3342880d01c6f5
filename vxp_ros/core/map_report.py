"""What a map is in numbers, and whether it finds what it holds."""

import numpy as np

from .errors import MapError
from .map_manifest import Manifest
from .place_map import PlaceMap


def sensors_in_words(counts: dict[str, int], places: int) -> str:
    """Such as "camera (27 of them) and lidar", for a map of 29 places. counts: places that have each modality."""
    words = [name if count == places else f"{name} ({count} of them)" for name, count in counts.items()]
    return " and ".join(words) or "no sensor"


def describe(place_map: PlaceMap, manifest: Manifest) -> dict:
    """The facts that `vxp map info` shows, JSON-able. Lengths in metres; `modalities` counts the places that have each;
    `length_m` is the way from place to place within each drive."""
    places = place_map.places()
    positions = place_map.poses[:, :3, 3]
    drives = np.array([place.drive for place in places])
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)[drives[1:] == drives[:-1]]
    return {
        "name": place_map.name,
        "map_id": place_map.map_id,
        "format": manifest.format,
        "created": manifest.created,
        "created_by": manifest.created_by,
        "models": manifest.models,
        "dimensions": manifest.dimensions,
        "places": len(place_map),
        "modalities": place_map.counts,
        "drives": len(set(drives.tolist())),
        "extent_m": [round(float(length), 3) for length in np.ptp(positions, axis=0)],
        "length_m": round(float(steps.sum()), 3),
        "map_frame": manifest.map_frame,
        "base_frame": manifest.base_frame,
        "rig": manifest.rig,
        "cloud_points": sum(len(place.cloud) for place in places if place.cloud is not None),
        "thumbnails": sum(bool(place.thumbnail) for place in places),
        "bytes": sum(entry["bytes"] for entry in manifest.files.values()) + len(manifest.to_bytes()),
        "files": {name: entry["bytes"] for name, entry in manifest.files.items()},
    }


def check_search(place_map: PlaceMap, samples: int) -> int:
    """Search for descriptors of up to `samples` evenly spread places. Returns how many searches found their vector.

    Raises MapError when one does not.
    """
    count = 0
    for place_id in np.unique(np.linspace(0, len(place_map) - 1, samples).astype(int)):
        for modality, vector in place_map.place(place_id).descriptors.items():
            _, distances = place_map.search(vector, modality, 1)
            if not distances[0] <= 1e-3 * (1 + np.linalg.norm(vector)):
                raise MapError(f"the {modality} index does not find the descriptor of place {place_id}")
            count += 1
    return count
