"""Frames per second and FLOP of the fused models, one frame at a time: python scripts/benchmark_fused_speed.py

A frame of Town by six cameras of 1600 x 900 or by the front one, 32 rings. Milliseconds are those of one thread's CPU
time, median of --rounds after a warm-up: what is computed from arrays in memory to the descriptor. FLOP: two per
multiplication and addition, of the networks alone.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from vxp_ros.core.datatypes import Frame
from vxp_ros.core.model_store import find_recipe, fresh_network
from vxp_ros.core.models.recipe import Recipe, read_recipe
from vxp_training.datasets.town.store.task import RigChoice
from vxp_training.datasets.town_days import Spacing, record_days

NAMES = {"lcpr": "LCPR", "einet": "EINet", "vxp_view": "vxp_view, fused"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    ring, front = first_frame(6), first_frame(1)
    print("| model | cameras | images | GFLOP | prepare, ms | network, ms | frames/s |\n|---|---|---|---|---|---|---|")
    for name, frame, size in [
        ("lcpr", ring, (256, 704)), ("lcpr", ring, (96, 256)), ("einet", ring, (256, 704)), ("einet", ring, (96, 256)),
        ("vxp_view", ring, None), ("vxp_view", front, None),
    ]:  # fmt: skip
        print(row(name, frame, size, rounds), flush=True)


def first_frame(cameras: int) -> Frame:
    return record_days(["town-val"], {"sunny": Spacing(20.0)}, rig=RigChoice(cameras, (1600, 900)), limit=1).frame(0)


def row(name: str, frame: Frame, size: tuple[int, int] | None, rounds: int) -> str:
    recipe = sized(read_recipe(find_recipe(name)), size)
    network = fresh_network(recipe, 0)[0].eval()
    with torch.inference_mode():
        inputs = network.prepare_frame(frame, "cpu")
        with FlopCounterMode(display=False) as flops:
            network.fuse(*inputs)
        prepare = cpu_ms(lambda: network.prepare_frame(frame, "cpu"), rounds)
        fuse = cpu_ms(lambda: network.fuse(*inputs), rounds)
    cells = (
        NAMES[name], len(frame.images), " x ".join(map(str, recipe.image.size)),
        f"{flops.get_total_flops() / 1e9:.1f}", f"{prepare:.0f}", f"{fuse:.0f}", f"{1e3 / (prepare + fuse):.1f}",
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def sized(recipe: Recipe, size: tuple[int, int] | None) -> Recipe:
    if size is None:
        return recipe
    rig = replace(recipe.rig, cells=[32, recipe.rig.cameras * size[1] // 4])
    return replace(recipe, image=replace(recipe.image, size=list(size)), rig=rig)


def cpu_ms(call: Callable[[], object], rounds: int) -> float:
    call()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times)


if __name__ == "__main__":
    main()
