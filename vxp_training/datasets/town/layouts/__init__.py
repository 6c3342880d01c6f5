"""Recordings in the layouts that others read: KITTI odometry, nuScenes tables, rosbag2."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from vxp_ros.core.errors import SourceError

from ..store.master import Recording
from ..store.target import check_target, is_made, make_room, new_folder, read_marker
from ..store.task import RigChoice, Task
from . import bag, kitti, nuscenes

Layout = Literal["kitti", "nuscenes", "bag"]
WRITERS = {"kitti": kitti.write, "nuscenes": nuscenes.write}
OWN_FILES = "|".join([kitti.OWN_FILES, nuscenes.OWN_FILES, bag.OWN_FILES])


def check_layout(layout: Layout, rig: RigChoice) -> None:
    """Raise SourceError for a rig that the layout has no place for, before minutes of rendering."""
    if layout == "kitti" and rig.cameras > 1:
        raise SourceError("layout kitti holds one colour camera; take --cameras 1, or --layout nuscenes or bag")
    if layout != "bag" and rig.distortion != "none":
        raise SourceError(f"layout {layout} holds rectified images only; take --distortion none, or --layout bag")


def export(
    layout: Layout,
    recordings: list[Recording],
    out: Path,
    compressed: bool = True,
    odometry: bag.Odometry = "drifting",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Write recordings of one town, one per day, into the folder `out`. Returns False when they were there already.

    compressed: bags hold JPEG instead of raw images; odometry: that of bags. Raises SourceError when
    `out` holds something else.
    """
    facts = describe(layout, recordings, compressed, odometry)
    if is_made(out, facts):
        return False
    total, done = sum(map(len, recordings)), 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    with new_folder(out, facts, OWN_FILES, overwrite) as folder:
        if layout == "bag":
            bag.write(recordings, folder, step, compressed, odometry)
        else:
            WRITERS[layout](recordings, folder, step)
    return True


def check_out(layout: Layout, tasks: list[Task], out: Path, overwrite: bool) -> None:
    """Raise SourceError for what `export` will refuse to write over, OSError where nothing can be written: before
    minutes of rendering, not after them."""
    marker = read_marker(out) or {}
    keys = [day["key"] for day in marker.get("days", [])]
    is_the_same = marker.get("layout") == layout and keys == [task.key() for task in tasks]
    check_target(out, OWN_FILES, overwrite or is_the_same)
    make_room(out)


def describe(layout: Layout, recordings: list[Recording], compressed: bool, odometry: bag.Odometry) -> dict:
    """What town.json holds: enough to make the same again."""
    return {
        "made_by": "vxp town",
        "layout": layout,
        **({"compressed": compressed, "odometry": odometry} if layout == "bag" else {}),
        "days": [
            {"name": recording.meta["day"]["name"], "frames": len(recording), "first_stamp_ns": first_stamp(recording),
             **{name: recording.meta[name] for name in ("generator_version", "key", "geometry_sha256", "task")}}
            for recording in recordings
        ],
    }  # fmt: skip


def first_stamp(recording: Recording) -> int:
    return int(recording.stamps_ns[recording.numbers[0]])
