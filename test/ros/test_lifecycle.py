"""Every transition in every order, every service in every state, and what a stranger may send to them."""

import gc
import hashlib
import os
import random
import shutil
import threading
import time
import weakref
from contextlib import contextmanager

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from live_rig import SpinningNode, localizer_parameters
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2
from std_srvs.srv import SetBool, Trigger

from vxp_ros.core.map_store import load_map
from vxp_ros.core.memory import THRESHOLDS
from vxp_ros.core.registration import missing_library
from vxp_ros.msg import PlaceCandidates
from vxp_ros.ros import lifecycle
from vxp_ros.ros.lifecycle import SensorNode
from vxp_ros.ros.localizer import Localizer
from vxp_ros.ros.loop_closer import LoopCloser
from vxp_ros.ros.mapper import Mapper
from vxp_ros.ros.qos import service_qos
from vxp_ros.srv import LoadMap, Localize, SaveMap

pytestmark = pytest.mark.ros
SERVICES = {
    "localize": Localize,
    "trigger": Trigger,
    "enable": SetBool,
    "load_map": LoadMap,
    "clear": Trigger,
}
TRANSITIONS = {
    "configure": (Transition.TRANSITION_CONFIGURE, {"unconfigured": "inactive"}),
    "activate": (Transition.TRANSITION_ACTIVATE, {"inactive": "active"}),
    "deactivate": (Transition.TRANSITION_DEACTIVATE, {"active": "inactive"}),
    "cleanup": (Transition.TRANSITION_CLEANUP, {"inactive": "unconfigured"}),
}
HOSTILE_NAMES = [
    *("", ".", "..", "../town", "../../etc/passwd", "/etc/passwd", "/", "town/..", "town/manifest.json", "./town"),
    *(";id;", "$(id)", "`id`", "|id", "&& rm -rf /", "a b", "a\tb", "a\nb", "-rf", "~", "~/town"),
    *("\x00", "x" * 65, "x" * 10_000, "tôwn", "town.v1-45e2b93118b7", ".town.lock", "%2e%2e", "..\\..\\x", "*", "?"),
    *("town*", "{town}", "file:///etc/passwd", "http://x/y", "\u202etown", "\U0001f600"),
]  # fmt: skip


@pytest.fixture
def spin(robot):
    """Makes nodes in this process that end with the test."""
    started = []

    def spin(make_node, name, **parameters):
        started.append(SpinningNode(make_node, name, **parameters))
        return started[-1]

    yield spin
    for spinning in started:
        spinning.close()


def change(robot, node_name, transition):
    request = ChangeState.Request(transition=Transition(id=transition))
    return robot.call(ChangeState, f"/{node_name}/change_state", request).success


def state(robot, node_name):
    return robot.call(GetState, f"/{node_name}/get_state").current_state.label


def test_a_node_that_lacks_a_part_cannot_be_made(ros):
    class Incomplete(Localizer):
        process = SensorNode.process

    with pytest.raises(TypeError, match=r"abstract method.*process"):
        Incomplete("incomplete")


