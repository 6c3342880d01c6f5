"""What the commands share on their way out: JSON files, tables and progress. Nothing heavy is imported here."""

from pathlib import Path
from typing import Annotated

import typer

from ..core import json_file


def writable(context: typer.Context, path: Path | None) -> Path | None:
    """Say before minutes of work, not after them, that the file of --json cannot be written. Raises OSError."""
    if path is None or context.resilient_parsing:
        return path
    path = path.expanduser()
    json_file.check_writable(path)
    return path


JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the result to this file.", callback=writable)
]
ModelOption = Annotated[str, typer.Option("--model", help="Model folder, or the name of a shipped one.")]
DeviceOption = Annotated[str, typer.Option(help="auto (CUDA when there is one), cpu, cuda or cuda:N.")]

# Exit codes: 0 done, 1 failed (any error), 2 done in part.
PARTIAL = 2


def write_json(path: Path | None, result: dict) -> None:
    """Write the file that --json asked for, if it did."""
    if path is not None:
        json_file.write_json(path, result)


def print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """A table on stdout; all columns but the first are right-aligned. Brackets in the data are no markup."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", show_header=any(header))
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 or not name else "right")
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False, emoji=False).print(table)


def track(items, description: str, total: int | None = None):
    """Iterate with a progress bar on stderr, so that stdout stays clean for results."""
    from rich.console import Console
    from rich.progress import track as rich_track

    return rich_track(items, description=description, total=total, console=Console(stderr=True), transient=True)


def in_words(problems: dict[str, int]) -> str:
    """What of a source was unusable: how often, and why."""
    return ", ".join(f"{count} x {reason}" for reason, count in sorted(problems.items()))


def length_of(items) -> int | None:
    """len(items) where it is known in advance."""
    try:
        return len(items)
    except TypeError:
        return None
