"""Image and CompressedImage messages to RGB pixels. Duck-typed: takes rclpy and rosbags messages, imports no ROS.

Everything a header declares is checked against the bytes that are there before a view is made, so that a hostile or
broken message costs one `BadInput` and no memory.
"""

import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from ..core.errors import BadInput

MAX_PIXELS = 64_000_000
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8"
# Start-of-frame markers carry the size: C0-CF without DHT (C4), JPG (C8) and DAC (CC).
JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_SCAN, JPEG_END = 0xDA, 0xD9
# Markers without a length field: TEM, RSTn, SOI.
JPEG_BARE_MARKERS = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})


@dataclass(frozen=True)
class Layout:
    """How one encoding stores a pixel. to_rgb: OpenCV conversion code, None when the bytes are RGB already.

    pattern: pixels per repeating tile in either direction (2 for mosaics), which width and height must be made of.
    planes: rows of the buffer per two image rows (3 for NV12: half a row of colour for each row of grey).
    """

    channels: int
    bits: int
    to_rgb: int | None
    pattern: tuple[int, int] = (1, 1)
    planes: int = 2


# OpenCV's plain Bayer names start at the second row and column; these newer ones at the first pixel, as ROS does.
BAYER = {
    "rggb": cv2.COLOR_BayerRGGB2RGB,
    "bggr": cv2.COLOR_BayerBGGR2RGB,
    "gbrg": cv2.COLOR_BayerGBRG2RGB,
    "grbg": cv2.COLOR_BayerGRBG2RGB,
}
LAYOUTS = {
    "rgb8": Layout(3, 8, None),
    "bgr8": Layout(3, 8, cv2.COLOR_BGR2RGB),
    "8UC3": Layout(3, 8, cv2.COLOR_BGR2RGB),  # OpenCV's own order, as cv_bridge reads it
    "rgba8": Layout(4, 8, cv2.COLOR_RGBA2RGB),
    "bgra8": Layout(4, 8, cv2.COLOR_BGRA2RGB),
    "rgb16": Layout(3, 16, None),
    "bgr16": Layout(3, 16, cv2.COLOR_BGR2RGB),
    "mono8": Layout(1, 8, cv2.COLOR_GRAY2RGB),
    "8UC1": Layout(1, 8, cv2.COLOR_GRAY2RGB),
    "mono16": Layout(1, 16, cv2.COLOR_GRAY2RGB),
    "16UC1": Layout(1, 16, cv2.COLOR_GRAY2RGB),
    **{f"bayer_{name}8": Layout(1, 8, code, (2, 2)) for name, code in BAYER.items()},
    **{f"bayer_{name}16": Layout(1, 16, code, (2, 2)) for name, code in BAYER.items()},
    "yuv422": Layout(2, 8, cv2.COLOR_YUV2RGB_UYVY, (2, 1)),
    "uyvy": Layout(2, 8, cv2.COLOR_YUV2RGB_UYVY, (2, 1)),
    "yuv422_yuy2": Layout(2, 8, cv2.COLOR_YUV2RGB_YUY2, (2, 1)),
    "yuyv": Layout(2, 8, cv2.COLOR_YUV2RGB_YUY2, (2, 1)),
    "nv12": Layout(1, 8, cv2.COLOR_YUV2RGB_NV12, (2, 2), planes=3),
    "nv21": Layout(1, 8, cv2.COLOR_YUV2RGB_NV21, (2, 2), planes=3),
}


