"""Say when the robot has been somewhere before: ros2 launch vxp_ros loop_closure.launch.py odom_topic:=/odom"""

from launch import LaunchDescription

from vxp_ros.ros.launching import FLAG, argument, lifecycle_node, node_arguments, rviz


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *node_arguments("loop_closer.yaml"),
            argument("map_root", "", "folder for the maps; empty: as in params_file"),
            argument("map_name", "", "save the map under this name at shutdown; empty: only on ~/save_map"),
            argument("rviz", "false", "show the closures in RViz", FLAG),
            lifecycle_node("loop_closer", {"map_root": "map.root", "map_name": "keyframe.save_as"}),
            rviz(),
        ]
    )
