"""Camera infos, stamps and poses to numbers: refusals by name; and what all conversions have in common."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import wire_messages as wire
from wire_messages import refusal

from vxp_ros.ros.conversions import stamp_to_ns, to_camera, to_matrix, to_pixels, to_points

ROOT = Path(__file__).parents[2]


# --- camera info


def test_camera(kind):
    camera = to_camera(wire.camera_info(kind))
    assert (camera.width, camera.height, camera.distortion_model) == (640, 480, "plumb_bob")
    np.testing.assert_array_equal(camera.K, [[500, 0, 320], [0, 510, 240], [0, 0, 1]])
    np.testing.assert_array_equal(camera.distortion, [0.1, -0.2, 0.001, 0.002, 0.0])
    assert camera.T_base_camera is None


def test_region_of_interest_and_binning_give_the_delivered_image(kind):
    """A point that the sensor sees at pixel (u, v) appears at ((u - x) / bx, (v - y) / by)."""
    camera = to_camera(wire.camera_info(kind, roi=(100, 40, 400, 200), binning_x=2, binning_y=4))
    assert (camera.width, camera.height) == (200, 50)
    point = np.array([0.3, -0.2, 1.0])
    u, v = 500 * 0.3 + 320, 510 * -0.2 + 240
    np.testing.assert_allclose((camera.K @ point)[:2], [(u - 100) / 2, (v - 40) / 4])


@pytest.mark.parametrize(("model", "length"), [("plumb_bob", 0), ("plumb_bob", 4), ("rational_polynomial", 8),
                                               ("rational_polynomial", 14), ("equidistant", 4), ("", 0)])  # fmt: skip
def test_good_distortions(kind, model, length):
    assert len(to_camera(wire.camera_info(kind, distortion_model=model, d=[0.01] * length)).distortion) == length
    assert len(to_camera(wire.camera_info(kind, distortion_model=model, d=[0.0] * length)).distortion) == 0


def changed_k(**changes) -> list[float]:
    k = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]
    for place, value in changes.items():
        k[int(place[1:])] = value
    return k


NAN, INF = float("nan"), float("inf")
BAD_INFOS = [
    ({"width": 0}, "image size"),
    ({"height": 0}, "image size"),
    ({"width": 0, "height": 0}, "image size"),
    ({"k": [0.0] * 9}, "all zero"),
    ({"k": changed_k(_0=0.0)}, "focal"),
    ({"k": changed_k(_4=0.0)}, "focal"),
    ({"k": changed_k(_0=-500.0)}, "focal"),
    ({"k": changed_k(_4=-1e-9)}, "focal"),
    ({"k": changed_k(_0=NAN)}, "finite"),
    ({"k": changed_k(_2=NAN)}, "finite"),
    ({"k": changed_k(_5=INF)}, "finite"),
    ({"k": changed_k(_4=-INF)}, "finite"),
    ({"k": [NAN] * 9}, "finite"),
    ({"k": changed_k(_8=0.0)}, "K must be"),
    ({"k": changed_k(_8=2.0)}, "K must be"),
    ({"k": changed_k(_3=1.0)}, "K must be"),
    ({"k": changed_k(_6=1.0)}, "K must be"),
    ({"k": changed_k(_7=-1.0)}, "K must be"),
    ({"d": [0.1] * 3}, "5 numbers"),
    ({"d": [0.1] * 8}, "5 numbers"),
    ({"d": [0.0, NAN, 0.0, 0.0, 0.0]}, "finite"),
    ({"d": [INF] * 5}, "finite"),
    ({"distortion_model": "rational_polynomial"}, "8 or 12 or 14"),
    ({"distortion_model": "equidistant"}, "4 numbers"),
    ({"distortion_model": ""}, "needs 0"),
    ({"distortion_model": "fish-eye"}, "unknown distortion model"),
    ({"distortion_model": "PLUMB_BOB"}, "unknown distortion model"),
    ({"distortion_model": "plumb_bob" * 1000}, "unknown distortion model"),
    ({"roi": (600, 0, 100, 100)}, "region of interest"),
    ({"roi": (0, 400, 640, 100)}, "region of interest"),
    ({"binning_x": 1000}, "binning"),
    ({"binning_y": 2**32 - 1}, "binning"),
]


@pytest.mark.parametrize(("changes", "word"), BAD_INFOS)
def test_bad_camera_infos_are_refused_with_a_name(kind, changes, word):
    problem = refusal(to_camera, wire.camera_info(kind, **changes))
    assert problem.reason == "bad_camera_info"
    assert word in str(problem) and len(str(problem)) < 400


def test_there_are_thirty_bad_infos():
    assert len(BAD_INFOS) >= 30


# --- stamps and poses


def stamp(sec, nanosec):
    return wire.SimpleNamespace(sec=sec, nanosec=nanosec)


def test_stamps():
    assert stamp_to_ns(stamp(1_700_000_000, 5)) == 1_700_000_000_000_000_005
    for bad in (stamp(0, 0), stamp(-1, 0), stamp(5, 1_000_000_000), stamp(5, 2**32 - 1)):
        assert refusal(stamp_to_ns, bad).reason == "bad_stamp"


def pose(position, orientation, names=("position", "orientation")):
    vectors = [wire.SimpleNamespace(**dict(zip("xyzw", values, strict=False))) for values in (position, orientation)]
    return wire.SimpleNamespace(**dict(zip(names, vectors, strict=True)))


def test_poses_and_transforms():
    quarter_turn = (0, 0, np.sqrt(0.5), np.sqrt(0.5))
    for names in (("position", "orientation"), ("translation", "rotation")):
        T = to_matrix(pose((1, 2, 3), quarter_turn, names))
        np.testing.assert_allclose(T @ [1, 0, 0, 1], [1, 3, 3, 1], atol=1e-12)
        assert T.dtype == np.float64


@pytest.mark.parametrize(
    ("position", "orientation"),
    [((0, 0, 0), (0, 0, 0, 0)), ((0, 0, 0), (0, 0, 0, 1.1)), ((NAN, 0, 0), (0, 0, 0, 1)), ((0, INF, 0), (0, 0, 0, 1)),
     ((0, 0, 0), (NAN, 0, 0, 1)), ((0, 0, 0), (1, 1, 1, 1))],
)  # fmt: skip
def test_bad_poses(position, orientation):
    assert refusal(to_matrix, pose(position, orientation)).reason == "bad_pose"


# --- all of them


def test_cloud_and_image_take_less_than_three_milliseconds(kind, record_property):
    rng = np.random.default_rng(4)
    cloud = wire.cloud(kind, wire.random_points(rng, 120_000))
    image = wire.image(kind, rng.integers(0, 255, (480, 640, 3), dtype=np.uint8), "rgb8")
    seconds = []
    for _ in range(30):
        start = time.perf_counter()
        to_points(cloud, 300_000, 1000), to_pixels(image)
        seconds.append(time.perf_counter() - start)
    record_property("cloud_and_image_ms", round(1000 * float(np.median(seconds)), 3))
    assert np.median(seconds) < 3e-3


def test_no_ros_package_is_needed():
    """Bags are read on computers without ROS: with every ROS package hidden, the module must still import."""
    script = """
import sys
for name in ("rclpy", "sensor_msgs", "std_msgs", "builtin_interfaces", "geometry_msgs", "cv_bridge"):
    sys.modules[name] = None
import vxp_ros.ros.conversions, vxp_ros.sources.bag
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
