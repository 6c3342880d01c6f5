"""Tell the robot where it is on a place map: ros2 launch vxp_ros localize.launch.py map:=MAP"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from vxp_ros.ros.launching import FLAG, argument, existing_map, lifecycle_node, node_arguments, rviz


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "map", description="place map to localize on: its folder, or its name under map_root"
            ),
            argument("map_root", "", "folder of maps for names and ~/load_map; empty: ~/.ros/vxp_maps"),
            *node_arguments("localizer.yaml"),
            argument(
                "publish_initialpose", "", "tell a localizer where to start; empty: as in params_file", ["", *FLAG]
            ),
            argument("publish_tf", "", "broadcast map->odom; empty: as in params_file", ["", *FLAG]),
            argument("rviz", "false", "show the candidates in RViz", FLAG),
            OpaqueFunction(function=check_map),
            lifecycle_node(
                "localizer",
                {"map": "map.path", "map_root": "map.root"},
                {"publish_initialpose": "output.publish_initialpose", "publish_tf": "output.publish_tf"},
            ),
            rviz(),
        ]
    )


def check_map(context):
    """Fail now rather than in a node that a user has to look for."""
    text, root = (LaunchConfiguration(name).perform(context) for name in ("map", "map_root"))
    context.launch_configurations["map"] = existing_map(text, root)
