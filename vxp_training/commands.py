"""The commands that learning adds to `vxp`, through the entry points `vxp.commands` in setup.cfg."""

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vxp_ros.core import json_file as json_files
from vxp_ros.core.errors import SourceError

if TYPE_CHECKING:
    from .datasets.town.splits import Split
    from .datasets.town.store.master import Recording
    from .datasets.town.store.task import Task


def writable(context: typer.Context, path: Path | None) -> Path | None:
    """Say before minutes of work, not after them, that the file of --json cannot be written. Raises OSError."""
    if path is None or context.resilient_parsing:
        return path
    path = path.expanduser()
    json_files.check_writable(path)
    return path


town_app = typer.Typer()
JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the result to this file.", callback=writable)
]
# A layout's own density of frames, where the user asks for none.
DEFAULT_SPACING_M = {"kitti": 2.0}
DEFAULT_RATE_HZ = {"bag": 10.0, "nuscenes": 2.0}
KEYFRAME_RATE_HZ = 2.0
# A step of so many times the usual one is the way between two routes, which the car was carried.
CARRIED_RATIO = 8
MIN_SIDE, MAX_SIDE = 16, 4096
ON_FIRST_USE = "the first one takes half a minute longer where the town was never drawn before: it is compiled"


@town_app.callback(invoke_without_command=True)
def town(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the layout.", show_default=False)] = None,
    layout: Annotated[Literal["kitti", "nuscenes", "bag"], typer.Option(help="What the folder looks like.")] = "kitti",
    days: Annotated[str, typer.Option(metavar="DAY,DAY,..", help="sunny, sameday, rain, night, snow, reverse.")]
    = "sunny,rain",
    split: Annotated[str, typer.Option(help="A town of the manifest. [default: town-demo]", show_default=False)] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="A town of your own instead.", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Frames of each day.", show_default=False)] = None,
    spacing: Annotated[float | None, typer.Option(min=0.1, max=1000, help="Metres between frames.",
                                                  show_default=False)] = None,
    length: Annotated[float | None, typer.Option(min=1.0, help="Metres of the route.", show_default="all")] = None,
    rate: Annotated[float | None, typer.Option(min=0.1, max=10, help="Frames per second.", show_default=False)] = None,
    cameras: Annotated[int, typer.Option(help="1 (ahead) or 6 (all round).")] = 1,
    rings: Annotated[int, typer.Option(help="Of the LiDAR: 16, 32 or 64.")] = 32,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the images in pixels.")] = "640x360",
    distortion: Annotated[Literal["none", "plumb_bob", "equidistant"], typer.Option(help="Of the lenses.")] = "none",
    blur: Annotated[bool, typer.Option("--blur", help="Motion blur; dark days take three times as long.")] = False,
    compressed: Annotated[bool, typer.Option("--compressed/--raw", help="Bags: JPEG or raw images.")] = True,
    odometry: Annotated[Literal["drifting", "exact"], typer.Option(help="Bags: /odom as a car has it, or the truth.")]
    = "drifting",
    route: Annotated[Literal["main", "unmapped", "both"], typer.Option(help="Where: the town's route, streets that it "
                                                                       "leaves out, or one after the other.")] = "main",
    processes: Annotated[int | None, typer.Option(min=1, help="How many render.", show_default="one per core")] = None,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="Where recordings are kept and found again.",
                                               show_default="~/.cache/vxp/town")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a town that is there.")] = False,
    json_file: JsonOption = None,
) -> None:  # fmt: skip
    """Build a town, drive through it on several days and write what camera and LiDAR saw, with exact poses.

    A recording is kept: what was killed goes on where it stopped, and the second layout of a drive takes seconds.
    Frames come every 2 m (kitti), at 2 Hz (nuscenes) or at 10 Hz (bag) unless --spacing or --rate says otherwise.
    """
    if context.invoked_subcommand:
        return
    if out is None:
        raise typer.BadParameter("missing --out DIR: the folder for the layout")
    from .datasets.town.layouts import check_layout
    from .datasets.town.splits import check_days
    from .datasets.town.store.task import RigChoice, Task

    rig = RigChoice(check_one_of("--cameras", cameras, (1, 6)), parse_size(size),
                    check_one_of("--rings", rings, (16, 32, 64)), distortion)  # fmt: skip
    check_layout(layout, rig)
    spacing, rate = frame_density(layout, spacing, rate)
    drive = Task(choose_split(split, seed), "", rig, spacing, rate, length, route=route, has_blur=blur)
    tasks = [replace(drive, day=day) for day in check_days(split_list(days))]
    report = make_town(tasks, layout, out.expanduser(), limit, processes, cache, compressed, odometry, overwrite)
    if json_file is not None:
        json_files.write_json(json_file, report)
    print_report(report)


