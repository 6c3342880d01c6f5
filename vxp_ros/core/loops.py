"""Loop closures of a drive: old places that a new one resembles, confirmed by the point clouds and by each other."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from .candidates import find_candidates
from .config import LoopSettings, MatchSettings, VerifySettings
from .consensus import Consensus
from .datatypes import Candidate, LoopClosure, Modality, Place
from .errors import MapError
from .odometry_path import OdometryPath
from .place_map import PlaceMap
from .recognizer import BEST_FIRST, meet
from .registration import Registration, register
from .verification import Verified, find_verified

# How many neighbours are looked at for those that odometry does not rule out.
POOL = 50


class LoopFinder:
    """Looks back from each new place of a growing map, whose poses are those of odometry; never across drives, between
    which odometry says nothing.

    register: in this process, or that of a RegistrationProcess.
    """

    def __init__(
        self,
        place_map: PlaceMap,
        match: MatchSettings | None = None,
        verify: VerifySettings | None = None,
        loop: LoopSettings | None = None,
        register: Callable[[np.ndarray, np.ndarray], Registration] = register,
    ):
        self.place_map = place_map
        self.match, self.verify, self.loop = (
            match or MatchSettings(),
            verify or VerifySettings(),
            loop or LoopSettings(),
        )
        self.path = OdometryPath(place_map)
        self.consensus = Consensus(self.path, self.loop)
        self._register = register

    def use(self, match: MatchSettings, verify: VerifySettings, loop: LoopSettings) -> None:
        """Other settings from now on."""
        self.match, self.verify, self.loop = match, verify, loop
        self.consensus.settings = loop

    def find(self, place_id: int) -> list[LoopClosure]:
        """What to tell SLAM after this place: closures that are now believed, of this place and of those before, and
        retractions of earlier ones. Raises ModelError when the registration libraries are missing."""
        closure = self.close(place_id)
        return [] if closure is None else self.consensus.add(closure)

    def close(self, place_id: int) -> LoopClosure | None:
        """The closure from this place alone, that clouds and odometry bear out; None without one."""
        place = self.place_map.place(place_id)
        candidates = self.candidates(place_id)[: self.verify.candidates]
        found = find_verified(place.cloud, candidates, self.place_map, self._register)
        if found is None:
            return None
        closure = closure_of(place_id, place, found)
        return closure if self.path.is_plausible(closure, self.loop) else None

    def candidates(self, place_id: int) -> list[Candidate]:
        """Places that are no recent past and that odometry allows, the most similar first."""
        place = self.place_map.place(place_id)
        old = self.path.old_places(place_id, self.loop)
        if not old:
            return []
        match = replace(self.match, top_k=POOL)
        try:
            query, against = modalities_for(place, self.match, self.place_map)
            found = find_candidates(self.place_map, place.descriptors[query], against, match, among=old)
        except MapError:  # nothing that could be compared with this place
            return []
        near = (candidate for candidate in found if candidate.distance <= match.max_distance)
        return self._within_reach(place_id, near)

    def _within_reach(self, place_id: int, candidates: Iterable[Candidate]) -> list[Candidate]:
        return [entry for entry in candidates if self.path.may_meet(entry.place_id, place_id, self.loop)]


def modalities_for(place: Place, match: MatchSettings, place_map: PlaceMap) -> tuple[Modality, Modality]:
    """By which descriptor to ask, and which of the map's to search: as set, else the best that the place has."""
    asked = BEST_FIRST if match.query == "auto" else (match.query,)
    for query in asked:
        against = query if match.against == "auto" else match.against
        if query in place.descriptors and against in place_map.modalities and meet(query, against):
            return query, against
    raise MapError(f"place has {' and '.join(place.descriptors)} descriptors, none to ask the map by")


def closure_of(place_id: int, place: Place, found: Verified) -> LoopClosure:
    candidate, registration = found.candidate, found.registration
    return LoopClosure(
        from_id=candidate.place_id,
        to_id=place_id,
        from_stamp_ns=candidate.stamp_ns,
        to_stamp_ns=place.stamp_ns,
        T_from_to=registration.T_target_source,
        covariance=registration.covariance,
        score=candidate.score,
        inlier_ratio=registration.inlier_ratio,
    )
