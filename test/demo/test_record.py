"""What the recorder and the player wrote, read back."""

import numpy as np
import pytest

from vxp_ros.core.geometry import make_transform
from vxp_ros.demo.record import Recording, Truth, make_answer, read_sent


def test_recording_is_read_while_it_grows(tmp_path):
    path = tmp_path / "r.jsonl"
    recording = Recording(path)
    assert not recording.update().is_ready  # no file yet
    path.write_text('{"kind": "ready", "monotonic_ns": 1}\n{"kind": "answer", "stamp')
    assert recording.update().is_ready
    assert recording.answers == []  # the second line is not complete
    with path.open("a") as file:
        file.write('_ns": 5}\n{"kind": "diagnostics", "name": "n: sync", "values": {"a": "1"}}\n')
        file.write('{"kind": "diagnostics", "name": "n: sync", "values": {"a": "2"}}\n{"kind": "keyframe", "id": 3}\n')
    recording.update().update()
    assert [line["stamp_ns"] for line in recording.answers] == [5]
    assert recording.diagnostics["n: sync"]["values"] == {"a": "2"}
    assert len(recording.keyframes) == 1


def test_sent_takes_the_last_message_of_each_frame(tmp_path):
    path = tmp_path / "sent.csv"
    path.write_text("100,/camera/image_raw,7\n130,/points,7\n120,/other,7\n200,/points,8\n")
    assert read_sent(path, ("/camera/image_raw", "/points")) == {7: 130, 8: 200}


def test_answer_beside_the_truth():
    T = make_transform(np.eye(3), np.array([3.0, 4.0, 0.0]))
    line = {"stamp_ns": 7, "monotonic_ns": 5_000_130, "status": 0,
            "candidates": [{"place_id": 2, "distance": 0.3, "pose": [0, 0, 0, 0, 0, 0, 1]}] * 2}  # fmt: skip
    truth = Truth({7: T}, np.array([[0.0, 0, 0], [3, 4, 2]]), radius_m=2.5)
    answer = make_answer("2D-2D", line, {7: 130}, truth)
    assert answer.error_m == pytest.approx(5.0)
    assert not answer.is_right
    assert answer.is_known  # the second place is near enough
    assert answer.is_accepted
    assert answer.candidates == 2
    assert answer.end_to_end_ms == pytest.approx(5.0)
    nothing = make_answer("2D-2D", {**line, "candidates": []}, {7: 130}, truth)
    assert nothing.error_m == float("inf")
    assert nothing.place_id is None


def test_a_query_far_from_all_places_is_unknown():
    T = make_transform(np.eye(3), np.array([3.0, 4.0, 0.0]))
    assert not Truth({7: T}, np.zeros((1, 3)), radius_m=4.9).is_known(7)
    assert Truth({7: T}, np.zeros((1, 3)), radius_m=5.0).is_known(7)
