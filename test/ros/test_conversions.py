"""Messages to arrays: known colours, known layouts, named refusals, bounded time and memory."""

import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import wire_messages as wire
from wire_messages import FLAVOURS

from vxp_ros.core.errors import BadInput
from vxp_ros.ros.conversions import compressed_to_pixels, stamp_to_ns, to_camera, to_matrix, to_pixels, to_points

ROOT = Path(__file__).parents[2]
# One colour per quarter of the picture; OpenCV's interpolation is exact away from the borders.
RED, GREEN, BLUE, GREY = (200, 20, 30), (10, 180, 60), (30, 40, 220), (128, 128, 128)


@pytest.fixture(params=FLAVOURS)
def kind(request):
    return wire.flavour(request.param)


@pytest.fixture
def picture():
    """[64, 96, 3] uint8 RGB of four flat quarters."""
    pixels = np.empty((64, 96, 3), np.uint8)
    pixels[:32, :48], pixels[:32, 48:], pixels[32:, :48], pixels[32:, 48:] = RED, GREEN, BLUE, GREY
    return pixels


def quarters(pixels: np.ndarray) -> np.ndarray:
    """[4, 3] colour in the middle of each quarter."""
    return pixels[[16, 16, 48, 48], [24, 72, 24, 72]].astype(int)


def refusal(call, *arguments) -> BadInput:
    with pytest.raises(BadInput) as caught:
        call(*arguments)
    return caught.value


# --- images


def test_rgb8_is_a_view_of_the_message_also_with_padded_rows(kind, picture):
    for padding in (0, 1, 37):
        message = wire.image(kind, picture, "rgb8", padding)
        pixels = to_pixels(message)
        np.testing.assert_array_equal(pixels, picture)
        assert np.shares_memory(pixels, np.frombuffer(message.data, np.uint8))
        assert not pixels.flags.writeable


@pytest.mark.parametrize("padding", [0, 5])
def test_colour_encodings(kind, picture, padding):
    alpha = np.full((64, 96, 1), 7, np.uint8)
    stored = {
        "bgr8": picture[..., ::-1],
        "8UC3": picture[..., ::-1],
        "rgba8": np.concatenate([picture, alpha], axis=2),
        "bgra8": np.concatenate([picture[..., ::-1], alpha], axis=2),
        "rgb16": picture.astype(np.uint16) * 256 + 9,
        "bgr16": picture[..., ::-1].astype(np.uint16) * 256 + 9,
    }
    for encoding, pixels in stored.items():
        for is_bigendian in (False, True):
            message = wire.image(kind, pixels, encoding, padding, is_bigendian)
            np.testing.assert_array_equal(to_pixels(message), picture, err_msg=encoding)


@pytest.mark.parametrize("is_bigendian", [False, True])
def test_grey_encodings(kind, is_bigendian):
    grey = np.arange(256, dtype=np.uint8).reshape(8, 32)
    expected = np.repeat(grey[..., None], 3, axis=2)
    for encoding, pixels in {"mono8": grey, "8UC1": grey, "mono16": grey.astype(np.uint16) * 256 + 200}.items():
        message = wire.image(kind, pixels, encoding, 3, is_bigendian)
        np.testing.assert_array_equal(to_pixels(message), expected, err_msg=encoding)


def test_16uc1_is_stretched_because_its_range_is_unknown(kind):
    counts = np.linspace(7000, 8000, 64 * 64).astype(np.uint16).reshape(64, 64)  # a thermal camera's few hundred counts
    pixels = to_pixels(wire.image(kind, counts, "16UC1"))
    assert pixels.min() == 0 and pixels.max() == 255
    assert np.all(np.diff(pixels[..., 0].reshape(-1).astype(int)) >= 0)
    assert not to_pixels(wire.image(kind, np.full((8, 8), 500, np.uint16), "16UC1")).any()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_colours(kind, picture, pattern, bits):
    """The mosaic is laid out by the name's own definition: the four letters are the first 2 x 2 pixels, row by row."""
    mosaic = np.empty(picture.shape[:2], np.uint8)
    for place, letter in enumerate(pattern):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = picture[row::2, column::2, "rgb".index(letter)]
    if bits == 16:
        mosaic = mosaic.astype(np.uint16) * 256 + 99
    pixels = to_pixels(wire.image(kind, mosaic, f"bayer_{pattern}{bits}", padding=4))
    np.testing.assert_array_equal(quarters(pixels), [RED, GREEN, BLUE, GREY])


