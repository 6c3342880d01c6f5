"""Parameters against real rclpy: declared from the settings, checked with a sentence, whatever is thrown at them."""

import importlib.util
import math
from pathlib import Path

import pytest
import yaml

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")

from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from vxp_ros.core.config import LocalizerSettings, LoopCloserSettings, MapperSettings, PoseGraphSettings  # noqa: E402
from vxp_ros.core.settings import walk  # noqa: E402
from vxp_ros.ros.parameters import current, declare, watch  # noqa: E402

pytestmark = pytest.mark.ros
ROOT = Path(__file__).parents[2]
SPECIFICATION = {path: (kind, metadata) for path, kind, _, metadata in walk(LocalizerSettings)}
DYNAMIC = [path for path, (_, metadata) in SPECIFICATION.items() if not metadata["fixed"]]
FLOATS = [path for path in DYNAMIC if SPECIFICATION[path][0] is float]
BAD_VALUES = [
    *(math.nan, math.inf, -math.inf, -1.0, -1, 1e300, -1e300, 2**63 - 1, -(2**63), True, False, "", "x", "\x00"),
    *("../../etc/passwd", "9" * 5000, [], [1.0], [math.nan] * 7, ["a", "a"], [""], [0] * 10000, [True], [b"a"]),
]


@pytest.fixture
def make_node(ros):
    nodes = []

    def make(overrides=None, arguments=()):
        parameters = [Parameter(name, value=value) for name, value in (overrides or {}).items()]
        node = Node(
            f"parameters_{len(nodes)}", parameter_overrides=parameters, cli_args=["--ros-args", *map(str, arguments)]
        )
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()


def watched(node, settings_class=LocalizerSettings):
    """The settings as they are after each change, newest last."""
    seen = [declare(node, settings_class)]
    watch(node, settings_class, seen.append)
    return seen


@pytest.mark.parametrize("settings_class", [LocalizerSettings, MapperSettings, LoopCloserSettings, PoseGraphSettings])
def test_defaults_survive_the_way_through_ros(make_node, settings_class):
    assert declare(make_node(), settings_class) == settings_class()


def test_every_parameter_describes_itself(make_node):
    node = make_node()
    declare(node, LocalizerSettings)
    for path, (_, metadata) in SPECIFICATION.items():
        descriptor = node.describe_parameter(path)
        assert descriptor.description == metadata["meaning"]
        assert descriptor.read_only == metadata["fixed"]


@pytest.mark.parametrize("path", FLOATS)
def test_an_integer_passes_for_a_float_at_run_time(make_node, path):
    node = make_node()
    seen = watched(node)
    low = SPECIFICATION[path][1]["low"]
    value = max(1, math.ceil(low))
    (result,) = node.set_parameters([Parameter(path, value=value)])
    assert result.successful, result.reason
    group, name = path.split(".")
    assert getattr(getattr(seen[-1], group), name) == value
    assert isinstance(getattr(getattr(seen[-1], group), name), float)


def test_an_integer_passes_for_a_float_in_yaml(make_node, tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    input: {max_rate: 5, min_travel: 1}\n    match: {exclusion_radius: 20}\n"
    )
    settings = declare(make_node(arguments=["--params-file", file]), LocalizerSettings)
    assert (settings.input.max_rate, settings.input.min_travel, settings.match.exclusion_radius) == (5.0, 1.0, 20.0)
    assert isinstance(settings.input.max_rate, float)


