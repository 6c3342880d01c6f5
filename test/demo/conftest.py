"""A hand-made run of two drives with two places each, small enough to know every number of it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from vxp_ros.core.datatypes import Camera, Frame, Image, Place
from vxp_ros.core.geometry import make_transform
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.recognizer import thumbnail
from vxp_ros.demo.data import DemoData, Moment
from vxp_ros.demo.record import MODES, DemoRun
from vxp_ros.demo.summary import Replay

sys.path.insert(0, str(Path(__file__).parent))

from demo_dialogue import Dialogue, make_run

FORWARD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # an optical frame that looks along the base's x
POSITIONS = ((0.0, 0.0), (2.0, 0.0), (1000.0, 5.0), (1002.0, 5.0))


def moment(number: int, ahead: float = 0.0) -> Moment:
    random = np.random.default_rng(number)
    x, y = POSITIONS[number]
    image = np.kron(random.integers(0, 255, (4, 8, 3)), np.ones((20, 20, 1))).astype(np.uint8)
    points = random.uniform([-30, -20, -2, 0], [30, 20, 3, 1], (3000, 4)).astype(np.float32)
    K = np.array([[100.0, 0, 80], [0, 100.0, 40], [0, 0, 1]])
    camera = Camera(160, 80, K, T_base_camera=make_transform(FORWARD, np.zeros(3)))
    T_map_base = make_transform(np.eye(3), np.array([x + ahead, y, 0.0]))
    return Moment(Frame(10**9 * (number + 1), {"camera": Image(image, camera)}, points, None, np.eye(4), T_map_base))


@pytest.fixture
def places() -> list[Moment]:
    return [moment(number) for number in range(4)]


@pytest.fixture
def queries() -> list[Moment]:
    """A metre ahead of each place."""
    return [moment(number, ahead=1.0) for number in range(4)]


@pytest.fixture
def place_map(places) -> PlaceMap:
    place_map = PlaceMap({"camera": "m", "lidar": "m"})
    for entry in places:
        vector = np.array([1.0, 0.0], dtype=np.float32)
        jpeg = thumbnail(Image(entry.image), 64)
        place_map.add(Place(entry.stamp_ns, entry.T_map_base, {"camera": vector, "lidar": vector}, None, 0,
                            entry.points, jpeg))  # fmt: skip
    place_map.map_id = "demo.v1-0123456789ab"
    return place_map


@pytest.fixture
def dialogues(tmp_path, queries, place_map) -> dict[str, Dialogue]:
    """By name: a mapping and five modes in which nothing has been said yet."""
    return {name: Dialogue(tmp_path, name, queries, place_map) for name in ("mapping", *MODES)}


@pytest.fixture
def good_replays(dialogues) -> list[Replay]:
    """A sound run: a sensor against itself always right, fused too, camera against LiDAR only for the first query."""
    for name, dialogue in dialogues.items():
        for number in range(4):
            if name == "mapping":
                dialogue.keyframe(number)
            else:
                is_right = name in ("2D-2D", "3D-3D", "fused") or number == 0
                dialogue.answer(number, number if is_right else (number + 2) % 4, after_ms=100.0 + number)
        dialogue.diagnose(received=4, processed=4)
    return [dialogue.replay() for dialogue in dialogues.values()]


@pytest.fixture
def data(places, queries) -> DemoData:
    return DemoData("two hand-made drives", Path("map"), Path("query"), places, queries)


@pytest.fixture
def good_run(good_replays, data, place_map) -> DemoRun:
    return make_run(good_replays, data, place_map)