def test_yuv_colours(kind, picture):
    """Packed 4:2:2 by ITU-R BT.601 limited range, made here from the definition."""
    Y, U, V = yuv_of(picture)
    uyvy = np.empty((64, 96, 2), np.uint8)
    uyvy[..., 1], uyvy[:, 0::2, 0], uyvy[:, 1::2, 0] = Y, U[:, 0::2], V[:, 0::2]
    stored = {"yuv422": uyvy, "uyvy": uyvy, "yuv422_yuy2": uyvy[..., ::-1], "yuyv": uyvy[..., ::-1]}
    for encoding, pixels in stored.items():
        found = quarters(to_pixels(wire.image(kind, np.ascontiguousarray(pixels), encoding, padding=6)))
        np.testing.assert_allclose(found, [RED, GREEN, BLUE, GREY], atol=3, err_msg=encoding)


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_nv_colours(kind, picture, encoding):
    Y, U, V = yuv_of(picture)
    colour = np.stack([U[::2, ::2], V[::2, ::2]][:: 1 if encoding == "nv12" else -1], axis=2).reshape(32, 96)
    message = wire.image(kind, np.concatenate([Y, colour]), encoding, padding=8)
    message.height = 64
    pixels = to_pixels(message)
    assert pixels.shape == picture.shape
    np.testing.assert_allclose(quarters(pixels), [RED, GREEN, BLUE, GREY], atol=3)


def yuv_of(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    matrix = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
    yuv = np.round(picture @ matrix.T + [16, 128, 128]).astype(np.uint8)
    return yuv[..., 0], yuv[..., 1], yuv[..., 2]


def test_unknown_encoding_names_itself_and_the_supported_ones(kind, picture):
    message = wire.image(kind, picture.astype(np.float32), "32FC3")
    problem = refusal(to_pixels, message)
    assert problem.reason == "bad_encoding"
    assert "32FC3" in str(problem) and "bayer_rggb8" in str(problem)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"step": 287}, "step"),
        ({"step": 0}, "step"),
        ({"height": 65}, "ends before"),
        ({"step": 2**32 - 1}, "ends before"),
        ({"width": 0}, "empty"),
        ({"height": 0}, "empty"),
        ({"width": 100_000, "height": 100_000}, "limit"),
    ],
)
def test_headers_that_lie_about_the_data(kind, picture, changes, word):
    message = wire.image(kind, picture, "rgb8")
    for name, value in changes.items():
        setattr(message, name, value)
    problem = refusal(to_pixels, message)
    assert problem.reason == "bad_image" and word in str(problem)


def test_tiles_must_be_whole(kind):
    for shape, encoding in (((3, 4), "bayer_rggb8"), ((4, 3), "bayer_rggb8"), ((4, 3, 2), "yuv422"), ((1, 1), "nv12")):
        problem = refusal(to_pixels, wire.image(kind, np.zeros(shape, np.uint8), encoding))
        assert problem.reason == "bad_image"


@pytest.mark.parametrize("size", [1, 2, 4])
def test_smallest_images(kind, size):
    for encoding, shape in {"rgb8": (size, size, 3), "mono8": (size, size), "bgr8": (size, size, 3)}.items():
        assert to_pixels(wire.image(kind, np.ones(shape, np.uint8), encoding)).shape == (size, size, 3)


def test_resolution_changes_leave_no_trace(kind):
    sizes = [(48, 64), (32, 40), (64, 96)]
    for turn in range(10):
        pixels = np.full((*sizes[turn % 3], 3), turn, np.uint8)
        np.testing.assert_array_equal(to_pixels(wire.image(kind, pixels, "rgb8")), pixels)


# --- compressed images


def test_jpeg_and_png_colours(kind, picture):
    for suffix, tolerance in ((".jpg", 6), (".png", 0)):
        pixels = compressed_to_pixels(wire.compressed(kind, wire.encode(picture[..., ::-1], suffix)))
        assert pixels.shape == picture.shape and pixels.dtype == np.uint8
        np.testing.assert_allclose(quarters(pixels), [RED, GREEN, BLUE, GREY], atol=tolerance)


