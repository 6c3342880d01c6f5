"""`vxp nuscpr`: the splits of NUSC-PR from nuScenes tables."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vxp_ros.core import json_file as json_files

from .commands import Bars, JsonOption

nuscpr_app = typer.Typer(no_args_is_help=True)

RootOption = Annotated[Path, typer.Option("--dataroot", metavar="DIR", help="Folder of nuScenes; its tables suffice.")]
VersionOption = Annotated[str, typer.Option(metavar="NAME", help="Folder of the tables.")]
OutOption = Annotated[Path, typer.Option(metavar="DIR", help="Gets a folder of the scheme, which must be new.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="The leak-free rule and nothing else: what is done "
                                            "without --paper-compat, said aloud.")]  # fmt: skip
SeedOption = Annotated[int, typer.Option(min=0, help="Of all draws.")]
CompatOption = Annotated[str, typer.Option("--paper-compat", metavar="SWITCH,..", help="The authors' behaviour where "
                                           "it differs from what was meant: all, or names.")]  # fmt: skip
HEADER = ("district", "scenes", "drives", "keyframes", "database", "train", "tuples", "validation", "test",
          "no answer")  # fmt: skip


@nuscpr_app.callback()
def nuscpr() -> None:
    """NUSC-PR, EINet's benchmark on nuScenes: the index files that training and evaluation read.

    The default is leak-free: no test date and no test drive in the database, and a query's own drive within a minute
    never counts. --paper-compat all follows the published rules. Draws are ours and seeded in both cases.
    """


@nuscpr_app.command("supervised")
def supervised(
    dataroot: RootOption, out: OutOption, version: VersionOption = "v1.0-trainval", strict: StrictOption = False,
    paper_compat: CompatOption = "", seed: SeedOption = 1, json_file: JsonOption = None,
) -> None:  # fmt: skip
    """Positives within 9 m and negatives beyond 18 m by pose; queries are split by date."""
    make("supervised", dataroot, out, version, strict, paper_compat, seed, json_file)


@nuscpr_app.command("self-supervised")
def self_supervised(
    dataroot: RootOption, out: OutOption, version: VersionOption = "v1.0-trainval", strict: StrictOption = False,
    paper_compat: CompatOption = "", seed: SeedOption = 1, json_file: JsonOption = None,
) -> None:  # fmt: skip
    """Positives a moment ago and negatives seconds ago in the same scene; test drives are set apart."""
    make("self-supervised", dataroot, out, version, strict, paper_compat, seed, json_file)


def make(
    scheme: Literal["supervised", "self-supervised"], dataroot: Path, out: Path, version: str, strict: bool,
    paper_compat: str, seed: int, json_file: Path | None,
) -> None:  # fmt: skip
    from .datasets.nusc_pr.compat import NuscPrCompat
    from .datasets.nusc_pr.make import FOLDERS, make_split
    from .protocols.trial import parse_switches

    compat = parse_switches(NuscPrCompat, paper_compat)
    if strict and paper_compat:
        raise typer.BadParameter("--strict is the leak-free rule; leave out --paper-compat")
    out = out.expanduser()
    with Bars() as bars:
        facts = make_split(scheme, dataroot.expanduser(), version, out, seed, compat, bars.bar("nuscpr"))
    if json_file is not None:
        json_files.write_json(json_file, facts)
    show(out / FOLDERS[scheme], facts)


def show(folder: Path, facts: dict) -> None:
    """Counts per district, then a line per file as `sha256sum --check` reads it."""
    rule = ", ".join(facts["paper_compat"]) or "leak-free"
    typer.echo(f"{folder}: {facts['scheme']}, {facts['keyframes']} keyframes, seed {facts['seed']}, {rule}")
    typer.echo("  ".join(f"{name:>10}" for name in HEADER))
    for name, numbers in facts["districts"].items():
        keys = (*HEADER[1:-1], "test_without_right")
        typer.echo("  ".join(f"{cell:>10}" for cell in (name, *(numbers[key] for key in keys))))
    for name, digest in facts["files"].items():
        typer.echo(f"{digest}  {name}")