@town_app.command("gallery")
def gallery(
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="The picture.")],
    split: Annotated[str, typer.Option(help="A town of the manifest.")] = "town-demo",
) -> None:
    """Draw a contact sheet of a town: its places on all days, and the map with the routes."""
    from .datasets.town.splits import find_split

    town, out = find_split(split), out.expanduser()
    if out.suffix != ".png":
        raise typer.BadParameter(f"--out must be a file that ends in .png, got {str(out)!r}")
    json_files.check_writable(out)
    from .datasets.town.gallery import make_gallery

    with Bars() as bars:
        make_gallery(town, out, bars.bar("drawing"))
    typer.echo(f"{out}")


@town_app.command("manifest")
def manifest(
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there.", show_default=False)] = None,
    splits: Annotated[str, typer.Option(metavar="SPLIT,..", help="Compare only these.", show_default="all")] = "",
) -> None:
    """Build the towns of all splits and compare their geometry with the shipped manifest. Exit code 1 on a difference.

    With --out the manifest of this version is written instead. Takes minutes.
    """
    from .datasets.town.splits import SPLITS, find_split, geometry_hashes, make_manifest, read_manifest

    names = [find_split(name).name for name in split_list(splits)] or list(SPLITS)
    if out is not None and len(names) < len(SPLITS):
        raise typer.BadParameter("a manifest holds all splits; leave out --splits")
    if out is not None:
        json_files.check_writable(out.expanduser())
    hashes = {name: geometry_hashes(SPLITS[name]) for name in progress_over(names)}
    if out is not None:
        json_files.write_json(out.expanduser(), make_manifest(hashes))
        typer.echo(f"{out}")
        return
    shipped = {name: entry["geometry_sha256"] for name, entry in read_manifest()["splits"].items()}
    wrong = [f"{name} {day}" for name in names for day in hashes[name] if hashes[name][day] != shipped[name][day]]
    if wrong:
        raise SourceError(f"these towns are not those of the shipped manifest: {', '.join(wrong)}")
    typer.echo(f"{', '.join(names)}: as in the shipped manifest")


def make_town(
    tasks: list["Task"],
    layout: str,
    out: Path,
    limit: int | None,
    processes: int | None,
    cache: Path | None,
    compressed: bool,
    odometry: Literal["drifting", "exact"],
    overwrite: bool,
) -> dict:
    """Record what is not recorded yet, write the layout; returns what --json holds."""
    from .datasets.town.layouts import check_out, export
    from .datasets.town.store.recording import default_cache, record

    check_out(layout, tasks, out, overwrite)
    cache, start = cache.expanduser() if cache else default_cache(), time.monotonic()
    with Bars() as bars:
        recordings = [record(task, cache, limit, processes, bars.bar(task.day, ON_FIRST_USE)) for task in tasks]
        rendered_s = time.monotonic() - start
        is_new = export(layout, recordings, out, compressed, odometry, overwrite, bars.bar(layout))
    return {
        "out": str(out),
        "layout": layout,
        "is_new": is_new,
        "split": tasks[0].split.name,
        "seed": tasks[0].split.seed,
        "days": [describe(recording, layout, out, row) for row, recording in enumerate(recordings)],
        "seconds": {"record": rendered_s, "all": time.monotonic() - start},
    }


