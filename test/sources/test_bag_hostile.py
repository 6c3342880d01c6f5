"""Bags made by somebody who means harm: refused, or what is left of them read, without much time or memory."""

import os
import resource
import struct
import time

import pytest
from backports import zstd

from vxp_ros.core.errors import SourceError
from vxp_ros.sources.raw_bag import RawBag

MEGABYTES, SECONDS = 200, 2.0
MAGIC = b"\x89MCAP0\r\n"


def text(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def chunk(packed: bytes, declared: int) -> bytes:
    head = struct.pack("<QQQI", 1, 2, declared, 0) + text(b"zstd")
    return record(6, head + struct.pack("<Q", len(packed)) + packed)


def description(qos: bytes = b"") -> bytes:
    schema = struct.pack("<H", 1) + text(b"std_msgs/msg/String") + text(b"ros2msg") + text(b"string data")
    extra = text(b"offered_qos_profiles") + text(qos) if qos else b""
    return record(3, schema) + record(4, struct.pack("<HH", 1, 1) + text(b"/x") + text(b"cdr") + text(extra))


def message() -> bytes:
    return record(5, struct.pack("<HIQQ", 1, 0, 7, 7) + b"\0\1\0\0" + text(b"\0"))


def mcap(*records: bytes) -> bytes:
    end = record(15, struct.pack("<I", 0)) + record(2, struct.pack("<QQI", 0, 0, 0))
    return MAGIC + record(1, text(b"ros2") + text(b"x")) + b"".join(records) + end + MAGIC


def zeros(size: int) -> bytes:
    packer = zstd.ZstdCompressor(level=3)
    return b"".join(packer.compress(bytes(1 << 24)) for _ in range(size >> 24)) + packer.flush()


def bombs() -> dict[str, bytes]:
    """Name of the trick -> a file of one message beside something that grows."""
    good, packed = [description(), message()], zeros(2 << 30)
    nested = zstd.compress(chunk(packed, 1 << 24) * 20)
    return {
        "2 GiB, declared": mcap(*good, chunk(packed, 2 << 30)),
        "2 GiB, declared as 1 MiB": mcap(*good, chunk(packed, 1 << 20)),
        "2 GiB in chunks of 256 MiB": mcap(*good, *[chunk(zeros(1 << 28), 1 << 28)] * 8),
        "chunks in a chunk": mcap(*good, chunk(nested, len(zstd.decompress(nested)))),
        "deep quality of service": mcap(description(b"[" * 30_000), message()),
    }


def cost(act) -> tuple[float, float]:
    before, start = peak_mb(), time.process_time()
    act()
    return time.process_time() - start, peak_mb() - before


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_what_grows_is_left_out_and_the_rest_is_read(tmp_path, record_property):
    path, worst = tmp_path / "bag.mcap", [0.0, 0.0]
    for trick, data in bombs().items():
        path.write_bytes(data)
        found = []

        def read(found=found):
            with RawBag(path) as bag:
                found += [*bag.messages()]
                found.append(bag.problems["damaged"])

        seconds, megabytes = cost(read)
        assert [entry.topic for entry in found[:-1]] == ["/x"] and found[-1] > 0, trick
        assert seconds < SECONDS and megabytes < MEGABYTES, f"{trick}: {seconds:.1f} s, {megabytes:.0f} MB"
        worst = [max(worst[0], seconds), max(worst[1], megabytes)]
    record_property("bombs", len(bombs()))
    record_property("slowest ms", round(1000 * worst[0]))
    record_property("most memory MB", round(worst[1]))


@pytest.mark.parametrize(
    "metadata",
    [b"[" * 30_000, b"- " * 30_000, b"{a: " * 30_000, b"a: " + b"9" * 60_000, b"&a [*a]", b"k: 1\n" * 100_000,
     b"#" * (5 << 20), b"rosbag2_bagfile_information: [1]", b"\xff\xfe"],
    ids=["brackets", "dashes", "braces", "number", "alias", "keys", "large", "list", "no UTF-8"],
)  # fmt: skip
def test_metadata_that_keeps_a_parser_busy_is_not_read(tmp_path, metadata):
    (tmp_path / "metadata.yaml").write_bytes(metadata)
    (tmp_path / "bag.mcap").write_bytes(mcap(description(), message()))
    seconds, megabytes = cost(lambda: len(RawBag(tmp_path).topics) == 1 or pytest.fail("no topic"))
    assert seconds < SECONDS and megabytes < MEGABYTES, (seconds, megabytes)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["metadata.yaml", "bag.mcap", "other.db3"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices_are_refused(tmp_path, name, kind):
    (tmp_path / "metadata.yaml").write_bytes(b"")
    path = tmp_path / name
    path.unlink(missing_ok=True)
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(SourceError, match=f"{name} is no plain file"):
        RawBag(tmp_path)
    if name != "metadata.yaml":
        with pytest.raises(SourceError, match=f"{name} is no plain file"):
            RawBag(path)
