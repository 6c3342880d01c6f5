"""A small master made by hand, in no time: a curved drive between walls of made-up ranges, noise for pictures."""

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from vxp_ros.core.geometry import make_transform, rotation_z, transform_points
from vxp_training.datasets.town.days import make_day, start_ns
from vxp_training.datasets.town.rig import Lidar
from vxp_training.datasets.town.splits import Split
from vxp_training.datasets.town.store.master import Recording
from vxp_training.datasets.town.store.master_files import encode_frame, write_frame, write_head
from vxp_training.datasets.town.store.task import RigChoice, Task

SPLIT = Split("town-tiny", 5, "demo", (2, 2))
SPEED, TURN, RATE_HZ = 8.0, 0.3, 2.0


def pose_at(seconds: float, offset: float = 0.0) -> np.ndarray:
    """On a circle that starts at (40 + offset, 30) towards the north-east, on a hill of 2 m."""
    angle = 0.7 + TURN * seconds
    x, y = SPEED / TURN * np.array([np.sin(angle) - np.sin(0.7), np.cos(0.7) - np.cos(angle)])
    return make_transform(rotation_z(angle), np.array([40 + offset + x, 30 + y, 2.0]))


def make_master(root: Path, day: str = "sunny", frames: int = 5, choice: RigChoice | None = None) -> Recording:
    """The days' drives lie a metre beside each other."""
    task = Task(SPLIT, day, choice or RigChoice(size=(64, 36), rings=16), rate_hz=RATE_HZ)
    folder, rig = root / f"town-tiny-{day}", task.make_rig()
    rig = replace(rig, lidar=replace(rig.lidar, columns=256))
    seconds = np.arange(frames) / RATE_HZ
    offset = float(make_day(day, 0).number)
    sweeps = np.array([[pose_at(t + knot, offset) for knot in rig.lidar.knot_times()] for t in seconds])
    stamps = start_ns(make_day(day, 0)) + np.round(seconds * 1e9).astype(np.int64) + 123_456_000
    facts = {"generator_version": 1, "key": task.key(), "split": asdict(SPLIT), "day": asdict(make_day(day, 5)),
             "task": asdict(task), "geometry_sha256": "0" * 64}  # fmt: skip
    write_head(folder, stamps, sweeps, rig, facts)
    for number in range(frames):
        rng = np.random.default_rng([number, int(offset)])
        height, width = task.rig.size[1], task.rig.size[0]
        pictures = {name: smooth_noise(rng, height, width) for name in rig.cameras}
        write_frame(folder, number, encode_frame(number, pictures, made_up_sweep(rng, rig.lidar), rig.lidar))
    return Recording(folder)


def smooth_noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.kron(rng.integers(0, 255, (height // 4, width // 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)


def made_up_sweep(rng: np.random.Generator, lidar: Lidar) -> SimpleNamespace:
    """Nine in ten rays come back from 2 to 60 m."""
    rings, columns = np.nonzero(rng.random((lidar.rings, lidar.columns)) < 0.9)
    points = np.zeros((len(rings), 4), np.float32)
    points[:, 3] = rng.random(len(rings))
    return SimpleNamespace(points=points, ranges=rng.uniform(2, 60, len(rings)), rings=rings, columns=columns)


def world_points(frame, T_world_base: np.ndarray) -> np.ndarray:
    """[N, 3] x y z in the town."""
    return transform_points(T_world_base @ frame.T_base_lidar, frame.points[:, :3].astype(np.float64))
