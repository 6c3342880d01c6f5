"""How well maps of two days align: python scripts/benchmark_map_merge.py --out FILE.json

Map A is the sunny day of a Town split, map B another day, its poses moved by a rigid transform drawn at random
(any heading, up to 500 m and 20 m of height). "drifting" takes B's poses from a car's odometry instead of the truth,
which no rigid transform can mend: its error is what T_a_b makes of B's places. A map of another town must be refused.
Registration knows nothing of the maps' frames, so each pair of clouds is registered once.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from vxp_ros.core.datatypes import Place
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.errors import MapError
from vxp_ros.core.geometry import invert, make_transform, rotation_angle, rotation_z
from vxp_ros.core.json_file import write_json
from vxp_ros.core.map_alignment import align_maps
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.recognizer import small_cloud
from vxp_ros.core.registration import register
from vxp_training.datasets.town.motion.odometry import drifted
from vxp_training.datasets.town_days import RIG, Spacing, TownDays, record_days

MAP_DAY, VOXEL = "sunny", 0.3
FARTHEST_M, HIGHEST_M = 500.0, 20.0


def main() -> None:
    options = parse_options()
    encoder = Encoder.load(options.model, "cpu")
    days = {MAP_DAY: Spacing(options.sunny), **{day: Spacing(20.0, 2.5) for day in options.days}}
    maps = maps_of(encoder, record_days([options.town], days, rig=RIG))
    foreign = maps_of(encoder, record_days([options.foreign], {options.days[0]: Spacing(20.0, 2.5)}, rig=RIG))
    first, others = maps.pop(f"{options.town}-{MAP_DAY}"), maps | foreign
    rng, rows = np.random.default_rng(options.seed), []
    for name, (other, truth) in others.items():
        rows += asked(name, first[0], other, truth, rng, options.transforms)
        facts = {name: getattr(options, name) for name in ("town", "foreign", "days", "sunny", "seed")}
        write_json(options.out, {"model": encoder.model_id, **facts, "rows": rows})


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: tuple(text.split(","))  # noqa: E731
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--model", default="vxp_view")
    parser.add_argument("--town", default="town-val")
    parser.add_argument("--foreign", default="town-test-1", help="the split whose first other day must be refused")
    parser.add_argument("--days", type=names, default=("rain",))
    parser.add_argument("--sunny", type=float, default=5.0, help="metres between the places of map A")
    parser.add_argument("--transforms", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def maps_of(encoder: Encoder, frames: TownDays) -> dict[str, tuple[PlaceMap, np.ndarray]]:
    """TOWN-DAY -> a map with exact poses, fused descriptors (by which places are looked for) and clouds; the poses."""
    maps = {}
    for name in frames.annotation.drives:
        start = time.process_time()
        place_map = PlaceMap({"fused": encoder.model_id})
        for row in frames.annotation.rows_of(name):
            frame = frames.frame(int(row))
            vectors = {"fused": encoder.describe(frame, "fused").vector}
            place_map.add(Place(frame.stamp_ns, frame.T_odom_base, vectors, cloud=small_cloud(frame, VOXEL)))
        maps[name] = place_map, place_map.poses
        print(f"{name}: {len(place_map)} places in {time.process_time() - start:.0f} s of CPU time", flush=True)
    return maps


def asked(name: str, a: PlaceMap, b: PlaceMap, truth: np.ndarray, rng: np.random.Generator, times: int) -> list[dict]:
    """Rows of B as it is and with odometry's poses, each moved by `times` transforms."""
    register_once, rows = remembered(), []
    for poses_from, poses in (("truth", truth), ("drifting", drifted(truth, [7]))):
        for _ in range(times):
            T_b_a = random_transform(rng)
            start = time.process_time()
            T_a_b = invert(T_b_a) if poses_from == "truth" else None
            answer = answered(a, moved(b, T_b_a @ poses), truth, T_b_a @ poses, T_a_b, register_once)
            rows.append({"b": name, "poses": poses_from, **answer, "cpu_s": time.process_time() - start})
            print(rows[-1], flush=True)
    return rows


def remembered() -> Callable:
    """`register` that does not register the same two arrays twice."""
    known = {}

    def ask(source: np.ndarray, target: np.ndarray):
        key = id(source), id(target)  # both maps outlive this
        if key not in known:
            known[key] = register(source, target)
        return known[key]

    return ask


def random_transform(rng: np.random.Generator) -> np.ndarray:
    aside = rng.uniform([-FARTHEST_M, -FARTHEST_M, -HIGHEST_M], [FARTHEST_M, FARTHEST_M, HIGHEST_M])
    return make_transform(rotation_z(rng.uniform(-np.pi, np.pi)), aside)


def moved(b: PlaceMap, poses: np.ndarray) -> PlaceMap:
    copy = PlaceMap(b.models)
    for place, pose in zip(b.places(), poses, strict=True):
        copy.add(replace(place, T_map_base=pose))
    return copy


def answered(
    a: PlaceMap, b: PlaceMap, truth: np.ndarray, poses: np.ndarray, T_a_b: np.ndarray | None, register: Callable
) -> dict:
    """truth: [N, 4, 4] B's places in A. poses: the same as map B has them. T_a_b: what should be found; None where a
    drive drifted, and no rigid transform is right."""
    try:
        found = align_maps(a, b, register=register)
    except MapError as problem:
        return {"refused": str(problem)}
    places = np.linalg.norm((found.T_a_b @ poses)[:, :3, 3] - truth[:, :3, 3], axis=1)
    return {
        "refused": "",
        "tried": found.tried,
        "verified": found.verified,
        "agreeing": found.agreeing,
        "residual_m": [float(np.median(found.metres)), float(found.metres.max())],
        "places_off_m": [float(np.median(places)), float(places.max())],
        **({} if T_a_b is None else origin_off(T_a_b, found.T_a_b)),
    }


def origin_off(T_a_b: np.ndarray, found: np.ndarray) -> dict:
    off = invert(T_a_b) @ found
    return {
        "origin_off_m": float(np.linalg.norm(off[:3, 3])),
        "off_deg": float(np.degrees(rotation_angle(off[:3, :3]))),
    }


if __name__ == "__main__":
    main()
