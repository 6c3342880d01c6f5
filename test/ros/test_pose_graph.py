"""The pose graph node on a real ROS graph: keyframes and closures in, a straightened path out."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")
pytest.importorskip("gtsam", reason="gtsam is not installed (extra slam, Python 3.11 or later)")

from geometry_msgs.msg import TransformStamped
from live_rig import LATCHED, RELIABLE
from nav_msgs.msg import Path as PathMsg
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from vxp_ros.core.config import FrameSettings
from vxp_ros.core.datatypes import LoopClosure, Place
from vxp_ros.core.geometry import invert, make_transform, rotation_z
from vxp_ros.msg import Keyframe
from vxp_ros.msg import LoopClosure as LoopClosureMsg
from vxp_ros.ros import actuation, pose_graph
from vxp_ros.ros.conversions import to_closure, to_matrix
from vxp_ros.ros.pose_graph import PoseGraphNode
from vxp_ros.ros.publishers import closure_message, keyframe_message

pytestmark = pytest.mark.ros
FRAMES = FrameSettings()
SECOND = 1_000_000_000
CONFIG = Path(__file__).parents[2] / "config" / "pose_graph.yaml"


def pose(x: float, y: float, yaw: float) -> np.ndarray:
    return make_transform(rotation_z(yaw), np.array([x, y, 0.0]))


TRUTH = [pose(0, 0, 0), pose(10, 0, 1.57), pose(10, 10, 3.14), pose(0, 10, -1.57), pose(0, 0, 0)]
ODOMETRY = [pose(0.0, 0.1 * i, 0.01 * i) @ T for i, T in enumerate(TRUTH)]
CLOSED = LoopClosure(0, 4, SECOND, 5 * SECOND, invert(TRUTH[0]) @ TRUTH[4], 1e-4 * np.eye(6), 0.9, 0.8)


class Back:
    """Plays the loop closer, and hears what the graph says. `robot` spins it."""

    def __init__(self, robot):
        self.robot = robot
        self.keyframes = robot.node.create_publisher(Keyframe, "keyframes", LATCHED)
        self.closures = robot.node.create_publisher(LoopClosureMsg, "loop_closures", RELIABLE)
        self.paths = robot.listen(PathMsg, "/vxp_pose_graph/path", LATCHED)
        self.transforms = robot.listen(TransformStamped, "/vxp_pose_graph/map_to_odom", LATCHED)

    def meet(self) -> None:
        both = self.keyframes, self.closures
        assert self.robot.spin_until(lambda: all(entry.get_subscription_count() for entry in both), 30)
        self.robot.spin(0.3)

    def drive(self, poses=ODOMETRY, first: int = 0) -> None:
        for i, T in enumerate(poses, first):
            place = Place((i + 1) * SECOND, T, {"lidar": np.ones(2, np.float32)})
            self.keyframes.publish(keyframe_message(i, place, "test", FRAMES))

    def close(self, closure: LoopClosure = CLOSED) -> None:
        self.closures.publish(closure_message(closure, FRAMES))

    def end(self) -> np.ndarray:
        """[3] where the last path ends."""
        return to_matrix(self.paths[-1].poses[-1].pose)[:3, 3]

    def hears(self, is_true) -> bool:
        told = lambda: self.paths and len(self.transforms) == len(self.paths)  # noqa: E731
        return self.robot.spin_until(lambda: told() and is_true(), 20)


def make_node(**given) -> PoseGraphNode:
    """given: group__name -> value."""
    parameters = {key.replace("__", "."): value for key, value in given.items()}
    return PoseGraphNode(parameter_overrides=[Parameter(key, value=value) for key, value in parameters.items()])


@pytest.fixture
def graph(robot, ros, tmp_path):
    """A pose graph in this process, spun by the robot, and its other side."""
    node = make_node(output__period=0.1, output__save_to=str(tmp_path / "out"))
    robot.executor.add_node(node)
    back = Back(robot)
    back.meet()
    yield node, back
    robot.executor.remove_node(node)
    node.destroy_node()


def test_a_closure_pulls_the_path_straight(graph):
    _, back = graph
    back.drive()
    assert back.hears(lambda: len(back.paths[-1].poses) == 5)
    assert np.allclose(back.end(), ODOMETRY[4][:3, 3], atol=1e-6)
    back.close()
    assert back.hears(lambda: np.linalg.norm(back.end()) < 0.05)
    path, transform = back.paths[-1], back.transforms[-1]
    assert path.header.frame_id == "map" and [entry.header.stamp.sec for entry in path.poses] == [1, 2, 3, 4, 5]
    assert (transform.header.frame_id, transform.child_frame_id, transform.header.stamp.sec) == ("map", "odom", 5)
    assert np.allclose(to_matrix(transform.transform) @ ODOMETRY[4], to_matrix(path.poses[-1].pose), atol=1e-6)


def test_a_withdrawn_closure_lets_go_and_an_early_one_waits(graph):
    node, back = graph
    back.close()
    back.robot.spin(0.3)
    back.drive()
    assert back.hears(lambda: np.linalg.norm(back.end()) < 0.05)
    back.close(LoopClosure(**{**CLOSED.__dict__, "is_retracted": True}))
    assert back.hears(lambda: np.allclose(back.end(), ODOMETRY[4][:3, 3], atol=1e-6))
    assert (node.counts["closures"], node.counts["retracted"]) == (1, 1)


def test_ids_that_begin_again_are_another_drive_and_the_last_is_kept(graph, tmp_path):
    node, back = graph
    back.drive()
    assert back.hears(lambda: len(back.paths[-1].poses) == 5)
    back.drive(ODOMETRY[:2])
    assert back.hears(lambda: len(back.paths[-1].poses) == 2)
    assert len(node.graph) == 2
    assert back.robot.call(Trigger, "/vxp_pose_graph/save").success
    kept = [tmp_path / "out" / name for name in ("trajectory.tum", "trajectory-2.tum")]
    assert [len(path.read_text().splitlines()) for path in kept] == [5, 2]


def test_a_keyframe_that_comes_twice_is_ignored(graph):
    node, back = graph
    back.drive()
    assert back.hears(lambda: len(back.paths[-1].poses) == 5)
    back.drive(ODOMETRY[4:], first=4)
    back.close()
    assert back.hears(lambda: np.linalg.norm(back.end()) < 0.05)
    assert (len(node.graph), node.counts["keyframes"]) == (5, 5)


def test_closures_whose_keyframes_never_come_do_not_jam_the_others(graph):
    _, back = graph
    back.drive(ODOMETRY[:1])
    assert back.hears(lambda: len(back.paths[-1].poses) == 1)
    for i in range(150):
        back.close(
            LoopClosure(**{**CLOSED.__dict__, "from_id": -1 if i % 2 else 5, "to_id": 0 if i % 3 else 10_000 + i})
        )
        back.robot.spin(0.005)
    back.close()
    back.robot.spin(0.2)
    back.drive(ODOMETRY[1:], first=1)
    assert back.hears(lambda: np.linalg.norm(back.end()) < 0.05)


def test_bad_messages_are_counted_and_do_no_harm(graph):
    node, back = graph
    back.drive()
    assert back.hears(lambda: len(back.paths[-1].poses) == 5)
    broken = closure_message(CLOSED, FRAMES)
    broken.transform.pose.position.x = float("nan")
    back.closures.publish(broken)
    empty = closure_message(CLOSED, FRAMES)
    empty.has_transform = False
    back.closures.publish(empty)
    flat = closure_message(CLOSED, FRAMES)
    flat.transform.covariance = [0.0] * 36
    back.closures.publish(flat)
    lost = keyframe_message(9, Place(9 * SECOND, TRUTH[0], {"lidar": np.ones(2, np.float32)}), "test", FRAMES)
    lost.pose.orientation.w = 0.0
    back.keyframes.publish(lost)
    back.close()
    assert back.hears(lambda: np.linalg.norm(back.end()) < 0.05)
    refused = {key: count for key, count in node.counts.items() if key.startswith("refused")}
    assert refused == {"refused_bad_pose": 2, "refused_no_transform": 1, "refused_bad_covariance": 1}


def test_diagnostics_tell_what_was_taken_refused_and_withdrawn(graph):
    _, back = graph
    robot = back.robot
    back.drive()
    back.close()
    assert robot.spin_until(lambda: robot.values("graph").get("closures") == "1" and robot.level("graph") == 0)
    assert robot.diagnostics["graph"].message == "5 keyframes, 1 closures, 0 of them doubted"
    assert robot.diagnostics["graph"].name == "vxp_pose_graph: graph"
    back.close(
        LoopClosure(**{**CLOSED.__dict__, "from_id": 3, "covariance": np.zeros((6, 6)), "from_stamp_ns": 4 * SECOND})
    )
    assert robot.spin_until(lambda: robot.level("graph") == 1)
    assert "covariance" in robot.diagnostics["graph"].message
    assert robot.spin_until(lambda: robot.level("graph") == 0)  # nothing new was refused since
    back.close(LoopClosure(**{**CLOSED.__dict__, "is_retracted": True}))
    assert robot.spin_until(lambda: robot.values("graph")["closures_retracted"] == "1")
    values = robot.values("graph")
    assert (values["closures"], values["closures_accepted"], values["refused_bad_covariance"]) == ("0", "1", "1")
    assert "covariance" in values["last_error"]


def test_a_graph_that_cannot_be_solved_is_an_error_until_one_can(graph, monkeypatch):
    node, back = graph

    def fail(*_):
        raise RuntimeError("no solution\nand a long explanation")

    back.drive()
    assert back.hears(lambda: len(back.paths[-1].poses) == 5)
    with monkeypatch.context() as broken:
        broken.setattr(node.graph, "_solve", fail)
        back.close()
        assert back.robot.spin_until(lambda: back.robot.level("graph") == 2)
    assert back.robot.diagnostics["graph"].message == "not optimised: no solution"
    back.drive([pose(1, 0, 0)], first=5)
    assert back.robot.spin_until(lambda: back.robot.level("graph") == 0)
    assert len(node.graph.weights) == 1


def test_map_to_odom_is_broadcast_when_asked_for(robot, ros, monkeypatch):
    sent = []
    tf2 = SimpleNamespace(TransformBroadcaster=lambda _node: SimpleNamespace(sendTransform=sent.append))
    for module in (actuation, pose_graph):
        monkeypatch.setattr(module, "tf2_ros", tf2)
    node = make_node(output__period=0.1, output__publish_tf=True)
    robot.executor.add_node(node)
    try:
        back = Back(robot)
        back.meet()
        assert sent == []  # before the first keyframe nobody knows
        back.drive()
        back.close()
        assert back.hears(lambda: np.linalg.norm(back.end()) < 0.05)
        before = len(sent)
        assert robot.spin_until(lambda: len(sent) > before + 3)
        last = sent[-1]
        assert (last.header.frame_id, last.child_frame_id) == ("map", "odom")
        assert np.allclose(to_matrix(last.transform), to_matrix(back.transforms[-1].transform))
        ahead = last.header.stamp.sec + 1e-9 * last.header.stamp.nanosec - robot.now_ns() / 1e9
        assert -1 < ahead <= 0.2
    finally:
        robot.executor.remove_node(node)
        node.destroy_node()


def test_nothing_is_broadcast_unasked(graph, monkeypatch):
    sent = []
    tf2 = SimpleNamespace(TransformBroadcaster=lambda _node: SimpleNamespace(sendTransform=sent.append))
    for module in (actuation, pose_graph):
        monkeypatch.setattr(module, "tf2_ros", tf2)
    node = make_node(output__period=0.1)
    _, back = graph
    back.robot.executor.add_node(node)
    try:
        back.meet()
        back.drive()
        assert back.robot.spin_until(lambda: len(node.graph) == 5)
        back.robot.spin(0.5)
        assert sent == []
    finally:
        back.robot.executor.remove_node(node)
        node.destroy_node()


@pytest.mark.skipif(actuation.tf2_ros is not None, reason="tf2_ros is installed")
def test_tf_without_tf2_is_refused_with_the_fix(ros):
    with pytest.raises(ValueError, match=r"needs tf2_ros.*set output.publish_tf to false"):
        make_node(output__publish_tf=True)


def test_the_shipped_parameters_are_taken(robot, tmp_path):
    command = [sys.executable, "-m", "vxp_ros.ros.pose_graph", "--ros-args", "--params-file", str(CONFIG)]
    environment = {**os.environ, "HOME": str(tmp_path)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=environment
    )
    try:
        back = Back(robot)
        back.meet()
        back.drive()
        assert back.hears(lambda: len(back.paths[-1].poses) == 5)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert sorted(path.name for path in (tmp_path / ".ros/vxp_pose_graph").iterdir()) == ["graph.g2o", "trajectory.tum"]


def test_save_writes_graph_and_trajectory(graph, tmp_path):
    _, back = graph
    back.drive()
    back.close()
    assert back.hears(lambda: np.linalg.norm(back.end()) < 0.05)
    answer = back.robot.call(Trigger, "/vxp_pose_graph/save")
    assert answer.success and "5 keyframes and 1 closures" in answer.message
    rows = np.loadtxt(tmp_path / "out" / "trajectory.tum")
    assert rows.shape == (5, 8) and np.allclose(rows[:, 0], [1, 2, 3, 4, 5])
    assert np.allclose(rows[-1, 1:4], back.end(), atol=1e-6)
    assert (tmp_path / "out" / "graph.g2o").read_text().count("EDGE_SE3:QUAT") == 5


def test_files_of_another_run_stay_and_the_own_are_brought_up_to_date(graph, tmp_path):
    _, back = graph
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    left = {"graph.g2o": "yesterday", "trajectory.tum": "yesterday", "graph-4.g2o": "last week", "graph-x.g2o": "mine"}
    for name, text in left.items():
        (out / name).write_text(text)
    for count, first in ((2, 0), (5, 2)):
        back.drive(ODOMETRY[first:count], first=first)
        assert back.hears(lambda count=count: len(back.paths[-1].poses) == count)
        assert back.robot.call(Trigger, "/vxp_pose_graph/save").success
    assert len((out / "trajectory-5.tum").read_text().splitlines()) == 5
    back.drive(ODOMETRY[:2])  # another drive
    assert back.hears(lambda: len(back.paths[-1].poses) == 2)
    answer = back.robot.call(Trigger, "/vxp_pose_graph/save")
    assert answer.success and f"{out}/graph-6.g2o" in answer.message
    assert {name: (out / name).read_text() for name in left} == left
    own = {f"{stem}-{number}{end}" for stem, end in (("graph", ".g2o"), ("trajectory", ".tum")) for number in (5, 6)}
    assert {path.name for path in out.iterdir()} == own | set(left)


def test_an_empty_graph_is_not_saved(graph, tmp_path):
    _, back = graph
    answer = back.robot.call(Trigger, "/vxp_pose_graph/save")
    assert not answer.success and answer.message == "the graph is empty, nothing was saved: no keyframe has come"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "vxp_ros.ros.pose_graph", "--ros-args", "-p"]
    done = subprocess.run(
        [*command, f"output.save_to:={tmp_path / 'file' / 'out'}"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "cannot start: " in done.stderr and str(tmp_path / "file") in done.stderr


def test_a_closure_survives_the_message():
    back = to_closure(closure_message(CLOSED, FRAMES))
    assert np.allclose(back.T_from_to, CLOSED.T_from_to) and np.allclose(back.covariance, CLOSED.covariance)
    assert (back.from_id, back.to_id, back.from_stamp_ns, back.to_stamp_ns) == (0, 4, SECOND, 5 * SECOND)
    assert back.score == pytest.approx(0.9) and not back.is_retracted


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_process_ends_well_and_saves(robot, tmp_path, number):
    command = [
        sys.executable,
        "-m",
        "vxp_ros.ros.pose_graph",
        "--ros-args",
        "-p",
        f"output.save_to:={tmp_path / 'out'}",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        back = Back(robot)
        back.meet()
        back.drive()
        assert back.hears(lambda: len(back.paths[-1].poses) == 5)
        back.drive([pose(5, 5, 0)], first=5)  # not optimised yet when the end comes
        robot.spin(0.2)
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert "6 keyframes and 0 closures" in output
    assert len((tmp_path / "out" / "trajectory.tum").read_text().splitlines()) == 6