def test_services_answer_in_every_state(robot, spin, model, map_root):
    spin(Localizer, "vxp_localizer", **localizer_parameters(model, map_root))

    def answers():
        return {name: robot.call(kind, f"/vxp_localizer/{name}") for name, kind in SERVICES.items()}

    for name, answer in answers().items():
        assert not answer.success, name
        assert "configure" in answer.message or "unconfigured" in answer.message, (name, answer.message)
    assert change(robot, "vxp_localizer", Transition.TRANSITION_CONFIGURE)
    inactive = answers()
    assert {name for name, answer in inactive.items() if answer.success} == {"enable", "clear"}
    assert "inactive" in inactive["localize"].message
    assert "name" in inactive["load_map"].message
    assert change(robot, "vxp_localizer", Transition.TRANSITION_ACTIVATE)
    assert "no complete frame" in answers()["localize"].message
    assert change(robot, "vxp_localizer", Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert state(robot, "vxp_localizer") == "finalized"
    assert not any(answer.success for answer in answers().values())


class Forgetful(Localizer):
    """The naive control: a clean-up that only drops its references."""

    def __init__(self, *arguments, **options):
        self.forgotten = []
        super().__init__(*arguments, **options)

    def close(self) -> None:
        self._stop_listening()
        if self.worker is not None:
            self.forgotten += [self.worker, self.verifier]
            self.worker = self.verifier = self.place_map = None
        self._release()


def walk(robot, name, steps, seed=4):
    """So many random transitions: the steps that ended in a wrong state, and threads and open files at each clean-up"""
    rng, expected = random.Random(seed), "unconfigured"
    wrong, threads, files = [], [], []
    for step in range(steps):
        transition = rng.choice(list(TRANSITIONS))
        number, allowed = TRANSITIONS[transition]
        succeeded = change(robot, name, number)
        if succeeded != (expected in allowed):
            wrong.append((step, transition, expected, succeeded))
        expected = allowed.get(expected, expected)
        if expected == "active" and rng.random() < 0.5:
            robot.show(rng.randrange(4))
        if expected == "unconfigured":
            threads.append(threading.active_count())
            files.append(len(os.listdir("/proc/self/fd")))
    if state(robot, name) != expected:
        wrong.append((steps, "at the end", expected, state(robot, name)))
    return wrong, threads, files


@pytest.mark.parametrize("make_node", [Localizer, Mapper, LoopCloser])
def test_a_clean_up_lets_go_of_model_and_map(robot, spin, model, map_root, make_node):
    if make_node is LoopCloser and missing_library():
        pytest.skip(missing_library())
    mapping = {"model__weights": str(model), "model__device": "cpu"}
    parameters = localizer_parameters(model, map_root) if make_node is Localizer else mapping
    node = spin(make_node, "vxp_node", **parameters).node
    for _ in range(2):
        assert change(robot, "vxp_node", Transition.TRANSITION_CONFIGURE)
        assert gc.get_freeze_count() > 10_000 and gc.get_threshold() < THRESHOLDS
        parts = [weakref.ref(node.encoder), weakref.ref(node.place_map)]
        assert all(part() is not None for part in parts)  # the control
        assert change(robot, "vxp_node", Transition.TRANSITION_CLEANUP)
        assert gc.get_freeze_count() < 10_000 and gc.get_threshold() == THRESHOLDS
        assert [part() for part in parts] == [None, None]


@pytest.mark.slow
def test_random_transitions_leave_the_right_state_and_leak_nothing(
    robot, spin, model, map_root, count, record_property
):
    steps = count(60, 1000)
    spin(Localizer, "vxp_localizer", **localizer_parameters(model, map_root))
    wrong, threads, files = walk(robot, "vxp_localizer", steps)
    record_property("transitions", steps)
    record_property("wrong states", len(wrong))
    record_property("threads first, last", (threads[0], threads[-1]))
    record_property("files first, last", (files[0], files[-1]))
    assert wrong == []
    assert len(threads) > 3
    assert threads[-1] <= threads[0] and files[-1] <= files[0]


@pytest.mark.slow
def test_a_forgetful_node_fails_the_same_walk(robot, spin, model, map_root, record_property):
    node = spin(Forgetful, "vxp_localizer", **localizer_parameters(model, map_root)).node
    _, threads, files = walk(robot, "vxp_localizer", 60)
    record_property("threads first, last", (threads[0], threads[-1]))
    record_property("files first, last", (files[0], files[-1]))
    for worker, verifier in zip(node.forgotten[::2], node.forgotten[1::2], strict=True):
        worker.stop()
        verifier.close()
    assert threads[-1] > threads[0]


def test_a_map_that_is_missing_is_told_and_can_come_later(robot, spin, model, map_root, tmp_path):
    parameters = {**localizer_parameters(model, map_root), "map__root": str(tmp_path)}
    spinning = spin(Localizer, "vxp_localizer", **parameters)
    assert not change(robot, "vxp_localizer", Transition.TRANSITION_CONFIGURE)
    assert "town" in spinning.node.failure
    assert "exist" in spinning.node.failure
    assert state(robot, "vxp_localizer") == "unconfigured"
    for path in map_root.iterdir():
        (tmp_path / path.name).symlink_to(path.readlink() if path.is_symlink() else path)
    assert change(robot, "vxp_localizer", Transition.TRANSITION_CONFIGURE)
    assert change(robot, "vxp_localizer", Transition.TRANSITION_ACTIVATE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"model__weights": ""}, ["model.weights", "empty"]),
        ({"model__weights": "/nowhere/model"}, ["/nowhere/model"]),
        ({"model__device": "cuda:9"}, ["cuda:9"]),
        ({"extrinsics__lidar": [0.0, 1.0]}, ["extrinsics.lidar", "seven"]),
        ({"extrinsics__cameras": [0.0] * 8}, ["extrinsics.cameras", "7"]),
        ({"input__cameras": ["front", "front"]}, ["input.cameras", "different"]),
        ({"input__cameras": ["a b"]}, ["input.cameras", "'a b'"]),
        ({"frames__base": ""}, ["frames.base", "''"]),
        ({"frames__map": "/map"}, ["frames.map", "slash"]),
    ],
)
def test_configure_fails_with_one_sentence(robot, spin, model, map_root, parameters, words):
    spinning = spin(Localizer, "vxp_localizer", **{**localizer_parameters(model, map_root), **parameters})
    assert not change(robot, "vxp_localizer", Transition.TRANSITION_CONFIGURE)
    assert state(robot, "vxp_localizer") == "unconfigured"
    assert all(word in spinning.node.failure for word in words), spinning.node.failure
    assert "\n" not in spinning.node.failure


