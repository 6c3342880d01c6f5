"""Which matches between two maps agree about the maps' relative pose, and the pose that suits them best."""

from dataclasses import dataclass

import numpy as np

from .config import AlignmentSettings
from .geometry import invert, make_transform, rotation_angle

SIGMAS = 3.0
POSITION_SIGMA, ROTATION_SIGMA = 0.3, 0.01  # metres, radians: how a match's two parts weigh against each other
ROUNDS = 10  # of reweighting; it settles in three or four


@dataclass(frozen=True)
class Match:
    """A moment of B's drive that was found in map A.

    T_a_base, T_b_base: [4, 4] float64, the base at that moment in both maps. position_sigma (metres), rotation_sigma
    (radians): the largest standard deviations of T_a_base.
    """

    T_a_base: np.ndarray
    T_b_base: np.ndarray
    position_sigma: float
    rotation_sigma: float

    @property
    def T_a_b(self) -> np.ndarray:
        """[4, 4] what this match alone says about the maps."""
        return self.T_a_base @ invert(self.T_b_base)


def largest_consensus(matches: list[Match], settings: AlignmentSettings) -> list[Match]:
    """The largest group of matches that agree with one of them; of equal groups the first."""
    groups = [[other for other in matches if agree(one, other, settings)] for one in matches]
    return max(groups, key=len, default=[])


def agree(one: Match, other: Match, settings: AlignmentSettings) -> bool:
    """Whether the pose that `one` gives puts `other` where it was found.

    Compared where the base was: far from a map's origin, a harmless error of heading is metres of T_a_b. Allowed is
    what registration is unsure of, and what either drive may have drifted in between.
    """
    metres, degrees = residuals(one.T_a_b, [other])
    apart = float(np.linalg.norm(one.T_b_base[:3, 3] - other.T_b_base[:3, 3]))
    turn = SIGMAS * one.rotation_sigma
    allowed = SIGMAS * (one.position_sigma + other.position_sigma) + (turn + settings.drift) * apart
    allowed_turn = turn + SIGMAS * other.rotation_sigma + settings.turn_drift * apart
    return bool(metres[0] <= allowed and np.radians(degrees[0]) <= allowed_turn)


def residuals(T_a_b: np.ndarray, matches: list[Match]) -> tuple[np.ndarray, np.ndarray]:
    """[N] metres and [N] degrees between where the matches were found and where T_a_b [4, 4] puts them."""
    errors = [invert(T_a_b @ match.T_b_base) @ match.T_a_base for match in matches]
    metres = np.array([np.linalg.norm(error[:3, 3]) for error in errors])
    return metres, np.degrees([rotation_angle(error[:3, :3]) for error in errors])


def fit(matches: list[Match]) -> np.ndarray:
    """T_a_b [4, 4] with the least residuals of positions and headings; matches far off weigh little."""
    weights = np.ones(len(matches))
    for _ in range(ROUNDS):
        T_a_b = weighted_fit(matches, weights)
        metres, _ = residuals(T_a_b, matches)
        scale = max(float(np.median(metres)), POSITION_SIGMA)
        weights = 1.0 / (1.0 + (metres / scale) ** 2)
    return T_a_b


def weighted_fit(matches: list[Match], weights: np.ndarray) -> np.ndarray:
    """In closed form: headings settle what positions in one line or on one spot leave open."""
    seen = np.array([match.T_a_base for match in matches])
    own = np.array([match.T_b_base for match in matches])
    p, q, w = own[:, :3, 3], seen[:, :3, 3], weights / weights.sum()
    p_mean, q_mean = w @ p, w @ q
    turns = seen[:, :3, :3] @ own[:, :3, :3].swapaxes(1, 2)
    H = ((q - q_mean) * w[:, None]).T @ (p - p_mean) / POSITION_SIGMA**2
    H += np.tensordot(w, turns, 1) / (2 * ROTATION_SIGMA**2)
    U, _, Vt = np.linalg.svd(H)
    R = U @ np.diag([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))]) @ Vt
    return make_transform(R, q_mean - R @ p_mean)
