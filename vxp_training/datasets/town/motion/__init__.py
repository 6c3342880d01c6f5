"""How things move: the traffic and the people, speeds, poses on hills, odometry."""
