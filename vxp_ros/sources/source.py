"""What every source of recorded sensor data offers: frames in the order of time, and an account of what was skipped."""

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from ..core.datatypes import Frame


class Source(Protocol):
    """name: short, for file names and tables. description: one line for people.

    problems: what was skipped while iterating, counted by reason; empty after a clean run. Sources that know their
    number of frames beforehand also have `__len__`.
    """

    name: str
    description: str
    problems: Counter[str]

    def __iter__(self) -> Iterator[Frame]: ...
