"""Drives in a network namespace of its own: python network_robot.py SECONDS. Publishes a frame each 200 ms; prints a
line of JSON for each answer: the monotonic time in seconds, and how old the answered stamp is."""

import json
import sys
import time

import rclpy
from live_rig import Robot

from vxp_ros.msg import PlaceCandidates
from vxp_ros.ros.conversions import stamp_to_ns


def main() -> None:
    rclpy.init(args=[])
    robot, end = Robot(), time.monotonic() + float(sys.argv[1])

    def tell(message: PlaceCandidates) -> None:
        age = (robot.now_ns() - stamp_to_ns(message.header.stamp)) / 1e9
        print(json.dumps([time.monotonic(), age]), flush=True)

    robot.node.create_subscription(PlaceCandidates, "/vxp_localizer/candidates", tell, 10)
    print("ready", flush=True)
    while time.monotonic() < end:
        robot.show(1)
        robot.spin(0.2)
    robot.close()


if __name__ == "__main__":
    main()
