"""Fused against single sensors, and with something broken: python scripts/benchmark_fusion.py MODEL [--cameras 6]

The map is the sunny day of the test towns, described by everything; the queries are other days, some with a fault. A
right answer lies within 9 m. "camera" and "lidar" are the fused head with the other sensor withheld in map and queries,
"sum" adds their squared distances. With one camera the model's own camera and LiDAR descriptors stand beside, and their
sum.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vxp_ros.core.datatypes import Frame
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.geometry import make_transform, rotation_z
from vxp_ros.core.json_file import write_json
from vxp_ros.core.models.view_fusion import each_view, in_colour, side_by_side
from vxp_ros.core.preprocessing.views import frame_views
from vxp_training.datasets.town.store.task import RigChoice
from vxp_training.datasets.town_days import Spacing, TownDays, record_days
from vxp_training.evaluate import wilson
from vxp_training.protocols.trial import positives_within

RADIUS_M, KS = 9.0, (1, 5, 10)
MAP_DAY, DAYS = "sunny", ("rain", "night", "snow", "reverse")
RIGS = {1: RigChoice(1, (320, 180), 32), 6: RigChoice(6, (256, 96), 32)}
CAMERA, LIDAR = torch.tensor([True, False]), torch.tensor([False, True])
TURN_DEG, SHIFT_M, LOST = 2.0, 0.10, 0.3


def main() -> None:
    options = parse_options(__doc__)
    encoder = Encoder.load(options.model, "cpu", options.threads)
    report = {"model": encoder.model_id, "cameras": options.cameras, "radius_m": RADIUS_M, "days": {}}
    towns = {town: ask_town(encoder, town, options) for town in options.towns.split(",")}
    for day in options.days.split(","):
        report["days"][day] = {
            name: pooled([towns[town][day][name] for town in towns]) for name in next(iter(towns.values()))[day]
        }
        for name, numbers in report["days"][day].items():
            print(
                f"{day:8} {name:28}",
                *(f"R@{k} {numbers[f'recall_at_{k}']:.1%}" for k in KS),
                numbers["interval_95"],
                flush=True,
            )
    if options.json:
        write_json(options.json, report)


def parse_options(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder, or the name of a shipped one")
    parser.add_argument("--cameras", type=int, choices=(1, 6), default=1)
    parser.add_argument("--towns", default="town-test-1,town-test-2")
    parser.add_argument("--days", default=",".join(DAYS))
    parser.add_argument("--map-spacing", type=float, default=5.0)
    parser.add_argument("--query-spacing", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def ask_town(encoder: Encoder, town: str, options: argparse.Namespace) -> dict[str, dict[str, np.ndarray]]:
    """day -> what was asked how -> [Q] the rank of the first right answer."""
    days = options.days.split(",")
    sampling = {MAP_DAY: Spacing(options.map_spacing)} | {day: Spacing(options.query_spacing, 2.5) for day in days}
    frames = record_days([town], sampling, rig=RIGS[options.cameras])
    rows = {day: frames.annotation.rows_of(f"{town}-{day}") for day in sampling}
    database = describe_all(encoder, frames, rows[MAP_DAY], faults={})
    return {day: ask_day(encoder, frames, rows[day], rows[MAP_DAY], database) for day in days}


def ask_day(encoder: Encoder, frames: TownDays, queries: np.ndarray, places: np.ndarray, database: dict) -> dict:
    asked = describe_all(encoder, frames, queries, FAULTS)
    positives = positives_within(frames.annotation, queries, places, RADIUS_M)
    distances = {
        name: ((vectors[:, None] - database[against(name)][None]) ** 2).sum(-1) for name, vectors in asked.items()
    }
    distances["sum"] = distances["camera"] + distances["lidar"]
    if "own camera" in distances:
        distances["own sum"] = distances["own camera"] + distances["own lidar"]
    return {name: ranks(values, positives) for name, values in distances.items()}


def against(name: str) -> str:
    return name if name in ("camera", "lidar", "own camera", "own lidar") else "fused"


def ranks(distances: np.ndarray, positives: list[np.ndarray]) -> np.ndarray:
    """[Q] how many places are nearer than the first right one; queries without a right one are left out. What has no
    descriptor (NaN) is never found and finds nothing."""
    distances = np.where(np.isnan(distances), np.inf, distances)
    best = [row[right].min() for row, right in zip(distances, positives, strict=True) if len(right)]
    rows = [row for row, right in zip(distances, positives, strict=True) if len(right)]
    return np.array(
        [(row < near).sum() if np.isfinite(near) else len(row) for row, near in zip(rows, best, strict=True)]
    )


def pooled(parts: list[np.ndarray]) -> dict:
    rank = np.concatenate(parts)
    low, high = wilson(int((rank == 0).sum()), len(rank))
    return {f"recall_at_{k}": float((rank < k).mean()) for k in KS} | {
        "interval_95": [round(low, 3), round(high, 3)],
        "queries": len(rank),
    }


@torch.inference_mode()
def describe_all(encoder: Encoder, frames: TownDays, rows: np.ndarray, faults: dict) -> dict[str, np.ndarray]:
    torch.set_num_threads(encoder.threads)
    found: dict[str, list[np.ndarray]] = {}
    for row in rows:
        for name, vector in describe(encoder, frames.frame(int(row)), int(row), faults).items():
            found.setdefault(name, []).append(vector)
    return {name: np.array(vectors) for name, vectors in found.items()}


def describe(encoder: Encoder, frame: Frame, seed: int, faults: dict) -> dict[str, np.ndarray]:
    """By all sensors, by each alone, and with each fault. The camera's maps are made once."""
    network = encoder.network
    views = frame_views(frame, encoder.recipe)
    maps = network.camera.backbone(views.images)[None]
    colours = torch.nn.functional.adaptive_avg_pool2d(views.images, tuple(encoder.recipe.view.cells))[None]

    def fused(pictures: torch.Tensor, sees: torch.Tensor) -> np.ndarray:
        lidar = each_view(network.lidar.trunk, pictures[None])
        told = network.fused(maps, lidar, in_colour(colours, pictures[None]), views.yaw[None], sees[None])
        return side_by_side(told)[0].numpy()

    vectors = {"fused": fused(views.pictures, views.sees)}
    vectors |= {
        name: fused(views.pictures, views.sees & which) for name, which in (("camera", CAMERA), ("lidar", LIDAR))
    }
    if len(frame.images) == 1:
        vectors |= {f"own {name}": encoder.describe(frame, name).vector for name in ("camera", "lidar")}
    for name, fault in faults.items():
        if fault is half_black and len(frame.images) < 2:
            continue
        broken = frame_views(fault(frame, np.random.default_rng(seed)), encoder.recipe)
        vectors[name] = fused(broken.pictures, broken.sees)
    return vectors


