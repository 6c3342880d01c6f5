"""Renders the frames of a task, one after the other, in one process. The world is kept from task to task."""

from dataclasses import asdict
from functools import reduce
from pathlib import Path

import cv2
import numpy as np

from ..camera import CameraSimulator
from ..days import make_day
from ..lidar import LidarSimulator
from ..rig import KNOTS, interpolate_poses
from ..routes import Drive, drive, one_after_the_other
from ..scene import Day
from ..splits import GENERATOR_VERSION
from ..world import World
from .master_files import STAMPS, SWEEPS, encode_frame, write_frame, write_head
from .task import Task

# Seconds that the shutter is open, where motion blur is asked for; more for the dark, as a car's exposure control does.
EXPOSURE_S, DULL_EXPOSURE_S, NIGHT_EXPOSURE_S = 0.0015, 0.003, 0.010
DULL_SUN = 0.3  # strength of the sun below which a day is dull


class Studio:
    """A town on the day of a task, with its sensors."""

    def __init__(self, task: Task, world: World):
        split = task.split
        self.task, self.world, self.rig = task, world, task.make_rig()
        self.day = make_day(task.day, split.seed, split.is_hardened)
        self.scene = world.scene(self.day)
        self.camera = CameraSimulator(self.scene, task.samples)
        self.lidar = LidarSimulator(self.scene, self.rig.lidar)

    def shoot(self, number: int, stamp_ns: int, sweep_poses: np.ndarray) -> dict[str, bytes]:
        """The files of one frame. sweep_poses: [KNOTS, 4, 4] T_world_base at `Lidar.knot_times`."""
        T_world_base = sweep_poses[KNOTS // 2]
        moving = self.world.moving(self.day, stamp_ns, T_world_base)
        seeds = np.random.SeedSequence([self.task.split.seed, self.day.number, number]).generate_state(8)
        first, last = self._shutter(sweep_poses)
        pictures = {
            name: self.camera.picture(camera, first, moving, int(seeds[row]), last)
            for row, (name, camera) in enumerate(self.rig.cameras.items())
        }
        lidar = self.rig.lidar
        sweep = self.lidar.sweep(lidar.column_poses(sweep_poses), moving, int(seeds[-1]))
        return encode_frame(number, pictures, sweep, lidar)

    def _shutter(self, sweep_poses: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The base's pose when the shutter opens and when it closes, around the stamp; without blur there is no end."""
        if not self.task.has_blur:
            return sweep_poses[KNOTS // 2], None
        dull = DULL_EXPOSURE_S if self.day.sun < DULL_SUN else EXPOSURE_S
        exposure = NIGHT_EXPOSURE_S if self.day.is_night else dull
        ends = np.array([-0.5, 0.5]) * exposure
        return tuple(interpolate_poses(sweep_poses, self.rig.lidar.knot_times(), ends))


class Bench:
    """What a process keeps at hand: the last world and the last studio."""

    def __init__(self):
        self._world: tuple | None = None
        self._studio: Studio | None = None

    def studio(self, task: Task) -> Studio:
        if self._studio is None or self._studio.task != task:
            self._studio = None  # before the next one is built: a town takes hundreds of megabytes
            self._studio = Studio(task, self.world(task))
        return self._studio

    def world(self, task: Task) -> World:
        split = task.split
        plan = (split.seed, split.style, split.size, split.is_hardened)
        if self._world is None or self._world[0] != plan:
            self._world = None
            self._world = (plan, World(*plan))
        return self._world[1]


BENCH = Bench()


def prepare(task: Task, folder: Path, key: str) -> None:
    """Write what a master holds besides frames. key: the task's, as the parent process knows it."""
    cv2.setNumThreads(1)
    world, split = BENCH.world(task), task.split
    day = make_day(task.day, split.seed, split.is_hardened)
    rig, path = task.make_rig(), drive_all(task, world, day)
    offsets = np.round(rig.lidar.knot_times() * 1e9).astype(np.int64)
    sweeps = path.poses_at((path.stamps_ns[:, None] + offsets).reshape(-1)).reshape(-1, KNOTS, 4, 4)
    facts = {
        "generator_version": GENERATOR_VERSION, "key": key, "split": asdict(split), "day": asdict(day),
        "task": asdict(task), "geometry_sha256": world.geometry_hash(day),
    }  # fmt: skip
    write_head(folder, path.stamps_ns, sweeps, rig, facts)


def drive_all(task: Task, world: World, day: Day) -> Drive:
    routes = ("main", "unmapped") if task.route == "both" else (task.route,)
    return reduce(one_after_the_other, [drive_part(task, world, day, route) for route in routes])


def drive_part(task: Task, world: World, day: Day, route: str) -> Drive:
    """The task's part of a route, which is the same streets on every day: what begins `start` metres into the main
    route of other days ends as far from the end of the reverse day's. The unmapped route is short and never cut."""
    if route == "unmapped":
        return drive(world, day, task.spacing, task.rate_hz, route=route)
    length, start = task.split.length if task.length is None else task.length, task.start
    if day.is_reverse and length is not None:
        whole = drive(world, day, spacing=1.0)
        start = max(0.0, len(whole.stamps_ns) - 1 - start - length)
    return drive(world, day, task.spacing, task.rate_hz, length, start)


def warm_up(task: Task) -> None:
    cv2.setNumThreads(1)
    BENCH.studio(task)


def render(task: Task, folder: Path, number: int) -> int:
    """Render one frame of a prepared master; returns its number."""
    cv2.setNumThreads(1)
    stamps, sweeps = (np.load(folder / name, mmap_mode="r") for name in (STAMPS, SWEEPS))
    files = BENCH.studio(task).shoot(number, int(stamps[number]), np.array(sweeps[number]))
    write_frame(folder, number, files)
    return number
