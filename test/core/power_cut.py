"""What a power cut may leave of a save whose steps were recorded: whatever no flush has made safe may be lost."""

from collections.abc import Iterable
from pathlib import Path

Step = tuple[str, Path]  # operation and path, as fsio.before_step gets them
CONTENTS = ("kept", "dropped", "zeroed", "torn", "missing")  # of files that were not flushed
NAMES = ("kept", "undone", "first undone")  # names changed in the root since its last flush; "first": out of order


def lose(done: list[Step], contents: str, names: str, root: Path, old_target: str) -> None:
    """Do to the map under `root` what may happen when the power is cut after the steps `done`."""
    unwritten, unlisted = unflushed(done)
    for path in filter(Path.exists, unlisted if contents == "missing" else unwritten):
        damage(path, contents)
    changes = changed_names(done, root)
    for operation, path in [] if names == "kept" else changes[::-1] if names == "undone" else changes[:1]:
        path.rename(root / "town.tmp-00000000") if operation == "rename" else point_at(path, old_target)


def unflushed(done: list[Step]) -> tuple[set[Path], set[Path]]:
    """Files whose bytes, and files whose names in their folder, are not on the device yet; under their last path."""
    unwritten, unlisted, folder = set(), set(), Path()
    for operation, path in done:
        if operation == "mkdir":
            folder = path
        elif operation == "open":
            unlisted.add(path)
        elif operation == "write":
            unwritten.add(path)
        elif operation == "fsync":
            unwritten.discard(path)
            unlisted = {file for file in unlisted if file.parent != path}
        elif operation == "rename":  # the files are lost under their new names too
            unwritten, unlisted = moved(unwritten, folder, path), moved(unlisted, folder, path)
    return unwritten, unlisted


def moved(files: Iterable[Path], old: Path, new: Path) -> set[Path]:
    return {new / file.name if file.parent == old else file for file in files}


def changed_names(done: list[Step], root: Path) -> list[Step]:
    """What has been renamed or replaced in the root since it was flushed last, oldest first."""
    flushes = [i for i, step in enumerate(done) if step == ("fsync", root)]
    return [step for step in done[flushes[-1] if flushes else 0 :] if step[0] in ("rename", "replace")]


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how != "kept":
        path.write_bytes({"dropped": b"", "zeroed": bytes(len(data)), "torn": data[: len(data) // 2]}[how])


def point_at(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)
