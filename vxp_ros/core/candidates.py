"""From the nearest descriptors to an answer: candidates best first, and whether to believe the best one."""

from dataclasses import replace

import numpy as np

from .calibration import Calibration
from .config import MatchSettings
from .datatypes import Candidate, Modality, Recognition, Status
from .place_map import PlaceMap

# How many more neighbours than candidates are fetched, so that the margin can look past places beside the best one.
MARGIN_POOL = 50


def find_candidates(
    place_map: PlaceMap, vector: np.ndarray, against: Modality, settings: MatchSettings, among: range | None = None
) -> tuple[Candidate, ...]:
    """Rank the map's places by descriptor distance, best first. vector: [D] float32. among: the ids to look among;
    None for all."""
    pool = settings.top_k + MARGIN_POOL
    left_out = 0 if among is None else len(place_map) - len(among)
    ids, distances = place_map.search(vector, against, pool + left_out)
    if among is not None:
        is_asked = (ids >= among.start) & (ids < among.stop)
        ids, distances = ids[is_asked][:pool], distances[is_asked][:pool]
    positions = np.array([place_map.place(place_id).T_map_base[:3, 3] for place_id in ids]).reshape(-1, 3)
    # Places outside the pool are at least as far as its last; there are none when the pool was not filled.
    beyond = float(distances[-1]) if len(ids) == pool else float("inf")
    return tuple(
        make_candidate(
            place_map, ids[i], distances[i], margin(i, positions, distances, settings.exclusion_radius, beyond)
        )
        for i in range(min(settings.top_k, len(ids)))
    )


def make_candidate(place_map: PlaceMap, place_id: int, distance: float, margin_to_other: float) -> Candidate:
    place = place_map.place(place_id)
    return Candidate(
        place_id=int(place_id),
        stamp_ns=place.stamp_ns,
        distance=float(distance),
        score=float(np.exp(-distance)),
        margin=margin_to_other,
        T_map_base=place.T_map_base,
    )


def margin(
    row: int, positions: np.ndarray, distances: np.ndarray, exclusion_radius: float, beyond: float = float("inf")
) -> float:
    """Distance gap from entry `row` to the best entry that lies elsewhere.

    positions: [m, 3]; distances: [m], ascending. beyond: the least distance that entries not listed can have, which
    counts when all listed ones are the same place; inf when none is left out.
    """
    is_elsewhere = np.linalg.norm(positions - positions[row], axis=1) > exclusion_radius
    return float(np.min(distances[is_elsewhere], initial=beyond) - distances[row])


def with_probabilities(
    candidates: tuple[Candidate, ...], calibration: Calibration, query: Modality, against: Modality
) -> tuple[Candidate, ...]:
    """The candidates with what the calibration makes of their distances and margins; NaN where it has no such pair."""
    return tuple(
        replace(entry, probability=calibration.probability(query, against, entry.distance, entry.margin))
        for entry in candidates
    )


def judge(candidates: tuple[Candidate, ...], settings: MatchSettings) -> tuple[Status, str]:
    """Decide what the best candidate is worth: OK, NO_MATCH or AMBIGUOUS, and why in words.

    A candidate whose probability is NaN is judged by distance and margin alone.
    """
    if not candidates:
        return Status.NO_MATCH, "the map holds no place with such a descriptor"
    best = candidates[0]
    if best.distance > settings.max_distance:
        return (
            Status.NO_MATCH,
            f"best distance {best.distance:.3f} is above match.max_distance {settings.max_distance:g}",
        )
    if best.margin < settings.min_margin:
        return Status.AMBIGUOUS, f"margin {best.margin:.3f} is below match.min_margin {settings.min_margin:g}"
    if best.probability < settings.min_probability:
        return (
            Status.AMBIGUOUS,
            f"probability {best.probability:.2f} is below match.min_probability {settings.min_probability:g}",
        )
    probability = "" if np.isnan(best.probability) else f", probability {best.probability:.2f}"
    return Status.OK, f"place {best.place_id} at distance {best.distance:.3f}{probability}"


def refusal(stamp_ns: int, modality: Modality, status: Status, message: str) -> Recognition:
    """The answer to a query that got no search: bad input, or no map to search."""
    return Recognition(stamp_ns=stamp_ns, modality=modality, status=status, message=message)
