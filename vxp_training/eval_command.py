"""`vxp eval`: the published protocols, each one command."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vxp_ros.core import json_file as json_files
from vxp_ros.core.errors import SourceError

from .commands import Bars, JsonOption, split_list
from .loop_command import loops, slam

if TYPE_CHECKING:
    from .datasets.annotation import Annotation
    from .descriptors import Describer, Frames
    from .protocols.run import Results
    from .protocols.trial import Compat, Trial


def made(context: typer.Context, folder: Path | None) -> Path | None:
    """Make the folder now: what is in the way is said before minutes of work, not after them. Raises OSError."""
    if folder is None or context.resilient_parsing:
        return folder
    folder = folder.expanduser()
    json_files.check_writable(folder / REPORT)
    return folder


REPORT = "report.json"
eval_app = typer.Typer(no_args_is_help=True)

ModelOption = Annotated[str, typer.Option("--model", help="Model folder, or the name of a shipped one.")]
DataOption = Annotated[Path, typer.Option("--data", metavar="DIR", help="What vxp data prepare wrote.")]
RootOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Where the data has moved to since.",
                                                 show_default=False)]  # fmt: skip
OutOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for report.json, the plot and examples of "
                                                "hits and misses.", show_default=False, callback=made)]  # fmt: skip
LimitOption = Annotated[int | None, typer.Option(min=1, help="At most so many queries per trial.", show_default="all")]
DeviceOption = Annotated[str, typer.Option(help="auto (CUDA when there is one), cpu, cuda or cuda:N.")]
CacheOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Where descriptors are kept and found again.",
                                                  show_default="~/.cache/vxp/descriptors")]  # fmt: skip
CompatOption = Annotated[str, typer.Option("--paper-compat", metavar="SWITCH,..", help="The authors' behaviour where "
                                           "it differs from what was meant: all, or names.")]  # fmt: skip
BoxesOption = Annotated[bool, typer.Option("--boxes/--no-boxes", help="Ask in the test boxes only, which are in "
                                           "Mercator metres of the raw OXTS.")]  # fmt: skip


@eval_app.callback()
def evaluation() -> None:
    """Ask a model by a published protocol: recall, precision against recall, pictures of hits and misses."""


def add_protocol(name: str, help: str) -> None:
    """A command for a protocol that needs nothing but prepared data."""

    def command(
        model: ModelOption, data: DataOption, root: RootOption = None, out: OutOption = None,
        json_file: JsonOption = None, limit: LimitOption = None, device: DeviceOption = "auto",
        cache: CacheOption = None, paper_compat: CompatOption = "",
    ) -> None:  # fmt: skip
        ask_prepared(name, {}, model, data, root, out, json_file, limit, device, cache, paper_compat)

    eval_app.command(name, help=help)(command)


def add_boxed_protocol(name: str, help: str) -> None:
    """A command for a protocol that asks in KITTI's test boxes."""

    def command(
        model: ModelOption, data: DataOption, root: RootOption = None, boxes: BoxesOption = True,
        out: OutOption = None, json_file: JsonOption = None, limit: LimitOption = None, device: DeviceOption = "auto",
        cache: CacheOption = None, paper_compat: CompatOption = "",
    ) -> None:  # fmt: skip
        options = {"has_boxes": boxes}
        ask_prepared(name, options, model, data, root, out, json_file, limit, device, cache, paper_compat)

    eval_app.command(name, help=help)(command)


add_protocol("oxford", "Oxford RobotCar: 23 runs, 506 ordered pairs, four squares, 20 m and 0.5 rad.")
add_protocol("vivid", "ViViD++: one day in another, campus, city and both, 25 m.")
add_boxed_protocol("kitti-3dv", "KITTI 00 and 02 in their own past, revisits only, 20 m and 0.5 rad.")
add_boxed_protocol("kitti-v1", "KITTI 00 and 02, every frame but the query's own, 20 m and 0.5 rad.")
add_protocol("kitti-cmvm", "KITTI 00 02 05 06 07 08, every frame but the query's own, 10 m.")
add_protocol("kitti-sample", "Each drive is a place: its first frame the map, the others queries.")


@eval_app.command("town")
def town(
    model: Annotated[str, typer.Option(help="Model folder, the name of a shipped one, or ridge: the baseline, fitted "
                                       "on the training towns.")],
    splits: Annotated[str, typer.Option(metavar="TOWN,..", help="Which towns.")] = "town-test-1,town-test-2",
    map_day: Annotated[str, typer.Option(help="The day of the map.")] = "sunny",
    days: Annotated[str, typer.Option(metavar="DAY,..", help="The days of the queries.")] = "sameday,rain,night,snow",
    map_spacing: Annotated[float, typer.Option(min=0.5, help="Metres between places of the map.")] = 5.0,
    query_spacing: Annotated[float, typer.Option(min=0.5, help="Metres between queries.")] = 20.0,
    query_start: Annotated[float, typer.Option(min=0.0, help="Metres into the route of the first query.")] = 2.5,
    out: OutOption = None, json_file: JsonOption = None, limit: LimitOption = None, device: DeviceOption = "auto",
    cache: CacheOption = None,
    town_cache: Annotated[Path | None, typer.Option(metavar="DIR", help="Where recordings are kept and found again.",
                                                    show_default="~/.cache/vxp/town")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="How many render.", show_default="one per core")] = None,
) -> None:  # fmt: skip
    """Town: the map is one day, the queries are others. What is not recorded yet is recorded first. 10 m."""
    from .datasets.town_days import Spacing, record_days
    from .protocols import town as protocol

    towns, query_days = split_list(splits), split_list(days)
    if map_day in query_days:
        raise typer.BadParameter(f"--days: {map_day} is the day of the map")
    describer = load_describer(model, device, town_cache, processes)
    sampling = {map_day: Spacing(map_spacing)} | {day: Spacing(query_spacing, query_start) for day in query_days}
    with Bars() as bars:
        frames = record_days(towns, sampling, town_cache, processes, bars.bar)
    asked = {"towns": towns, "map_day": map_day, "map_spacing_m": map_spacing, "query_spacing_m": query_spacing,
             "query_start_m": query_start}  # fmt: skip
    trials = protocol.trials(frames.annotation, towns, map_day, query_days)
    ask("town", asked, frames, trials, describer, out, json_file, limit, cache)


