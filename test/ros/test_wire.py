"""Stamps out of serialized messages without decoding them, and decoding that never raises anything but BadInput."""

import random
import struct

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from live_rig import K as INTRINSICS
from live_rig import camera_info_message, cloud_message, image_message, odometry_message, scene
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, PointCloud2

from vxp_ros.core.errors import BadInput
from vxp_ros.ros.wire import decode, stamp_of

pytestmark = pytest.mark.ros
STAMP = 1_700_000_000_123_456_789


def messages():
    import numpy as np

    pixels, points = scene(0)
    return [
        image_message(pixels, STAMP),
        cloud_message(points, STAMP),
        camera_info_message(128, 96, INTRINSICS, STAMP),
        odometry_message(np.eye(4), STAMP),
    ]


@pytest.mark.parametrize("message", messages(), ids=lambda message: type(message).__name__)
def test_the_stamp_is_read_without_decoding(message):
    data = serialize_message(message)
    assert stamp_of(data) == STAMP
    assert decode(data, type(message)) == message


def test_big_endian_stamps():
    assert stamp_of(b"\0\0\0\0" + struct.pack(">iI", 7, 5)) == 7_000_000_005


@pytest.mark.parametrize(
    ("sec", "nanosec", "reason"),
    [(0, 0, "bad_stamp"), (-1, 5, "bad_stamp"), (5, 1_000_000_000, "bad_stamp"), (5, 2**32 - 1, "bad_stamp")],
)
def test_impossible_stamps(sec, nanosec, reason):
    with pytest.raises(BadInput) as problem:
        stamp_of(b"\0\1\0\0" + struct.pack("<iI", sec, nanosec))
    assert problem.value.reason == reason


@pytest.mark.parametrize("length", range(12))
def test_stubs(length):
    with pytest.raises(BadInput) as problem:
        stamp_of(bytes(length))
    assert problem.value.reason == "bad_message"


def test_random_bytes_are_decoded_or_refused():
    rng = random.Random(8)
    outcomes = {True: 0, False: 0}
    for _ in range(500):
        data = b"\0\1\0\0" + rng.randbytes(rng.randrange(200))
        try:
            decode(data, rng.choice([Image, PointCloud2]))
            outcomes[True] += 1
        except BadInput as problem:
            assert problem.reason == "bad_message"
            outcomes[False] += 1
    assert outcomes[False] > 400
