"""Compressed images to arrays: known colours, damaged files, and bombs refused before they cost memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import wire_messages as wire
from wire_messages import BLUE, GREEN, GREY, RED, quarters, refusal

from vxp_ros.ros.conversions import compressed_to_pixels

ROOT = Path(__file__).parents[2]


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


def test_image_bombs_are_refused_from_their_headers(record_property):
    (megabytes,) = run_alone(BOMBS)
    record_property("bomb_mb", round(megabytes, 1))
    assert megabytes < 100
