"""The folder that a layout is written to: made beside its place, renamed when complete, in place of nothing foreign.

Its town.json says what was asked for, so that the same wish is not fulfilled twice. Beside NAME lie, hidden:
`.NAME.lock` (stays), `.NAME.XXXXXXXX.new` while it is made and `.NAME.XXXXXXXX.old` for the moment between the two
renames of a replacement. What a killed run left is put right by the next one.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vxp_ros.core import fsio
from vxp_ros.core.errors import SourceError
from vxp_ros.core.json_file import plain, write_json

MARKER = "town.json"


@contextmanager
def new_folder(out: Path, facts: dict, own_files: str, overwrite: bool) -> Iterator[Path]:
    """A folder to fill; with town.json of `facts` it becomes `out` when the block ends well, and goes when it raises.

    own_files: a regular expression for relative paths of what the layout writes. Raises SourceError when `out` is no
    place for it (see `check_target`) or another process writes there.
    """
    fsio.create_folders(out.parent)
    with only_writer(out), named_errors(out):
        take_back(out)
        check_target(out, own_files, overwrite)
        scratch = hidden(out, "new")
        fsio.create_folder(scratch)
        try:
            yield scratch
            write_json(scratch / MARKER, facts)
            check_target(out, own_files, overwrite)  # writing took its time
            publish(scratch, out)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def make_room(out: Path) -> None:
    """Make the folder that `out` is to lie in, and try to write there. Raises OSError that names what is in the way,
    SourceError when another process writes `out`."""
    fsio.create_folders(out.parent)
    with only_writer(out):
        pass


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Errors of the disk, such as a full one, carry at least this path."""
    try:
        yield
    except OSError as problem:
        problem.filename = problem.filename or str(path)
        raise


def read_marker(out: Path) -> dict | None:
    """What town.json of a finished folder says; None when there is none."""
    try:
        facts = json.loads((out / MARKER).read_text())
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) and facts.get("made_by") == "vxp town" else None


def is_made(out: Path, facts: dict) -> bool:
    """True when `out` is the finished folder of these facts."""
    return read_marker(out) == json.loads(json.dumps(plain(facts)))


def check_target(out: Path, own_files: str, overwrite: bool) -> None:
    """Raise SourceError unless the folder may be written: a new name, an empty folder or, with `overwrite`, a folder
    that `vxp town` made and where nothing was added since."""
    if out.name in ("", ".."):
        raise SourceError(f"{str(out)!r} names no new folder; give it a name of its own")
    if out.is_symlink():
        raise SourceError(f"{out} is a symbolic link; remove it or choose another name")
    if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
        return
    if read_marker(out) is None:
        raise SourceError(f"{out} holds something else than a town and is left alone; choose another name")
    if not overwrite:
        raise SourceError(f"{out} holds another town already; pass --overwrite to replace it, or choose another name")
    strangers = foreign_files(out, own_files)
    if strangers:
        raise SourceError(f"{out} also holds {strangers[0]}, which is not the town's; move it or choose another name")


def foreign_files(out: Path, own_files: str) -> list[str]:
    """Relative paths of what the layout would not have written, links included."""
    own = re.compile(rf"{re.escape(MARKER)}|{own_files}")
    found = [
        Path(folder, name) for folder, folders, files in os.walk(out) for name in [*files, *links(folder, folders)]
    ]
    return sorted(name for path in found if not own.fullmatch(name := path.relative_to(out).as_posix()))


def links(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if os.path.islink(os.path.join(folder, name))]


def publish(new: Path, out: Path) -> None:
    """Give the complete folder its name. Whatever moment this is killed at, the old one or the new one is there or
    comes back at the next start."""
    old = hidden(out, "old")
    has_old = out.exists()
    if has_old:
        fsio.rename_folder(out, old)
    fsio.rename_folder(new, out)
    fsio.sync_folder(out.parent)
    if has_old:
        shutil.rmtree(old)


def take_back(out: Path) -> None:
    """Put right what killed runs left; the caller holds the lock."""
    for old in leftovers(out, "old"):
        if os.path.lexists(out):
            shutil.rmtree(old)
        else:
            fsio.rename_folder(old, out)
    for new in leftovers(out, "new"):
        shutil.rmtree(new)


def hidden(out: Path, kind: str) -> Path:
    return out.parent / f".{out.name}.{secrets.token_hex(4)}.{kind}"


def leftovers(out: Path, kind: str) -> list[Path]:
    pattern = re.compile(rf"\.{re.escape(out.name)}\.[0-9a-f]{{8}}\.{kind}")
    return [out.parent / entry for entry in sorted(os.listdir(out.parent)) if pattern.fullmatch(entry)]


@contextmanager
def only_writer(out: Path) -> Iterator[None]:
    try:
        with fsio.lock(out.parent / f".{out.name}.lock", wait_s=1.0):
            yield
    except fsio.Busy as problem:
        raise SourceError(f"{out} is being written by {problem}; wait for it or choose another name") from None
