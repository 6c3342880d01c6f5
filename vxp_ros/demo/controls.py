"""What the demo's recall must be measured against: pure chance, descriptors of noise, and 8 x 16 grey pictures.

Frames a tenth of a second apart look alike to anything, so a recall means nothing without these beside it.
"""

import cv2
import numpy as np

from ..core.evaluate import chance_recall, distances_to_places, recall_at_k
from .record import RADIUS_M, Moment

THUMBNAIL_ROWS, THUMBNAIL_COLUMNS = 8, 16
NOISE_ROUNDS = 200  # enough that the mean is known to better than a percent


def control_recalls(queries: list[Moment], places: list[Moment], dimension: int) -> dict[str, float]:
    """recall@1 within RADIUS_M of each control, for the same queries and places as the model gets."""
    truth, positions = positions_of(queries), positions_of(places)
    return {
        "chance": chance_recall(truth, positions, RADIUS_M),
        "noise_descriptors": noise_recall(truth, positions, dimension),
        "thumbnails_8x16": nearest_recall(thumbnails(queries), thumbnails(places), truth, positions),
    }


def positions_of(moments: list[Moment]) -> np.ndarray:
    return np.array([moment.T_map_base[:3, 3] for moment in moments])


def nearest_recall(query_vectors, place_vectors, truth, positions) -> float:
    """recall@1 of the nearest neighbour by L2. Vectors [Q, D] and [N, D], positions [Q, 3] and [N, 3]."""
    gaps = np.linalg.norm(query_vectors[:, None] - place_vectors[None], axis=2)
    errors = distances_to_places(truth, positions)
    chosen = errors[np.arange(len(truth)), gaps.argmin(axis=1)]
    return recall_at_k(chosen[:, None], errors.min(axis=1), RADIUS_M, (1,))[1]


def noise_recall(truth: np.ndarray, positions: np.ndarray, dimension: int) -> float:
    """Mean over many seeded draws of unit vectors that know nothing of the sensors."""
    random = np.random.default_rng(0)
    draws = [
        nearest_recall(unit_vectors(random, len(truth), dimension), unit_vectors(random, len(positions), dimension),
                       truth, positions)
        for _ in range(NOISE_ROUNDS)
    ]  # fmt: skip
    return float(np.mean(draws))


def unit_vectors(random: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    vectors = random.standard_normal((count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def thumbnails(moments: list[Moment]) -> np.ndarray:
    """[N, 128] float32: each picture in grey at 8 rows of 16, mean 0 and norm 1, so that exposure does not count."""
    rows = []
    for moment in moments:
        grey = cv2.cvtColor(moment.image, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (THUMBNAIL_COLUMNS, THUMBNAIL_ROWS), interpolation=cv2.INTER_AREA)
        vector = small.astype(np.float32).ravel()
        vector -= vector.mean()
        rows.append(vector / max(float(np.linalg.norm(vector)), 1e-6))
    return np.array(rows)
