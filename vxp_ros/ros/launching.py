"""What the launch files share: their arguments, and a lifecycle node brought up with them.

Written against the `launch` and `launch_ros` of Humble, Jazzy and Kilted. A launch argument beats the YAML file, and
the YAML file beats the default: arguments are passed on after the file, and only those that say something.
"""

import os
from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

from ..core.config import MapSettings
from ..core.resources import find_config

FLAG = ["true", "false"]


def node_arguments(params_file: str) -> list[DeclareLaunchArgument]:
    """The arguments that every node of ours takes."""
    return [
        argument("namespace", "", "namespace of the node, e.g. robot1; all topics are relative to it"),
        argument(
            "use_sim_time", "", "take the time from /clock, never on a robot; empty: as in params_file", ["", *FLAG]
        ),
        argument("params_file", str(find_config(params_file)), "YAML file with parameters"),
        argument("log_level", "info", "debug, info, warn, error or fatal"),
        argument("autostart", "true", "configure and activate the node at once", FLAG),
        argument("use_lifecycle_manager", "false", "leave the transitions to nav2's lifecycle manager", FLAG),
        argument("respawn", "false", "start the node again when it dies", FLAG),
        argument("image_topic", "/camera/image_raw", "images of the camera"),
        argument("camera_info_topic", "", "its calibration; empty: camera_info beside the image topic"),
        argument("points_topic", "/points", "LiDAR clouds"),
        argument("odom_topic", "", "odometry; empty: odom"),
        argument("modality", "", "camera, lidar or both; empty: as in params_file"),
        argument("base_frame", "", "the robot's base frame; empty: as in params_file"),
        argument("weights", "", "model folder, or the name of a shipped one; empty: as in params_file"),
        argument("device", "", "auto, cpu, cuda or cuda:N; empty: as in params_file"),
        argument("bag", "", "rosbag2 folder to play with /clock; forces use_sim_time"),
        argument("bag_rate", "1.0", "speed of the playback"),
    ]


def argument(name: str, default: str, description: str, choices: list[str] | None = None) -> DeclareLaunchArgument:
    return DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)


def lifecycle_node(executable: str, overrides: dict[str, str], flags: dict[str, str] | None = None) -> OpaqueFunction:
    """A node of ours with the arguments above; `overrides` maps more launch arguments to parameters, and `flags` those
    that are true or false."""
    arguments_to_parameters = {
        "modality": "input.modality",
        "base_frame": "frames.base",
        "weights": "model.weights",
        "device": "model.device",
        **overrides,
    }

    def start(context):
        def value(name):
            return LaunchConfiguration(name).perform(context)

        given = {parameter: value(name) for name, parameter in arguments_to_parameters.items() if value(name)}
        # Without the type, launch would make a number of a map called 123.
        parameters = {parameter: ParameterValue(text, value_type=str) for parameter, text in given.items()}
        parameters |= {parameter: value(name) == "true" for name, parameter in (flags or {}).items() if value(name)}
        if value("bag") or value("use_sim_time"):
            parameters["use_sim_time"] = bool(value("bag")) or value("use_sim_time") == "true"
        starts_itself = value("autostart") == "true" and value("use_lifecycle_manager") == "false"
        node = LifecycleNode(
            package="vxp_ros",
            executable=executable,
            name=f"vxp_{executable}",
            namespace=value("namespace"),
            parameters=[existing(value("params_file"), "params_file"), *([parameters] if parameters else [])],
            remappings=remappings(value),
            arguments=[*(["--autostart"] if starts_itself else []), "--ros-args", "--log-level", value("log_level")],
            output="screen",
            emulate_tty=True,
            respawn=value("respawn") == "true",
            respawn_delay=1.0,
            sigterm_timeout="60",  # the mapper may be saving a large map
            sigkill_timeout="60",
        )
        return [node, *bag_player(value)]

    return OpaqueFunction(function=start)


def remappings(value) -> list[tuple[str, str]]:
    """From the node's relative names to the topics that the user named. TF follows the namespace, as in nav2."""
    image = value("image_topic")
    camera_info = value("camera_info_topic") or f"{image.rpartition('/')[0]}/camera_info"
    pairs = [("image", image), ("image/compressed", f"{image}/compressed"), ("camera_info", camera_info)]
    pairs += [("points", value("points_topic")), ("/tf", "tf"), ("/tf_static", "tf_static")]
    return pairs + ([("odom", value("odom_topic"))] if value("odom_topic") else [])


def bag_player(value) -> list[Node]:
    """Play the bag of argument `bag`. It waits for the node's subscriptions: nothing is lost to a loading model."""
    if not value("bag"):
        return []
    path = existing(value("bag"), "bag")
    arguments = [path, "--wait-for-subscribers", "120", "--clock", "100", "--rate", value("bag_rate")]
    return [Node(package="vxp_ros", executable="bag_player", arguments=arguments, output="screen")]


def existing(path: str, name: str) -> str:
    """`path` made absolute. Raises FileNotFoundError at once rather than let a node fail later."""
    absolute = Path(os.path.expandvars(path)).expanduser().absolute()
    if not absolute.exists():
        raise FileNotFoundError(f"launch argument {name}:={path}: {absolute} does not exist")
    return str(absolute)


def existing_map(text: str, root: str) -> str:
    """The map's folder, made absolute: a path, or a map's name under map.root (`root`, or the default where that is
    empty). Raises as `existing`."""
    named = Path(root or MapSettings().root).expanduser() / text
    is_name = "/" not in text and not Path(text).exists()
    return existing(str(named) if is_name and named.exists() else text, "map")


def rviz() -> OpaqueFunction:
    """RViz with our view, when the argument `rviz` is true."""

    def start(context):
        if LaunchConfiguration("rviz").perform(context) != "true":
            return []
        return [Node(package="rviz2", executable="rviz2", arguments=["-d", str(find_config("vxp.rviz"))])]

    return OpaqueFunction(function=start)
