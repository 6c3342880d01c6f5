"""`vxp nuscpr` as tests call it, and its files as anybody's Python reads them."""

import json
import pickle
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
from nuscpr_world import VERSION

from vxp_ros.cli import main

COMMAND = EntryPoint("nuscpr", "vxp_training.nuscpr_command:nuscpr_app", main.PLUGIN_GROUP)
PARTS = {"supervised": "supervised_data", "self-supervised": "self_supervised_data"}


def run(scheme: str, root: Path, out: Path, *more: str) -> int:
    return main.run(["nuscpr", scheme, "--dataroot", str(root), "--version", VERSION, "--out", str(out), *more])


def load(path: Path):
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    return pickle.loads(path.read_bytes())


def logs_of(root: Path) -> dict[str, str]:
    """scene token -> log token, from the table."""
    rows = json.loads((root / VERSION / "scene.json").read_text())
    return {row["token"]: row["log_token"] for row in rows}
