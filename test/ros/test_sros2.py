"""The shipped SROS2 policy allows what the running nodes use, and nothing else."""

import gc
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from live_rig import IDENTITY, LOOKS_AHEAD
from rclpy.parameter import Parameter

from vxp_ros.ros import transforms
from vxp_ros.ros.localizer import Localizer
from vxp_ros.ros.loop_closer import LoopCloser
from vxp_ros.ros.mapper import Mapper

pytestmark = pytest.mark.ros
POLICY = Path(__file__).parents[2] / "config" / "sros2" / "vxp_ros.policy.xml"
TF = {"/tf", "/tf_static"}  # used where tf2_ros is installed
KINDS = {"publish": "publisher", "subscribe": "subscriber", "reply": "service", "request": "client"}
NODES = {"vxp_localizer": Localizer, "vxp_mapper": Mapper, "vxp_loop_closer": LoopCloser}
OUTPUTS = {"output.publish_initialpose": True, "output.publish_descriptor": True}  # all that the localizer can say


def allowed(policy: ElementTree.Element) -> dict[str, dict[str, set[str]]]:
    """Node -> kind of use -> full names that the policy allows it."""
    nodes = {}
    for profile in policy.iter("profile"):
        name = profile.get("node")
        entry = nodes.setdefault(name, {kind: set() for kind in KINDS})
        for group in profile:
            for kind, rule in group.attrib.items():
                assert rule == "ALLOW"
                entry[kind] |= {full_name(item.text, name) for item in group}
    return nodes


def full_name(name: str, node: str) -> str:
    return name if name.startswith("/") else name.replace("~", f"/{node}", 1) if name[0] == "~" else f"/{name}"


def used(node, name: str) -> dict[str, set[str]]:
    """Kind of use -> full names, as the node's own graph tells them."""
    calls = {kind: getattr(node, f"get_{word}_names_and_types_by_node") for kind, word in KINDS.items()}
    return {kind: {topic for topic, _ in call(name, "/")} for kind, call in calls.items()}


def used_when_active(make_node, name: str, model: Path, **settings) -> dict[str, set[str]]:
    common = {"model.weights": str(model), "model.device": "cpu", "use_sim_time": True, **settings}
    places = {"extrinsics.lidar": IDENTITY, "extrinsics.cameras": LOOKS_AHEAD}
    given = [Parameter(key, value=value) for key, value in (common | places).items()]
    gc.collect()  # a destroyed node of that name answers for this one until its state machine is freed
    node = make_node(name, parameter_overrides=given)
    try:
        node.trigger_configure()
        node.trigger_activate()
        assert node.state == "active", node.failure
        return used(node, name)
    finally:
        node.close()
        node.destroy_node()


def without_tf(uses: dict[str, set[str]]) -> dict[str, set[str]]:
    return uses if transforms.tf2_ros is not None else {kind: names - TF for kind, names in uses.items()}


@pytest.mark.parametrize("name", NODES)
def test_the_policy_is_what_an_active_node_uses(ros, model, name, record_property):
    if name == "vxp_loop_closer":
        pytest.importorskip("small_gicp", reason="small_gicp is not installed (extra slam)")
        pytest.importorskip("kiss_matcher", reason="kiss_matcher is not installed (extra slam)")
    outputs = OUTPUTS if name == "vxp_localizer" else {}
    if outputs and transforms.tf2_ros is not None:
        outputs = outputs | {"output.publish_tf": True}
    uses = [used_when_active(NODES[name], name, model, **outputs, **{"input.image_transport": transport})
            for transport in ("raw", "compressed")]  # fmt: skip
    together = {kind: uses[0][kind] | uses[1][kind] for kind in KINDS}
    policy = allowed(ElementTree.parse(POLICY).getroot())[name]
    assert without_tf(policy) == without_tf(together)
    record_property("names compared", sum(map(len, together.values())))


def test_the_policy_is_what_the_pose_graph_uses(ros, record_property):
    pytest.importorskip("gtsam", reason="gtsam is not installed (extra slam, Python 3.11 or later)")
    from vxp_ros.ros.pose_graph import PoseGraphNode

    remaps = [f"{topic}:=vxp_loop_closer/{topic}" for topic in ("keyframes", "loop_closures")]
    arguments = ["--ros-args", *[word for remap in remaps for word in ("-r", remap)]]
    given = [Parameter("use_sim_time", value=True)]
    if transforms.tf2_ros is not None:
        given.append(Parameter("output.publish_tf", value=True))
    node = PoseGraphNode(parameter_overrides=given, cli_args=arguments)
    uses = used(node, "vxp_pose_graph")
    node.destroy_node()
    assert without_tf(allowed(ElementTree.parse(POLICY).getroot())["vxp_pose_graph"]) == without_tf(uses)
    record_property("names compared", sum(map(len, uses.values())))


def test_the_policy_names_these_nodes_and_each_name_once():
    root = ElementTree.parse(POLICY).getroot()
    assert set(allowed(root)) == {*NODES, "vxp_pose_graph"}
    assert [enclave.get("path") for enclave in root.iter("enclave")] == [f"/{name}" for name in allowed(root)]
    for group in [*root.iter("topics"), *root.iter("services")]:
        names = [item.text for item in group]
        assert len(set(names)) == len(names)


def test_the_comparison_notices_every_missing_and_every_additional_name():
    text, whole = POLICY.read_text(), allowed(ElementTree.parse(POLICY).getroot())
    lines = [line for line in text.splitlines() if "<topic>" in line or "<service>" in line]
    for line in set(lines):
        assert allowed(ElementTree.fromstring(text.replace(line + "\n", "", 1).encode())) != whole
        longer = line.replace("</", "_x</")
        assert allowed(ElementTree.fromstring(text.replace(line, line + longer, 1).encode())) != whole
