"""`vxp data`: data sets into the one form that training and evaluation read."""

from pathlib import Path
from typing import Annotated

import typer

from .commands import Bars

data_app = typer.Typer(no_args_is_help=True)


@data_app.callback()
def data() -> None:
    """Prepare data sets for training and evaluation."""


@data_app.command("prepare")
def prepare(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="kitti:ROOT:SEQ, bag:PATH, "
               "nuscenes:ROOT[:SCENE], or the authors' tables: oxford:CSV, vivid:CSV, kitti-table:CSV.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder for annotation.csv and what belongs to it.")],
    spacing: Annotated[float | None, typer.Option(min=0.0, metavar="M", help="Metres between frames.",
               show_default="every frame; bag and nuscenes: 1")] = None,
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Authors' tables: folder of images and clouds.",
               show_default="the table's")] = None,
    one_world: Annotated[bool, typer.Option("--one-world", help="The sources share a map frame. Days of one Town "
               "do without saying.")] = False,
) -> None:  # fmt: skip
    """Write one table of all frames, with the calibration of each drive.

    Images and clouds of KITTI, Oxford and ViViD++ stay where they are; frames of bags and nuScenes are written out.
    """
    from .datasets.prepare import prepare as run

    with Bars() as bars:
        prepared = run(sources, out.expanduser(), spacing, root, one_world, bars.bar("frames"))
    table = prepared.annotation
    typer.echo(f"{out}: {len(prepared)} frames")
    for name in table.drives:
        typer.echo(f"  {name:24} {len(table.rows_of(name)):6d} frames  {prepared.drives[name].source}")
