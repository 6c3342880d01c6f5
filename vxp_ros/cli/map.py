"""`vxp map`: build a place map from recorded data, look at one, check one; `map_merge.py` merges several."""

import errno
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import BadInput, MapError, SourceError
from .map_merge import merge_command
from .output import (
    PARTIAL,
    DeviceOption,
    JsonOption,
    ModelOption,
    in_words,
    length_of,
    print_table,
    track,
    write_json,
)
from .source_options import (
    BaseFrameOption,
    ImageTopicOption,
    OdomTopicOption,
    PointsTopicOption,
    SourceArgument,
    open_with_topics,
)

if TYPE_CHECKING:
    from ..core.finished_places import FinishedPlaces
    from ..core.map_store import SavedMap
    from ..core.place_map import PlaceMap

app = typer.Typer(no_args_is_help=True, help="Build, show, check and merge place maps.")
MapArgument = Annotated[Path, typer.Argument(metavar="MAP", help="A place map: the folder or link that a build made.")]


@app.command("build")
def build_command(
    source: SourceArgument,
    out: Annotated[Path, typer.Option(metavar="MAP", help="Where the map goes; its last part is the map's name.")],
    model: ModelOption,
    overwrite: Annotated[bool, typer.Option(help="Replace the map (the version before is kept beside it).")] = False,
    allow_partial: Annotated[bool, typer.Option(help="Save the map even if parts of the source are unusable.")] = False,
    min_travel: Annotated[float, typer.Option(min=0, help="A new place after this many metres.")] = 1.0,
    min_turn: Annotated[float, typer.Option(min=0, help="Or after this many radians.")] = 0.5,
    image_topic: ImageTopicOption = None,
    points_topic: PointsTopicOption = None,
    odom_topic: OdomTopicOption = None,
    base_frame: BaseFrameOption = None,
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Build a place map from recorded sensor data with known poses. One that broke off goes on where it was.

    What it has finished lies in ~/.cache/vxp/builds until its map is saved, or for 14 days.
    Exit code 2: parts of the source were unusable; the map is saved only with --allow-partial.
    """
    from ..core.config import KeyframeSettings
    from ..core.encoder import Encoder
    from ..core.finished_places import FinishedPlaces
    from ..core.recognizer import PlaceRecognizer
    from ..core.resources import user_cache

    out = free_path(out, overwrite)
    frames = open_with_topics(source, image_topic, points_topic, odom_topic, base_frame)
    keyframe = KeyframeSettings(min_travel=min_travel, min_turn=min_turn)
    finished = FinishedPlaces(user_cache("builds"), source, PlaceRecognizer(Encoder.load(model, device)), keyframe)
    place_map, problems = build_map(track(frames, "building", length_of(frames)), finished)
    problems += frames.problems
    if len(place_map) == 0:
        raise SourceError(f"{source} gave no place: {in_words(problems) or 'it holds no frame'}")
    is_saved = allow_partial or not problems
    saved = save(place_map, out, overwrite, finished) if is_saved else None
    report = build_report(source, place_map, problems, saved) | {"taken": finished.taken}
    write_json(json_file, report)
    print_build(report, out)
    if problems:
        raise typer.Exit(PARTIAL)


def free_path(out: Path, overwrite: bool) -> Path:
    """`out` with `~` expanded. Raises MapError for what the save would refuse, before minutes of work, not after."""
    from ..core.map_folder import points_at
    from ..core.map_store import path_of_map, refuse_to_replace

    path = path_of_map(out.parent, out.name)
    if points_at(path) and not overwrite:
        raise MapError(f"{out} exists already: choose another name, or pass --overwrite to replace it")
    refuse_to_replace(path, overwrite)
    root = next(folder for folder in path.parents if folder.exists())
    if not root.is_dir() or not os.access(root, os.W_OK):
        raise MapError(f"{out} cannot be saved: {root} is no folder that you may write to")
    return path


def build_map(frames, finished: "FinishedPlaces") -> tuple["PlaceMap", Counter]:
    """A place for every frame that is far enough from the one before. Returns the map and what was skipped, by reason.

    frames: iterable of Frame whose T_odom_base is taken for T_map_base; frames without one are counted as "no_pose".
    """
    from ..core.keyframes import is_keyframe
    from ..core.place_map import PlaceMap

    place_map, problems, last_pose = PlaceMap(finished.models), Counter(), None
    for frame in frames:
        if frame.T_odom_base is None:
            problems["no_pose"] += 1
        elif is_keyframe(last_pose, frame.T_odom_base, finished.keyframe):
            try:
                place_map.add(finished.make(frame, frame.T_odom_base))
                last_pose = frame.T_odom_base
            except BadInput as problem:
                problems[problem.reason] += 1
    return place_map, problems


def save(place_map: "PlaceMap", out: Path, overwrite: bool, finished: "FinishedPlaces") -> "SavedMap":
    """Save the map; what was kept for another try is not needed then. Raises MapError."""
    from ..core.map_store import save_map

    try:
        saved = save_map(place_map, out, overwrite=overwrite)
    except MapError as problem:
        if getattr(problem.__cause__, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
            raise
        finished.remove()  # where both are on one disk, it takes the room that the map needs
        return save_map(place_map, out, overwrite=overwrite)
    finished.remove()
    return saved


def build_report(source: str, place_map: "PlaceMap", problems: Counter, saved: "SavedMap | None") -> dict:
    return {
        "source": source,
        "places": len(place_map),
        "modalities": place_map.counts,
        "models": place_map.models,
        "problems": dict(problems),
        "saved": saved is not None,
        "path": str(saved.path) if saved else None,
        "bytes": saved.bytes if saved else None,
        "sha256": saved.sha256 if saved else None,
    }


def print_build(report: dict, out: Path) -> None:
    from ..core.map_report import sensors_in_words

    if report["saved"]:
        sensors = sensors_in_words(report["modalities"], report["places"])
        taken = f" ({report['taken']} from a build that broke off)" if report["taken"] else ""
        print(f"{out}: {report['places']} places{taken} by {sensors}, {report['bytes'] / 1e6:.1f} MB")
    if report["problems"]:
        fate = "saved all the same" if report["saved"] else "not saved: mend the source, or pass --allow-partial"
        print(f"unusable parts of {report['source']}: {in_words(report['problems'])}; {fate}")


@app.command("info")
def info_command(path: MapArgument, json_file: JsonOption = None) -> None:
    """Show what a map holds (its files' hashes are verified on the way)."""
    from ..core.map_store import describe_map

    report = describe_map(path)
    write_json(json_file, report)
    x, y, z = report["extent_m"]
    rows = [
        ["map", report["map_id"]],
        ["made", f"{report['created']} by {report['created_by']}, format {report['format']}"],
        ["places", f"{report['places']} on {report['drives']} drive(s), {report['length_m']:.0f} m driven"],
        *([f"descriptors ({modality})", f"{count}"] for modality, count in report["modalities"].items()),
        *([f"model ({modality})", model] for modality, model in sorted(report["models"].items())),
        ["extent", f"{x:.0f} x {y:.0f} x {z:.0f} m"],
        ["frames", f"{report['base_frame']} in {report['map_frame']}"],
        ["size", f"{report['bytes'] / 1e6:.1f} MB"],
    ]
    print_table(str(path), ["", ""], rows)


@app.command("check")
def check_command(path: MapArgument, json_file: JsonOption = None) -> None:
    """Verify a map in full: every file, hash, shape and value. Exit code 0 only if all is well."""
    from ..core.map_store import check_map

    report = check_map(path)
    write_json(json_file, {"path": str(path), **report})
    print(f"{path}: all is well")


app.command("merge")(merge_command)
