"""`vxp eval loops` and `vxp eval slam`: loop closures on drives through Town, and what they do to a trajectory."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vxp_ros.core import json_file as json_files
from vxp_ros.core.errors import SourceError

from .commands import Bars, JsonOption, split_list, writable

if TYPE_CHECKING:
    from .loop_drives import LoopDrive

TownsOption = Annotated[str, typer.Option("--splits", metavar="TOWN,..", help="Which towns.")]
DayOption = Annotated[str, typer.Option("--day", help="The day of the drive.")]
SpacingOption = Annotated[float, typer.Option(min=0.5, max=1000.0, help="Metres between keyframes.")]
TownCacheOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Where recordings are kept and found again.",
                                                      show_default="~/.cache/vxp/town")]  # fmt: skip
ModelOption = Annotated[str, typer.Option("--model", help="Model folder, or the name of a shipped one.")]
CurvesOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the result to this file, "
                                                   "and draw precision against recall beside it.",
                                                   callback=writable)]  # fmt: skip
DeviceOption = Annotated[str, typer.Option(help="auto (CUDA when there is one), cpu, cuda or cuda:N.")]


def loops(
    model: ModelOption = "vxp_view", splits: TownsOption = "town-test-1,town-test-2", day: DayOption = "sunny",
    spacing: SpacingOption = 5.0, device: DeviceOption = "auto", town_cache: TownCacheOption = None,
    json_file: CurvesOption = None,
) -> None:  # fmt: skip
    """Each drive in its own past: candidates, and the closures that the loop closer would publish. 5 m."""
    towns = check_question(splits, day, spacing=spacing)
    if json_file is not None:
        import matplotlib  # noqa: F401  before the work
    from .loop_drives import Memory
    from .loop_eval import evaluate_loops

    report = {"protocol": "loops", "model": model, "day": day, "spacing_m": spacing, "drives": []}
    with Bars() as bars:
        for drive in town_drives(model, towns, day, spacing, device, town_cache, bars):
            row = evaluate_loops(drive, Memory(), bars.over(f"{drive.name} closures"))
            report["drives"].append(row)
            write(json_file, report)  # what is finished stays, whatever comes of the next drive
            draw(json_file, report)
            typer.echo(loops_in_words(row))


def slam(
    model: ModelOption = "vxp_view", splits: TownsOption = "town-test-1", day: DayOption = "sunny",
    seeds: Annotated[int, typer.Option(min=1, help="How many draws of the odometry's errors.")] = 20,
    drift: Annotated[float, typer.Option(min=0.0, max=10.0, help="1: 1 % of the way and 0.005 degrees per metre; 0.5: "
                                         "half of each.")] = 1.0,
    spacing: SpacingOption = 5.0, device: DeviceOption = "auto", town_cache: TownCacheOption = None,
    json_file: JsonOption = None,
) -> None:  # fmt: skip
    """Odometry that drifts, closures as the loop closer publishes them, a pose graph: the trajectory before and after.

    Also with half of the closures replaced by random poses.
    """
    towns = check_question(splits, day, spacing=spacing, drift=drift)
    from vxp_ros.core.pose_graph import load_gtsam

    from .loop_drives import Memory
    from .loop_eval import evaluate_slam

    load_gtsam()
    require_evo()

    report = {"protocol": "slam", "model": model, "day": day, "spacing_m": spacing, "drift": drift, "drives": []}
    with Bars() as bars:
        for drive in town_drives(model, towns, day, spacing, device, town_cache, bars):
            rows = evaluate_slam(drive, Memory(), range(seeds), drift, bars.over(f"{drive.name} seeds"))
            report["drives"] += rows
            write(json_file, report)
            typer.echo(slam_in_words(drive.name, rows))


def check_question(splits: str, day: str, **numbers: float) -> list[str]:
    """The towns. Raises before minutes of work, not after them, what is wrong with the question.

    numbers: options by name; typer's bounds may let NaN through.
    """
    from .datasets.town.splits import check_days, find_split

    towns = [find_split(name).name for name in split_list(splits)]
    if not towns:
        raise typer.BadParameter("--splits names no town")
    check_days([day])
    for option, number in numbers.items():
        if not math.isfinite(number):
            raise typer.BadParameter(f"--{option} must be a number, got {number}")
    return towns


def require_evo() -> None:
    try:
        import evo  # noqa: F401
    except ImportError as problem:
        raise SourceError(f"trajectories are judged by evo ({problem}): pip install 'vxp_ros[train]'") from problem


def town_drives(
    model: str, towns: list[str], day: str, spacing: float, device: str, cache: Path | None, bars: Bars
) -> "Iterator[LoopDrive]":
    from vxp_ros.core.encoder import Encoder
    from vxp_ros.core.registration import missing_library

    from .datasets.town_days import Spacing, record_days
    from .loop_drives import town_drive

    if problem := missing_library():
        raise SourceError(problem)
    encoder = Encoder.load(model, device)
    for town in towns:
        days = record_days([town], {day: Spacing(spacing)}, cache, progress=bars.bar)
        name = f"{town}-{day}"
        yield town_drive(encoder, days, name, bars.over(f"{name} keyframes"))


def write(json_file: Path | None, report: dict) -> None:
    if json_file is not None:
        json_files.write_json(json_file, report)


def draw(json_file: Path | None, report: dict) -> None:
    """Precision against recall of the candidates, a line for each drive, as FILE-curves.png."""
    from .eval_report import draw_precision

    if json_file is not None:
        blocks = {row["drive"]: row["candidates"] for row in report["drives"]}
        draw_precision(json_file.with_name(f"{json_file.stem}-curves.png"), f"loops: {report['model']}", blocks)


def loops_in_words(row: dict) -> str:
    candidates, closures = row["candidates"], row["closures"]
    return (
        f"{row['drive']}: {row['revisits']} of {row['keyframes']} keyframes have a loop; best candidates: AP "
        f"{candidates['average_precision']:.3f}, max F1 {candidates['max_f1']:.3f}, EP "
        f"{candidates['extended_precision']:.3f}, recall at full precision "
        f"{candidates['recall_at_full_precision']:.1%}; closures: "
        f"{closures['published']}, wrong {closures['wrong']}, far off {closures['far_off']}, recall "
        f"{closures['recall']:.1%}, worst {closures['worst_m']:.2f} m, {closures['worst_deg']:.2f} degrees"
    )


def slam_in_words(name: str, rows: list[dict]) -> str:
    import numpy as np

    before, after, spoilt = (np.array([row[key] for row in rows])
                             for key in ("ate_without", "ate_with", "ate_half_random"))  # fmt: skip
    return (
        f"{name}: ATE {np.median(before):.2f} m without closures, {np.median(after):.2f} m with them (medians), better "
        f"in {int((after < before).sum())} of {len(rows)}; {np.median(spoilt):.2f} m with half of them random; "
        f"{np.median([row['closures'] for row in rows]):.0f} closures"
        + "".join(sorted({f"; no RPE: {row['rpe_left_out']}" for row in rows if "rpe_left_out" in row}))
    )
