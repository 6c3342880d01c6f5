"""Raw images to arrays: known colours, lying headers, unusual sizes."""

import numpy as np
import pytest
import wire_messages as wire
from wire_messages import BLUE, GREEN, GREY, RED, quarters, refusal

from vxp_ros.ros.conversions import to_pixels


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
