"""The demo from data to report: bags, a map made by the mapper node, five modes asked of the localizer node, and a
second act, in which a drive with loops is pulled straight.

Every ROS part is a process of its own on real Fast DDS; this one only starts, watches and stops them, and imports no
ROS. A run fails when a process dies, a frame is unaccounted for, or no candidate or closure arrives.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from ..core.errors import VxpError
from ..core.json_file import write_json
from ..core.map_store import load_map, path_of_map
from ..core.model_store import load_model
from ..core.place_map import PlaceMap
from .controls import control_recalls
from .data import (
    DemoData,
    check_length,
    frame_rate,
    make_loop_drive,
    make_town,
    read_bags,
    read_moments,
    rig_parameters,
)
from .loops import LoopAct, close_loops, missing_part
from .pictures import draw_all
from .processes import Processes, interruptible
from .record import MODES, DemoRun, Truth, make_answer
from .replay import (
    MAPPING_HZ,
    MODEL,
    QUERY_HZ,
    REPLAY_TIMEOUT_S,
    Workspace,
    replay,
    ros_environment,
    write_parameters,
)
from .report import write_report
from .summary import Replay, account, check, check_accounting, summarise

MAP_NAME = "demo"
MARKER = ".vxp_demo"
# Everything that a run leaves in its folder; nothing else there is ever deleted.
PARTS = (
    *("town", "logs", "maps", "slam", "pictures", "report.html", "summary.json"),
    *("mapper.yaml", "localizer.yaml", "loop_closer.yaml"),
)
# The field's usual radius for places 5 m apart.
RADIUS_M = 10.0


def run_demo(out: Path, bags: tuple[Path, Path] | None = None, radius_m: float = RADIUS_M) -> dict:
    """Run the whole demo into the folder `out`; returns what summary.json holds. Raises VxpError when it fails.

    bags: one to make the map from and one to ask with; None: a synthetic town's. radius_m: an answer is right within so
    many metres of the truth.
    """
    out = prepare_folder(out, bags or ())
    space = Workspace(out)
    with interruptible():
        with space.phase("data"):
            data = make_town(out / "town") if bags is None else read_bags(*bags, f"bags {bags[0]} and {bags[1]}")
            check_length(data.map_bag, data.places, MAPPING_HZ, REPLAY_TIMEOUT_S)
            check_length(data.query_bag, data.queries, QUERY_HZ, REPLAY_TIMEOUT_S)
        with space.phase("model"):
            model_id = load_model(MODEL).model_id
            write_parameters(space, "mapper", rig_parameters(data.map_bag, data.places[0]))
            write_parameters(space, "localizer", rig_parameters(data.query_bag, data.queries[0]))
        with Processes(out / "logs", ros_environment(out)) as processes:
            mapping = build_map(space, processes, data)
            check_accounting({mapping.name: account(mapping)})
            place_map = load_map(path_of_map(out / "maps", MAP_NAME))
            replays = [mapping, *(localize(space, processes, data, mode) for mode in MODES)]
            left_out = "it drives the synthetic town" if bags else missing_part()
            act, loops = None, {"left_out": left_out}
            if not left_out:
                act, loops = second_act(space, processes)
        with space.phase("report"):
            return report(space, model_id, data, place_map, replays, radius_m, act, loops)


def prepare_folder(out: Path, bags: Iterable[Path] = ()) -> Path:
    """An empty place for this run. Replaces what an earlier run left there, and refuses to touch anything else; least
    of all the bags to be read."""
    out = out.expanduser().absolute()
    inside = [bag for bag in bags if bag.expanduser().resolve().is_relative_to(out.resolve())]
    if inside:
        raise VxpError(f"{inside[0]} lies in {out}, which the demo empties first: choose another folder with --out")
    if out.exists() and not out.is_dir():
        raise VxpError(f"{out} is a file: choose a folder for the demo with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).exists():
        raise VxpError(f"{out} holds files that no demo made: choose an empty or new folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).write_text("vxp demo made this folder and replaces its own files here when it runs again\n")
    for part in PARTS:
        path = out / part
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return out


def build_map(space: Workspace, processes: Processes, data: DemoData) -> Replay:
    """Replay the first bag to the mapper, which saves its map when it is interrupted."""
    arguments = [f"keyframe.save_as:={MAP_NAME}", "keyframe.min_travel:=0.0"]
    rate = MAPPING_HZ / frame_rate(data.places)
    with space.phase("mapping"):
        return replay(space, processes, "mapping", "mapper", data.map_bag, arguments, rate)


def localize(space: Workspace, processes: Processes, data: DemoData, mode: str) -> Replay:
    """Replay the second bag to a fresh localizer that matches as `mode` says."""
    query, against = MODES[mode]
    path = path_of_map(space.out / "maps", MAP_NAME)
    arguments = [f"map.path:={path}", f"match.query:={query}", f"match.against:={against}",
                 "verify.enable:=false"]  # fmt: skip  # what the descriptors find alone is measured
    with space.phase(mode):
        rate = QUERY_HZ / frame_rate(data.queries)
        return replay(space, processes, mode, "localizer", data.query_bag, arguments, rate)


def second_act(space: Workspace, processes: Processes) -> tuple[LoopAct | None, dict]:
    """A drive with loops through the same town, and its numbers; those say why, when it failed: the first act's are
    worth a report all the same."""
    try:
        with space.phase("loop drive"):
            bag = make_loop_drive(space.out / "town")
            moments = read_moments(bag)
            check_length(bag, moments, MAPPING_HZ, REPLAY_TIMEOUT_S)
            write_parameters(space, "loop_closer", rig_parameters(bag, moments[0]))
        act = close_loops(space, processes, bag, moments)
        return act, act.numbers()
    except VxpError as problem:
        return None, {"failed": str(problem)}


def report(
    space: Workspace,
    model_id: str,
    data: DemoData,
    place_map: PlaceMap,
    replays: list[Replay],
    radius_m: float,
    act: LoopAct | None,
    loops: dict,
) -> dict:
    """Numbers first, so that they are there to look at even when the run turns out to be a failure. loops: those of the
    second act."""
    poses = {moment.stamp_ns: moment.T_map_base for moment in data.queries}
    truth = Truth(poses, place_map.poses[:, :3, 3], radius_m)
    answers = [
        make_answer(result.name, line, result.sent, truth)
        for result in replays[1:]
        for line in result.recording.answers
    ]
    controls = control_recalls(data.queries, data.places, MODEL, radius_m)
    replays = [*replays, act.replay] if act else replays
    summary = summarise(model_id, place_map, data, replays, answers, controls, radius_m, space.seconds, loops)
    write_json(space.out / "summary.json", summary)
    check(summary)
    run = DemoRun(place_map, data.queries, answers, summary, act)
    write_report(run, draw_all(run, space.out / "pictures"), space.out / "report.html")
    return summary