@eval_app.command("nuscpr")
def nuscpr(
    split: Annotated[Path, typer.Option(metavar="DIR", help="What vxp nuscpr wrote: .../supervised_data or "
                                        ".../self_supervised_data.")],
    data: Annotated[list[Path], typer.Option(metavar="DIR", help="What vxp data prepare nuscenes:... --spacing 0 "
                                             "wrote; repeatable.")],
    model: ModelOption,
    part: Annotated[Literal["test", "validation"], typer.Option(help="Which queries.")] = "test",
    out: OutOption = None, json_file: JsonOption = None, limit: LimitOption = None, device: DeviceOption = "auto",
    cache: CacheOption = None,
) -> None:  # fmt: skip
    """NUSC-PR: each district's queries against its database, 9 m; unseen districts together; by day and by night."""
    from .datasets.nusc_pr.read import read_split
    from .datasets.prepared import PreparedData
    from .nuscpr_report import print_districts
    from .protocols import nuscpr as protocol
    from .split_frames import SplitFrames

    frames = SplitFrames(read_split(split), [PreparedData(folder) for folder in data])
    trials = protocol.trials(frames.split, part)
    if not trials:
        raise SourceError(f"{split} has no {part} queries among the keyframes of the prepared data")
    asked = {"split": str(split), "data": [str(folder) for folder in data], "part": part,
             "keyframes": len(frames), "missing_keyframes": frames.missing}  # fmt: skip
    report, results = answered("nuscpr", asked, frames, trials, load_describer(model, device), limit, cache)
    report["nuscpr"] = {mode: protocol.report(frames.split, answers) for mode, answers in results.items()}
    write_report("nuscpr", report, frames, results, out, json_file)
    print_districts(report)


eval_app.command("loops")(loops)
eval_app.command("slam")(slam)


def ask_prepared(
    name: str, options: dict, model: str, data: Path, root: Path | None, out: Path | None, json_file: Path | None,
    limit: int | None, device: str, cache: Path | None, paper_compat: str,
) -> None:  # fmt: skip
    """Evaluate a protocol on prepared data. options: keyword arguments of its `trials`."""
    from .datasets.prepared import PreparedData
    from .protocols.trial import Compat

    compat = Compat.parse(paper_compat)
    frames = PreparedData(data, root)
    trials = trials_of(name)(frames.annotation, compat, **options)
    asked = {"data": str(data), "paper_compat": paper_compat, **options}
    ask(name, asked, frames, trials, load_describer(model, device), out, json_file, limit, cache)


def trials_of(name: str) -> "Callable[[Annotation, Compat], list[Trial]]":
    from .protocols import kitti_3dv, kitti_cmvm, kitti_sample, kitti_v1, oxford, vivid

    modules = {"oxford": oxford, "vivid": vivid, "kitti-3dv": kitti_3dv, "kitti-v1": kitti_v1,
               "kitti-cmvm": kitti_cmvm, "kitti-sample": kitti_sample}  # fmt: skip
    return modules[name].trials


def load_describer(
    model: str, device: str, town_cache: Path | None = None, processes: int | None = None
) -> "Describer":
    if model == "ridge":
        from .baselines.ridge import fit_on_towns

        with Bars() as bars:
            return fit_on_towns(town_cache, processes, bars.bar)
    from vxp_ros.core.encoder import Encoder

    return Encoder.load(model, device)


def ask(
    name: str, asked: dict, frames: "Frames", trials: "list[Trial]", describer: "Describer", out: Path | None,
    json_file: Path | None, limit: int | None, cache: Path | None,
) -> None:  # fmt: skip
    """Describe, answer and show."""
    from .eval_report import print_table

    report, results = answered(name, asked, frames, trials, describer, limit, cache)
    write_report(name, report, frames, results, out, json_file)
    print_table(name, report)


def answered(
    name: str, asked: dict, frames: "Frames", trials: "list[Trial]", describer: "Describer", limit: int | None,
    cache: Path | None,
) -> "tuple[dict, Results]":  # fmt: skip
    """The report, and per mode each trial's answers."""
    from .descriptors import default_cache
    from .protocols.run import evaluate

    with Bars() as bars:
        folder = cache.expanduser() if cache else default_cache()
        report, results = evaluate(frames, trials, describer, folder, limit, bars.bar("frames"))
    return {"protocol": name, **asked, "limit": limit, **report}, results


def write_report(
    name: str, report: dict, frames: "Frames", results: "Results", out: Path | None, json_file: Path | None
) -> None:
    if json_file is not None:
        json_files.write_json(json_file, report)
    if out is not None:
        write_folder(out, name, report, frames, results)


def write_folder(out: Path, name: str, report: dict, frames: "Frames", results: "Results") -> None:
    from .eval_report import draw_plot, draw_sheets

    json_files.write_json(out / REPORT, report)
    draw_plot(out / "curves.png", name, report)
    draw_sheets(out, frames, results)
