"""Shared by the ROS tests: a graph of their own, rclpy for those that ask for it, and helper modules by name."""

import gc
import os
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from wire_messages import BLUE, FLAVOURS, GREEN, GREY, RED, flavour

from vxp_ros.core.memory import search_everything

# Before rclpy is loaded: no other test run and no robot may hear us, and wrong field types must be loud.
os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randrange(102))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"


def make_test_profile() -> Path:
    """Our Fast DDS profile without delivery inside a process: when tests leave several participants in one process,
    Fast DDS 3.2 can lock up in it while one of them is destroyed."""
    shipped = Path(__file__).parents[2] / "config" / "fastdds_large_data.xml"
    off = "<library_settings><intraprocess_delivery>OFF</intraprocess_delivery></library_settings>"
    path = Path(tempfile.mkdtemp(prefix="vxp_test_")) / "fastdds.xml"
    path.write_text(shipped.read_text().replace("</dds>", f"  {off}\n</dds>"))
    return path


os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = str(make_test_profile())


@pytest.fixture(params=FLAVOURS)
def kind(request):
    """Makes sensor messages, as rclpy's classes and as plain objects."""
    return flavour(request.param)


@pytest.fixture
def picture():
    """[64, 96, 3] uint8 RGB of four flat quarters."""
    pixels = np.empty((64, 96, 3), np.uint8)
    pixels[:32, :48], pixels[:32, 48:], pixels[32:, :48], pixels[32:, 48:] = RED, GREEN, BLUE, GREY
    return pixels


@pytest.fixture
def ros():
    """rclpy, initialised for one test."""
    rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")
    rclpy.init(args=[])
    yield rclpy
    search_everything()  # for a node that was never released
    gc.collect()  # a lifecycle node's participant lives until its state machine is freed; many of them lock up Fast DDS
    rclpy.try_shutdown()


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """An untrained model: it tells scenes apart by one sensor, which is all that these tests need."""
    return make_model(tmp_path_factory.mktemp("model"), "vxp_lite")


@pytest.fixture(scope="session")
def fused_model(tmp_path_factory) -> Path:
    """As `model`, but it can also fuse the sensors."""
    return make_model(tmp_path_factory.mktemp("model"), "vxp_view")


@pytest.fixture(scope="session")
def map_root(tmp_path_factory, model) -> Path:
    return make_map_root(tmp_path_factory.mktemp("maps"), model)


@pytest.fixture(scope="session")
def fused_map_root(tmp_path_factory, fused_model) -> Path:
    return make_map_root(tmp_path_factory.mktemp("maps"), fused_model)


def make_model(folder: Path, recipe: str) -> Path:
    from vxp_ros.core.model_store import init_model

    init_model(recipe, folder / "model")
    return folder / "model"


def make_map_root(root: Path, model: Path) -> Path:
    """A map root with the map "town": scenes 0 to 3 of live_rig, 20 m apart along x."""
    from live_rig import K, scene

    from vxp_ros.core.config import KeyframeSettings
    from vxp_ros.core.datatypes import Camera, Frame, Image
    from vxp_ros.core.encoder import Encoder
    from vxp_ros.core.geometry import pose_from_vector
    from vxp_ros.core.map_store import save_map
    from vxp_ros.core.place_map import PlaceMap
    from vxp_ros.core.recognizer import PlaceRecognizer

    encoder = Encoder.load(model, "cpu")
    place_map = PlaceMap(dict.fromkeys(encoder.modalities, encoder.model_id))
    camera = Camera(128, 96, K, T_base_camera=pose_from_vector([0, 0, 0, -0.5, 0.5, -0.5, 0.5]))
    for number in range(4):
        pixels, points = scene(number)
        frame = Frame(number + 1, {"camera": Image(pixels, camera)}, points, None, np.eye(4))
        T = np.eye(4)
        T[0, 3] = 20.0 * number
        place_map.add(PlaceRecognizer(encoder).make_place(frame, T, KeyframeSettings(thumbnail_width=64)))
    save_map(place_map, root / "town")
    return root


@pytest.fixture
def robot(ros):
    """A node that publishes sensor data and hears the answers."""
    from live_rig import Robot

    robot = Robot()
    yield robot
    robot.close()


@pytest.fixture
def start(robot, model, map_root):
    """Starts an active localizer in this process; parameters as group__name=value."""
    from live_rig import SpinningNode, localizer_parameters

    from vxp_ros.ros.localizer import Localizer

    started = []

    def start(**parameters):
        given = {**localizer_parameters(model, map_root), "verify__enable": False, **parameters}
        spinning = SpinningNode(Localizer, "vxp_localizer", **given)
        started.append(spinning)
        spinning.bring_up()
        robot.meet(has_lidar=given.get("input__modality") != "camera")
        return spinning

    yield start
    errors = []
    for spinning in started:
        errors += spinning.node.worker.errors if spinning.node.worker else []
        spinning.close()
    assert errors == []


@pytest.fixture(scope="session")
def clouds():
    from verified_rig import make_clouds

    return make_clouds()


@pytest.fixture(scope="session")
def scan_root(tmp_path_factory, model, clouds) -> Path:
    from verified_rig import make_scan_root

    return make_scan_root(tmp_path_factory.mktemp("scans"), model, clouds)


@pytest.fixture
def start_verifying(start, scan_root):
    """As `start`, with verification."""

    def start_verifying(**parameters):
        given = {"verify__enable": True, "verify__max_rate": 0.0, "match__query": "lidar", "map__root": str(scan_root)}
        return start(**{**given, **parameters})

    return start_verifying
