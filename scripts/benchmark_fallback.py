"""What the robot answers when a sensor dies: python scripts/benchmark_fallback.py MODEL [--cameras 6]

As benchmark_fusion.py asks, but through `PlaceRecognizer` with its own choice of descriptor (`match.query: auto`), as
the localizer does. It does not ask the fused head with a black image or without points: it takes the descriptor of the
sensor that is left. The map holds all descriptors of the sunny day. Right within 9 m.
"""

from collections import Counter

import numpy as np
from benchmark_fusion import KS, MAP_DAY, RADIUS_M, RIGS, black_cameras, dead_lidar, parse_options, pooled

from vxp_ros.core.config import KeyframeSettings, MatchSettings
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.json_file import write_json
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.recognizer import PlaceRecognizer
from vxp_training.datasets.town_days import Spacing, TownDays, record_days
from vxp_training.protocols.trial import positives_within

FAULTS = {"nothing": lambda frame, random: frame, "black cameras": black_cameras, "dead LiDAR": dead_lidar}
BARE = KeyframeSettings(cloud_voxel=0.0, thumbnail_width=0)


def main() -> None:
    options = parse_options(__doc__)
    encoder = Encoder.load(options.model, "cpu", options.threads)
    towns = [ask_town(encoder, town, options) for town in options.towns.split(",")]
    report = {"model": encoder.model_id, "cameras": options.cameras, "radius_m": RADIUS_M, "days": {}}
    for day in options.days.split(","):
        report["days"][day] = {fault: together([town[day][fault] for town in towns]) for fault in FAULTS}
        for fault, numbers in report["days"][day].items():
            print(f"{day:8} {fault:14}", *(f"R@{k} {numbers[f'recall_at_{k}']:.1%}" for k in KS), numbers["asked_by"])
    if options.json:
        write_json(options.json, report)


def ask_town(encoder: Encoder, town: str, options) -> dict[str, dict[str, tuple[np.ndarray, Counter]]]:
    """day -> fault -> ([Q] rank of the first right answer, what the queries were asked by)."""
    days = options.days.split(",")
    sampling = {MAP_DAY: Spacing(options.map_spacing)} | {day: Spacing(options.query_spacing, 2.5) for day in days}
    frames = record_days([town], sampling, rig=RIGS[options.cameras])
    places = frames.annotation.rows_of(f"{town}-{MAP_DAY}")
    recognizer = PlaceRecognizer(encoder, map_of(encoder, frames, places), MatchSettings(top_k=max(KS)))
    return {day: ask_day(recognizer, frames, frames.annotation.rows_of(f"{town}-{day}"), places) for day in days}


def map_of(encoder: Encoder, frames: TownDays, rows: np.ndarray) -> PlaceMap:
    """The rows of the annotation become places 0, 1, 2...; their poses are not needed."""
    maker, place_map = PlaceRecognizer(encoder), PlaceMap(dict.fromkeys(encoder.modalities, encoder.model_id))
    for row in rows:
        place_map.add(maker.make_place(frames.frame(int(row)), np.eye(4), BARE))
    return place_map


def ask_day(recognizer: PlaceRecognizer, frames: TownDays, queries: np.ndarray, places: np.ndarray) -> dict:
    answers = {fault: ([], Counter()) for fault in FAULTS}
    for row, right in zip(queries, positives_within(frames.annotation, queries, places, RADIUS_M), strict=True):
        for fault, change in FAULTS.items() if len(right) else ():
            found = recognizer.recognize(change(frames.frame(int(row)), np.random.default_rng(int(row))))
            is_right = np.isin([candidate.place_id for candidate in found.candidates], right)
            answers[fault][0].append(int(np.argmax(is_right)) if is_right.any() else max(KS))
            answers[fault][1][found.modality] += 1
    return {fault: (np.array(ranks), asked_by) for fault, (ranks, asked_by) in answers.items()}


def together(parts: list[tuple[np.ndarray, Counter]]) -> dict:
    return pooled([ranks for ranks, _ in parts]) | {
        "asked_by": dict(sum((asked_by for _, asked_by in parts), Counter()))
    }


if __name__ == "__main__":
    main()
