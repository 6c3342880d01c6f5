"""nuScenes tables to infos: one record per keyframe with six cameras and LIDAR_TOP (specification, section 4.2)."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from vxp_ros.core.errors import SourceError
from vxp_ros.sources.nuscenes import LIDAR, as_numbers, find_tables, read_table

from .keyframes import Keyframes, abbreviation, in_order

# Clockwise, as the panorama of LCPR and EINet has them.
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
COLUMNS = {
    "scene": ("token", "name", "description", "log_token", "first_sample_token", "nbr_samples"),
    "log": ("token", "location"),
    "sample": ("token", "timestamp", "scene_token", "next"),
    "sample_data": ("token", "sample_token", "ego_pose_token", "calibrated_sensor_token", "timestamp", "filename",
                    "is_key_frame"),
    "ego_pose": ("token", "timestamp", "rotation", "translation"),
    "calibrated_sensor": ("token", "sensor_token", "translation", "rotation", "camera_intrinsic"),
    "sensor": ("token", "channel"),
}  # fmt: skip
NIGHT = "night"  # in a scene's description; nothing else in the tables says when it was dark
# Our names -> those of the authors' files (sic), section 7.1, row 10.
LEGACY = {"sample_data_token": "sample_token", "timestamp": "timestample"}


def read_tables(root: Path, version: str) -> tuple[list[dict], Keyframes]:
    """Infos of all scenes and their columns; scenes as in their table, keyframes along their chain.

    An info: sample_token, timestamp (int, microseconds), scene_token, loc (the district's full name), cam_infos and
    lidar_infos: channel -> {sample_data_token, ego_pose, timestamp, filename, calibrated_sensor}; ego_pose and
    calibrated_sensor are the tables' rows.

    Raises SourceError for missing or wrong tables, broken chains and keyframes without one of the seven sensors.
    """
    tables = find_tables(root, version)
    scenes, logs, samples = rows_of(tables, "scene"), by_token(tables, "log"), by_token(tables, "sample")
    chains = [chain(scene, samples, tables) for scene in scenes]
    sensors = read_sensors(tables, {sample["token"] for samples in chains for sample in samples})
    places = [look_up(logs, scene["log_token"], tables)["location"] for scene in scenes]
    infos = [
        make_info(sample, place, sensors[sample["token"]])
        for place, samples in zip(places, chains, strict=True)
        for sample in samples
    ]
    if not infos:
        raise SourceError(f"nuScenes data: {tables} has no keyframes")
    lengths = [len(samples) for samples in chains]
    return infos, make_columns(infos, scenes, places, lengths)


def make_info(sample: dict, place: str, sensors: dict[str, dict]) -> dict:
    missing = [channel for channel in (*CAMERAS, LIDAR) if channel not in sensors]
    if missing:
        raise SourceError(
            f"nuScenes sample {sample['token']} has no {', '.join(missing)}; NUSC-PR needs six cameras and {LIDAR}"
        )
    return {
        "sample_token": sample["token"],
        "timestamp": sample["timestamp"],
        "scene_token": sample["scene_token"],
        "loc": place,
        "cam_infos": {channel: sensors[channel] for channel in CAMERAS},
        "lidar_infos": {LIDAR: sensors[LIDAR]},
    }


def make_columns(infos: list[dict], scenes: list[dict], places: list[str], lengths: list[int]) -> Keyframes:
    """scenes: rows of the table. places, lengths: of each scene its location and number of keyframes."""
    tokens = np.array([info["sample_token"] for info in infos])
    if len(np.unique(tokens)) < len(tokens):
        raise SourceError("nuScenes data: two scenes share a sample")
    logs = [scene["log_token"] for scene in scenes]
    is_night = [NIGHT in scene["description"].lower() for scene in scenes]
    districts, number = in_order(places), {log: i for i, log in enumerate(dict.fromkeys(logs))}
    poses = [info["lidar_infos"][LIDAR]["ego_pose"] for info in infos]
    return Keyframes(
        token=tokens,
        stamp_us=np.array([info["timestamp"] for info in infos], np.int64),
        scene=np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
        log=np.repeat(np.array([number[log] for log in logs], np.int32), lengths),
        district=np.repeat(np.array([districts.index(abbreviation(place)) for place in places], np.int32), lengths),
        position=np.array([as_numbers(pose, "translation", (3,)) for pose in poses]),
        is_night=np.repeat(np.array(is_night, bool), lengths),
        districts=districts,
    )


def read_sensors(tables: Path, samples: set[str]) -> dict[str, dict[str, dict]]:
    """sample token -> channel -> record of an info, for the six cameras and LIDAR_TOP."""
    calibrations, channels = by_token(tables, "calibrated_sensor"), by_token(tables, "sensor")
    channel_of = {
        token: look_up(channels, row["sensor_token"], tables)["channel"] for token, row in calibrations.items()
    }
    others = {token for token, channel in channel_of.items() if channel not in (*CAMERAS, LIDAR)}
    data = rows_of(
        tables,
        "sample_data",
        lambda row: row.get("is_key_frame") is not False and row.get("calibrated_sensor_token") not in others,
    )
    data = [row for row in data if row["sample_token"] in samples]
    needed = {row["ego_pose_token"] for row in data}
    poses = {row["token"]: row for row in rows_of(tables, "ego_pose", lambda row: row.get("token") in needed)}
    sensors: dict[str, dict[str, dict]] = defaultdict(dict)
    for row in data:
        channel = look_up(channel_of, row["calibrated_sensor_token"], tables)
        sensors[row["sample_token"]][channel] = {
            "sample_data_token": row["token"],
            "ego_pose": look_up(poses, row["ego_pose_token"], tables),
            "timestamp": row["timestamp"],
            "filename": row["filename"],
            "calibrated_sensor": calibrations[row["calibrated_sensor_token"]],
        }
    return sensors


def chain(scene: dict, samples: dict[str, dict], tables: Path) -> list[dict]:
    """A scene's samples from the first along `next`."""
    found, token = [], scene["first_sample_token"]
    while token and len(found) <= scene["nbr_samples"]:
        found.append(look_up(samples, token, tables))
        token = found[-1]["next"]
    if len(found) != scene["nbr_samples"]:
        raise SourceError(
            f"nuScenes data: {tables} says {scene['nbr_samples']} samples of scene {scene['name']}, their chain is "
            f"{'longer' if token else len(found)}"
        )
    return found


def rows_of(tables: Path, name: str, is_wanted=None) -> list[dict]:
    return read_table(tables / f"{name}.json", COLUMNS[name], is_wanted)


def by_token(tables: Path, name: str) -> dict[str, dict]:
    return {row["token"]: row for row in rows_of(tables, name)}


def look_up(rows: dict, token: str, tables: Path):
    if token not in rows:
        raise SourceError(f"nuScenes data: no table in {tables} has the token {token} that others refer to")
    return rows[token]


def with_legacy_keys(info: dict) -> dict:
    """An info as the authors' scripts write it: a sensor's sample_data token is called sample_token, and a camera's
    timestamp timestample."""
    cameras = {channel: renamed(record, LEGACY) for channel, record in info["cam_infos"].items()}
    lidar = {LIDAR: renamed(info["lidar_infos"][LIDAR], {"sample_data_token": "sample_token"})}
    return {**info, "cam_infos": cameras, "lidar_infos": lidar}


def with_clean_keys(info: dict) -> dict:
    """An info of the authors' scripts with our names; ours stays as it is."""
    names = {legacy: name for name, legacy in LEGACY.items()}
    return {**info, **{part: {channel: renamed(record, names) for channel, record in info[part].items()}
                       for part in ("cam_infos", "lidar_infos")}}  # fmt: skip


def renamed(record: dict, names: dict[str, str]) -> dict:
    return {names.get(key, key): value for key, value in record.items()}
