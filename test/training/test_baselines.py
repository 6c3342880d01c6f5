"""The yardsticks themselves: they must find what is there to be found and nothing in noise."""

import cv2
import numpy as np
import pytest

from vxp_training.baselines import images
from vxp_training.baselines.scan_context import RINGS, SECTORS, scan_context, similarities


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Twelve scenes of random coloured blobs, which every method can tell apart."""
    random = np.random.default_rng(7)
    blobs = random.integers(0, 256, (12, 13, 23, 3), dtype=np.uint8)
    return [cv2.resize(blob, (320, 180), interpolation=cv2.INTER_CUBIC) for blob in blobs]


def nearest(query: np.ndarray, places: np.ndarray) -> list[int]:
    return (query @ places.T).argmax(axis=1).tolist()


def test_every_method_finds_the_same_picture_after_noise(pictures):
    random = np.random.default_rng(8)
    noisy = [np.clip(p + random.normal(0, 6, p.shape), 0, 255).astype(np.uint8) for p in pictures]
    rows = images.describe_by_all(pictures, noisy)
    assert set(rows) == {"thumbnail", "HSV histogram", "random convolution", "Gabor GIST", "SIFT-VLAD"}
    for name, (places, queries) in rows.items():
        assert np.allclose(np.linalg.norm(places, axis=1), 1, atol=1e-5), name
        assert nearest(queries, places) == list(range(12)), name


def test_contrast_does_not_move_a_thumbnail(pictures):
    darker = (pictures[0] * 0.8).astype(np.uint8)
    assert images.unit(images.thumbnail(pictures[0])) @ images.unit(images.thumbnail(darker)) > 0.97


def test_a_picture_without_features_gives_a_finite_descriptor(pictures):
    words = images.learn_words(pictures)
    flat = np.full((180, 320, 3), 128, np.uint8)
    assert not images.sift_vlad(flat, words).any()
    assert np.isfinite(images.describe([flat], images.gabor_gist)).all()


def clouds(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [random.uniform([-70, -70, -1.7], [70, 70, 12], (3000, 3)) for _ in range(count)]


def test_scan_context_keeps_the_largest_height_of_a_cell():
    context = scan_context(np.array([[10.0, 0.1, 1.0], [10.1, 0.1, 3.0], [1.0, 0.1, 9.0], [90.0, 0.1, 9.0]]), 1.7)
    assert context.shape == (RINGS, SECTORS)
    assert np.count_nonzero(context) == 1
    assert context[2].max() == pytest.approx(3.0 + 1.7 + 2.0)


def test_scan_context_finds_a_turned_scan():
    places = clouds(6)
    angle = 2 * np.pi * 17 / SECTORS
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    contexts = [scan_context(cloud, 1.7) for cloud in places]
    turned = [scan_context(cloud @ turn.T, 1.7) for cloud in places]
    found = similarities(turned, contexts)
    assert found.argmax(axis=1).tolist() == list(range(6))
    assert np.allclose(np.diag(found), 1, atol=0.02)


def test_correlation_equals_trying_every_shift():
    a, b = (scan_context(cloud, 1.7) for cloud in clouds(2))
    by_hand = []
    for shift in range(SECTORS):
        moved = np.roll(b, -shift, axis=1)
        norms = np.linalg.norm(a, axis=0) * np.linalg.norm(moved, axis=0)
        is_seen = norms > 0
        by_hand.append(((a * moved).sum(axis=0)[is_seen] / norms[is_seen]).mean())
    assert similarities([a], [b])[0, 0] == pytest.approx(max(by_hand), abs=1e-5)
