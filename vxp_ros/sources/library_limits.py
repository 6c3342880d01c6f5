"""Limits that the rosbags library lacks: what a few bytes of a stranger's bag may grow to. Importing this sets them."""

import stat
from pathlib import Path

from backports import zstd
from rosbags.rosbag2 import reader, storage_mcap, storage_sqlite3
from rosbags.rosbag2.metadata import parse_qos

from ..core.errors import SourceError
from ..core.plain_file import read_plain_file
from ..core.yaml_file import FAST_LOADER, structure_fault
from .bag_folder import METADATA
from .salvage import decompress

MAX_METADATA = 4 << 20  # bytes of a metadata.yaml
MAX_MESSAGE = 1 << 28  # bytes of one that was compressed by itself
MAX_EVENTS, MAX_DEPTH = 40_000, 20  # of its keys, values and brackets; a bag of a thousand files has 15,000


def check_files(path: Path) -> None:
    """Raise SourceError for a pipe or a device among a bag's files: the library would wait for its end."""
    for entry in path.iterdir() if path.is_dir() else [path]:
        if entry.exists() and stat.S_IFMT(entry.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise SourceError(f"bag {path}: {entry.name} is no plain file")


def check_metadata(path: Path) -> None:
    """Raises SourceError for a metadata.yaml that would keep the library's parser busy; path: of the bag."""
    if path.is_dir():
        check_yaml(read_plain_file(path / METADATA, MAX_METADATA), METADATA)


def check_yaml(text: bytes, what: str) -> None:
    if fault := structure_fault(text, MAX_EVENTS, MAX_DEPTH, FAST_LOADER):
        raise SourceError(f"{what} {fault}")


def limited_qos(profiles: list | str) -> list:
    """The library's `parse_qos` for texts that a recorder may have written."""
    if isinstance(profiles, str):
        check_yaml(profiles.encode(), "a quality of service")
    return parse_qos(profiles)


class LimitedZstd:
    """What the library's reader uses of the module, for bags whose messages are compressed one by one."""

    open = staticmethod(zstd.open)

    @staticmethod
    def decompress(packed: bytes) -> bytes:
        data = zstd.ZstdDecompressor().decompress(packed, max_length=MAX_MESSAGE + 1)
        if len(data) > MAX_MESSAGE:
            raise ValueError("a message grows too large")
        return data


for name in ("zstd", "lz4"):  # the library's own make as much as a chunk holds, whatever it declares
    storage_mcap.DECOMPRESSORS[name] = lambda packed, size, kind=name: decompress(packed, kind, size)
storage_mcap.parse_qos = storage_sqlite3.parse_qos = reader.parse_qos = limited_qos
reader.zstd = LimitedZstd
