"""What vxp_ros computes: numpy in, numpy out. No file in here imports ROS (test/test_import_rules.py)."""
