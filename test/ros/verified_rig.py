"""A town of two places whose clouds can confirm them, and drives through it, for tests of verified answers."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

sys.path.append(str(Path(__file__).parents[1] / "core"))

from live_rig import K, camera_info_message, image_message, odometry_message, scene
from scan_samples import block, pose, scan

from vxp_ros.core.config import KeyframeSettings
from vxp_ros.core.datatypes import Frame, Image
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.geometry import invert
from vxp_ros.core.map_store import save_map
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.recognizer import PlaceRecognizer
from vxp_ros.msg import PlaceCandidates
from vxp_ros.ros.conversions import stamp_to_ns

needs_libraries = pytest.mark.skipif(sys.version_info >= (3, 13), reason="kiss-matcher has no wheel for Python 3.13")
OK, AMBIGUOUS = PlaceCandidates.STATUS_OK, PlaceCandidates.STATUS_AMBIGUOUS
HERE, FAR_AWAY = pose(50, 20, 0.7), pose(-80, 0, 0)
STEPS = [pose(-5, -1, 0.2), pose(0, -1, 0.1), pose(5.5, -0.5, 0.0)]  # past HERE, in its frame
T_MAP_ODOM = pose(12, -7, 1.0)


def make_clouds() -> dict[str, np.ndarray]:
    """[N, 4] float32 by name: the two places of the map, the drive past the first of them, and somewhere else."""
    here = block(0)
    scans = {"here": scan(here, pose(0, 0, 0), 0), "far": scan(block(7), pose(0, 0, 0), 1)}
    scans |= {f"step{i}": scan(here, T, 10 + i) for i, T in enumerate(STEPS)}
    scans["elsewhere"] = scan(block(3), pose(0, 0, 0), 2)
    return {name: np.hstack([points, np.zeros((len(points), 1), np.float32)]) for name, points in scans.items()}


def make_scan_root(root: Path, model: Path, clouds: dict[str, np.ndarray]) -> Path:
    """A map root with the map "town": HERE and FAR_AWAY."""
    encoder = Encoder.load(model, "cpu")
    place_map = PlaceMap(dict.fromkeys(encoder.modalities, encoder.model_id))
    for number, (name, T) in enumerate((("here", HERE), ("far", FAR_AWAY))):
        frame = Frame(number + 1, {"camera": Image(scene(number)[0])}, clouds[name], None, np.eye(4))
        place_map.add(PlaceRecognizer(encoder).make_place(frame, T, KeyframeSettings()))
    save_map(place_map, root / "town")
    return root


def ask(robot, heard, cloud, T_odom_base=None):
    """The answer to one moment."""
    before = len(heard)
    robot.show_cloud(cloud, T_odom_base)
    assert robot.spin_until(lambda: len(heard) > before, 20), "no answer"
    return heard[-1]


def drive(robot, heard, clouds, numbers, T_map_odom=T_MAP_ODOM):
    """Past HERE, with the odometry that belongs to it; each step must be confirmed."""
    for number in numbers:
        answer = ask(robot, heard, clouds[f"step{number}"], invert(T_map_odom) @ HERE @ STEPS[number])
        assert answer.candidates[0].verified, answer.message


def gate(robot) -> str:
    return robot.values("search").get("gate", "")


def see(robot, heard, place, T_map_base):
    """The answer to the picture of a place, when odometry says that the robot is at this pose."""
    before, now = len(heard), robot.now_ns()
    robot.odometry.publish(odometry_message(invert(T_MAP_ODOM) @ T_map_base, now))
    robot.spin(0.2)
    robot.infos.publish(camera_info_message(128, 96, K, now))
    robot.images.publish(image_message(scene(place)[0], now))
    assert robot.spin_until(lambda: len(heard) > before, 20), "no answer"
    assert (heard[-1].status, heard[-1].candidates[0].place_id) == (OK, place), heard[-1].message


def stamp_of(message) -> int:
    return stamp_to_ns(message.header.stamp)