def test_grey_alpha_and_16_bit_files(kind, picture):
    grey = picture[..., 0]
    three = np.repeat(grey[..., None], 3, axis=2)
    alpha = np.concatenate([picture[..., ::-1], np.full((64, 96, 1), 3, np.uint8)], axis=2)
    files = {
        "grey": (grey, three),
        "alpha": (alpha, picture),
        "mono16": (grey.astype(np.uint16) * 256 + 77, three),
        "rgb16": (picture[..., ::-1].astype(np.uint16) * 256 + 77, picture),
    }
    for name, (stored, expected) in files.items():
        found = compressed_to_pixels(wire.compressed(kind, wire.encode(stored, ".png")))
        np.testing.assert_array_equal(found, expected, err_msg=name)
    jpeg = compressed_to_pixels(wire.compressed(kind, wire.encode(grey, ".jpg")))
    np.testing.assert_allclose(jpeg, three, atol=6)


def test_16uc1_png_is_stretched(kind):
    counts = np.linspace(7000, 8000, 64 * 64).astype(np.uint16).reshape(64, 64)
    pixels = compressed_to_pixels(wire.compressed(kind, wire.encode(counts, ".png"), "16UC1; png compressed 16UC1"))
    assert pixels.min() == 0 and pixels.max() == 255


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_truncation_is_refused_everywhere(kind, picture, suffix):
    """libjpeg fills the missing part with grey and reports success; that must not pass for a picture."""
    noise = np.random.default_rng(0).integers(0, 255, picture.shape, dtype=np.uint8)
    whole = wire.encode(noise, suffix)
    for end in np.linspace(0, len(whole) - 1, 100).astype(int):
        problem = refusal(compressed_to_pixels, wire.compressed(kind, whole[:end]))
        assert problem.reason in ("bad_image", "bad_encoding")
    compressed_to_pixels(wire.compressed(kind, whole + bytes(16)))  # padding behind the end is usual


def test_flipped_png_bits_are_found_by_the_checksum(kind, picture):
    whole = bytearray(wire.encode(picture, ".png"))
    for position in range(20, len(whole) - 4, 7):
        damaged = whole.copy()
        damaged[position] ^= 0x10
        refusal(compressed_to_pixels, wire.compressed(kind, damaged))


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8", b"GIF89a" + bytes(50), b"\x89PNG\r\n\x1a\n", bytes(1000)])
def test_garbage_is_refused(kind, data):
    assert refusal(compressed_to_pixels, wire.compressed(kind, data)).reason in ("bad_image", "bad_encoding")


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


# --- clouds


def test_usual_layout(kind):
    points = wire.random_points(np.random.default_rng(0), 500)
    found, rings = to_points(wire.cloud(kind, points), 1000, 1)
    np.testing.assert_array_equal(found, wire.as_columns(points))
    assert found.dtype == np.float32 and found.flags.writeable and rings is None


@pytest.mark.parametrize("name", ["intensity", "reflectivity", "i", "none"])
def test_intensity_goes_by_several_names(kind, name):
    points = np.zeros(10, [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), (name, "<u2")])
    points[name] = 7
    found, _ = to_points(wire.cloud(kind, points), 100, 1)
    np.testing.assert_array_equal(found[:, 3], 0 if name == "none" else 7)


