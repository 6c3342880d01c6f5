"""Every transition in every order, every service in every state, and what a stranger may send to them."""

import hashlib
import random
import threading
import time

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from live_rig import SpinningNode, localizer_parameters
from std_srvs.srv import SetBool, Trigger

from vxp_ros.msg import PlaceCandidates
from vxp_ros.ros.lifecycle import SensorNode
from vxp_ros.ros.localizer import Localizer
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


def test_random_transitions_leave_the_right_state_and_leak_nothing(robot, spin, model, map_root):
    spin(Localizer, "vxp_localizer", **localizer_parameters(model, map_root))
    rng, expected = random.Random(4), "unconfigured"
    threads = []
    for step in range(120):
        name = rng.choice(list(TRANSITIONS))
        number, allowed = TRANSITIONS[name]
        assert change(robot, "vxp_localizer", number) == (expected in allowed), (step, name, expected)
        expected = allowed.get(expected, expected)
        if expected == "active" and rng.random() < 0.5:
            robot.show(rng.randrange(4))
        if expected == "unconfigured":
            threads.append(threading.active_count())
    assert state(robot, "vxp_localizer") == expected
    assert len(threads) > 3
    assert threads[-1] <= threads[0]


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


def test_a_flood_of_requests_is_answered_and_the_sensors_are_still_heard(robot, start):
    candidates = robot.listen(PlaceCandidates, "/vxp_localizer/candidates")
    start()
    client = robot.node.create_client(LoadMap, "/vxp_localizer/load_map", qos_profile=service_qos())
    assert client.wait_for_service(timeout_sec=10)
    begin = time.monotonic()
    futures = [client.call_async(LoadMap.Request(name="town")) for _ in range(200)]  # at once
    for number in range(300):
        futures.append(client.call_async(LoadMap.Request(name="town")))
        if number % 50 == 0:
            robot.show(number % 4)
        robot.spin(0.002)
    assert robot.spin_until(lambda: all(future.done() for future in futures), 20)
    answers = [future.result() for future in futures]
    busy = [answer for answer in answers if not answer.success]
    assert len(busy) < len(futures)
    assert all("busy" in answer.message for answer in busy)
    assert time.monotonic() - begin < 30
    assert robot.spin_until(lambda: candidates)
