"""How two maps of unknown relative pose lie to each other, from places that both saw.

Only a rigid transform is looked for. Drives that drifted differently keep their shapes, and the residuals say by how
much they disagree.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .candidates import find_candidates
from .config import AlignmentSettings, MatchSettings
from .datatypes import Modality, Place
from .errors import MapError
from .map_consensus import Match, fit, largest_consensus, residuals
from .place_map import PlaceMap
from .registration import register
from .verification import Register, Verified, find_verified

# What to ask a place of B by and what to search in A, best first. Camera and LiDAR descriptors share a space.
PAIRS: tuple[tuple[Modality, Modality], ...] = (
    ("fused", "fused"), ("lidar", "lidar"), ("camera", "camera"), ("camera", "lidar"), ("lidar", "camera"),
)  # fmt: skip
REMEDY = "maps of one place need streets in common; if their frames are one already, merge them with --same-frame"


@dataclass(frozen=True)
class MapAlignment:
    """The pose of map B in map A and what speaks for it.

    T_a_b: [4, 4] float64. tried, verified, agreeing: how many places of B were looked for in A, how many a cloud of A
    confirmed, and how many of those agree. metres, degrees: [agreeing] float64, by how much the agreeing places still
    disagree with T_a_b; large ones mean that the maps bend against each other.
    """

    T_a_b: np.ndarray
    tried: int
    verified: int
    agreeing: int
    metres: np.ndarray
    degrees: np.ndarray


def align_maps(
    a: PlaceMap,
    b: PlaceMap,
    settings: AlignmentSettings | None = None,
    register: Register = register,
    progress: Callable[[list[Place]], Iterable[Place]] = iter,
) -> MapAlignment:
    """Find the pose of map `b` in map `a` from places that both hold. Neither map is changed.

    register: in this process, or that of a RegistrationProcess. progress: hands on the places of `b` that are looked
    for, one by one. Raises MapError when the maps cannot be compared, too few places agree, or they agree about two
    poses; ModelError when the registration libraries are missing.
    """
    settings = settings or AlignmentSettings()
    asked = sample(b, settings)
    if not asked or all(place.cloud is None for place in a.places()):
        raise MapError(f"maps are aligned by their places' point clouds, and one of the two has none: {REMEDY}")
    found = [match for place in progress(asked) if (match := find_match(a, place, settings, register))]
    best = agreement(found, len(asked), settings)
    T_a_b = fit(best)
    metres, degrees = residuals(T_a_b, best)
    return MapAlignment(T_a_b, len(asked), len(found), len(best), metres, degrees)


def sample(b: PlaceMap, settings: AlignmentSettings) -> list[Place]:
    """Places of `b` with clouds, at least `settings.spacing` metres of its path apart and at most `settings.queries`,
    evenly."""
    places = [place for place in b.places() if place.cloud is not None]
    positions = np.array([place.T_map_base[:3, 3] for place in places]).reshape(-1, 3)
    travelled = np.r_[0.0, np.linalg.norm(np.diff(positions, axis=0), axis=1).cumsum()][: len(places)]
    chosen, last = [], -np.inf
    for place, metres in zip(places, travelled, strict=True):
        if metres - last >= settings.spacing:
            chosen.append(place)
            last = metres
    keep = np.linspace(0, len(chosen) - 1, min(len(chosen), settings.queries)).round().astype(int)
    return [chosen[i] for i in keep]


def find_match(a: PlaceMap, place: Place, settings: AlignmentSettings, register: Register) -> Match | None:
    """The first place of `a` near in descriptors whose cloud this place's fits; None when there is none."""
    pair = next((pair for pair in PAIRS if pair[0] in place.descriptors and pair[1] in a.modalities), None)
    if pair is None:
        return None
    vector = place.descriptors[pair[0]]
    candidates = find_candidates(a, vector, pair[1], MatchSettings(top_k=settings.candidates))
    found = find_verified(place.cloud, candidates, a, register)
    return found and match_of(found, place)


def match_of(found: Verified, place: Place) -> Match:
    covariance = found.candidate.covariance
    metres, radians = (float(np.linalg.eigvalsh(part)[-1]) ** 0.5 for part in (covariance[:3, :3], covariance[3:, 3:]))
    return Match(found.candidate.T_map_base, place.T_map_base, metres, radians)


def agreement(found: list[Match], tried: int, settings: AlignmentSettings) -> list[Match]:
    """The matches that agree. Raises MapError when they are too few, or as many again agree about something else."""
    best = largest_consensus(found, settings)
    if len(best) < settings.min_agreeing:
        raise MapError(
            f"the maps could not be aligned: of {tried} places looked for, {len(found)} were found again and "
            f"{len(best)} of them agree, {settings.min_agreeing} are needed: {REMEDY}"
        )
    rest = [match for match in found if not any(match is other for other in best)]
    second = largest_consensus(rest, settings)
    if len(second) > settings.max_second * len(best):
        raise MapError(
            f"the maps could not be aligned: {len(best)} places agree about one pose and {len(second)} about another, "
            f"so places look alike or a drive drifted much: {REMEDY}"
        )
    return best
