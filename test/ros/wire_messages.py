"""Sensor messages for tests in two flavours with one interface: rclpy's own classes, and plain objects as a bag library
makes them. Every value stays within what the wire format can carry, as a deserialised message does.
"""

import array
import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from vxp_ros.core.errors import BadInput

# One colour per quarter of the picture; OpenCV's interpolation is exact away from the borders.
RED, GREEN, BLUE, GREY = (200, 20, 30), (10, 180, 60), (30, 40, 220), (128, 128, 128)
CLOUD_DTYPE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4")])
DATATYPES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}


class PlainMessages:
    """Objects with the fields of the messages; data as bytes."""

    name = "plain"

    def make(self, kind: str, **fields):
        return SimpleNamespace(**fields)

    def blob(self, data: bytes):
        return bytes(data)


class RclpyMessages:
    """rclpy's classes; data as array.array, as it is received."""

    name = "rclpy"

    def __init__(self):
        import sensor_msgs.msg

        self._classes = sensor_msgs.msg

    def make(self, kind: str, **fields):
        return getattr(self._classes, kind)(**fields)

    def blob(self, data: bytes):
        return array.array("B", bytes(data))


FLAVOURS = ["plain", pytest.param("rclpy", marks=pytest.mark.ros)]


def flavour(name: str):
    if name == "rclpy":
        pytest.importorskip("rclpy")
        return RclpyMessages()
    return PlainMessages()


def image(kind, pixels: np.ndarray, encoding: str, padding: int = 0, is_bigendian: bool = False):
    """pixels: [H, W] or [H, W, C] as they shall lie in memory; padding: bytes after each row."""
    rows = pixels.astype(pixels.dtype.newbyteorder(">" if is_bigendian else "<")).reshape(len(pixels), -1)
    rows = np.pad(rows.view(np.uint8), ((0, 0), (0, padding)), constant_values=170)
    height, width = pixels.shape[:2]
    return kind.make("Image", height=height, width=width, encoding=encoding, is_bigendian=int(is_bigendian),
                     step=rows.shape[1], data=kind.blob(rows.tobytes()))  # fmt: skip


def compressed(kind, data: bytes, format: str = ""):
    return kind.make("CompressedImage", format=format, data=kind.blob(data))


def encode(pixels: np.ndarray, suffix: str) -> bytes:
    done, data = cv2.imencode(suffix, pixels)
    assert done
    return data.tobytes()


def png_bomb(width: int, height: int) -> bytes:
    """A few bytes of PNG that promise a huge picture; every checksum is right."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def jpeg_bomb(width: int, height: int) -> bytes:
    """A small JPEG whose frame header promises a huge picture."""
    data = bytearray(encode(np.zeros((16, 16, 3), np.uint8), ".jpg"))
    position = data.index(b"\xff\xc0")
    data[position + 5 : position + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def camera_info(kind, **changes):
    """A good calibration, with changes by field name; roi as (x, y, width, height)."""
    roi = changes.pop("roi", (0, 0, 0, 0))
    names = ("x_offset", "y_offset", "width", "height")
    fields = {
        "width": 640, "height": 480, "distortion_model": "plumb_bob", "d": [0.1, -0.2, 0.001, 0.002, 0.0],
        "k": [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0], "binning_x": 0, "binning_y": 0,
        "roi": kind.make("RegionOfInterest", **dict(zip(names, roi, strict=True))), **changes,
    }  # fmt: skip
    fields["k"] = np.array(fields["k"], dtype=np.float64)
    fields["d"] = array.array("d", fields["d"])
    return kind.make("CameraInfo", **fields)


def cloud(kind, points: np.ndarray, height: int = 1, padding: int = 0, is_bigendian: bool = False):
    """points: [N] structured, N a multiple of height; padding: bytes after each row."""
    rows = points.reshape(height, -1)
    width, step = rows.shape[1], points.dtype.itemsize
    data = np.pad(rows.view(np.uint8).reshape(height, width * step), ((0, 0), (0, padding)), constant_values=170)
    fields = [
        kind.make("PointField", name=name, offset=offset, datatype=DATATYPES[dtype.str[1:]], count=1)
        for name, (dtype, offset) in points.dtype.fields.items()
    ]
    return kind.make(
        "PointCloud2",
        height=height,
        width=width,
        fields=fields,
        is_bigendian=is_bigendian,
        point_step=step,
        row_step=width * step + padding,
        data=kind.blob(data.tobytes()),
    )


def random_points(rng: np.random.Generator, number: int) -> np.ndarray:
    """[N] in the usual layout."""
    points = np.empty(number, CLOUD_DTYPE)
    for name in CLOUD_DTYPE.names:
        points[name] = rng.uniform(-50, 50, number)
    return points


def as_columns(points: np.ndarray) -> np.ndarray:
    """[N, 4] float32 of the usual layout."""
    return points.view(np.float32).reshape(-1, 4)


def quarters(pixels: np.ndarray) -> np.ndarray:
    """[4, 3] colour in the middle of each quarter."""
    return pixels[[16, 16, 48, 48], [24, 72, 24, 72]].astype(int)


def refusal(call, *arguments) -> BadInput:
    """What `call` refuses its arguments with."""
    with pytest.raises(BadInput) as caught:
        call(*arguments)
    return caught.value
