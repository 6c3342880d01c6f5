"""How hard the towns are: recall@1 of methods that learn nothing, on every day: python scripts/benchmark_town.py

The map is the sunny day with a place every 5 m; queries come every 20 m from 2.5 m on. Front camera of 320 x 180, 32
rings. --easy builds the same towns without what makes them hard (cloned blocks, changed houses, traffic, other lanes).
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from vxp_ros.core.evaluate import chance_recall, distances_to_places, recall_at_k
from vxp_ros.core.json_file import write_json
from vxp_training.baselines.images import describe_by_all
from vxp_training.baselines.scan_context import scan_context, similarities
from vxp_training.datasets.town.days import DAYS
from vxp_training.datasets.town.splits import SPLITS, Split
from vxp_training.datasets.town.store.master import Recording
from vxp_training.datasets.town.store.recording import record
from vxp_training.datasets.town.store.task import RigChoice, Task

RADII_M = (5.0, 10.0, 25.0)
MAP_DAY, QUERY_DAYS = DAYS[0], DAYS[1:]
RIG = RigChoice(cameras=1, size=(320, 180), rings=32)
MAP_SPACING_M, QUERY_SPACING_M, QUERY_START_M = 5.0, 20.0, 2.5


def main() -> None:
    options = parse_options()
    rows = {}
    for name in options.splits:
        split = replace(SPLITS[name], is_hardened=not options.easy)
        rows[name] = town_rows(split, options)
        show(name, rows[name])
    if options.json:
        write_json(options.json, {"is_hardened": not options.easy, "map_spacing_m": MAP_SPACING_M, "towns": rows})


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", nargs="*", default=["town-test-1", "town-test-2"], choices=list(SPLITS))
    parser.add_argument("--easy", action="store_true", help="without hardening")
    parser.add_argument("--cache", type=Path, help="where recordings are kept (default: the user's cache folder)")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    return parser.parse_args()


def town_rows(split: Split, options: argparse.Namespace) -> dict[str, dict[str, dict]]:
    """{day: {method: numbers}} of one town."""
    places = take(Task(split, MAP_DAY, RIG, spacing=MAP_SPACING_M), options.cache)
    rows = {}
    for day in QUERY_DAYS:
        queries = take(Task(split, day, RIG, spacing=QUERY_SPACING_M, start=QUERY_START_M), options.cache)
        rows[day] = day_rows(places, queries)
    return rows


class Drive:
    """What the methods see of a recording. positions: [N, 3]."""

    def __init__(self, recording: Recording):
        frames = list(recording)
        self.positions = np.array([frame.T_odom_base[:3, 3] for frame in frames])
        self.pictures = [frame.images["camera"].pixels for frame in frames]
        height = recording.rig.lidar.T_base_lidar[2, 3]
        self.contexts = [scan_context(frame.points, height) for frame in frames]


def take(task: Task, cache: Path | None) -> Drive:
    with Progress() as bar:
        line = bar.add_task(f"{task.split.name} {task.day}", total=None)
        return Drive(record(task, cache, progress=lambda done, total: bar.update(line, completed=done, total=total)))


def day_rows(places: Drive, queries: Drive) -> dict[str, dict]:
    """{method: {"recall_at_1": {radius: share}, "recall_at_5_25": share, "queries": n}}"""
    errors = distances_to_places(queries.positions, places.positions)
    scores = {name: asked @ offered.T for name, (offered, asked) in
              describe_by_all(places.pictures, queries.pictures).items()}  # fmt: skip
    scores["ScanContext"] = similarities(queries.contexts, places.contexts)
    rows = {name: score_row(score, errors) for name, score in scores.items()}
    chance = {str(radius): chance_recall(queries.positions, places.positions, radius) for radius in RADII_M}
    return rows | {"chance": {"recall_at_1": chance, "queries": len(errors)}}


def score_row(score: np.ndarray, errors: np.ndarray) -> dict:
    """score: [Q, N], higher is better. errors: [Q, N] metres."""
    ranked = np.take_along_axis(errors, np.argsort(-score, axis=1, kind="stable")[:, :5], axis=1)
    nearest = errors.min(axis=1)
    return {
        "recall_at_1": {str(radius): recall_at_k(ranked, nearest, radius, (1,))[1] for radius in RADII_M},
        "recall_at_5_25m": recall_at_k(ranked, nearest, 25.0, (5,))[5],
        "queries": len(errors),
    }


def show(name: str, rows: dict[str, dict[str, dict]]) -> None:
    methods = list(next(iter(rows.values())))
    table = Table(title=f"{name}: recall@1 in % at 5/10/25 m [recall@5 at 25 m]", title_justify="left")
    for title in ("day", "queries", *methods):
        table.add_column(title)
    for day, row in rows.items():
        table.add_row(day, str(row["chance"]["queries"]), *(cell(row[method]) for method in methods))
    Console(markup=False, highlight=False, width=180).print(table)


def cell(row: dict) -> str:
    first = "/".join(f"{100 * share:.0f}" for share in row["recall_at_1"].values())
    return first + (f" [{100 * row['recall_at_5_25m']:.0f}]" if "recall_at_5_25m" in row else "")


if __name__ == "__main__":
    main()
