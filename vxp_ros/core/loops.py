"""Loop closures of a drive: old places that a new one resembles, confirmed by the point clouds and by each other.

For a while after a closure, or after the beginning of a drive, odometry tells which old places the robot comes by:
those need not be recognised.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from .calibration import Calibration
from .candidates import find_candidates, make_candidate, with_probabilities
from .config import LoopSettings, MatchSettings, SearchSettings, TrialSettings
from .consensus import Consensus
from .datatypes import Candidate, LoopClosure, Modality, Place
from .errors import MapError
from .odometry_path import OdometryPath
from .place_map import PlaceMap
from .recognizer import BEST_FIRST, meet
from .registration import register
from .verification import Register, Verified, find_verified

NEIGHBOURS = MatchSettings(top_k=50)  # to look among for those that odometry does not rule out
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
        match: SearchSettings | None = None,
        verify: TrialSettings | None = None,
        loop: LoopSettings | None = None,
        calibration: Calibration | None = None,
        register: Register = register,
    ):
        self.place_map = place_map
        self.match, self.verify, self.loop = (
            match or SearchSettings(),
            verify or TrialSettings(),
            loop or LoopSettings(),
        )
        self.path = OdometryPath(place_map)
        self.consensus = Consensus(self.path, self.loop)
        self._calibration = calibration or Calibration()
        self._register = register
        self._behind: tuple[int, int] | None = None  # the last place, and the old one that it resembles backwards

    def use(self, match: SearchSettings, verify: TrialSettings, loop: LoopSettings) -> None:
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
        place, tried = self.place_map.place(place_id), set()
        for candidate, T_guess in self.suggestions(place_id, rear):
            if candidate.place_id in tried:
                continue
            register = self._register if T_guess is None else partial(self._register, T_guess=T_guess)
            found = find_verified(place.cloud, [candidate], self.place_map, register)
            if found is not None and self.path.is_plausible(closure := closure_of(place_id, place, found), self.loop):
                return closure
            if T_guess is None:
                tried.add(candidate.place_id)
        return None

    def suggestions(self, place_id: int, rear: np.ndarray | None) -> Iterator[tuple[Candidate, np.ndarray | None]]:
        """Old places to hold against the new one's cloud, the surest first, and T_old_new [4, 4] where there is a first
        guess of it."""
        yield from self.expected(place_id)
        for candidate in self.likely(place_id)[: self.verify.candidates]:
            yield candidate, None
        if rear is not None and (candidate := self.behind(place_id, rear)) is not None:
            yield candidate, None

    def expected(self, place_id: int) -> Iterator[tuple[Candidate, np.ndarray | None]]:
        """The old place where the robot must be again, by odometry and the last closure. This finds what looks
        different: the street in the other direction, or by night."""
        found = self.path.expected(place_id, self.consensus.last, self.loop)
        if found is not None:
            old, T_old_new, metres = found
            distance = descriptor_distance(self.place_map.place(old), self.place_map.place(place_id))
            guess = T_old_new if metres <= self.loop.follow else None
            yield make_candidate(self.place_map, old, distance, float("inf")), guess

    def likely(self, place_id: int) -> list[Candidate]:
        """Old places that look alike, wherever they are."""
        return [entry for entry in self.candidates(place_id) if not entry.probability < self.loop.min_probability]

    def behind(self, place_id: int, rear: np.ndarray) -> Candidate | None:
        """The old place that looks most like the view backwards. Alone it is mostly wrong: None unless that of the
        keyframe before was on the same stretch."""
        best = next(iter(self.opposite(place_id, rear)), None)
        before, self._behind = self._behind, None if best is None else (place_id, best.place_id)
        if best is None or before is None:
            return None
        gaps = [abs(self.path.metres(a) - self.path.metres(b)) for a, b in zip(before, self._behind, strict=True)]
        return best if max(gaps) <= STRETCH else None

    def candidates(self, place_id: int) -> list[Candidate]:
        """Places that are no recent past and that odometry allows, the most similar first."""
        old = self.path.old_places(place_id, self.loop)
        alike = (entry for entry in self._compared(place_id, old) if entry.distance <= self.match.max_distance)
        return [entry for entry in alike if self.path.may_meet(entry.place_id, place_id, self.loop)]

    def opposite(self, place_id: int, rear: np.ndarray) -> list[Candidate]:
        """As `candidates`, by the view backwards among the places that were passed in the other direction; their
        distances are larger, and no calibration knows them."""
        old = self.path.old_places(place_id, self.loop)
        if not old or "lidar" not in self.place_map.modalities:
            return []
        found = find_candidates(self.place_map, rear, "lidar", NEIGHBOURS, among=old)
        return [entry for entry in found if self.path.may_meet(entry.place_id, place_id, self.loop)
                and self.path.is_opposite(entry.place_id, place_id)]  # fmt: skip

    def _compared(self, place_id: int, old: range) -> tuple[Candidate, ...]:
        """The most similar of the old places."""
        place = self.place_map.place(place_id)
        if not old:
            return ()
        try:
            query, against = modalities_for(place, self.match, self.place_map)
            found = find_candidates(self.place_map, place.descriptors[query], against, NEIGHBOURS, among=old)
        except MapError:  # nothing that could be compared with this place
            return ()
        return with_probabilities(found, self._calibration, query, against)


def descriptor_distance(first: Place, second: Place) -> float:
    """By the best descriptor that both have; inf when they share none."""
    shared = [kind for kind in BEST_FIRST if kind in first.descriptors and kind in second.descriptors]
    return float(np.linalg.norm(first.descriptors[shared[0]] - second.descriptors[shared[0]])) if shared else np.inf


def modalities_for(place: Place, match: SearchSettings, place_map: PlaceMap) -> tuple[Modality, Modality]:
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
