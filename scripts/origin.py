"""Where a result comes from: the head of every result file."""

import os
import platform
import subprocess
import time
from pathlib import Path

CODE = ("vxp_ros", "vxp_training", "test", "scripts", "config", "launch", "msg", "srv", "weights", "requirements")


def origin_of(root: Path) -> dict[str, str]:
    """Date, commit of the code in `root`, Python and machine of this moment."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit(root),
        "python": platform.python_version(),
        "machine": machine(),
    }


def commit(root: Path) -> str:
    """Short hash of the code under test, with "+" when it has changes that are not committed; "" without git."""
    try:
        names = git(root, "rev-parse", "--short=9", "HEAD")
        return names + ("+" if git(root, "status", "--porcelain", "--", *CODE) else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> str:
    """What the numbers depend on, without names."""
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{platform.system()} {kernel}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores"
