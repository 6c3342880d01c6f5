"""The controls: what knows nothing scores chance, what sees the same picture scores full marks."""

from dataclasses import replace

import numpy as np
import pytest

from vxp_ros.core.datatypes import Image
from vxp_ros.demo.controls import control_recalls, nearest_recall, shuffled_map_recall, thumbnails
from vxp_ros.demo.record import MODES


def with_pixels(moment, pixels):
    frame = moment.frame
    return replace(moment, frame=replace(frame, images={"camera": Image(pixels, frame.images["camera"].camera)}))


def test_controls_of_the_hand_made_run(queries, places):
    controls = control_recalls(queries, places, "vxp_view", radius_m=2.5)
    assert controls["chance"] == pytest.approx(0.375)  # within 2.5 m lie two places, one, two and one, of four
    assert controls["thumbnails_8x16"] == 1.0  # query n shows the picture of place n
    assert set(controls["random_weights"]) == set(MODES)
    assert controls["random_weights"]["2D-2D"] == 1.0  # even random weights know the very same picture


def test_a_shuffled_map_brings_right_answers_down_to_chance(good_run):
    positions = good_run.place_map.poses[:, :3, 3]
    right = good_run.answers_of("2D-2D")
    assert all(answer.is_right for answer in right)
    assert shuffled_map_recall(right, positions) == pytest.approx(0.375, abs=0.1)
    assert np.isnan(shuffled_map_recall([], positions))


def test_thumbnails_ignore_exposure(places):
    darker = [with_pixels(place, (place.image * 0.5).astype(np.uint8)) for place in places]
    vectors = thumbnails(places)
    assert vectors.shape == (4, 128)
    assert np.linalg.norm(vectors - thumbnails(darker), axis=1).max() < 0.1
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0)


def test_a_black_picture_is_no_division_by_zero(places):
    assert not thumbnails([with_pixels(places[0], np.zeros_like(places[0].image))]).any()


def test_nearest_recall_by_hand():
    truth, positions = np.array([[0.0, 0, 0], [10.0, 0, 0]]), np.array([[0.0, 0, 0], [10.0, 0, 0]])
    vectors = np.array([[0.0], [1.0]])
    assert nearest_recall(vectors, vectors, truth, positions, 2.5) == 1.0
    assert nearest_recall(vectors[::-1], vectors, truth, positions, 2.5) == 0.0
