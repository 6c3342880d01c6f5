"""Loop closures of a drive: old places that a new one resembles, confirmed by the point clouds and by each other.

Where a loop has been closed, odometry tells for a while which old places the robot comes by, and those need not be
recognised any more.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np

from .calibration import Calibration
from .candidates import find_candidates, with_probabilities
from .config import LoopSettings, MatchSettings, VerifySettings
from .consensus import Consensus
from .datatypes import Candidate, LoopClosure, Modality, Place
from .errors import MapError
from .odometry_path import OdometryPath
from .place_map import PlaceMap
from .recognizer import BEST_FIRST, meet
from .registration import register
from .verification import Register, Verified, find_verified

# How many neighbours are looked at for those that odometry does not rule out.
POOL = 50
STRETCH = 20.0  # metres of the path


class LoopFinder:
    """Looks back from each new place of a growing map, whose poses are those of odometry; never across drives, between
    which odometry says nothing.

    calibration: the model's, which tells candidates that are worth a registration; without one all are. register: in
    this process, or that of a RegistrationProcess.
    """

    def __init__(
        self,
        place_map: PlaceMap,
        match: MatchSettings | None = None,
        verify: VerifySettings | None = None,
        loop: LoopSettings | None = None,
        calibration: Calibration | None = None,
        register: Register = register,
    ):
        self.place_map = place_map
        self.match, self.verify, self.loop = (
            match or MatchSettings(),
            verify or VerifySettings(),
            loop or LoopSettings(),
        )
        self.path = OdometryPath(place_map)
        self.consensus = Consensus(self.path, self.loop)
        self._calibration = calibration or Calibration()
        self._register = register
        self._behind: tuple[int, int] | None = None  # the last place, and the old one that it resembles backwards

    def use(self, match: MatchSettings, verify: VerifySettings, loop: LoopSettings) -> None:
        """Other settings from now on."""
        self.match, self.verify, self.loop = match, verify, loop
        self.consensus.settings = loop

    def find(self, place_id: int, rear: np.ndarray | None = None) -> list[LoopClosure]:
        """What to tell SLAM after this place: closures that are now believed, of this place and of those before, and
        retractions of earlier ones. rear: [D], of the view backwards, as `describe_rear` makes it; None: streets that
        are driven the other way are not recognised. Raises ModelError when the registration libraries are missing."""
        closure = self.close(place_id, rear)
        return [] if closure is None else self.consensus.add(closure)

    def close(self, place_id: int, rear: np.ndarray | None = None) -> LoopClosure | None:
        """The closure from this place alone, that clouds and odometry bear out; None without one."""
        closure = self.revisit(place_id) or self.recognize(place_id)
        if closure is None and rear is not None:
            closure = self.recognize_behind(place_id, rear)
        return closure if closure and self.path.is_plausible(closure, self.loop) else None

    def recognize(self, place_id: int) -> LoopClosure | None:
        """With an old place whose descriptor is alike, wherever it is."""
        likely = [entry for entry in self.candidates(place_id) if not entry.probability < self.loop.min_probability]
        return self._closure(place_id, likely[: self.verify.candidates], self._register)

    def recognize_behind(self, place_id: int, rear: np.ndarray) -> LoopClosure | None:
        """With an old place that was passed in the other direction. Such a guess is wrong too often to be tried before
        two keyframes in a row point to one stretch."""
        best = next(iter(self.opposite(place_id, rear)), None)
        before, self._behind = self._behind, None if best is None else (place_id, best.place_id)
        if best is None or before is None:
            return None
        gaps = [abs(self.path.metres(a) - self.path.metres(b)) for a, b in zip(before, self._behind, strict=True)]
        return self._closure(place_id, [best], self._register) if max(gaps) <= STRETCH else None

    def revisit(self, place_id: int) -> LoopClosure | None:
        """With the old place where the robot must be again, by the last closure and odometry. This finds what looks
        different: the street in the other direction, or by night."""
        expected = self.path.expected(place_id, self.consensus.last, self.loop)
        if expected is None:
            return None
        old, T_old_new, metres = expected
        guess = {"T_guess": T_old_new} if metres <= self.loop.follow else {}
        return self._closure(place_id, self._compared(place_id, range(old, old + 1)), partial(self._register, **guess))

    def _closure(self, place_id: int, candidates: Iterable[Candidate], register: Register) -> LoopClosure | None:
        place = self.place_map.place(place_id)
        found = find_verified(place.cloud, candidates, self.place_map, register)
        return None if found is None else closure_of(place_id, place, found)

    def candidates(self, place_id: int) -> list[Candidate]:
        """Places that are no recent past and that odometry allows, the most similar first."""
        old = self.path.old_places(place_id, self.loop)
        alike = (entry for entry in self._compared(place_id, old) if entry.distance <= self.match.max_distance)
        return [entry for entry in alike if self.path.may_meet(entry.place_id, place_id, self.loop)]

    def opposite(self, place_id: int, rear: np.ndarray) -> list[Candidate]:
        """As `candidates`, by the view backwards among the places that were passed in the other direction."""
        old = self.path.old_places(place_id, self.loop)
        if not old or "lidar" not in self.place_map.modalities:
            return []
        found = find_candidates(self.place_map, rear, "lidar", replace(self.match, top_k=POOL), among=old)
        return [entry for entry in found if self.path.may_meet(entry.place_id, place_id, self.loop)
                and self.path.is_opposite(entry.place_id, place_id)]  # fmt: skip

    def _compared(self, place_id: int, old: range) -> tuple[Candidate, ...]:
        """The most similar of the old places."""
        place = self.place_map.place(place_id)
        if not old:
            return ()
        try:
            query, against = modalities_for(place, self.match, self.place_map)
            match = replace(self.match, top_k=POOL)
            found = find_candidates(self.place_map, place.descriptors[query], against, match, among=old)
        except MapError:  # nothing that could be compared with this place
            return ()
        return with_probabilities(found, self._calibration, query, against)


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