def describe(recording: "Recording", layout: str, out: Path, row: int) -> dict:
    """One day of the report. source: what other commands read it by."""
    import numpy as np

    day = recording.meta["day"]["name"]
    source = {"kitti": f"kitti:{out}:{row:02d}", "bag": f"bag:{out / day}", "nuscenes": f"nuscenes:{out}:{day}-01"}
    steps = np.linalg.norm(np.diff(recording.poses[recording.numbers][:, :3, 3], axis=0), axis=1)
    driven = steps[steps < CARRIED_RATIO * np.median(steps)] if len(steps) else steps
    return {
        "name": day,
        "source": source[layout],
        "frames": len(recording),
        "metres": float(driven.sum()),
        "master": str(recording.folder),
        "geometry_sha256": recording.meta["geometry_sha256"],
    }


def print_report(report: dict) -> None:
    frames, seconds = sum(day["frames"] for day in report["days"]), report["seconds"]["all"]
    state = f"written in {seconds:.0f} s" if report["is_new"] else "there already"
    typer.echo(f"{report['out']}: {report['split']} as {report['layout']}, {frames} frames, {state}")
    for day in report["days"]:
        typer.echo(f"  {day['name']:8} {day['frames']:5d} frames  {day['metres']:6.0f} m  {day['source']}")


def choose_split(name: str, seed: int | None) -> "Split":
    from .datasets.town.splits import find_split, seeded

    if seed is None:
        return find_split(name or "town-demo")
    if name:
        raise typer.BadParameter("--split names a town and --seed makes another one; give one of them")
    return seeded(seed)


def frame_density(layout: str, spacing: float | None, rate: float | None) -> tuple[float | None, float | None]:
    """Metres between frames or frames per second, one of them None."""
    if spacing is not None and rate is not None:
        raise typer.BadParameter("--spacing sets the frames by way and --rate by time; give one of them")
    if layout == "nuscenes" and rate not in (None, KEYFRAME_RATE_HZ):
        raise typer.BadParameter("nuScenes' keyframes come at 2 Hz; leave out --rate, or give --spacing")
    if spacing is None and rate is None:
        return DEFAULT_SPACING_M.get(layout), DEFAULT_RATE_HZ.get(layout)
    return spacing, rate


def parse_size(text: str) -> tuple[int, int]:
    """(640, 360) of "640x360"."""
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise typer.BadParameter(
            f"--size must be WIDTHxHEIGHT, such as 640x360, of {MIN_SIDE} to {MAX_SIDE} pixels each, got {text!r}"
        )
    return width, height


def check_one_of(option: str, number: int, allowed: tuple[int, ...]) -> int:
    if number not in allowed:
        raise typer.BadParameter(f"{option} must be one of {', '.join(map(str, allowed))}, got {number}")
    return number


def split_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


class Bars:
    """Progress bars on stderr, so that stdout stays clean for results. A context manager."""

    def __init__(self):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description:9}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_) -> None:
        self._progress.stop()

    def bar(self, name: str, note: str = ""):
        """A function of (done, total) that moves a new bar. note: to be said before the wait, when there is one."""
        task = self._progress.add_task(name, total=None)

        def move(done: int, total: int) -> None:
            if note and self._progress.tasks[task].total is None and done < total:
                self._progress.console.print(f"{name}: {total - done} frames to draw; {note}")
            self._progress.update(task, completed=done, total=total)

        return move

    def over(self, name: str):
        """A function that hands the rows of a sequence through, and moves a new bar meanwhile."""
        move = self.bar(name)

        def through(rows):
            for done, row in enumerate(rows):
                move(done, len(rows))
                yield row
            move(len(rows), len(rows))

        return through


def progress_over(names: list[str]):
    with Bars() as bars:
        bar = bars.bar("building")
        for done, name in enumerate(names):
            bar(done, len(names))
            yield name
