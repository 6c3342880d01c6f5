"""When to answer "I do not know": a limit on the margin between the two best places that needs nothing but the map."""

import numpy as np

from ..core.candidates import margin
from ..core.config import MatchSettings
from ..core.datatypes import Modality
from ..core.evaluate import distances_to_places
from ..core.place_map import PlaceMap

# The share of foreign places that may pass for a known one.
FALSE_ACCEPTS = 0.1
# Places nearer than this may look alike with good reason.
ELSEWHERE_M = 25.0


def margin_limit(place_map: PlaceMap, query: Modality, against: Modality) -> float:
    """The margin (`Candidate.margin`) below which the best place does not stand out enough to be believed.

    Every place of the map asks for itself while all within ELSEWHERE_M are hidden from it: what it then finds is wrong
    by construction. The limit lets FALSE_ACCEPTS of these pass. Another day moves all descriptors, and with them all
    distances, but less the gaps between them. 0 when the map is too small to ask.
    """
    asked = np.array([place.descriptors[query] for place in place_map.places()])
    offered = np.array([place.descriptors[against] for place in place_map.places()])
    positions = place_map.poses[:, :3, 3]
    is_elsewhere = distances_to_places(positions, positions) > ELSEWHERE_M
    margins = [
        margin_of_best(np.linalg.norm(offered[others] - vector, axis=1), positions[others])
        for vector, others in zip(asked, is_elsewhere, strict=True)
        if others.any()
    ]
    finite = [value for value in margins if np.isfinite(value)]
    return float(np.quantile(finite, 1 - FALSE_ACCEPTS)) if finite else 0.0


def margin_of_best(distances: np.ndarray, positions: np.ndarray) -> float:
    """As the recogniser will see it. distances: [M]; positions: [M, 3]."""
    order = np.argsort(distances, kind="stable")
    return margin(0, positions[order], distances[order], MatchSettings().exclusion_radius)
