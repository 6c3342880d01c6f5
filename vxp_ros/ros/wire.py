"""Serialized messages (CDR): their stamp without decoding the rest, and decoding that fails with a sentence."""

import struct
from typing import Any, NamedTuple

from rclpy.serialization import deserialize_message

from ..core.errors import BadInput
from .conversions import stamp_to_ns

# Encapsulation header (4 bytes), then the first field of every sensor message: header.stamp, int32 sec, uint32 nanosec.
SHORTEST = 12


class Stamp(NamedTuple):
    sec: int
    nanosec: int


def stamp_of(data: bytes) -> int:
    """Nanoseconds of header.stamp. Raises BadInput "bad_message" (too short) or "bad_stamp" (zero, negative ...)."""
    if len(data) < SHORTEST:
        raise BadInput("bad_message", f"a message of {len(data)} bytes holds no header")
    is_little_endian = data[1] & 1
    return stamp_to_ns(Stamp(*struct.unpack_from("<iI" if is_little_endian else ">iI", data, 4)))


def decode(data: Any, message_type: type) -> Any:
    """The message that `data` (bytes, or a message already) holds. Raises BadInput "bad_message"."""
    if not isinstance(data, bytes):
        return data
    try:
        return deserialize_message(data, message_type)
    except Exception as problem:  # the decoders of the middlewares raise what they like
        raise BadInput("bad_message", f"a {message_type.__name__} that cannot be decoded: {problem}") from problem
