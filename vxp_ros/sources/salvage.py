"""What can still be read from a damaged bag file. Slower than the library and without an index: it reads front to back.

MCAP is a sequence of records (opcode, length, content; https://mcap.dev/spec): a damaged chunk is skipped, a damaged
length ends the reading. sqlite3 rows are asked for one by one, so that a damaged page costs only its own rows.
"""

import os
import sqlite3
import struct
from binascii import crc32
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import lz4.frame
from backports import zstd

MAGIC = b"\x89MCAP0\r\n"
SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
# A recorder's chunks hold about 1 MB, or one large message: a longer one is a damaged length or a bomb.
MAX_CHUNK = 1 << 28
# An image of one colour shrinks ten thousand times; larger ones than these are none.
SMALL_CHUNK, MAX_RATIO = 1 << 26, 1000
# sqlite3: how many rows in a row may be missing before the table counts as finished; its own count may be damaged.
MAX_FAILURES = 200
ROW_QUERY = "SELECT topic_id, timestamp, data FROM messages WHERE id = ?"

Row = tuple[str, str, int, bytes]  # topic, type, log time in ns, CDR bytes


def salvage(path: Path, problems: Counter[str]) -> Iterator[Row]:
    """Every message of a .mcap or .db3 file that can still be read; counts "damaged" for each part that cannot."""
    if path.suffix == ".db3":
        yield from salvage_sqlite(path, problems)
        return
    with path.open("rb") as file:
        file.seek(len(MAGIC))
        yield from McapSalvage(problems).read(file, os.fstat(file.fileno()).st_size)


class McapSalvage:
    """Walks the records of one file; learns types and topics on the way."""

    def __init__(self, problems: Counter[str]):
        self.problems = problems
        self._types: dict[int, str] = {}
        self._topics: dict[int, tuple[str, str]] = {}

    def read(self, file: BinaryIO, size: int, is_chunk: bool = False) -> Iterator[Row]:
        """Messages of the records from here to `size`, each chunk's in log-time order. is_chunk: inside of one."""
        while file.tell() < size:
            header = file.read(9)
            opcode, length = struct.unpack("<BQ", header) if len(header) == 9 else (None, 0)
            if opcode == DATA_END:  # after it comes only the index
                return
            is_cut = opcode is None or file.tell() + length > size
            is_nested = is_chunk and opcode == CHUNK
            self.problems["damaged"] += is_cut or is_nested
            if is_nested or (is_cut and opcode != CHUNK):
                return
            content = file.read(min(length, size))
            try:
                rows = self._parse(opcode, content, is_cut)
            except (struct.error, ValueError, RuntimeError, EOFError, zstd.ZstdError, KeyError):
                self.problems["damaged"] += 1
                continue
            yield from rows

    def _parse(self, opcode: int, content: bytes, is_cut: bool) -> list[Row]:
        """The messages in one record; none in a record that only describes. is_cut: a chunk whose end is missing."""
        if opcode == CHUNK:
            chunk = unpack_chunk(content, is_cut)
            return sorted(self.read(BytesIO(chunk), len(chunk), is_chunk=True), key=lambda row: row[2])
        if opcode == SCHEMA:
            self._types[struct.unpack_from("<H", content)[0]] = read_string(content, 2)[0]
        if opcode == CHANNEL:
            number, schema = struct.unpack_from("<HH", content)
            self._topics[number] = (read_string(content, 4)[0], self._types[schema])
        if opcode == MESSAGE:
            number, _, log_ns, _ = struct.unpack_from("<HIQQ", content)
            return [(*self._topics[number], log_ns, content[22:])]
        return []


def unpack_chunk(content: bytes, is_cut: bool) -> bytes:
    """The records inside a chunk, as far as they are there.

    Raises ValueError (or the decompressor's error) when a whole chunk has another size or checksum than it declares.
    """
    _, _, size, checksum = struct.unpack_from("<QQQI", content)
    compression, position = read_string(content, 28)
    packed = content[position + 8 : position + 8 + struct.unpack_from("<Q", content, position)[0]]
    packed = decompress(packed, compression, size)
    if not is_cut and (len(packed) != size or (checksum and crc32(packed) != checksum)):
        raise ValueError("chunk has another size or checksum than it declares")
    return packed


def decompress(packed: bytes, compression: str, size: int) -> bytes:
    """At most the `size` bytes that the chunk declares. Raises ValueError for more than a chunk may have."""
    if size > MAX_CHUNK or size > max(SMALL_CHUNK, MAX_RATIO * len(packed)):
        raise ValueError(f"a chunk of {len(packed)} bytes declares {size}")
    if compression == "zstd":
        return zstd.ZstdDecompressor().decompress(packed, max_length=size)
    if compression == "lz4":
        return lz4.frame.LZ4FrameDecompressor().decompress(packed, max_length=size)
    return packed


def read_string(content: bytes, position: int) -> tuple[str, int]:
    """A length-prefixed string and the position behind it."""
    end = position + 4 + struct.unpack_from("<I", content, position)[0]
    if end > len(content):
        raise ValueError("string exceeds its record")
    return content[position + 4 : end].decode(), end


def salvage_sqlite(path: Path, problems: Counter[str]) -> Iterator[Row]:
    """Rows in the order in which they were recorded."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
        try:
            database.execute("PRAGMA writable_schema = ON")  # else sqlite refuses a file shorter than it once was
            topics = {row[0]: row[1:] for row in database.execute("SELECT id, name, type FROM topics")}
        except sqlite3.DatabaseError:
            problems["damaged"] += 1
            return
        number = failures = 0
        while failures < MAX_FAILURES:
            number += 1
            try:
                row = database.execute(ROW_QUERY, (number,)).fetchone()
            except sqlite3.DatabaseError:
                row = None
                problems["damaged"] += failures == 0  # a run of missing rows is one damaged part
            failures = 0 if row else failures + 1
            if row and row[0] in topics and isinstance(row[1], int) and isinstance(row[2], bytes):
                yield (*topics[row[0]], row[1], row[2])
