"""`vxp demo`: the main job with real ROS nodes, on a synthetic town or on two bags, measured and reported."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from .output import print_table


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for report, pictures, numbers and logs.")] = Path(
        "out/demo"
    ),
    map_bag: Annotated[Path | None, typer.Option(metavar="BAG", help="Make the map from this bag of yours.")] = None,
    query_bag: Annotated[Path | None, typer.Option(metavar="BAG", help="And look this one up on it.")] = None,
    radius: Annotated[float, typer.Option(metavar="M", help="An answer so near the truth is right.", min=0.1)] = 10.0,
) -> None:
    """Map, localize and close loops through separate ROS processes; write report.html and summary.json.

    Without bags a synthetic town is driven on two days. Bags need the topics /camera/image_raw (also /compressed),
    /camera/camera_info, /points, /tf_static and, for the truth, /ground_truth or /odom in one common frame. Exit code 1
    when a frame is unaccounted for, no candidate or loop closure arrives or a node dies. Takes about six minutes.
    """
    if (map_bag is None) != (query_bag is None):
        raise typer.BadParameter("--map-bag and --query-bag go together")
    logging.getLogger("vxp_ros.demo").setLevel(logging.INFO)
    from ..demo.run import run_demo

    summary = run_demo(out, None if map_bag is None else (map_bag, query_bag), radius)
    rows = [
        [mode, f"{summary['accounting'][mode]['answered']} of {summary['accounting'][mode]['sent']}",
         percent(recall), percent(summary["controls"]["chance"]), *believed(summary["verdicts"][mode]),
         f"{summary['latency_ms_by_mode'][mode]['end_to_end']['p50']:.0f}"]
        for mode, recall in summary["recall_at_1"].items()
    ]  # fmt: skip
    header = ["mode", "answered", "recall", "chance", "believed: right", "wrong", "unknown", "ms"]
    print_table(f"within {radius:g} m of the truth", header, rows)
    typer.echo(loops_in_words(summary["loops"]))
    for sentence in summary["caveats"]:
        typer.echo(sentence)
    typer.echo(f"{out / 'report.html'}, {out / 'summary.json'}")


def loops_in_words(loops: dict) -> str:
    if "left_out" in loops:
        return f"Second act, loop closing, left out: {loops['left_out']}."
    rms, end = loops["rms_m"], loops["end_m"]
    return (
        f"Second act: {loops['closures']} loop closures on {loops['metres']:.0f} m, {loops['wrong']} wrong; the "
        f"trajectory is {rms['odometry']:.2f} m off without them and {rms['path']:.2f} m with them, at its end "
        f"{end['odometry']:.2f} m and {end['path']:.2f} m."
    )


def percent(share: float) -> str:
    return "-" if share != share else f"{100 * share:.0f} %"


def believed(verdicts: dict) -> tuple[str, str, str]:
    """Of the right answers, of the wrong ones to known places, and of those to unknown places."""
    known, unknown = verdicts["known"], verdicts["unknown"]
    return (
        f"{known['accepted_right']} of {known['right']}",
        f"{known['accepted_wrong']} of {known['queries'] - known['right']}",
        f"{unknown['accepted_wrong']} of {unknown['queries']}",
    )
