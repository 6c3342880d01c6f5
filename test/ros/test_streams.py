"""When a sensor counts as silent: the real streams on a scripted clock."""

import random

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from sensor_msgs.msg import Image, PointCloud2

from vxp_ros.ros import streams
from vxp_ros.ros.streams import Stream

pytestmark = pytest.mark.ros


class Rig:
    """A camera and a LiDAR; `hear` lets time pass until a message, `would_go_alone` asks as the pairing does."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(streams.time, "monotonic", lambda: self.now)
        self.camera = Stream("camera", "image", Image, opened=self.now)
        self.lidar = Stream("lidar", "points", PointCloud2, opened=self.now)

    def hear(self, stream: Stream, at: float) -> None:
        self.now = at
        stream.receive()


@pytest.fixture
def rig(monkeypatch):
    return Rig(monkeypatch)


def alternate(rig, start, count, camera_lag=0.02, period=0.1, lidar_from=0) -> list[bool]:
    """Both sensors at one rate; for each message, whether it would go on without its partner."""
    alone = []
    for number in range(count):
        if number >= lidar_from:
            rig.hear(rig.lidar, start + number * period)
            alone.append(rig.lidar.has_outlasted(rig.camera))
        rig.hear(rig.camera, start + number * period + camera_lag)
        alone.append(rig.camera.has_outlasted(rig.lidar))
    return alone


@pytest.mark.parametrize("seed", range(50))
def test_a_late_start_and_a_common_pause_make_nobody_go_alone(rig, seed):
    rng = random.Random(seed)
    first = 100 + rng.uniform(0.5, 2.0)
    alone = alternate(rig, first, 20, lidar_from=rng.choice([0, 1, 2]))  # the LiDAR's first messages may be lost
    alone += alternate(rig, first + 2 + rng.uniform(0.9, 30.0), 20, lidar_from=rng.choice([0, 1]))
    assert not any(alone)


def test_a_sensor_that_stops_is_left_behind_and_waited_for_again(rig):
    alternate(rig, 101.0, 20)
    alone = alternate(rig, 103.0, 30, lidar_from=30)
    assert not any(alone[:10])
    assert alone[-1]
    assert rig.lidar.is_silent()
    alternate(rig, 106.0, 1)
    assert not any(alternate(rig, 106.1, 20))


@pytest.mark.parametrize("period", [2.0, 5.0])
def test_a_slow_sensor_is_not_silent_between_its_messages(rig, period):
    for number in range(6):
        rig.hear(rig.lidar, 101.0 + number * period)
    rig.now += 0.95 * period
    assert not rig.lidar.is_silent()
    assert rig.lidar.rate() == pytest.approx(1 / period)
    rig.now += 1.2 * period
    assert rig.lidar.is_silent()
