"""How vxp_ros talks ROS 2: the only place that imports rclpy or touches message fields."""
