"""When to answer "unknown place": a limit on the descriptor distance that needs nothing but the map itself."""

import numpy as np

from ..core.datatypes import Modality
from ..core.evaluate import distances_to_places
from ..core.place_map import PlaceMap

# The share of foreign places that may pass for a known one.
FALSE_ACCEPTS = 0.1
# Places nearer than this may look alike with good reason.
ELSEWHERE_M = 25.0


def distance_limit(place_map: PlaceMap, query: Modality, against: Modality) -> float:
    """The L2 distance between descriptors above which a match is to be called no match.

    Every place of the map asks for itself while all within ELSEWHERE_M are hidden from it: what it then finds is wrong
    by construction. The limit lets FALSE_ACCEPTS of these pass. Infinite when the map is too small to ask.
    """
    asked = np.array([place.descriptors[query] for place in place_map.places()])
    offered = np.array([place.descriptors[against] for place in place_map.places()])
    positions = place_map.poses[:, :3, 3]
    gaps = np.linalg.norm(asked[:, None] - offered[None], axis=2)
    gaps[distances_to_places(positions, positions) <= ELSEWHERE_M] = np.inf
    nearest_wrong = gaps.min(axis=1)
    nearest_wrong = nearest_wrong[np.isfinite(nearest_wrong)]
    return float(np.quantile(nearest_wrong, FALSE_ACCEPTS)) if len(nearest_wrong) else float("inf")