def black_cameras(frame: Frame, random: np.random.Generator) -> Frame:
    return with_black(frame, list(frame.images))


def half_black(frame: Frame, random: np.random.Generator) -> Frame:
    return with_black(frame, list(random.permutation(list(frame.images))[: len(frame.images) // 2]))


def with_black(frame: Frame, names: list[str]) -> Frame:
    black = {name: replace(frame.images[name], pixels=np.zeros_like(frame.images[name].pixels)) for name in names}
    return replace(frame, images=frame.images | black)


def dead_lidar(frame: Frame, random: np.random.Generator) -> Frame:
    return replace(frame, points=None, T_base_lidar=None)


def wrong_calibration(frame: Frame, random: np.random.Generator) -> Frame:
    off = make_transform(
        rotation_z(np.radians(TURN_DEG) * random.choice([-1, 1])), random.choice([-1, 1], 3) * SHIFT_M / 3**0.5
    )
    return replace(frame, T_base_lidar=off @ frame.T_base_lidar)


def lost_points(frame: Frame, random: np.random.Generator) -> Frame:
    return replace(frame, points=frame.points[random.random(len(frame.points)) >= LOST])


FAULTS = {
    "black cameras": black_cameras,
    "half of the cameras black": half_black,
    "dead LiDAR": dead_lidar,
    "LiDAR off by 2 deg, 10 cm": wrong_calibration,
    "30 % of points lost": lost_points,
}

if __name__ == "__main__":
    main()
