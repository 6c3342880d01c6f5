"""The launch files: read without launch, which is not on PyPI, and run where it is installed."""

import ast
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vxp_ros.core.config import LocalizerSettings, LoopCloserSettings, MapperSettings
from vxp_ros.core.settings import walk

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "vxp_ros" / "ros" / "launching.py"
FILES = sorted((ROOT / "launch").glob("*.launch.py"))
EXPECTED = {
    "localize.launch.py": {"map", "map_root", "publish_initialpose", "publish_tf", "rviz"},
    "build_map.launch.py": {"map_root", "map_name"},
    "loop_closure.launch.py": {"map_root", "map_name", "rviz"},
}
COMMON = {
    *("namespace", "use_sim_time", "params_file", "log_level", "autostart", "use_lifecycle_manager", "respawn"),
    *("image_topic", "camera_info_topic", "points_topic", "odom_topic", "modality", "base_frame", "weights", "device"),
    *("bag", "bag_rate"),
}
DEFAULTS = {
    "namespace": "",
    "use_sim_time": "",  # as in the YAML file, where it is false: true is a known trap on real robots
    "log_level": "info",
    "autostart": "true",
    "use_lifecycle_manager": "false",
    "respawn": "false",
    "image_topic": "/camera/image_raw",
    "points_topic": "/points",
    "odom_topic": "",
    "base_frame": "",
    "weights": "",
    "bag": "",
    "rviz": "false",
    "publish_initialpose": "",  # as in the YAML file, where both are false: nothing moves the robot unasked
    "publish_tf": "",
}
FLAGS = {"use_sim_time", "publish_initialpose", "publish_tf"}  # that may also be empty
SETTINGS = {"localizer": LocalizerSettings, "mapper": MapperSettings, "loop_closer": LoopCloserSettings}


def calls(path: Path, name: str) -> list[ast.Call]:
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name]


def declared(path: Path) -> dict[str, tuple[str | None, str, bool]]:
    """Argument name -> (default, description, whether only true and false are allowed), from the source."""
    found = {}
    for call in calls(path, "argument"):
        name, default, description, *choices = call.args
        literal = default.value if isinstance(default, ast.Constant) else ast.unparse(default)
        found[name.value] = (literal, description.value, bool(choices))
    for call in calls(path, "DeclareLaunchArgument"):
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        if isinstance(call.args[0], ast.Constant):  # not the helper itself
            found[call.args[0].value] = (None, keywords["description"].value, False)
    return found


def all_arguments(path: Path) -> dict:
    return {**declared(SHARED), **declared(path)}


def test_the_launch_files_are_there():
    assert {path.name for path in FILES} == set(EXPECTED)


@pytest.mark.parametrize("path", [*FILES, SHARED], ids=lambda path: path.name)
def test_it_compiles(path):
    compile(path.read_text(), str(path), "exec")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_arguments_have_names_defaults_and_descriptions(path):
    arguments = all_arguments(path)
    assert set(arguments) == COMMON | EXPECTED[path.name]
    for name, (default, description, is_flag) in arguments.items():
        assert len(description) > 10, name
        assert default == DEFAULTS.get(name, default), name
        is_boolean = default in ("true", "false") or name in FLAGS
        assert is_flag == is_boolean, f"{name}: choices for a boolean, and only for one"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_arguments_reach_parameters_that_exist(path):
    """Each entry of the tables from argument to parameter: both sides must exist."""
    (start,) = calls(path, "lifecycle_node")
    executable, overrides, *flags = (ast.literal_eval(argument) for argument in start.args)
    shared = next(
        node.value
        for node in ast.walk(ast.parse(SHARED.read_text()))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "arguments_to_parameters"
    )
    pairs = zip(shared.keys, shared.values, strict=True)
    table = {key.value: value.value for key, value in pairs if key is not None} | overrides
    assert len(table) > 4
    parameters = {name: kind for name, kind, _, _ in walk(SETTINGS[executable])}
    assert set(table) <= set(all_arguments(path))
    assert set(table.values()) <= set(parameters)
    assert {parameters[name] for name in table.values()} == {str}  # they are passed on as text
    for names in flags:
        assert set(names) <= set(all_arguments(path)) & FLAGS
        assert {parameters[name] for name in names.values()} == {bool}


def test_every_argument_that_is_read_is_declared():
    names = {call.args[0].value for call in calls(SHARED, "value") if isinstance(call.args[0], ast.Constant)}
    names |= {
        call.args[0].value for call in calls(SHARED, "LaunchConfiguration") if isinstance(call.args[0], ast.Constant)
    }
    assert {"namespace", "bag", "rviz"} <= names
    assert names <= COMMON | {"rviz"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_executables_are_installed(path):
    executables = [call.args[0].value for call in calls(path, "lifecycle_node")]
    (names,) = re.findall(r"foreach\(node ([a-z_ ]+)\)", (ROOT / "CMakeLists.txt").read_text())
    assert executables
    assert {*executables, "bag_player"} <= set(names.split())


def run_launch(*arguments: str, seconds: float = 60) -> subprocess.CompletedProcess:
    """`ros2 launch` as a user types it, on a graph of its own."""
    environment = {
        **os.environ,
        "ROS_DOMAIN_ID": str(random.SystemRandom().randrange(102)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    command = [sys.executable, "-c", "import sys; from ros2cli.cli import main; sys.exit(main())", "launch", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)


@pytest.fixture
def launch():
    pytest.importorskip("launch_ros", reason="launch is not installed: it is not on PyPI, every ROS 2 has it")
    pytest.importorskip("ros2launch", reason="ros2 launch is not installed: it is not on PyPI, every ROS 2 has it")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_show_args(launch, path):
    shown = run_launch(str(path), "--show-args").stdout
    assert all(f"'{name}':" in shown for name in all_arguments(path)), shown


def test_a_map_that_does_not_exist_fails_at_once(launch):
    result = run_launch(str(ROOT / "launch" / "localize.launch.py"), "map:=/nowhere")
    assert result.returncode != 0
    assert "map:=/nowhere: /nowhere does not exist" in result.stdout + result.stderr
