"""What every source of recorded sensor data offers: frames in the order of time, and an account of what was skipped."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from ..core.datatypes import Frame
from ..core.errors import BadInput

Key = TypeVar("Key")


class Source(Protocol):
    """name: short, for file names and tables. description: one line for people.

    problems: what was skipped while iterating, counted by reason; empty after a clean run. Sources that know their
    number of frames beforehand also have `__len__`.
    """

    name: str
    description: str
    problems: Counter[str]

    def __iter__(self) -> Iterator[Frame]: ...


def usable_frames(read: Callable[[Key], Frame], keys: Iterable[Key], problems: Counter[str]) -> Iterator[Frame]:
    """read(key) for each key. Frames for which it raises BadInput are skipped and counted in `problems`, which starts
    anew."""
    problems.clear()
    for key in keys:
        try:
            frame = read(key)
        except BadInput as problem:
            problems[problem.reason] += 1
        else:
            yield frame
