"""The controls: what knows nothing scores chance, what sees the same picture scores full marks."""

import numpy as np
import pytest

from vxp_ros.demo.controls import control_recalls, nearest_recall, thumbnails


def test_controls_of_the_hand_made_run(queries, places):
    controls = control_recalls(queries, places, dimension=64)
    assert controls["chance"] == pytest.approx(0.375)  # within 2.5 m lie two places, one, two and one, of four
    assert controls["noise_descriptors"] == pytest.approx(0.375, abs=0.1)
    assert controls["thumbnails_8x16"] == 1.0  # query n shows the picture of place n


def test_thumbnails_ignore_exposure(places):
    from dataclasses import replace

    darker = [replace(place, image=(place.image * 0.5).astype(np.uint8)) for place in places]
    vectors = thumbnails(places)
    assert vectors.shape == (4, 128)
    assert np.linalg.norm(vectors - thumbnails(darker), axis=1).max() < 0.1
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)


def test_a_black_picture_is_no_division_by_zero(places):
    from dataclasses import replace

    assert not thumbnails([replace(places[0], image=np.zeros_like(places[0].image))]).any()


def test_nearest_recall_by_hand():
    truth, positions = np.array([[0.0, 0, 0], [10.0, 0, 0]]), np.array([[0.0, 0, 0], [10.0, 0, 0]])
    vectors = np.array([[0.0], [1.0]])
    assert nearest_recall(vectors, vectors, truth, positions) == 1.0
    assert nearest_recall(vectors[::-1], vectors, truth, positions) == 0.0
