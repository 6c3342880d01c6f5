"""The demo's numbers and its verdict on a hand-made run."""

import json
from dataclasses import replace

import numpy as np
import pytest
from demo_dialogue import make_run

from vxp_ros.core.errors import VxpError
from vxp_ros.core.geometry import make_transform
from vxp_ros.core.json_file import write_json
from vxp_ros.demo.data import frame_rate
from vxp_ros.demo.summary import account, check


def test_a_sound_run(good_run):
    summary = good_run.summary
    check(summary)
    assert summary["frames_sent"] == {"map": 4, "query": 20}
    assert summary["queries_answered"] == 20
    assert summary["candidates"] == 20
    assert summary["recall_at_1"] == {"2D-2D": 1.0, "3D-3D": 1.0, "2D-3D": 0.25, "3D-2D": 0.25, "fused": 1.0}
    assert summary["balanced"]
    assert summary["dropped"] == {}
    assert summary["latency_ms"]["end_to_end"]["p50"] == pytest.approx(101.5)
    assert summary["latency_ms"]["search"] == {"p50": 0.5, "p95": 0.9}
    assert summary["latency_ms_by_mode"]["2D-2D"]["image_encoder"] == {"p50": 70.0, "p95": 90.0}
    assert summary["cpu"]["mapping.node"] == 25.0
    assert summary["rss_mb"]["2D-2D.node"] == 500.0


def test_what_the_node_believed_is_held_against_the_truth(dialogues, data, place_map, good_replays):
    """Four queries: right and believed, right but no match, wrong and believed, and one to a place not on the map."""
    far = make_transform(np.eye(3), np.array([500.0, 500.0, 0.0]))
    unknown = replace(data.queries[3], frame=replace(data.queries[3].frame, T_odom_base=far))
    data = replace(data, queries=[*data.queries[:3], unknown])
    dialogue = dialogues["3D-3D"]
    dialogue.lines = dialogue.lines[:1]
    for number, place, status in ((0, 0, 0), (1, 1, 1), (2, 0, 0), (3, 0, 1)):
        dialogue.answer(number, place, status=status)
    dialogue.diagnose(received=4, processed=4)
    good_replays[2] = dialogue.replay()
    summary = make_run(good_replays, data, place_map).summary
    assert summary["verdicts"]["3D-3D"] == {
        "known": {"queries": 3, "right": 2, "accepted_right": 1, "accepted_wrong": 1, "rejected": 1},
        "unknown": {"queries": 1, "right": 0, "accepted_right": 0, "accepted_wrong": 0, "rejected": 1},
    }
    assert summary["recall_at_1"]["3D-3D"] == pytest.approx(2 / 3)  # of the known places, believed or not


def test_it_is_plain_json(good_run, tmp_path):
    write_json(tmp_path / "s.json", good_run.summary)
    keys = json.loads((tmp_path / "s.json").read_text()).keys()
    asked_for = "frames_sent queries_answered candidates recall_at_1 controls chance dropped accounting latency_ms cpu "
    asked_for += "rss_mb seconds versions model map data"
    assert set(asked_for.split()) <= keys


def test_a_dropped_frame_is_accounted_for_and_no_wrong_answer(dialogues, data, place_map, good_replays):
    dialogue = dialogues["2D-2D"]
    dialogue.lines = dialogue.lines[:4]  # ready and three answers
    dialogue.diagnose(received=4, processed=3, superseded=1)
    good_replays[1] = dialogue.replay()
    summary = make_run(good_replays, data, place_map).summary
    check(summary)
    assert summary["dropped"] == {"superseded": 1}
    assert summary["recall_at_1"]["2D-2D"] == 1.0
    assert summary["recall_at_1_of_all_sent"]["2D-2D"] == 0.75


def test_a_refusal_is_an_answer_and_a_drop(dialogues, data, place_map, good_replays):
    dialogue = dialogues["3D-3D"]
    dialogue.lines = dialogue.lines[:4]  # ready and three answers
    dialogue.answer(3, None, status=3)
    dialogue.diagnose(received=4, processed=3, bad_cloud=1)
    row = account(dialogue.replay())
    assert row["balanced"]
    assert (row["answers"], row["refused"], row["answered"]) == (4, 1, 3)
    good_replays[2] = dialogue.replay()
    summary = make_run(good_replays, data, place_map).summary
    check(summary)
    assert summary["recall_at_1"]["3D-3D"] == 1.0
    assert summary["recall_at_1_of_all_sent"]["3D-3D"] == 0.75


@pytest.mark.parametrize(
    ("diagnosis", "words"),
    [
        ({"received": 3, "processed": 3}, "4 sent, 1 lost, 3 received"),
        ({"received": 4, "processed": 3}, "3 processed"),
        ({"received": 4, "processed": 3, "in_flight": 1}, "1 in flight"),
        ({"received": 4, "processed": 4, "sensors": 3}, "not all accounted for"),
        ({"received": 4, "processed": 3, "superseded": 1}, "4 answered"),  # one answer too many
    ],
)
def test_an_unaccounted_frame_fails_the_demo(dialogues, data, place_map, good_replays, diagnosis, words):
    dialogues["2D-3D"].diagnose(**diagnosis)
    good_replays[3] = dialogues["2D-3D"].replay()
    assert not good_replays[3].is_settled()
    with pytest.raises(VxpError, match=words) as problem:
        check(make_run(good_replays, data, place_map).summary)
    assert "2D-3D" in str(problem.value)


def test_a_lost_message_is_waited_for_and_fails_the_demo(dialogues, data, place_map, good_replays):
    dialogue = dialogues["2D-2D"]
    dialogue.lines = dialogue.lines[:4]  # ready and three answers
    dialogue.diagnose(received=3, processed=3)
    good_replays[1] = dialogue.replay()
    assert account(good_replays[1])["lost"] == 1
    assert not good_replays[1].is_settled()
    with pytest.raises(VxpError, match="4 sent, 1 lost, 3 received"):
        check(make_run(good_replays, data, place_map).summary)


def test_a_node_that_never_reported_is_not_balanced(dialogues):
    assert not account(dialogues["2D-2D"].replay())["balanced"]


def test_no_candidate_fails_the_demo(dialogues, data, place_map, good_replays):
    dialogue = dialogues["3D-2D"]
    dialogue.lines = dialogue.lines[:1]
    for number in range(4):
        dialogue.answer(number, None, status=1)
    dialogue.diagnose(received=4, processed=4)
    good_replays[4] = dialogue.replay()
    with pytest.raises(VxpError, match="no candidate arrived in 3D-2D"):
        check(make_run(good_replays, data, place_map).summary)


def test_rate_ignores_pauses(queries):
    assert frame_rate(queries) == pytest.approx(1.0)
