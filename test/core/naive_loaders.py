"""Loaders that trust a file, and which of them runs the code in a forged one: tricks that none runs prove little."""

import io
import pickle
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
import yaml


def eval_header(data: bytes) -> None:
    """Of a .npy file, as a Python expression, which it looks like."""
    if not data.startswith(b"\x93NUMPY\x01"):
        raise ValueError("no .npy file")
    eval(data[10 : 10 + int.from_bytes(data[8:10], "little")].decode("latin1"))


def unpack(data: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="fully_trusted")


def unpickle_entries(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if name.endswith(".pkl"):
                pickle.loads(archive.read(name))


LOADERS = {
    "pickle": lambda data, _: pickle.loads(data),
    "np.load(allow_pickle=True)": lambda data, _: np.load(io.BytesIO(data), allow_pickle=True),
    "torch.load(weights_only=False)": lambda data, _: torch.load(io.BytesIO(data), weights_only=False),
    "torch.package": lambda data, _: torch.package.PackageImporter(io.BytesIO(data)).import_module("model"),
    "yaml.unsafe_load": lambda data, _: yaml.unsafe_load(data),
    "eval": lambda data, _: eval(data.decode()),
    "eval of a header": lambda data, _: eval_header(data),
    "pickles in a zip": lambda data, _: unpickle_entries(data),
    "tar": unpack,
}


def who_runs(data: bytes, canary: Path) -> str:
    """The first loader after which the canary is there, which is then removed; "" when none runs it.

    A tar that climbs two folders up is unpacked two folders below the canary's.
    """
    folder = canary.parent / "two" / "below"
    folder.mkdir(parents=True, exist_ok=True)
    for name, load in LOADERS.items():
        with suppress(Exception):  # most files are not of its kind
            load(data, folder)
        if canary.is_dir():
            canary.rmdir()
            return name
        if canary.is_file():
            canary.unlink()
            return name
    return ""


def run_by_naive_loaders(tricks: dict[str, bytes], canary: Path) -> dict[str, str]:
    """Trick -> the loader that runs it, of those tricks that carry code."""
    found = {name: who_runs(data, canary) for name, data in tricks.items() if b"mkdir" in data or b"ustar" in data}
    return {name: loader for name, loader in found.items() if loader}
