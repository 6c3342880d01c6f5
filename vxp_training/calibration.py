"""Fits a model's calibration (`vxp_ros.core.calibration`) to answers whose truth is known, and judges the fit."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from vxp_ros.core.calibration import PairCalibration
from vxp_ros.core.candidates import find_candidates
from vxp_ros.core.config import MatchSettings
from vxp_ros.core.datatypes import Modality
from vxp_ros.core.evaluate import distances_to_places
from vxp_ros.core.place_map import PlaceMap

BINS = 10
# Where the search for the numbers begins, in logarithms: half_distance, distance_scale, margin_scale. A weak pull
# towards it keeps the scales finite where the answers are few, or told apart without an error.
START, PULL = np.log([0.7, 0.1, 0.02]), 1e-4


@dataclass(frozen=True)
class Outcomes:
    """The best candidates of queries, one row each: distance, margin [Q] float64, is_right, is_known [Q] bool.

    is_known: the map holds a place within the radius. An answer to an unknown place is never right.
    """

    distance: np.ndarray
    margin: np.ndarray
    is_right: np.ndarray
    is_known: np.ndarray

    def __len__(self) -> int:
        return len(self.distance)

    def __getitem__(self, rows) -> "Outcomes":
        return Outcomes(self.distance[rows], self.margin[rows], self.is_right[rows], self.is_known[rows])

    @classmethod
    def joined(cls, parts: Iterable["Outcomes"]) -> "Outcomes":
        columns = zip(*((part.distance, part.margin, part.is_right, part.is_known) for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


def ask(place_map: PlaceMap, vectors: np.ndarray, positions: np.ndarray, against: Modality, radius: float) -> Outcomes:
    """What the map answers to queries with descriptors [Q, D] at positions [Q, 3] of the map's frame. Right: within
    `radius` metres."""
    settings = MatchSettings(top_k=1)
    best = [find_candidates(place_map, vector, against, settings)[0] for vector in vectors]
    found = np.array([candidate.T_map_base[:3, 3] for candidate in best])
    return Outcomes(
        np.array([candidate.distance for candidate in best]),
        np.array([candidate.margin for candidate in best]),
        np.linalg.norm(found - positions, axis=1) <= radius,
        (distances_to_places(positions, place_map.poses[:, :3, 3]) <= radius).any(axis=1),
    )


def balanced(outcomes: Outcomes, known_share: float) -> np.ndarray:
    """[Q] weights that sum to 1, of which queries to known places get `known_share` however many they are."""
    known = outcomes.is_known
    counts = np.where(known, known.sum(), (~known).sum())
    return np.where(known, known_share, 1 - known_share) / np.maximum(counts, 1)


def fit_pair(outcomes: Outcomes, weights: np.ndarray) -> PairCalibration:
    """The most likely numbers (least log loss). weights: [Q], summing to 1."""

    def loss(logarithms: np.ndarray) -> float:
        pair = PairCalibration(*np.exp(logarithms))
        return log_loss(probabilities(pair, outcomes), outcomes, weights) + PULL * np.sum((logarithms - START) ** 2)

    found = minimize(loss, START, method="Nelder-Mead", options={"maxiter": 2000, "xatol": 1e-4, "fatol": 1e-8})
    return PairCalibration(*(float(f"{value:.4g}") for value in np.exp(found.x)))


def probabilities(pair: PairCalibration, outcomes: Outcomes) -> np.ndarray:
    """[Q] float64"""
    return np.array([pair.probability(*row) for row in zip(outcomes.distance, outcomes.margin, strict=True)])


def log_loss(probability: np.ndarray, outcomes: Outcomes, weights: np.ndarray) -> float:
    said = np.where(outcomes.is_right, probability, 1 - probability)
    return float(-weights @ np.log(np.maximum(said, 1e-9)))


@dataclass(frozen=True)
class Reliability:
    """Said against true, by ten equal bins of the probability. said, true: [B] weighted means, NaN in empty bins;
    weight: [B], summing to 1. error: the expected calibration error, the mean of |said - true| over the weight."""

    said: np.ndarray
    true: np.ndarray
    weight: np.ndarray
    error: float


def reliability(probability: np.ndarray, is_right: np.ndarray, weights: np.ndarray) -> Reliability:
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    total, said, true = (
        np.bincount(bins, weights * values, BINS) for values in (np.ones(len(bins)), probability, is_right)
    )
    error = float(np.abs(said - true).sum() / total.sum())
    with np.errstate(invalid="ignore"):
        return Reliability(said / total, true / total, total / total.sum(), error)


def believed(probability: np.ndarray, outcomes: Outcomes, threshold: float) -> dict[str, int | float]:
    """Counts of what is believed at a threshold. precision: right among believed, NaN when nothing is; recall: believed
    among right."""
    chosen = outcomes[probability >= threshold]
    right, unknown = int(chosen.is_right.sum()), int((~chosen.is_known).sum())
    return {
        "known": int(outcomes.is_known.sum()),
        "right": int(outcomes.is_right.sum()),
        "unknown": int((~outcomes.is_known).sum()),
        "believed_right": right,
        "believed_wrong": len(chosen) - right - unknown,
        "believed_unknown": unknown,
        "precision": right / len(chosen) if len(chosen) else float("nan"),
        "recall": right / max(int(outcomes.is_right.sum()), 1),
    }
