"""Closures wait until others agree with them, and are withdrawn when more speak against them than for them."""

from dataclasses import replace

from .config import LoopSettings
from .datatypes import LoopClosure
from .odometry_path import OdometryPath


class Consensus:
    """Holds the closures of the last stretch of the path, waiting and published ones. last: the published one with the
    newest keyframe, however long ago that was."""

    def __init__(self, path: OdometryPath, settings: LoopSettings):
        self._path = path
        self.settings = settings
        self._known: list[LoopClosure] = []
        self._published: set[tuple[int, int]] = set()
        self.last: LoopClosure | None = None

    def add(self, closure: LoopClosure) -> list[LoopClosure]:
        """Take in a verified closure; returns what is now to be published, and retractions of what was."""
        self._forget(closure)
        self._known.append(closure)
        changes = self._judge_all()
        withdrawn = gone = {key(change) for change in changes if change.is_retracted}
        while gone:  # they speak against nobody any more
            self._known = [entry for entry in self._known if key(entry) not in gone]
            more = self._judge_all()
            gone = {key(change) for change in more if change.is_retracted}
            changes, withdrawn = changes + more, withdrawn | gone
        self._remember_last(withdrawn)
        return changes

    def _remember_last(self, withdrawn: set[tuple[int, int]]) -> None:
        published = [entry for entry in self._known if key(entry) in self._published]
        if self.last is not None and key(self.last) not in withdrawn:
            published.append(self.last)
        self.last = max(published, key=lambda entry: entry.to_id, default=None)

    def _judge_all(self) -> list[LoopClosure]:
        return [change for entry in self._known for change in self._judge(entry)]

    def _forget(self, closure: LoopClosure) -> None:
        """What lies so far back that it can neither support nor contradict the new closure stays as it is."""
        newest = self._path.metres(closure.to_id)
        is_near = lambda entry: newest - self._path.metres(entry.to_id) <= self.settings.window  # noqa: E731
        self._known = [entry for entry in self._known if is_near(entry)]
        self._published &= {key(entry) for entry in self._known}

    def _judge(self, closure: LoopClosure) -> list[LoopClosure]:
        opinions = [
            self._path.agree(closure, other, self.settings) for other in self._known if key(other) != key(closure)
        ]
        support, contradiction = opinions.count(True), opinions.count(False)
        if key(closure) in self._published and contradiction > support:
            self._published.remove(key(closure))
            return [replace(closure, is_retracted=True)]
        is_new = key(closure) not in self._published
        is_undisputed = contradiction == 0 or support > contradiction
        if is_new and support + 1 >= self.settings.min_agreeing and is_undisputed:
            self._published.add(key(closure))
            return [closure]
        return []


def key(closure: LoopClosure) -> tuple[int, int]:
    return closure.from_id, closure.to_id