def test_a_map_of_another_model_is_refused(robot, spin, map_root, tmp_path):
    from vxp_ros.core.model_store import init_model

    other = tmp_path / "other"
    init_model("vxp_lite", other, seed=1)
    parameters = localizer_parameters(other, map_root)
    spinning = spin(Localizer, "vxp_localizer", **parameters)
    assert not change(robot, "vxp_localizer", Transition.TRANSITION_CONFIGURE)
    assert "model" in spinning.node.failure
    lenient = spin(Localizer, "lenient", **{**parameters, "map__allow_model_mismatch": True})
    assert change(robot, "lenient", Transition.TRANSITION_CONFIGURE), lenient.node.failure


def fingerprint(folder):
    """Of every name and every byte below `folder`."""
    files = sorted(path for path in folder.rglob("*"))
    return [(str(path), hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "") for path in files]


@pytest.mark.slow
def test_hostile_map_names_are_refused(robot, spin, model, map_root):
    spin(Localizer, "vxp_localizer", **localizer_parameters(model, map_root))
    mapper = {**localizer_parameters(model, map_root)}
    mapper.pop("map__path")
    spin(Mapper, "vxp_mapper", **mapper)
    for name in ("vxp_localizer", "vxp_mapper"):
        assert change(robot, name, Transition.TRANSITION_CONFIGURE)
    before = fingerprint(map_root.parent)
    for name in HOSTILE_NAMES:
        load = robot.call(LoadMap, "/vxp_localizer/load_map", LoadMap.Request(name=name))
        save = robot.call(SaveMap, "/vxp_mapper/save_map", SaveMap.Request(name=name, overwrite=True))
        assert not load.success, name
        assert not save.success, name
        assert load.message
        assert save.message
    assert fingerprint(map_root.parent) == before
    good = robot.call(LoadMap, "/vxp_localizer/load_map", LoadMap.Request(name="town"))
    assert (good.success, good.num_places) == (True, 4)


def test_a_file_name_that_is_no_text_is_told_and_ends_no_node(robot, spin, model, map_root, tmp_path):
    shutil.copytree(map_root, tmp_path / "maps", symlinks=True)
    (tmp_path / "maps" / "town" / os.fsdecode(b"\xff.npy")).touch()
    parameters = localizer_parameters(model, tmp_path / "maps")
    node = spin(Localizer, "with_map", **parameters).node
    assert not change(robot, "with_map", Transition.TRANSITION_CONFIGURE)
    assert r"extra \udcff.npy" in node.failure
    spin(Localizer, "vxp_localizer", **{**parameters, "map__path": ""})
    assert change(robot, "vxp_localizer", Transition.TRANSITION_CONFIGURE)
    answer = robot.call(LoadMap, "/vxp_localizer/load_map", LoadMap.Request(name="town"))
    assert (answer.success, r"extra \udcff.npy" in answer.message) == (False, True)
    assert robot.call(LoadMap, "/vxp_localizer/load_map", LoadMap.Request(name="none")).message  # still there


def test_a_node_that_is_cleaned_up_gives_its_memory_back(robot, spin, model, map_root, scattered_memory):
    spin(Localizer, "vxp_localizer", **localizer_parameters(model, map_root))
    assert change(robot, "vxp_localizer", Transition.TRANSITION_CONFIGURE)
    memory = scattered_memory()
    assert robot.call(Trigger, "/vxp_localizer/clear").success
    assert memory.given_back_mb < 50  # the control: another request keeps it
    assert change(robot, "vxp_localizer", Transition.TRANSITION_CLEANUP)
    assert memory.given_back_mb > 150


@pytest.mark.parametrize("device, filled", [("cpu", ["vxp_worker"]), ("cuda:0", [])])
def test_the_worker_fills_its_heap_for_a_model_on_the_cpu(robot, spin, model, map_root, monkeypatch, device, filled):
    threads, load = [], lifecycle.Encoder.load

    @contextmanager
    def filled_heap():
        threads.append(threading.current_thread().name)
        yield

    monkeypatch.setattr(lifecycle, "filled_heap", filled_heap)

    def load_as_if(*arguments):
        encoder = load(*arguments)
        encoder.device = device
        return encoder

    monkeypatch.setattr(lifecycle.Encoder, "load", load_as_if)
    spin(Localizer, "vxp_localizer", **localizer_parameters(model, map_root))
    assert change(robot, "vxp_localizer", Transition.TRANSITION_CONFIGURE)
    assert change(robot, "vxp_localizer", Transition.TRANSITION_CLEANUP)
    assert threads == filled


