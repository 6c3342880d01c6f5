"""Drive once and get a place map: ros2 launch vxp_ros build_map.launch.py map_name:=campus"""

from launch import LaunchDescription

from vxp_ros.ros.launching import argument, lifecycle_node, node_arguments


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *node_arguments("mapper.yaml"),
            argument("map_root", "", "folder for the maps; empty: as in params_file"),
            argument("map_name", "", "save the map under this name at shutdown; empty: only on ~/save_map"),
            lifecycle_node("mapper", {"map_root": "map.root", "map_name": "keyframe.save_as"}),
        ]
    )
