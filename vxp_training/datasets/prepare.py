"""`vxp data prepare`: sources of all kinds into one prepared folder (prepared.py)."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vxp_ros.core import fsio
from vxp_ros.core.errors import SourceError
from vxp_ros.core.json_file import write_json

from .annotation import Annotation, concatenate, write_annotation
from .prepared import CAMERA_POSES, DRIVES, FORMAT, POSES, TABLE, WORLD_GAP_M, Drive, PreparedData, describe_drive

FORMS = (
    "kitti:ROOT:SEQUENCE, bag:PATH, nuscenes:ROOT[:SCENE], or oxford:CSV, vivid:CSV or kitti-table:CSV of the authors"
)
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Part:
    """One source. world: sources of one world share a map frame. poses, camera_poses: [N, 4, 4], a row per row of
    the annotation."""

    drives: dict[str, Drive]
    world: str
    annotation: Annotation
    T_odom_base: np.ndarray
    T_base_camera: np.ndarray


def prepare(
    sources: list[str],
    out: Path,
    spacing: float | None = None,
    root: Path | None = None,
    is_one_world: bool = False,
    progress: Progress | None = None,
) -> PreparedData:
    """Write the folder `out`, whole or not at all, and return it.

    sources: see FORMS. spacing: metres between frames; None for every frame, of bags and nuScenes one every metre.
    root: folder of the images and clouds that a table of the authors names; None for the table's own folder.
    is_one_world: all sources share a map frame, although nothing in them says so. progress: called as (done, all).

    Raises SourceError that names what is missing, and when `out` holds something already.
    """
    check_out(out)
    fsio.create_folders(out.parent)
    scratch = fsio.create_scratch(out.parent, f".{out.name}.", ".new")
    try:
        parts = [
            read_part(source, scratch, spacing, root, progress or (lambda done, total: None)) for source in sources
        ]
        write(apart([replace(part, world="") for part in parts] if is_one_world else parts), scratch)
        if out.is_dir():
            out.rmdir()  # empty, as checked
        os.rename(scratch, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return PreparedData(out)


def check_out(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise SourceError(f"{out} is there already; remove it or choose another name")


def read_part(source: str, folder: Path, spacing: float | None, root: Path | None, progress: Progress) -> Part:
    """folder: where frames of sources that are no files yet are written."""
    from . import prepare_frames, prepare_kitti, prepare_tables

    kind, _, rest = source.partition(":")
    if kind == "kitti" and ":" in rest:
        return prepare_kitti.read(source, spacing)
    if kind in ("oxford", "vivid", "kitti-table") and rest:
        return prepare_tables.read(source, spacing, root)
    if kind in ("bag", "nuscenes") and rest:
        return prepare_frames.read(source, folder, spacing, progress)
    raise SourceError(f"source {source!r} is not understood; write {FORMS}")


def apart(parts: list[Part]) -> list[Part]:
    """Move each world `WORLD_GAP_M` further east than the one before; the first stays where it is."""
    worlds = list(dict.fromkeys(part.world for part in parts))
    return [moved(part, WORLD_GAP_M * worlds.index(part.world)) for part in parts]


def moved(part: Part, east: float) -> Part:
    if not east:
        return part
    T_odom_base = part.T_odom_base.copy()
    T_odom_base[:, 0, 3] += east
    annotation = replace(part.annotation, easting=part.annotation.easting + east)
    return replace(part, annotation=annotation, T_odom_base=T_odom_base)


def write(parts: list[Part], folder: Path) -> None:
    drives: dict[str, Drive] = {}
    for part in parts:
        twice = set(drives) & set(part.drives)
        if twice:
            raise SourceError(f"two sources are called {sorted(twice)[0]}; prepare them into folders of their own")
        drives |= part.drives
    write_annotation(folder / TABLE, concatenate([part.annotation for part in parts]))
    np.save(folder / POSES, np.concatenate([part.T_odom_base for part in parts]), allow_pickle=False)
    np.save(folder / CAMERA_POSES, np.concatenate([part.T_base_camera for part in parts]), allow_pickle=False)
    described = {name: describe_drive(drive) for name, drive in drives.items()}
    write_json(folder / DRIVES, {"format": FORMAT, "made_by": "vxp data prepare", "drives": described})


def planar(T_odom_base: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """northing, easting and yaw [N] of poses [N, 4, 4] with x east and y north."""
    return T_odom_base[:, 1, 3], T_odom_base[:, 0, 3], np.arctan2(T_odom_base[:, 1, 0], T_odom_base[:, 0, 0])


def rows_apart(positions: np.ndarray, spacing: float | None, head_start: float | None = None) -> np.ndarray:
    """Rows so that `spacing` metres of travel lie between them: the first, then each at which the travel since the last
    has reached it (the authors' rule; real spacings are a little larger). All rows for None or 0. positions: [N, D].

    head_start: so many metres count as travelled before the first row, which is left out itself.
    """
    if not spacing:
        return np.arange(len(positions))
    travel = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    rows, since = ([0], 0.0) if head_start is None else ([], head_start)
    for row, step in enumerate(travel, start=1):
        since += step
        if since >= spacing:
            rows.append(row)
            since = 0.0
    return np.array(rows, np.int64)
