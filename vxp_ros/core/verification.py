"""Which of the candidates the point clouds confirm, and where the base then is."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .config import VerifySettings
from .datatypes import Candidate, Recognition, Status
from .errors import BadInput
from .place_map import PlaceMap
from .registration import Registration, register
from .stopwatch import Stopwatch

Register = Callable[..., Registration]  # source, target, and perhaps T_guess, as `register` has them


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
    register: Register = register,
) -> Verified | None:
    """The first of the candidates that registration accepts; None when it accepts none.

    cloud: [N, 3] float32 of the query in its base frame; None confirms nothing, as do places without a cloud and clouds
    too thin to register. register: in this process, or that of a RegistrationProcess. Raises ModelError when the
    registration libraries are missing.
    """
    for candidate, registration in attempts(cloud, candidates, place_map, register):
        if registration.is_accepted:
            T_map_place = place_map.place(candidate.place_id).T_map_base
            return Verified(at_pose(candidate, T_map_place, registration), registration)
    return None


def attempts(
    cloud: np.ndarray | None, candidates: Iterable[Candidate], place_map: PlaceMap, register: Register
) -> Iterator[tuple[Candidate, Registration]]:
    """Each candidate that can be tried, with what registration found. Arguments and errors as of `find_verified`."""
    for candidate in candidates if cloud is not None else ():
        place = place_map.place(candidate.place_id)
        if place.cloud is None:
            continue
        try:
            yield candidate, register(cloud, place.cloud)
        except BadInput:
            continue


def verify(
    answer: Recognition,
    cloud: np.ndarray | None,
    place_map: PlaceMap,
    settings: VerifySettings,
    register: Register = register,
) -> Recognition:
    """The answer after its best candidates were held against the point clouds.

    The first that is confirmed leads, with the registered pose. The answer is OK if its probability bears that out, or
    is not known: a geometry that fits outweighs a small margin, but streets are built alike, and clouds of two of them
    may fit. Where all that could be tried are refused it is AMBIGUOUS, and they keep their ranks and poses. With
    nothing to try it stays as it was, and its message says why. Arguments and errors as of `find_verified`.
    """
    if not is_worth_verifying(answer):
        return answer
    watch, tried = Stopwatch(), {}
    with watch.stage("verify"):
        for candidate, registration in attempts(cloud, answer.candidates[: settings.candidates], place_map, register):
            tried[candidate.place_id] = registration
            if registration.is_accepted:
                break
    if not tried:
        lack = "no point cloud" if cloud is None else "its places have no point clouds, or too thin ones"
        return unverified(answer, lack)
    return replace(judged(answer, tried, place_map, settings), stage_ms={**answer.stage_ms, **watch.stage_ms})


def is_worth_verifying(answer: Recognition) -> bool:
    """NO_MATCH is left alone: the descriptors rule the places out, and to refuse one takes twice as long."""
    return answer.status in (Status.OK, Status.AMBIGUOUS) and bool(answer.candidates)


def unverified(answer: Recognition, reason: str) -> Recognition:
    """The answer with a message that says why its pose is only that of the place."""
    if not is_worth_verifying(answer):
        return answer
    return replace(answer, message=f"{answer.message}; the place's pose, not verified: {reason}")


def judged(
    answer: Recognition, tried: dict[int, Registration], place_map: PlaceMap, settings: VerifySettings
) -> Recognition:
    """tried: what registration found, by place; at most the last one accepted."""
    candidates = [after(entry, tried.get(entry.place_id), place_map) for entry in answer.candidates]
    candidates.sort(key=lambda entry: not entry.is_verified)
    best = candidates[0]
    if best.is_verified:
        is_unlikely = best.probability < settings.min_probability
        status = Status.AMBIGUOUS if is_unlikely else Status.OK
        message = f"place {best.place_id} confirmed by its point cloud, inlier ratio {best.inlier_ratio:.2f}"
        if is_unlikely:
            message += f", but its probability {best.probability:.2f} is below verify.min_probability "
            message += f"{settings.min_probability:g}"
        message += "" if answer.status == Status.OK else f"; before that: {answer.message}"
    else:
        status = Status.AMBIGUOUS
        reasons = ", ".join(f"place {place_id}: {entry.reason}" for place_id, entry in tried.items())
        message = f"the point clouds confirm no candidate ({reasons})"
    return replace(answer, status=status, message=message, candidates=tuple(candidates))


def after(candidate: Candidate, registration: Registration | None, place_map: PlaceMap) -> Candidate:
    """The candidate as it leaves its registration; None: there was none."""
    if registration is None:
        return candidate
    if registration.is_accepted:
        return at_pose(candidate, place_map.place(candidate.place_id).T_map_base, registration)
    return replace(candidate, inlier_ratio=registration.inlier_ratio)


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
