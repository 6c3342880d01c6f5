"""What the demo's recall must be measured against, on the same queries and places: answers that know nothing, a map
whose places were shuffled, a network with random weights, and grey pictures of 8 x 16 pixels."""

import os

import cv2
import numpy as np
import torch

from ..core.encoder import Encoder
from ..core.evaluate import chance_recall, distances_to_places, recall_at_k
from ..core.model_store import Model, find_recipe
from ..core.models import build_model
from ..core.models.recipe import read_recipe
from .data import Moment
from .record import MODES, Answer

THUMBNAIL_ROWS, THUMBNAIL_COLUMNS = 8, 16
ROUNDS = 200  # enough that a mean over random draws is known to better than a percent


def control_recalls(queries: list[Moment], places: list[Moment], recipe: str, radius_m: float) -> dict:
    """recall@1 of each control; by mode for those that have modes."""
    truth, positions = positions_of(queries), positions_of(places)

    def recall(query_vectors, place_vectors):
        return nearest_recall(query_vectors, place_vectors, truth, positions, radius_m)

    return {
        "chance": chance_recall(truth, positions, radius_m),
        "thumbnails_8x16": recall(thumbnails(queries), thumbnails(places)),
        "random_weights": random_weight_recalls(queries, places, recipe, recall),
    }


def positions_of(moments: list[Moment]) -> np.ndarray:
    return np.array([moment.T_map_base[:3, 3] for moment in moments])


def nearest_recall(query_vectors, place_vectors, truth, positions, radius_m) -> float:
    """recall@1 of the nearest neighbour by L2. Vectors [Q, D] and [N, D], positions [Q, 3] and [N, 3]."""
    gaps = np.linalg.norm(query_vectors[:, None] - place_vectors[None], axis=2)
    errors = distances_to_places(truth, positions)
    chosen = errors[np.arange(len(truth)), gaps.argmin(axis=1)]
    return recall_at_k(chosen[:, None], errors.min(axis=1), radius_m, (1,))[1]


def random_weight_recalls(queries, places, recipe: str, recall) -> dict[str, float]:
    """The demo's own network before it has learnt anything, its image trunk included."""
    encoder = random_encoder(recipe)
    vectors = {
        (name, sensor): np.array([encoder.describe(moment.frame, sensor).vector for moment in moments])
        for name, moments in (("query", queries), ("map", places))
        for sensor in dict.fromkeys(sensor for pair in MODES.values() for sensor in pair)
    }
    return {mode: recall(vectors["query", query], vectors["map", against]) for mode, (query, against) in MODES.items()}


def random_encoder(recipe: str) -> Encoder:
    recipe = read_recipe(find_recipe(recipe))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Encoder(Model(recipe, build_model(recipe), "random"), torch.device("cpu"), threads=os.cpu_count() or 1)


def shuffled_map_recall(answers: list[Answer], positions: np.ndarray) -> float:
    """recall@1 of the answers that were given, if the map's places had changed seats. positions: [N, 3].

    Near chance for a sound evaluation, whatever the model: NaN without an answer to a known place.
    """
    known = [answer for answer in answers if answer.is_known and answer.place_id is not None]
    if not known:
        return float("nan")
    truth = np.array([answer.truth[:3, 3] for answer in known])
    chosen = np.array([answer.place_id for answer in known])
    random = np.random.default_rng(0)
    radius_m = known[0].radius_m
    gaps = [
        np.linalg.norm(truth - positions[random.permutation(len(positions))[chosen]], axis=1) for _ in range(ROUNDS)
    ]
    return float(np.mean(np.array(gaps) <= radius_m))


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