class OneByOne(Localizer):
    """Notes how many maps are being loaded at the same time."""

    def __init__(self, *arguments, **options):
        self.running, self.most, self.loads, self.count_lock = 0, 0, 0, threading.Lock()
        super().__init__(*arguments, **options)

    def load(self, path):
        with self.count_lock:
            self.running, self.loads = self.running + 1, self.loads + 1
            self.most = max(self.most, self.running)
        try:
            return super().load(path)
        finally:
            with self.count_lock:
                self.running -= 1


class Blocking(Node):
    """The naive control: loads in the callback, with a service as ROS makes it by default."""

    def __init__(self, name, map_root):
        super().__init__(name)
        self.root, self.heard = map_root, 0
        self.create_service(LoadMap, "~/load_map", self._on_load)
        self.create_subscription(PointCloud2, "points", self._on_cloud, 5)

    def _on_load(self, request, response):
        response.num_places, response.success = len(load_map(self.root / request.name)), True
        return response

    def _on_cloud(self, _cloud):
        self.heard += 1


class Flood:
    """A hundred requests of ~/load_map a second in bursts, with a frame every 100 ms."""

    BURST = 20

    def __init__(self, robot, name):
        self.robot, self.waits, self.answers = robot, [], []
        self.client = robot.node.create_client(LoadMap, f"/{name}/load_map", qos_profile=service_qos())
        assert self.client.wait_for_service(timeout_sec=30)
        robot.spin(0.5)

    def ask(self):
        asked = time.monotonic()

        def done(future):
            self.waits.append(time.monotonic() - asked)
            self.answers.append(future.result())

        self.client.call_async(LoadMap.Request(name="town")).add_done_callback(done)

    def run(self, number, patience):
        """A burst every 200 ms. The seconds that it took, and the frames that were shown meanwhile."""
        begin, bursts = time.monotonic(), number // self.BURST
        for burst in range(bursts):
            for _ in range(self.BURST):
                self.ask()
            for half in (1, 2):
                self.robot.show((2 * burst + half) % 4)
                self.robot.spin(max(0.0, begin + 0.2 * burst + 0.1 * half - time.monotonic()))
        self.robot.spin_until(lambda: len(self.answers) == number, patience)
        return time.monotonic() - begin, 2 * bursts


def shown_alone(robot, heard, number):
    """How many of `number` frames, one every 100 ms, were answered with nothing else going on."""
    before = len(heard)
    for step in range(number):
        robot.show(step % 4)
        robot.spin(0.1)
    robot.spin(0.5)
    return len(heard) - before


@pytest.mark.slow
def test_a_flood_of_requests_is_answered_and_the_sensors_are_still_heard(
    robot, spin, model, map_root, count, record_property
):
    number = count(300, 1000)
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    given = {**localizer_parameters(model, map_root), "verify__enable": False}
    spinning = spin(OneByOne, "vxp_localizer", **given)
    spinning.bring_up()
    robot.meet()
    alone = shown_alone(robot, candidates, number // 10)
    flood, before = Flood(robot, "vxp_localizer"), len(candidates)
    seconds, frames = flood.run(number, 20)
    robot.spin(0.5)
    busy = [answer for answer in flood.answers if not answer.success]
    record_property("requests", number)
    record_property("answered", len(flood.answers))
    record_property("busy", len(busy))
    record_property("seconds", round(seconds, 1))
    record_property("slowest answer s", round(max(flood.waits), 2))
    record_property("jobs", f"{spinning.node.loads}, at most {spinning.node.most} at a time")
    record_property("frames answered", f"{len(candidates) - before} of {frames} shown; {alone} without the flood")
    assert len(flood.answers) == number
    assert all("busy" in answer.message for answer in busy)
    assert len(busy) < number and spinning.node.most == 1
    assert max(flood.waits) < 5 and len(candidates) - before > alone / 4  # a busy computer; the record says more


@pytest.mark.slow
def test_a_naive_service_loses_requests(robot, map_root, count, record_property):
    number = count(300, 1000)
    spinning = SpinningNode(lambda name, **_: Blocking(name, map_root), "naive")
    try:
        flood = Flood(robot, "naive")
        flood.run(number, 20)
        record_property("answered", f"{len(flood.answers)} of {number}")
        record_property("slowest answer s", round(max(flood.waits), 2))
        assert len(flood.answers) < number
    finally:
        spinning.end()
