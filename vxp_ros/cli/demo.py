"""`vxp demo`: the main job on real data with real ROS nodes, measured and reported."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from .output import print_table


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for report, pictures, numbers and logs.")] = Path(
        "out/demo"
    ),
) -> None:
    """Map and localize on KITTI frames through separate ROS processes; write report.html and summary.json.

    Needs the environment variable VXP_DATA: a folder with kitti/sequences/00..05 and kitti/poses. Exit code 1 when a
    frame is unaccounted for, no candidate arrives or a node dies. Takes two to three minutes.
    """
    logging.getLogger("vxp_ros.demo").setLevel(logging.INFO)
    from ..demo.run import run_demo

    summary = run_demo(out)
    controls = [
        f"{100 * summary['controls'][name]:.0f} %" for name in ("chance", "noise_descriptors", "thumbnails_8x16")
    ]
    rows = [
        [mode, f"{summary['accounting'][mode]['answered']} of {summary['accounting'][mode]['sent']}",
         f"{100 * recall:.0f} %", *controls, f"{summary['latency_ms_by_mode'][mode]['end_to_end']['p50']:.0f} ms"]
        for mode, recall in summary["recall_at_1"].items()
    ]  # fmt: skip
    header = ["mode", "answered", "recall@1", "chance", "noise", "8 x 16 pictures", "end to end"]
    print_table(f"within {summary['recall_radius_m']:g} m of the truth", header, rows)
    for sentence in summary["caveats"]:
        typer.echo(sentence)
    typer.echo(f"{out / 'report.html'}, {out / 'summary.json'}")
