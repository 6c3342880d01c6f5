"""A made-up nuScenes: tables only, of cars that drive round and round on a few streets and wait at lights.

Used by the tests of NUSC-PR with a handful of scenes and by scripts/benchmark_nuscpr.py with all 850.
"""

import json
from collections.abc import Iterable
from hashlib import md5
from pathlib import Path

import numpy as np

VERSION = "v1.0-made-up"
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
RADARS = ("RADAR_FRONT", "RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT", "RADAR_BACK_LEFT", "RADAR_BACK_RIGHT")
CHANNELS = (*CAMERAS, "LIDAR_TOP", *RADARS)
START_US = 1_526_915_243_000_000
DAY_US = 86_400_000_000
# location -> (scenes, logs)
SMALL = {"boston-seaport": (12, 6), "singapore-onenorth": (8, 4), "singapore-queenstown": (4, 4),
         "singapore-hollandvillage": (3, 1)}  # fmt: skip
SMALL_KEYFRAMES = 500
TRAINVAL = {"boston-seaport": (467, 30), "singapore-onenorth": (183, 23), "singapore-queenstown": (115, 10),
            "singapore-hollandvillage": (85, 5)}  # fmt: skip


def token(*parts) -> str:
    return md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def write_tables(
    root: Path,
    districts=SMALL,
    keyframes: int = SMALL_KEYFRAMES,
    sweeps: int = 0,
    seed: int = 0,
    street_m: float = 200.0,
) -> None:
    """keyframes: of all scenes, spread evenly. sweeps: rows between two keyframes, per sensor. street_m: length of a
    round; a district has one street for every six logs."""
    random, folder = np.random.default_rng(seed), root / VERSION
    folder.mkdir(parents=True)
    scenes, logs, samples, places = [], [], [], []
    total = sum(count for count, _ in districts.values())
    lengths = np.full(total, keyframes // total)
    lengths[: keyframes % total] += 1
    for location, (scene_count, log_count) in districts.items():
        first = len(scenes)
        log_of = np.sort(np.arange(scene_count) % log_count)
        for log in range(log_count):
            numbers = first + np.flatnonzero(log_of == log)
            row = {"token": token(location, "log", log), "location": location}
            logs.append(row)
            day = 130.0 * log / max(log_count - 1, 1)
            stamps, track = drive(random, int(lengths[numbers].sum()), day, log // 6, street_m)
            begin = 0
            for number in numbers:
                count = int(lengths[number])
                add_scene(scenes, samples, row["token"], number, stamps[begin : begin + count])
                places.extend(track[begin : begin + count])
                begin += count
    shuffled = [scenes[i] for i in random.permutation(len(scenes))]  # the table's order is not that of time
    write(folder / "scene.json", shuffled)
    write(folder / "log.json", logs)
    write(folder / "sample.json", samples)
    write(folder / "sensor.json", ({"token": token("s", c), "channel": c, "modality": "any"} for c in CHANNELS))
    write(folder / "calibrated_sensor.json", map(calibration, CHANNELS))
    write(folder / "ego_pose.json", poses(samples, places, sweeps))
    write(folder / "sample_data.json", sample_data(samples, sweeps))


def drive(random, count: int, day: float, street: int, street_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Stamps [count] in microseconds at 2 Hz and places [count, 3] on a circle, with stops."""
    speeds = np.clip(4 + np.cumsum(random.normal(0, 0.8, count)), 0, 9)
    speeds[random.random(count) < 0.2] = 0.0
    way = np.cumsum(speeds * 0.5) + random.uniform(0, street_m)
    radius = street_m / (2 * np.pi) + random.normal(0, 1.0, count) * (speeds > 0)
    angle = 2 * np.pi * way / street_m
    places = np.stack([600 + 300 * street + radius * np.cos(angle), 900 + radius * np.sin(angle), 0 * way], axis=1)
    stamps = START_US + int(day * DAY_US) + 500_000 * np.arange(count) + random.integers(0, 1000, count)
    return stamps, places


def add_scene(scenes: list, samples: list, log: str, number: int, stamps: np.ndarray) -> None:
    names = [token("sample", number, i) for i in range(len(stamps))]
    scenes.append({
        "token": token("scene", number), "name": f"scene-{number:04d}", "log_token": log, "nbr_samples": len(names),
        "description": "Night, parked cars" if number % 5 == 4 else "Parked cars, turn left",
        "first_sample_token": names[0], "last_sample_token": names[-1],
    })  # fmt: skip
    for i, name in enumerate(names):
        samples.append({
            "token": name, "timestamp": int(stamps[i]), "scene_token": token("scene", number),
            "prev": names[i - 1] if i else "", "next": names[i + 1] if i + 1 < len(names) else "",
        })  # fmt: skip


def calibration(channel: str) -> dict:
    K = [[1266.0, 0.0, 816.0], [0.0, 1266.0, 491.0], [0.0, 0.0, 1.0]] if channel in CAMERAS else []
    return {"token": token("c", channel), "sensor_token": token("s", channel), "translation": [0.9, 0.0, 1.8],
            "rotation": [1.0, 0.0, 0.0, 0.0], "camera_intrinsic": K}  # fmt: skip


def poses(samples: list, places: list, sweeps: int) -> Iterable[dict]:
    for sample, place in zip(samples, places, strict=True):
        for number, channel in enumerate(CHANNELS):
            for sweep in range(sweeps + 1):
                x, y, z = place + 0.01 * (channel != "LIDAR_TOP")  # cameras fire a little later
                yield {"token": token("e", sample["token"], channel, sweep), "timestamp": sample["timestamp"] + number,
                       "rotation": [1.0, 0.0, 0.0, 0.0], "translation": [x, y, z]}  # fmt: skip


def sample_data(samples: list, sweeps: int) -> Iterable[dict]:
    for sample in samples:
        for number, channel in enumerate(CHANNELS):
            for sweep in range(sweeps + 1):
                name = token("d", sample["token"], channel, sweep)
                yield {
                    "token": name, "sample_token": sample["token"],
                    "ego_pose_token": token("e", sample["token"], channel, sweep),
                    "calibrated_sensor_token": token("c", channel), "timestamp": sample["timestamp"] + number,
                    "fileformat": "jpg", "is_key_frame": sweep == 0, "height": 900, "width": 1600,
                    "filename": f"{'sweeps' if sweep else 'samples'}/{channel}/n015__{channel}__{name}.jpg",
                    "prev": "", "next": "",
                }  # fmt: skip


def write(path: Path, rows: Iterable[dict]) -> None:
    with path.open("w") as file:
        file.write("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]")
