"""The second act on a hand-made drive: four keyframes along a street, odometry that turns off, two closures."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from demo_dialogue import make_run

from vxp_ros.cli.demo import loops_in_words
from vxp_ros.core.errors import VxpError
from vxp_ros.core.geometry import invert, make_transform, pose_to_vector, rotation_z
from vxp_ros.demo import pictures, report
from vxp_ros.demo.loops import LoopAct, make_act, read_path
from vxp_ros.demo.record import DemoRun, Recording
from vxp_ros.demo.summary import Replay, account, check

SHIFT = make_transform(np.eye(3), np.array([0.6, 0.0, 0.0]))
DRIFT = [make_transform(rotation_z(0.02 * row), np.array([0.0, 3.0 * row, 0.0])) for row in range(4)]


@pytest.fixture
def truth(queries) -> list[np.ndarray]:
    return [moment.T_map_base for moment in queries]


@pytest.fixture
def loop_replay(tmp_path, queries, truth) -> Replay:
    """Odometry begins at zero; one closure is right, one is 0.6 m off, a third is taken back."""
    lines = [{"kind": "ready"}]
    for row, T in enumerate(truth):
        T_odom_base = invert(truth[0]) @ T @ DRIFT[row]
        lines.append({"kind": "keyframe", "stamp_ns": queries[row].stamp_ns, "id": row + 10,
                      "pose": pose_to_vector(T_odom_base)})  # fmt: skip
    lines += [closure(truth, 0, 1), closure(truth, 0, 2, SHIFT), closure(truth, 1, 3)]
    lines += [closure(truth, 1, 3, is_retracted=True)]
    for name, values in {"camera": {}, "lidar": {}, "sync": {}, "closures": {"looked_at": "3"}}.items():
        prefix = "frames_" if name == "sync" else ""
        counts = {f"{prefix}{key}": n for key, n in (("received", "4"), ("processed", "4"), ("in_flight", "0"))}
        lines.append({"kind": "diagnostics", "name": f"vxp_loop_closer: {name}", "values": {**counts, **values}})
    path = tmp_path / "loops.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sent = {moment.stamp_ns: moment.stamp_ns for moment in queries}
    return Replay("loop closing", "vxp_loop_closer", sent, Recording(path).update(), [])


def closure(truth: list, first: int, second: int, error: np.ndarray | None = None, is_retracted: bool = False) -> dict:
    T = invert(truth[first]) @ truth[second] @ (np.eye(4) if error is None else error)
    return {"kind": "closure", "from_id": first + 10, "to_id": second + 10, "pose": pose_to_vector(T),
            "is_retracted": is_retracted}  # fmt: skip


@pytest.fixture
def act(loop_replay, queries, truth) -> LoopAct:
    """The pose graph was right but for a metre at the end."""
    path = np.array([invert(truth[0]) @ T for T in truth])
    path[-1, 0, 3] += 1.0
    return make_act(loop_replay, queries, path)


def test_its_numbers(act):
    numbers = act.numbers()
    assert (numbers["keyframes"], numbers["closures"], numbers["wrong"], numbers["retracted"]) == (4, 2, 1, 1)
    assert numbers["looked_at"] == 3
    assert [closure.is_right for closure in act.closures] == [True, False]
    assert act.closures[1].metres == pytest.approx(0.6)
    assert numbers["end_m"] == pytest.approx({"odometry": 9.0, "path": 1.0})
    assert numbers["rms_m"]["odometry"] == pytest.approx(np.sqrt(np.mean([0, 9, 36, 81])))
    assert numbers["rms_m"]["path"] == pytest.approx(0.5)
    words = loops_in_words(numbers)
    assert "2 loop closures" in words and "1 wrong" in words and "0.50 m with them" in words
    assert loops_in_words({"left_out": "no GTSAM"}).endswith("left out: no GTSAM.")


def test_its_keyframes_are_accounted_for(loop_replay):
    assert account(loop_replay)["balanced"]


def test_a_keyframe_that_the_graph_missed_fails_the_demo(loop_replay, queries):
    with pytest.raises(VxpError, match="of 4 keyframes the pose graph has 3"):
        make_act(loop_replay, queries, np.tile(np.eye(4), (3, 1, 1)))


def test_no_closure_fails_the_demo(good_run):
    with pytest.raises(VxpError, match="no loop closure"):
        check({**good_run.summary, "loops": {"closures": 0}})


def test_a_trajectory_file_is_read(tmp_path, truth):
    file = tmp_path / "trajectory.tum"
    file.write_text("".join(f"1.5 {' '.join(map(str, pose_to_vector(T)))}\n" for T in truth))
    assert np.allclose(read_path(file), truth)


def test_picture_and_page(act, good_replays, data, place_map, tmp_path):
    run = make_run(good_replays, data, place_map)
    run = DemoRun(run.place_map, run.moments, run.answers, {**run.summary, "loops": act.numbers()}, act)
    drawn = pictures.draw_all(run, tmp_path / "pictures")
    pixels = cv2.imread(str(drawn.loops))
    assert min(pixels.shape[:2]) > 500 and pixels.std() > 5
    report.write_report(run, drawn, tmp_path / "report.html")
    html = Path(tmp_path / "report.html").read_text()
    assert "against drift" in html and "{{" not in html
    assert html.count('<img src="data:image/') == 3 + 7
    assert ">9.00<" in html and "<b>1.00</b>" in html