def test_lists_may_be_empty_in_yaml_and_change_at_run_time(make_node, tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text("/**:\n  ros__parameters:\n    extrinsics: {lidar: [], cameras: []}\n")
    node = make_node(arguments=["--params-file", file])
    seen = watched(node)
    assert seen[0].extrinsics.lidar == []
    pose = [1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]
    (result,) = node.set_parameters([Parameter("extrinsics.lidar", value=pose)])
    assert result.successful, result.reason
    assert seen[-1].extrinsics.lidar == pose


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ({"match.top_k": 0}, ["match.top_k", "[1, 100]", "0"]),
        ({"match.top_k": 5.0}, ["match.top_k", "int", "5.0"]),
        ({"match.top_k": "five"}, ["match.top_k", "int", "five"]),
        ({"match.max_distance": math.nan}, ["match.max_distance", "nan"]),
        ({"input.max_rate": math.inf}, ["input.max_rate", "inf"]),
        ({"match.query": "sonar"}, ["match.query", "camera", "sonar"]),
        ({"output.publish_markers": 1}, ["output.publish_markers", "bool"]),
        ({"model.device": 3}, ["model.device", "str", "3"]),
        ({"input.cameras": "front"}, ["input.cameras", "list", "front"]),
        ({"extrinsics.lidar": ["a"]}, ["extrinsics.lidar", "float"]),
        ({"match.topk": 3}, ["unknown parameter match.topk", "match.top_k"]),
        ({"match.top_k": 0, "input.max_rate": -1.0}, ["match.top_k", "input.max_rate"]),
    ],
)
def test_a_wrong_value_at_start_is_one_sentence(make_node, override, words):
    with pytest.raises(ValueError, match=r".") as problem:
        declare(make_node(override), LocalizerSettings)
    assert all(word in str(problem.value) for word in words), str(problem.value)


def test_fixed_parameters_are_read_only(make_node):
    node = make_node()
    before = watched(node)
    for path, (kind, metadata) in SPECIFICATION.items():
        if metadata["fixed"]:
            value = {str: "cpu", bool: True, int: 2, float: 0.1}.get(kind, ["camera"])
            (result,) = node.set_parameters([Parameter(path, value=value)])
            assert not result.successful
            assert "read-only" in result.reason
    assert len(before) == 1


@pytest.mark.slow
@pytest.mark.parametrize("path", list(SPECIFICATION))
def test_abuse_is_refused_with_a_reason_or_taken_and_valid(make_node, path):
    """Every parameter against every bad value: what gets in is inside its limits, what does not leaves no trace."""
    node = make_node()
    seen = watched(node)
    for value in BAD_VALUES:
        before = current(node, LocalizerSettings)
        (result,) = node.set_parameters([Parameter(path, value=value)])
        if result.successful:
            assert current(node, LocalizerSettings) == seen[-1]  # builds, so every limit holds
        else:
            assert result.reason
            assert current(node, LocalizerSettings) == before


def test_a_set_of_changes_is_taken_whole_or_not_at_all(make_node):
    node = make_node()
    seen = watched(node)
    changes = [Parameter("match.top_k", value=7), Parameter("match.min_margin", value=-1.0)]
    assert not node.set_parameters_atomically(changes).successful
    assert current(node, LocalizerSettings).match.top_k == 5
    assert len(seen) == 1


def test_a_parameter_cannot_be_deleted(make_node):
    node = make_node()
    watched(node)
    (result,) = node.set_parameters([Parameter("match.top_k", Parameter.Type.NOT_SET)])
    assert not result.successful
    assert current(node, LocalizerSettings).match.top_k == 5


def test_what_the_node_cannot_apply_is_refused(make_node):
    node = make_node()
    declare(node, LocalizerSettings)

    def refuse(settings):
        raise ValueError("these do not go together")

    watch(node, LocalizerSettings, refuse)
    (result,) = node.set_parameters([Parameter("match.top_k", value=7)])
    assert (result.successful, result.reason) == (False, "these do not go together")


@pytest.mark.parametrize(
    ("name", "settings_class"),
    [("localizer", LocalizerSettings), ("mapper", MapperSettings), ("loop_closer", LoopCloserSettings)],
)
def test_shipped_yaml_fits(make_node, name, settings_class):
    file = ROOT / "config" / f"{name}.yaml"
    declare(make_node(arguments=["--params-file", file]), settings_class)
    assert list(yaml.safe_load(file.read_text())) == ["/**"]  # survives renaming and namespaces


def test_the_documentation_is_current():
    specification = importlib.util.spec_from_file_location("docs", ROOT / "scripts" / "make_parameter_docs.py")
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    assert script.PAGE.read_text() == script.render(), "run python scripts/make_parameter_docs.py"
