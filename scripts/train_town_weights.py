"""Trains the shipped view model on towns, from frames to weights: python scripts/train_town_weights.py --out DIR

Twelve small towns on five days by the front camera for both branches, four of them by six cameras, too, for the fused
descriptor; one more town chooses the epoch. The stages and their settings are those of a training recipe; the model
goes to DIR/model. With a GPU and 16 cores it takes a quarter of an hour, on two cores without one most of a day.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vxp_ros.core.encoder import choose_device
from vxp_training.datasets.town.splits import Split, find_split, seeded
from vxp_training.datasets.town.store.task import RigChoice
from vxp_training.datasets.town_days import RIG, Spacing, record_days
from vxp_training.distributed import Ranks
from vxp_training.mining import Poses
from vxp_training.recipe import DataRecipe, find_training_recipe, read_training_recipe
from vxp_training.train import claimed, run_stages
from vxp_training.training_data import TrainingData

TOWNS = (*(find_split(f"town-train-{number}") for number in range(1, 5)), *(seeded(seed) for seed in range(1105, 1113)))
RING_TOWNS, VALIDATION = 4, find_split("town-val")
RING = RigChoice(cameras=6, size=(256, 96), rings=32)
AHEAD_DAYS = {day: Spacing(13.0) for day in ("sunny", "sameday", "rain", "night", "snow")}
RING_DAYS = {day: Spacing(13.0) for day in ("sunny", "rain", "night", "snow")}
VALIDATED = {"sunny": Spacing(20.0), "rain": Spacing(20.0, 2.5), "night": Spacing(20.0, 2.5)}


def main() -> None:
    options = parse_options()
    recipe = read_training_recipe(find_training_recipe(options.recipe))
    stages = options.stages.split(",") if options.stages else recipe.stages
    recipe = replace(recipe, workers=options.workers, stages=stages, start=options.start)
    towns = TOWNS[: options.towns]
    for stage in recipe.stages:
        used = towns[:RING_TOWNS] if stage == "fusion" else towns
        data = (frames_all_round if stage == "fusion" else frames_ahead)(used, options.limit)
        names = DataRecipe(train=[town.name for town in used], validate=[VALIDATION.name])
        one = replace(recipe, stages=[stage], data=names)
        with claimed(options.out / stage, one, data, Ranks()):
            run_stages(one, data, options.out / stage, choose_device(options.device), Ranks())
        recipe = replace(recipe, start=[str(options.out / stage / "model")])
    print(options.out / recipe.stages[-1] / "model")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--recipe", default="vxp_view")
    parser.add_argument("--stages", help="of the recipe: only these")
    parser.add_argument("--start", action="append", default=[], metavar="MODEL")
    parser.add_argument("--towns", type=int, default=len(TOWNS))
    parser.add_argument("--limit", type=int, help="frames of each drive, to try it out")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def frames_ahead(towns: Sequence[Split], limit: int | None) -> TrainingData:
    """Each town is a folder of its own: they overlap in space."""
    return gathered([record_days([town], AHEAD_DAYS, rig=RIG, limit=limit) for town in towns],
                    [record_days([VALIDATION], VALIDATED, rig=RIG, limit=limit)])  # fmt: skip


def frames_all_round(towns: Sequence[Split], limit: int | None) -> TrainingData:
    """Of the ring of cameras, and as many of the front camera alone."""
    train = [record_days([town], RING_DAYS, rig=rig, limit=limit) for rig in (RING, RIG) for town in towns]
    return gathered(train, [record_days([VALIDATION], VALIDATED, rig=rig, limit=limit) for rig in (RING, RIG)])


def gathered(train: list, validate: list) -> TrainingData:
    folders, count = [*train, *validate], sum(map(len, train))
    poses = Poses.of([folder.annotation for folder in folders])
    return TrainingData(folders, poses, np.arange(count), np.arange(count, len(poses)))


if __name__ == "__main__":
    main()
