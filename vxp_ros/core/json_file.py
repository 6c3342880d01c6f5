"""Results as JSON files: whole or not at all, and only what JSON knows."""

import errno
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any


def check_writable(path: Path) -> None:
    """Say before minutes of work, not after them, that no file can be written here. Makes the folder if needed.

    Raises OSError that names what is in the way.
    """
    path = Path(os.path.realpath(path))  # as write_json does
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a file is to be written here, and this is a folder", str(path))
    if path.exists() and not path.is_file():  # a device, for one, would be replaced
        raise FileExistsError(errno.EEXIST, "a file is to be written here, and this is no plain file", str(path))
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, "no file can be written into this folder", str(path.parent))


def write_json(path: Path, result: dict) -> None:
    """Write `result` as JSON so that a reader sees the old file or the whole new one. Makes the folder if needed.

    Numbers that JSON does not know (NaN, infinity) become null, numpy values plain numbers and lists.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain(result), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".json-")
    try:
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(scratch, 0o644)  # mkstemp makes it private
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise


def plain(value: Any) -> Any:
    """`value` in types that JSON knows."""
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # numpy
        return plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
