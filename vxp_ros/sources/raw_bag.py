"""A rosbag2 (mcap or sqlite3) as serialised messages in log-time order, for replay and for reading.

Bags come from crashed recorders and full disks: when the library gives up on a file, what can still be read is salvaged
and the damage is counted in `problems`.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from rosbags.interfaces import QosDurability, QosHistory, QosReliability
from rosbags.rosbag2 import Reader

from ..core.errors import SourceError
from .bag_folder import METADATA, STORAGE_SUFFIXES, restore
from .library_limits import check_files, check_metadata
from .salvage import salvage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Qos:
    """What the recorded publishers of a topic offered, taken together."""

    is_reliable: bool = True
    is_transient_local: bool = False
    keeps_all: bool = False
    depth: int = 10


@dataclass(frozen=True)
class Topic:
    """type: e.g. "sensor_msgs/msg/Image". count: messages as far as the bag's index says."""

    name: str
    type: str
    count: int
    qos: Qos = Qos()


class RawMessage(NamedTuple):
    """data: CDR bytes with their 4-byte encapsulation header. log_ns: when the recorder received it."""

    topic: str
    type: str
    log_ns: int
    data: bytes


class RawBag:
    """One bag: a folder with metadata.yaml, or a single .mcap or .db3 file.

    problems counts "damaged" for each part that could not be read. Raises SourceError when there is no bag at `path`.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self.problems: Counter[str] = Counter()
        restore(self.path)
        check_path(self.path)
        check_files(self.path)
        self._reader = self._open()
        if self._reader:
            self.topics = topics_of(self._reader)
            is_empty = self._reader.message_count == 0
            self.start_ns, self.end_ns = (0, 0) if is_empty else (self._reader.start_time, self._reader.end_time)
        else:
            self.topics, self.start_ns, self.end_ns = self._survey()

    def __enter__(self) -> "RawBag":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        if self._reader and self._reader.is_open:
            self._reader.close()

    @property
    def files(self) -> list[Path]:
        """The storage files, in recorded order as far as their names tell."""
        if self.path.is_file():
            return [self.path]
        files = [path for path in self.path.iterdir() if path.suffix in STORAGE_SUFFIXES]
        return sorted(files, key=lambda path: (len(path.name), path.name))  # ..._9 before ..._10

    def messages(self, topics: Collection[str] | None = None) -> Iterator[RawMessage]:
        """Messages of these topics (None: of all) in log-time order. Damaged parts are skipped and counted."""
        wanted = set(self.topics if topics is None else topics) & set(self.topics)
        last_ns: dict[str, int] = {}
        if not wanted:
            return
        if self._reader:
            try:
                for message in self._read(wanted):
                    last_ns[message.topic] = message.log_ns
                    yield message
                return
            except Exception as problem:  # the library's parsers raise whatever damaged bytes lead to
                self._damaged(problem)
        for message in self._salvage():
            if message.topic in wanted and message.log_ns > last_ns.get(message.topic, -1):
                yield message

    def _open(self) -> Reader | None:
        """The library's reader, or None when the files are too damaged for it."""
        try:
            check_metadata(self.path)
            reader = Reader(self.path)
            reader.open()
            return reader
        except Exception as problem:  # as above
            self._damaged(problem)
            return None

    def _read(self, wanted: set[str]) -> Iterator[RawMessage]:
        connections = [connection for connection in self._reader.connections if connection.topic in wanted]
        for connection, log_ns, data in self._reader.messages(connections):
            yield RawMessage(connection.topic, connection.msgtype, log_ns, data)

    def _salvage(self) -> Iterator[RawMessage]:
        for path in self.files:
            for row in salvage(path, self.problems):
                yield RawMessage(*row)

    def _survey(self) -> tuple[dict[str, Topic], int, int]:
        """Topics and time span of a bag whose index is lost, by reading all of it."""
        counts: Counter[tuple[str, str]] = Counter()
        stamps = []
        for message in self._salvage():
            counts[message.topic, message.type] += 1
            stamps.append(message.log_ns)
        self.problems = Counter({"damaged": 1})  # the survey is not a reading: count its finds when they are read
        if not counts:
            raise SourceError(f"bag {self.path} is damaged: no message in it can be read")
        topics = {name: Topic(name, kind, count) for (name, kind), count in counts.items()}
        return topics, min(stamps), max(stamps) + 1

    def _damaged(self, problem: Exception) -> None:
        self.problems["damaged"] += 1
        warn_of_damage(self.path, " ".join(str(problem).split()))


@lru_cache(maxsize=1000)
def warn_of_damage(path: Path, reason: str) -> None:
    """Once for each reason: a command opens the same bag several times."""
    logger.warning("bag %s is damaged (%s); reading what is left of it", path, reason)


def check_path(path: Path) -> None:
    """Raise SourceError unless there is a bag."""
    if not path.exists():
        raise SourceError(f"bag {path} does not exist")
    if path.is_dir() and not (path / METADATA).exists():
        files = [entry.name for entry in path.iterdir() if entry.suffix in STORAGE_SUFFIXES]
        hint = f"name the file itself ({files[0]}) or run ros2 bag reindex" if files else "it holds no bag"
        raise SourceError(f"{path / METADATA} is missing: {hint}")
    if not path.is_dir() and path.suffix not in STORAGE_SUFFIXES:
        raise SourceError(f"{path} is no bag: expected a folder with metadata.yaml, a .mcap or a .db3 file")


def topics_of(reader: Reader) -> dict[str, Topic]:
    topics = {}
    for name, info in reader.topics.items():
        offered = [profile for connection in info.connections for profile in connection.ext.offered_qos_profiles]
        topics[name] = Topic(name, info.msgtype or info.connections[0].msgtype, info.msgcount, combine_qos(offered))
    return topics


def combine_qos(profiles: list) -> Qos:
    """The strongest of several offers: every subscriber that heard one of the publishers hears the combination."""
    if not profiles:
        return Qos()
    return Qos(
        is_reliable=any(profile.reliability is not QosReliability.BEST_EFFORT for profile in profiles),
        is_transient_local=any(profile.durability is QosDurability.TRANSIENT_LOCAL for profile in profiles),
        keeps_all=any(profile.history is QosHistory.KEEP_ALL for profile in profiles),
        depth=max(profile.depth for profile in profiles) or 10,
    )
