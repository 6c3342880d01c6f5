"""`vxp map merge`: one map of several drives."""

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import BadInput, MapError, ModelError
from .output import PARTIAL, JsonOption, print_table, track, write_json

if TYPE_CHECKING:
    from ..core.map_alignment import MapAlignment
    from ..core.map_store import SavedMap
    from ..core.place_map import PlaceMap
    from ..core.verification import Register

BENT_M = 1.0  # median residual; drives without drift are off by centimetres
BENT_REMEDY = "map with poses that SLAM has straightened (keyframe.pose: tf)"


def merge_command(
    maps: Annotated[list[Path], typer.Argument(metavar="MAP...", help="Two or more maps; the first gives the frame.")],
    out: Annotated[Path, typer.Option(metavar="MAP", help="Where the new map goes; its last part is the map's name.")],
    same_frame: Annotated[bool, typer.Option("--same-frame", help="Poses share a frame: do not align.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace the map (the version before is kept beside it).")] = False,
    allow_partial: Annotated[bool, typer.Option(help="Leave out maps that do not align, and save the rest.")] = False,
    json_file: JsonOption = None,
) -> None:
    """Merge maps of several drives into a new one; the given maps stay as they are.

    Each further map is aligned to those before it by places that both hold and whose point clouds fit. It is moved as
    a whole, not bent. Exit code 2: some maps did not align; the others are saved only with --allow-partial.
    """
    from ..core.map_store import save_map
    from .map import free_path

    out = free_path(out, overwrite)
    first, others = load_all(maps, out)
    if not same_frame:
        check_registration()
    entries = [merge_one(first, other, path, same_frame) for path, other in zip(maps[1:], others, strict=True)]
    failed = [entry for entry in entries if entry["problem"]]
    if len(failed) == len(entries):
        raise MapError("; ".join(f"{entry['path']}: {entry['problem']}" for entry in failed))
    saved = save_map(first, out, overwrite=overwrite) if allow_partial or not failed else None
    report = merge_report(maps[0], first, entries, saved)
    write_json(json_file, report)
    print_merge(report, out)
    if failed:
        raise typer.Exit(PARTIAL)


def load_all(paths: list[Path], out: Path) -> tuple["PlaceMap", list["PlaceMap"]]:
    """The first map and the others. Raises MapError for what would be refused after minutes of alignment."""
    from ..core.map_folder import find_version
    from ..core.map_store import load_map

    if len(paths) < 2:
        raise MapError("merging takes two maps or more: vxp map merge A B --out MAP")
    folders = [find_version(path.expanduser()) for path in paths]
    if len(set(folders)) < len(folders):
        raise MapError("one map is given twice, and its places would stand in the new map twice: name each map once")
    if any(folder.parent == out.parent.resolve() and folder.name.startswith(f"{out.name}.v") for folder in folders):
        raise MapError(f"{out} is one of the maps to merge, and they stay as they are: choose another name")
    first, *others = (load_map(folder) for folder in folders)
    for path, other in zip(paths[1:], others, strict=True):
        try:
            first.check_like(other)
        except MapError as problem:
            raise MapError(f"{path}: {problem}") from None
    return first, others


def check_registration() -> None:
    from ..core.registration import missing_library

    if missing := missing_library():
        raise ModelError(f"{missing}; or merge maps that share a frame with --same-frame")


def merge_one(first: "PlaceMap", other: "PlaceMap", path: Path, same_frame: bool) -> dict:
    """Add the places of one map to the first and those before, if it aligns. Returns its part of the report."""
    entry = {"path": str(path), "places": len(other), "problem": "", "alignment": None}
    try:
        if same_frame:
            first.merge(other)
        else:
            alignment = align(first, other, path)
            first.merge(other, alignment.T_a_b)
            entry["alignment"] = alignment_report(alignment)
    except MapError as problem:
        entry["problem"] = str(problem)
    return entry


def align(first: "PlaceMap", other: "PlaceMap", path: Path) -> "MapAlignment":
    from ..core.map_alignment import align_maps
    from ..core.registration_process import RegistrationProcess

    with RegistrationProcess() as process:
        track_places = lambda places: track(places, f"aligning {path}", len(places))  # noqa: E731
        return align_maps(first, other, register=skip_deaths(process.register), progress=track_places)


def skip_deaths(register: "Register") -> "Register":
    """Two clouds over which the registration library dies are two that do not fit; the other places go on."""

    def attempt(source, target):
        try:
            return register(source, target)
        except ModelError as problem:  # the library is there: `check_registration` has looked
            raise BadInput("registration_died", str(problem)) from problem

    return attempt


def alignment_report(alignment: "MapAlignment") -> dict:
    metres, degrees = alignment.metres, alignment.degrees
    return {
        "T_first_other": alignment.T_a_b,
        "tried": alignment.tried,
        "verified": alignment.verified,
        "agreeing": alignment.agreeing,
        "residual_m": {"median": float(median(metres)), "max": float(max(metres))},
        "residual_deg": {"median": float(median(degrees)), "max": float(max(degrees))},
    }


def merge_report(first_path: Path, merged: "PlaceMap", entries: list[dict], saved: "SavedMap | None") -> dict:
    return {
        "first": str(first_path),
        "maps": entries,
        "places": len(merged),
        "modalities": merged.counts,
        "saved": saved is not None,
        "path": str(saved.path) if saved else None,
        "bytes": saved.bytes if saved else None,
        "sha256": saved.sha256 if saved else None,
    }


def print_merge(report: dict, out: Path) -> None:
    rows = [[entry["path"], str(entry["places"]), *alignment_cells(entry)] for entry in report["maps"]]
    header = ["merged into " + report["first"], "places", "found again", "agree", "median off", "at most off"]
    print_table("", header, rows)
    for entry in report["maps"]:
        if entry["problem"]:
            print(f"{entry['path']} is left out: {entry['problem']}")
        elif entry["alignment"] and entry["alignment"]["residual_m"]["median"] > BENT_M:
            print(f"warning: {entry['path']} is bent against the first map, but moved as a whole: {BENT_REMEDY}")
    if report["saved"]:
        print(f"{out}: {report['places']} places, {report['bytes'] / 1e6:.1f} MB")
    else:
        print("not saved: leave out the maps that do not align, or pass --allow-partial")


def alignment_cells(entry: dict) -> list[str]:
    found = entry["alignment"]
    if found is None:
        return ["left out" if entry["problem"] else "not asked", "", "", ""]
    off = found["residual_m"]
    return [
        f"{found['verified']} of {found['tried']}",
        str(found["agreeing"]),
        f"{off['median']:.2f} m",
        f"{off['max']:.2f} m",
    ]
