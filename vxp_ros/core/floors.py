"""The oldest releases of packages that read files, and that may be used: older ones have known holes."""

import re
from typing import NamedTuple


class Floor(NamedTuple):
    """distribution: what pip calls it. version: the oldest. reason: what older ones do."""

    distribution: str
    version: str
    reason: str


FLOORS = {
    "torch": Floor("torch", "2.10", "let weights files run code or overwrite memory (CVE-2025-32434, CVE-2026-24747)"),
    "faiss": Floor("faiss-cpu", "1.15.1", "end the process on damaged index files"),
    "safetensors": Floor("safetensors", "0.5", "check less of a header"),
}


def require(module: str, installed: str) -> None:
    """Raise ImportError, with one sentence that names the fix, for a version below the module's floor.

    installed: the module's `__version__`. Called where the module is imported, so that no file is read before.
    """
    floor = FLOORS[module]
    if parse_version(installed) < parse_version(floor.version):
        raise ImportError(
            f"{floor.distribution} {installed} is too old: releases before {floor.version} {floor.reason}; "
            f"pip install '{floor.distribution}>={floor.version}'"
        )


def parse_version(text: str) -> tuple[int, ...]:
    """(2, 13, 0) from "2.13.0+cpu" or "2.13.0rc1"; () from what holds no number."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, found.group().split("."))) if found else ()
