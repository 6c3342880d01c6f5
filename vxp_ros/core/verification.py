"""Which of the candidates the point clouds confirm, and where the base then is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from .datatypes import Candidate
from .errors import BadInput
from .place_map import PlaceMap
from .registration import Registration, register


@dataclass(frozen=True)
class Verified:
    """A candidate whose place the query's cloud fits. candidate: with the pose of the base at the query's stamp instead
    of the place's. registration: `target` is the place, `source` the query."""

    candidate: Candidate
    registration: Registration


def find_verified(
    cloud: np.ndarray | None,
    candidates: Iterable[Candidate],
    place_map: PlaceMap,
    register: Callable[[np.ndarray, np.ndarray], Registration] = register,
) -> Verified | None:
    """The first of the candidates that registration accepts; None when it accepts none.

    cloud: [N, 3] float32 of the query in its base frame; None confirms nothing, as do places without a cloud and clouds
    too thin to register. register: in this process, or that of a RegistrationProcess. Raises ModelError when the
    registration libraries are missing.
    """
    for candidate in candidates if cloud is not None else ():
        place = place_map.place(candidate.place_id)
        if place.cloud is None:
            continue
        try:
            registration = register(cloud, place.cloud)
        except BadInput:
            continue
        if registration.is_accepted:
            return Verified(at_pose(candidate, place.T_map_base, registration), registration)
    return None


def at_pose(candidate: Candidate, T_map_place: np.ndarray, registration: Registration) -> Candidate:
    """The candidate with the registered pose and its covariance, turned into the map's axes."""
    return replace(
        candidate,
        T_map_base=T_map_place @ registration.T_target_source,
        covariance=turned(registration.covariance, T_map_place[:3, :3]),
        is_registered=True,
        is_verified=True,
        inlier_ratio=registration.inlier_ratio,
    )


def turned(covariance: np.ndarray, R: np.ndarray) -> np.ndarray:
    """A covariance [6, 6] in ROS's order about other fixed axes: R [3, 3] turns the old ones into the new."""
    both = np.kron(np.eye(2), R)
    return both @ covariance @ both.T