@pytest.mark.parametrize("name", ["ring", "channel"])
def test_rings_follow_their_points(kind, name):
    points = np.zeros(10, [(name, "<u2"), ("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    points[name], points["x"] = np.arange(10), np.arange(10)
    points["y"][[2, 5]] = np.nan
    found, rings = to_points(wire.cloud(kind, points), 100, 1)
    assert rings.dtype == np.uint16
    np.testing.assert_array_equal(rings, [0, 1, 3, 4, 6, 7, 8, 9])
    np.testing.assert_array_equal(found[:, 0], rings)


def test_points_that_are_not_finite_go_and_intensity_becomes_zero(kind):
    points = wire.random_points(np.random.default_rng(1), 100)
    points["x"][3], points["z"][7], points["intensity"][9] = np.nan, -np.inf, np.nan
    found, _ = to_points(wire.cloud(kind, points), 1000, 1)
    assert found.shape == (98, 4) and np.isfinite(found).all()
    np.testing.assert_array_equal(found[:3], wire.as_columns(points)[:3])
    assert found[7, 3] == 0


def test_more_than_half_must_be_finite(kind):
    points = wire.random_points(np.random.default_rng(1), 100)
    points["x"][:50] = np.nan
    assert len(to_points(wire.cloud(kind, points), 1000, 1)[0]) == 50
    points["y"][50] = np.inf
    assert refusal(to_points, wire.cloud(kind, points), 1000, 1).reason == "bad_cloud"


@pytest.mark.parametrize("number", [0, 1, 2, 99])
def test_too_few_points(kind, number):
    points = wire.random_points(np.random.default_rng(2), number)
    assert refusal(to_points, wire.cloud(kind, points), 1000, 100).reason == "too_few_points"


@pytest.mark.parametrize("padding", [0, 13])
def test_large_clouds_are_thinned_evenly(kind, padding):
    points = np.zeros(10_000, wire.CLOUD_DTYPE)
    points["x"] = np.arange(10_000)
    found, _ = to_points(wire.cloud(kind, points, height=10, padding=padding), 3000, 1)
    assert len(found) == 3000
    assert set(np.diff(found[:, 0])) == {3, 4}
    again, _ = to_points(wire.cloud(kind, points, height=10, padding=padding), 3000, 1)
    np.testing.assert_array_equal(found, again)


def test_doubles_beyond_float32_are_not_finite(kind):
    points = np.ones(10, [("x", "<f8"), ("y", "<f8"), ("z", "<f8")])
    points["x"][0] = 1e300
    assert len(to_points(wire.cloud(kind, points), 100, 1)[0]) == 9


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda cloud: setattr(cloud, "point_step", 0), "row_step"),
        (lambda cloud: setattr(cloud, "row_step", 0), "row_step"),
        (lambda cloud: setattr(cloud, "row_step", 2**32 - 1), "ends before"),
        (lambda cloud: setattr(cloud, "height", 2**32 - 1), "ends before"),
        (lambda cloud: setattr(cloud, "data", cloud.data[:-1]), "ends before"),
        (lambda cloud: setattr(cloud, "point_step", 12), "intensity ends behind"),
        (lambda cloud: setattr(cloud.fields[0], "offset", 2**32 - 1), "x ends behind"),
        (lambda cloud: setattr(cloud.fields[1], "datatype", 0), "datatype 0"),
        (lambda cloud: setattr(cloud.fields[1], "datatype", 9), "datatype 9"),
        (lambda cloud: setattr(cloud.fields[2], "count", 0), "count 0"),
        (lambda cloud: setattr(cloud.fields[2], "count", 2**32 - 1), "count"),
        (lambda cloud: setattr(cloud.fields[2], "name", "x"), "no field z"),
        (lambda cloud: setattr(cloud.fields[3], "name", "x"), "2 fields called x"),
        (lambda cloud: cloud.fields.clear(), "no field x"),
    ],
)
def test_headers_of_clouds_that_lie(kind, spoil, word):
    cloud = wire.cloud(kind, wire.random_points(np.random.default_rng(3), 50))
    spoil(cloud)
    problem = refusal(to_points, cloud, 1000, 1)
    assert problem.reason == "bad_cloud" and word in str(problem)


# --- time and memory


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


BOMBS = """
before = peak()
for data in (wire.png_bomb(50_000, 50_000), wire.jpeg_bomb(50_000, 50_000)):
    try:
        compressed_to_pixels(wire.compressed(kind, data)); raise SystemExit("accepted a bomb")
    except BadInput as problem:
        assert "limit" in str(problem), problem
print((peak() - before) / 1e6)
"""
PREAMBLE = """
import resource, sys, time
import numpy as np
sys.path.insert(0, "test/ros")
import wire_messages as wire
from vxp_ros.core.errors import BadInput
from vxp_ros.ros.conversions import *
kind = wire.PlainMessages()
def peak(): return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""


def run_alone(script: str) -> list[float]:
    """Numbers that the script prints. It has its own process, so that the peak of memory is its own."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


def test_five_million_points_cost_less_than_three_times_their_size(record_property):
    message = wire.cloud(wire.PlainMessages(), wire.random_points(np.random.default_rng(0), 5_000_000))
    start = time.process_time()
    points, _ = to_points(message, 300_000, 1000)
    seconds = time.process_time() - start
    tracemalloc.start()
    to_points(message, 300_000, 1000)
    ratio = 1 + tracemalloc.get_traced_memory()[1] / len(message.data)  # the message itself counts as one
    tracemalloc.stop()
    record_property("huge_cloud_peak_ratio", round(ratio, 2))
    record_property("huge_cloud_cpu_s", round(seconds, 3))
    assert points.shape == (300_000, 4) and ratio < 3 and seconds < 1


def test_image_bombs_are_refused_from_their_headers(record_property):
    (megabytes,) = run_alone(BOMBS)
    record_property("bomb_mb", round(megabytes, 1))
    assert megabytes < 100


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
