"""LiDAR only, camera only, LCPR, EINet without interaction, EINet: python scripts/benchmark_rig.py --out DIR

Town with six cameras of 96 x 256 and 32 rings. Every row learns from the same frames by the same stage with the same
settings, from random weights, and is asked about unseen towns: the map is their sunny day, right is within 9 m. Rows
are independent: --rows einet trains one, and what is done already is not done again. DIR/report.json has them all.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vxp_ros.core.encoder import choose_device
from vxp_ros.core.json_file import write_json
from vxp_ros.core.model_store import fresh_network
from vxp_ros.core.models import Network
from vxp_ros.core.models.recipe import Recipe, parse_recipe
from vxp_training.datasets.town.store.task import RigChoice
from vxp_training.datasets.town_days import Spacing, TownDays, record_days
from vxp_training.distributed import Ranks
from vxp_training.engine import Engine
from vxp_training.evaluate import answer, summarise
from vxp_training.feature_cache import Filling
from vxp_training.loading import load
from vxp_training.mining import Poses
from vxp_training.protocols.trial import Trial, positives_within
from vxp_training.recipe import PlacesRecipe
from vxp_training.rig_samples import RigCache, RigFrames
from vxp_training.rig_stage import PlacesStage
from vxp_training.samples import to_device
from vxp_training.training_data import TrainingData

RIG = RigChoice(cameras=6, size=(256, 96), rings=32)
TRAIN, VALIDATE = ("town-train-1", "town-train-2", "town-train-3", "town-train-4"), ("town-val",)
LEARNT = {day: Spacing(13.0) for day in ("sunny", "rain", "night", "snow")}
VALIDATED = {"sunny": Spacing(20.0), "rain": Spacing(20.0, 2.5), "night": Spacing(20.0, 2.5)}
MAP_DAY, RADIUS_M, KS = "sunny", 9.0, (1, 5, 10)
ASKED = {"rain": Spacing(30.0, 2.5), "night": Spacing(30.0, 2.5), "snow": Spacing(30.0, 2.5),
         "reverse": Spacing(30.0, 2.5)}  # fmt: skip
TESTED = {MAP_DAY: Spacing(10.0), **ASKED}
ROWS = {
    "lidar": {"architecture": "einet", "modalities": ["lidar"]},
    "camera": {"architecture": "einet", "modalities": ["camera"]},
    "lcpr": {"architecture": "lcpr", "modalities": ["fused"]},
    "einet-plain": {"architecture": "einet", "modalities": ["fused"], "rig": {"interaction": False}},
    "einet": {"architecture": "einet", "modalities": ["fused"]},
}
UNTRAINED = " untrained"
BATCH = 64


def main() -> None:
    options = parse_options()
    data = training_data(options.train, options.validate, options.limit)
    trained = {row: train_row(row, data, options) for row in options.rows}
    towns = [record_days([town], TESTED, rig=RIG, limit=options.limit) for town in options.test]
    for row, run in trained.items():
        report = {**run.facts, "days": ask(run, run.network, towns), f"days{UNTRAINED}": ask(run, run.untrained, towns)}
        write_json(options.out / row / "report.json", report)
    files = {row: options.out / row / "report.json" for row in ROWS}
    reports = {row: json.loads(file.read_text()) for row, file in files.items() if file.exists()}
    facts = {name: getattr(options, name) for name in ("epochs", "train", "validate", "test")}
    write_json(options.out / "report.json", {"frames": len(data.train), **facts, "rows": reports})
    print_reports(reports)


def print_reports(reports: dict[str, dict]) -> None:
    for row, report in reports.items():
        for name in ("", UNTRAINED):
            for day, found in report[f"days{name}"].items():
                recalls = " ".join(f"R@{k} {found['recall_at'][str(k)]:.1%}" for k in KS)
                print(f"{row + name:22} {day:8} {recalls}  chance {found['chance']:.1%}", flush=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: tuple(text.split(","))  # noqa: E731
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--rows", type=names, default=tuple(ROWS))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--train", type=names, default=TRAIN)
    parser.add_argument("--validate", type=names, default=VALIDATE)
    parser.add_argument("--test", type=names, default=("town-test-1", "town-test-2"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--limit", type=int, help="frames of each drive, to try it out")
    return parser.parse_args()


def training_data(train: Sequence[str], validate: Sequence[str], limit: int | None) -> TrainingData:
    """Each town is a folder of its own: they overlap in space."""
    folders = [record_days([town], LEARNT, rig=RIG, limit=limit) for town in train]
    count = sum(map(len, folders))
    folders += [record_days([town], VALIDATED, rig=RIG, limit=limit) for town in validate]
    poses = Poses.of([folder.annotation for folder in folders])
    return TrainingData(folders, poses, np.arange(count), np.arange(count, len(poses)))


@dataclass(frozen=True)
class Run:
    """A row: its network as it is now and as it began, and where its files lie."""

    model: Recipe
    network: Network
    untrained: Network
    folder: Path
    filling: Filling
    facts: dict


def train_row(row: str, data: TrainingData, options: argparse.Namespace) -> Run:
    """What is trained already is only read."""
    model, device = recipe_of(row), choose_device(options.device)
    network, untrained = (fresh_network(model, seed=0)[0] for _ in range(2))
    stage = PlacesStage(network, model, PlacesRecipe(epochs=options.epochs, batch=BATCH), data)
    progress = Engine(device, workers=options.workers).train(stage, options.out / row)
    filling = Filling(BATCH, device, lambda name, done, total: None, options.workers)
    facts = {"parameters": sum(tensor.numel() for tensor in network.parameters()), "steps": progress.steps}
    return Run(model, network, untrained.to(device), options.out / row, filling, facts)


def recipe_of(row: str) -> Recipe:
    image, rig = {"backbone": "resnet18", "size": [96, 256]}, {"cameras": 6, "cells": [32, 384]}
    parts = {"name": row, "normalise": True, "image": image, **ROWS[row]}
    return parse_recipe(parts | {"rig": rig | ROWS[row].get("rig", {})}, row)


def ask(run: Run, network: Network, towns: list[TownDays]) -> dict[str, dict]:
    """day -> numbers over all towns."""
    answers = {day: [] for day in ASKED}
    for town in towns:
        name, annotation = town.recordings[0].meta["split"]["name"], town.annotation
        rows = {day: annotation.rows_of(f"{name}-{day}") for day in TESTED}
        vectors = describe(network.eval(), prepared(run, town, name), run.filling)
        for day in ASKED:
            right = positives_within(annotation, rows[day], rows[MAP_DAY], RADIUS_M)
            trial = Trial(day, day, rows[day], rows[MAP_DAY], right)
            answers[day].append(answer(trial, annotation, vectors[rows[day]], vectors[rows[MAP_DAY]]))
    return {day: numbers(summarise(results)) for day, results in answers.items()}


def prepared(run: Run, town: TownDays, name: str) -> RigCache:
    """The town's frames, ready for the network."""
    rows, folder = np.arange(len(town)), run.folder / name
    folder.mkdir(exist_ok=True)
    data = TrainingData([town], Poses.of([town.annotation]), rows, rows)
    cache = RigCache(folder, rows, data, run.model, with_depths=False)
    cache.fill(Ranks(), run.filling)
    return cache


def numbers(summary: dict) -> dict:
    return {
        "recall_at": {str(k): summary["recall_at"][str(k)] for k in KS},
        **{name: summary[name] for name in ("interval_95", "queries", "chance")},
    }


@torch.inference_mode()
def describe(network: Network, frames: RigCache, filling: Filling) -> np.ndarray:
    """[N, D] of all the frames."""
    rows = np.arange(len(frames))
    batches = load(frames, np.split(rows, range(BATCH, len(rows), BATCH)), filling.workers, RigFrames.stack)
    inputs = (to_device(batch, filling.device).float().network_inputs() for batch in batches)
    return np.concatenate([network.fuse(*part).cpu().numpy() for part in inputs])


if __name__ == "__main__":
    main()
