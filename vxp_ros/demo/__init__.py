"""`vxp demo`: the main job, end to end through real ROS nodes, measured and reported."""