def to_pixels(msg, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """sensor_msgs/Image -> [H, W, 3] uint8 RGB. rgb8 gives a read-only view of the message, everything else a copy.

    Full-range 16 bit (mono16, rgb16, bayer_*16) keeps its upper byte. 16UC1 says nothing about its range (thermal
    counts, 12-bit sensors), so it is stretched from the image's 1st to its 99th percentile. Encodings that are not in
    LAYOUTS go through cv_bridge where that is installed. Raises BadInput "bad_image" or "bad_encoding".
    """
    check_size(msg.width, msg.height, max_pixels)
    layout = LAYOUTS.get(msg.encoding)
    if layout is None:
        return with_cv_bridge(msg)
    stored = view_rows(msg, layout)
    if layout.bits == 16:
        stored = np.ascontiguousarray(stored, np.uint16)  # native byte order, and no odd step, which OpenCV refuses
    if layout.to_rgb is None and layout.bits == 8:
        stored.flags.writeable = False
        return stored
    if msg.encoding == "16UC1":
        stored = stretch(stored)
    return keep_upper_byte(stored if layout.to_rgb is None else cv2.cvtColor(stored, layout.to_rgb))


def compressed_to_pixels(msg, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """sensor_msgs/CompressedImage (JPEG or PNG) -> [H, W, 3] uint8 RGB; 16-bit PNG as in `to_pixels`.

    The size is read from the file's header first: an image bomb costs nothing. Truncated files are refused, which some
    decoders would fill up with grey. Raises BadInput "bad_image" or "bad_encoding".
    """
    data = np.frombuffer(msg.data, np.uint8)
    width, height = compressed_size(memoryview(data))
    check_size(width, height, max_pixels)
    try:
        stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as problem:
        raise BadInput("bad_image", f"compressed image cannot be decoded: {problem}") from problem
    if stored is None or stored.shape[:2] != (height, width) or stored.dtype not in (np.uint8, np.uint16):
        raise BadInput("bad_image", f"compressed image of {width} x {height} pixels is damaged: it cannot be decoded")
    if stored.dtype == np.uint16 and msg.format.startswith("16UC1"):
        stored = stretch(stored)
    stored = keep_upper_byte(stored)
    if stored.ndim == 2:
        return cv2.cvtColor(stored, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(stored, cv2.COLOR_BGRA2RGB if stored.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise BadInput("bad_image", f"image of {width} x {height} pixels is empty")
    if width * height > max_pixels:
        raise BadInput("bad_image", f"image of {width} x {height} pixels exceeds the limit of {max_pixels} pixels")


def view_rows(msg, layout: Layout) -> np.ndarray:
    """The message's pixels in place, padding cut off: [H, W] or [H, W, C], in the byte order of the message."""
    pixel_bytes = layout.channels * layout.bits // 8
    if msg.width % layout.pattern[0] or msg.height % layout.pattern[1]:
        raise BadInput("bad_image", f"{msg.encoding} image of {msg.width} x {msg.height} pixels is cut inside a tile")
    if msg.step < msg.width * pixel_bytes:
        raise BadInput(
            "bad_image", f"image step of {msg.step} bytes is less than {msg.width} pixels of {pixel_bytes} bytes"
        )
    rows = msg.height * layout.planes // 2
    if rows * msg.step > len(msg.data):
        raise BadInput("bad_image", f"image data of {len(msg.data)} bytes ends before {rows} rows of {msg.step} bytes")
    dtype = np.dtype(np.uint8 if layout.bits == 8 else (">u2" if msg.is_bigendian else "<u2"))
    shape, strides = (rows, msg.width), (msg.step, pixel_bytes)
    if layout.channels > 1:
        shape, strides = (*shape, layout.channels), (*strides, dtype.itemsize)
    return np.ndarray(shape, dtype, buffer=msg.data, strides=strides)


def with_cv_bridge(msg) -> np.ndarray:
    """An encoding that is not ours, through cv_bridge. Raises BadInput "bad_encoding" where that is not installed."""
    refused = f"image encoding {msg.encoding[:40]!r} is not supported; use one of {', '.join(LAYOUTS)}"
    try:
        from cv_bridge import CvBridge
    except ImportError as missing:
        raise BadInput("bad_encoding", refused) from missing
    try:
        pixels = CvBridge().imgmsg_to_cv2(msg, "rgb8")
    except Exception as problem:  # cv_bridge raises its own, OpenCV's and numpy's errors on bad images
        raise BadInput("bad_encoding", f"{refused} (cv_bridge: {problem})") from problem
    if pixels.dtype != np.uint8 or pixels.shape != (msg.height, msg.width, 3):
        raise BadInput("bad_encoding", refused)
    return pixels


def keep_upper_byte(pixels: np.ndarray) -> np.ndarray:
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def stretch(values: np.ndarray) -> np.ndarray:
    """uint16 of unknown range -> uint8, its 1st to 99th percentile over the full range; a flat image gives zeros."""
    low, high = np.percentile(values[::4, ::4], [1, 99])
    scale = 255.0 / max(high - low, 1.0)
    return np.clip((values.astype(np.float32) - low) * scale, 0, 255).astype(np.uint8)


def compressed_size(data: memoryview) -> tuple[int, int]:
    """(width, height) that a complete PNG or JPEG file declares. Raises BadInput."""
    if bytes(data[:8]) == PNG_MAGIC:
        return png_size(data)
    if bytes(data[:2]) == JPEG_MAGIC:
        return jpeg_size(data)
    raise BadInput("bad_encoding", f"compressed image of {len(data)} bytes is neither JPEG nor PNG")


def png_size(data: memoryview) -> tuple[int, int]:
    """Walk the chunks and verify their checksums: libpng would decode a damaged file with a warning."""
    size, position = None, len(PNG_MAGIC)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        if struct.unpack_from(">I", data, end - 4)[0] != zlib.crc32(data[position + 4 : end - 4]):
            raise BadInput("bad_image", f"PNG image is damaged: wrong checksum of chunk {kind!r}")
        if kind == b"IHDR" and length == 13:
            size = struct.unpack_from(">II", data, position + 8)
        if kind == b"IEND" and size is not None:
            return size
        position = end
    raise BadInput("bad_image", f"PNG image is truncated after {len(data)} bytes")


def jpeg_size(data: memoryview) -> tuple[int, int]:
    """Walk the markers up to the first scan; inside scans 0xFF is always escaped, so an end marker is a real one."""
    size, position = None, len(JPEG_MAGIC)
    while position + 4 <= len(data):
        marker = data[position + 1]
        if data[position] != 0xFF:
            raise BadInput("bad_image", f"JPEG image is damaged at byte {position}: a marker was expected")
        if marker == 0xFF or marker in JPEG_BARE_MARKERS:  # 0xFF may be repeated before a marker
            position += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack_from(">H", data, position + 2)[0]
        if marker in JPEG_FRAME_MARKERS and length >= 8 and position + 9 <= len(data):
            size = struct.unpack_from(">HH", data, position + 5)[::-1]
        if marker == JPEG_SCAN and size is not None and bytes(data[position:]).find(b"\xff\xd9") >= 0:
            return size
        if marker in (JPEG_SCAN, JPEG_END) or length < 2:
            break
        position += 2 + length
    raise BadInput("bad_image", f"JPEG image is truncated or damaged: no complete picture in {len(data)} bytes")
