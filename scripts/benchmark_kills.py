"""Kills a training at random moments and resumes it: python scripts/benchmark_kills.py RECIPE.yaml

One unbroken run, then one that is killed (SIGKILL) --kills times and then finished, on the CPU. Prints whether each
step's loss and the final weights are the same. RECIPE names its data and is short; its checkpoint_s should be a
fraction of a second, so that kills fall into checkpoints too. Runs are forked: no kill costs a start-up.
"""

import argparse
import json
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

from vxp_ros.core.json_file import write_json
from vxp_ros.core.model_store import load_model
from vxp_training.recipe import TrainingRecipe, find_training_recipe, read_training_recipe
from vxp_training.train import train

FORK = multiprocessing.get_context("fork")


def main() -> None:
    options = parse_options()
    random.seed(options.seed)
    recipe = read_training_recipe(find_training_recipe(options.recipe))
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder, "whole"), Path(folder, "broken")
        began = time.monotonic()
        start(recipe, whole).join()
        seconds = time.monotonic() - began
        kills = kill_again_and_again(recipe, broken, options.kills, seconds)
        start(recipe, broken).join()
        report = {
            "steps": len(losses(whole)),
            "kills": len(kills),
            "kills_in": Counter(kills),
            "unbroken_s": round(seconds, 1),
            "same_losses": losses(whole) == losses(broken),
            "same_model": load_model(whole / "model").model_id == load_model(broken / "model").model_id,
        }
    print(json.dumps(report, indent=2))
    if options.json:
        write_json(options.json, report)
    sys.exit(not (report["same_losses"] and report["same_model"] and len(kills) == options.kills))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="training recipe: a name or a YAML file")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def start(recipe: TrainingRecipe, out: Path) -> BaseProcess:
    process = FORK.Process(target=train, args=(recipe, out, "cpu"))
    process.start()
    return process


def kill_again_and_again(recipe: TrainingRecipe, out: Path, kills: int, seconds: float) -> list[str]:
    """Each run lives until it has logged a step that is new, and then for a random time that leaves work for the next.

    Returns the stage that each kill fell into.
    """
    fell_into: list[str] = []
    while len(fell_into) < kills:
        done = log_lines(out)
        process = start(recipe, out)
        while process.is_alive() and log_lines(out) <= done:
            time.sleep(0.005)
        process.join(random.uniform(0, seconds / kills))
        process.kill()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            break  # it was done before
        fell_into.append(stages(out)[-1])
    return fell_into


def log_lines(out: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in out.glob("*/log.jsonl"))


def stages(out: Path) -> list[str]:
    return sorted(file.parent.name for file in out.glob("*/log.jsonl"))


def losses(out: Path) -> list[float]:
    """Of all steps that the logs hold, stage after stage."""
    lines = [line for stage in stages(out) for line in (out / stage / "log.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in map(json.loads, lines) if entry["kind"] == "step"]


if __name__ == "__main__":
    main()
