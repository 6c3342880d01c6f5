"""What `vxp eval` shows: the table, the plot, the sheets of hits and misses."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vxp_ros.core.datatypes import Frame, Modality
from vxp_ros.core.errors import BadInput

from .datasets.prepared import WORLD_GAP_M
from .descriptors import Frames
from .evaluate import KS, MODES, Answers
from .protocols.run import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_KS = (1, 5, 10)
HEADER = ("group", "mode", *(f"R@{k}" for k in SHOWN_KS), "R@1%", "95 % of R@1", "AP", "max F1", "R at P=1", "chance",
          "queries")  # fmt: skip
FILE_WIDTH = 130
TILE, GAP, CAPTION = (240, 135), 8, 26
EACH = 4  # hits and misses of each mode
GOOD, BAD, INK, PAPER = (40, 140, 60), (190, 50, 40), (50, 44, 40), (250, 250, 248)
TOP_VIEW_M = 50.0


def print_table(title: str, report: dict) -> None:
    """Per group and mode; where there are several groups, their mean last."""
    blocks = dict(report["groups"])
    if len(blocks) > 1:
        blocks["all"] = report["modes"]
    rows = [[group, mode, *cells(numbers)] for group, modes in blocks.items() for mode, numbers in modes.items()]
    show(f"{title}, {report['model']} (%)", HEADER, rows)


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; all columns but the first two are numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in header:
        table.add_column(name, justify="left" if name in header[:2] else "right")
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:  # a file or a pipe has room
        console.width = FILE_WIDTH
    console.print(table)


def cells(numbers: dict) -> list[str]:
    recalls = [percent(numbers["recall_at"][str(k)]) for k in SHOWN_KS]
    low, high = numbers["interval_95"]
    rest = (numbers[key] for key in ("average_precision", "max_f1", "recall_at_full_precision", "chance"))
    return [*recalls, percent(numbers["recall_at_1pct"]), f"{percent(low)} to {percent(high)}", *map(percent, rest),
            str(numbers["queries"])]  # fmt: skip


def percent(share: float) -> str:
    return "-" if share != share else f"{100 * share:.1f}"


def draw_plot(path: Path, title: str, report: dict) -> None:
    """Recall@1..25 and precision against recall of every mode, over all trials."""
    with plots(path, 2) as (left, right):
        for mode, numbers in report["modes"].items():
            left.plot(KS, [numbers["recall_at"][str(k)] for k in KS], label=mode)
        left.axhline(next(iter(report["modes"].values()))["chance"], color="grey", ls=":", label="chance at 1")
        left.set(xlabel="k", ylabel="recall@k", ylim=(0, 1.02), title=f"{title}: {report['model']}")
        plot_precision(right, report["modes"])


def draw_precision(path: Path, title: str, blocks: dict[str, dict]) -> None:
    """Precision against recall alone. blocks: numbers with `precision_recall`, by name."""
    with plots(path, 1) as (axes,):
        plot_precision(axes, blocks)
        axes.set(title=title)


def plot_precision(axes: "Axes", blocks: dict[str, dict]) -> None:
    for name, numbers in blocks.items():
        curve = np.asarray(numbers["precision_recall"]).reshape(-1, 3)
        axes.plot(curve[:, 2], curve[:, 1], label=f"{name}, AP {percent(numbers['average_precision'])} %")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))


@contextmanager
def plots(path: Path, count: int) -> "Iterator[Sequence[Axes]]":
    """Axes side by side, which are a file in the end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, count, figsize=(5.5 * count, 4.2), layout="constrained", squeeze=False)
    yield axes[0]
    for entry in axes[0]:
        entry.grid(alpha=0.3)
        entry.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_sheets(folder: Path, frames: Frames, results: Results) -> list[Path]:
    """One picture per mode, examples-MODE.jpg: hits and misses spread over all queries with a right answer. A row has
    the query, the answer and, for a miss, the nearest right place."""
    paths = []
    for mode, answers in results.items():
        rows = [draw_row(frames, mode, *example) for example in examples(answers)]
        if rows:
            paths.append(folder / f"examples-{mode}.jpg")
            cv2.imwrite(str(paths[-1]), np.vstack(rows)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return paths


def examples(results: list[Answers]) -> list[tuple[Answers, int]]:
    """(result, query's number) of up to EACH hits and EACH misses."""
    found = []
    for is_hit in (True, False):
        some = [(result, int(query)) for result in results
                for query in np.flatnonzero(result.has_positive & (result.is_right == is_hit))]  # fmt: skip
        kept = np.unique(np.linspace(0, len(some) - 1, min(EACH, len(some))).round().astype(int)) if some else []
        found += [some[i] for i in kept]
    return found


def draw_row(frames: Frames, mode: str, result: Answers, query: int) -> np.ndarray:
    query_sensor, place_sensor = MODES[mode]
    trial, is_hit = result.trial, bool(result.is_right[query])
    tiles = [tile(frames, int(trial.queries[query]), query_sensor, f"query: {trial.name}", INK)]
    if result.best[query] >= 0:
        metres = float(result.error_m[query])
        where = f"{metres:.0f} m away" if metres < WORLD_GAP_M / 2 else "in another world"
        text = f"{'right' if is_hit else 'wrong'}, {where}"
        place = int(trial.database[result.best[query]])
        tiles.append(tile(frames, place, place_sensor, text, GOOD if is_hit else BAD))
    if not is_hit:
        place = int(trial.database[nearest_right(frames, result, query)])
        tiles.append(tile(frames, place, place_sensor, "a right one", INK))
    blank = np.full_like(tiles[0], PAPER)
    return np.hstack((tiles + [blank] * 3)[:3])


def nearest_right(frames: Frames, result: Answers, query: int) -> int:
    """Number in the database of the right place that is nearest in metres."""
    positions, trial = frames.annotation.positions, result.trial
    right = trial.positives[query]
    metres = np.linalg.norm(positions[trial.database[right]] - positions[trial.queries[query]], axis=1)
    return int(right[metres.argmin()])


def tile(frames: Frames, row: int, sensor: Modality, text: str, colour: tuple[int, int, int]) -> np.ndarray:
    """One sensor's data as a picture with a line of text, framed in a colour."""
    try:
        picture = picture_of(frames.frame(row), sensor)
    except BadInput:
        picture = np.zeros((*TILE[::-1], 3), np.uint8)
    picture = cv2.copyMakeBorder(cv2.resize(picture, TILE, interpolation=cv2.INTER_AREA), 3, 3, 3, 3,
                                 cv2.BORDER_CONSTANT, value=colour)  # fmt: skip
    sheet = np.full((picture.shape[0] + CAPTION + GAP, picture.shape[1] + GAP, 3), PAPER, np.uint8)
    sheet[CAPTION : CAPTION + picture.shape[0], GAP:] = picture
    cv2.putText(sheet, text[:44], (GAP, CAPTION - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.36, colour, 1, cv2.LINE_AA)
    return sheet


def picture_of(frame: Frame, sensor: Modality) -> np.ndarray:
    """The camera's image, or the points from above: ahead is up, brighter is higher."""
    if sensor == "camera" and frame.images:
        return next(iter(frame.images.values())).pixels
    picture = np.zeros((*TILE[::-1], 3), np.uint8)
    if sensor == "camera" or frame.points is None:
        return picture
    scale = TILE[1] / (2 * TOP_VIEW_M)
    T = np.eye(4) if frame.T_base_lidar is None else frame.T_base_lidar
    x, y, z = T[:3, :3] @ frame.points[:, :3].T + T[:3, 3:]
    column = (TILE[0] / 2 - y * scale).astype(int)
    line = (TILE[1] / 2 - x * scale).astype(int)
    inside = (column >= 0) & (column < TILE[0]) & (line >= 0) & (line < TILE[1])
    light = np.clip(90 + 35 * z, 60, 255).astype(np.uint8)
    order = np.argsort(z[inside])
    picture[line[inside][order], column[inside][order]] = light[inside][order][:, None]
    return picture
