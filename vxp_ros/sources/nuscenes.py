"""nuScenes keyframes (Caesar et al., CVPR 2020): six cameras and LIDAR_TOP, read from its tables without its devkit."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ..core.datatypes import Camera, Frame, Image
from ..core.errors import SourceError
from ..core.geometry import make_transform, quaternion_to_matrix, seen_from_now
from .files import read_image, read_points
from .source import usable_frames

LIDAR = "LIDAR_TOP"
MAIN_CAMERA = "CAM_FRONT"  # the first of a frame's images is the one that gets described
# Columns that are read here.
COLUMNS = {
    "scene": ("name", "token", "log_token"),
    "log": ("token", "location"),
    "sample": ("token", "scene_token", "timestamp"),
    "sample_data": ("sample_token", "calibrated_sensor_token", "ego_pose_token", "filename", "is_key_frame",
                    "timestamp"),
    "ego_pose": ("token", "rotation", "translation"),
    "calibrated_sensor": ("token", "sensor_token", "rotation", "translation", "camera_intrinsic"),
    "sensor": ("token", "channel", "modality"),
}  # fmt: skip
# Types of those that are not text.
KINDS = {"timestamp": int, "is_key_frame": bool, "nbr_samples": int, "rotation": list, "translation": list,
         "camera_intrinsic": list}  # fmt: skip


class NuscenesSource:
    """Keyframes of one scene, or of all scenes in the order of time. The base frame is nuScenes' ego frame.

    The scenes of one place share its map; those of several places must be read one by one. CAM_FRONT comes first.
    T_odom_base: the ego pose in the city's map when the LiDAR turned. Cameras fire up to 50 ms apart from it while the
    car drives: their T_base_camera holds that motion too, so that points land where they belong in each image.
    Raises SourceError for missing or wrong tables, missing files, an unknown scene and scenes of several places.
    """

    def __init__(self, root: str | Path, scene: str | None = None, frames: slice = slice(None)):
        self.root = Path(root).expanduser()
        self.problems: Counter[str] = Counter()
        self._tables = find_tables(self.root)
        self.samples = self._samples(scene)[frames]
        self._ego = self._by_token("ego_pose")
        self._calibrations = self._by_token("calibrated_sensor")
        self._sensors = self._by_token("sensor")
        self._data = self._keyframe_data()
        self.name = f"nuscenes_{scene or self._tables.name}"
        self.description = f"nuScenes {scene or 'all scenes'}, {len(self.samples)} keyframes of {self.root}"

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Frame]:
        return usable_frames(self.frame, (sample["token"] for sample in self.samples), self.problems)

    def frame(self, token: str) -> Frame:
        """The keyframe of this sample token. Raises BadInput when one of its files is damaged."""
        data = dict(self._data[token])
        if LIDAR not in data:
            raise SourceError(f"nuScenes sample {token} has no {LIDAR} in sample_data.json")
        lidar = data.pop(LIDAR)
        T_map_base = self._transform(self._ego, lidar["ego_pose_token"])
        rows = read_points(self._require(lidar["filename"]), columns=5)  # x y z intensity (0 to 255) ring
        return Frame(
            stamp_ns=lidar["timestamp"] * 1000,
            images={name: self._image(entry, T_map_base) for name, entry in sorted(data.items(), key=camera_rank)},
            points=np.ascontiguousarray(rows[:, :4]),
            rings=rows[:, 4].astype(np.uint16),
            T_base_lidar=self._transform(self._calibrations, lidar["calibrated_sensor_token"]),
            T_odom_base=T_map_base,
        )

    def _image(self, entry: dict, T_map_base: np.ndarray) -> Image:
        pixels = read_image(self._require(entry["filename"]))
        calibration = self._calibrations[entry["calibrated_sensor_token"]]
        T_map_then = self._transform(self._ego, entry["ego_pose_token"])
        T_then_camera = self._transform(self._calibrations, entry["calibrated_sensor_token"])
        T_base_camera = seen_from_now(T_then_camera, T_map_then, T_map_base)
        height, width = pixels.shape[:2]
        K = as_numbers(calibration, "camera_intrinsic", (3, 3))
        return Image(pixels, Camera(width, height, K, T_base_camera=T_base_camera))

    def _transform(self, rows: dict[str, dict], token: str) -> np.ndarray:
        if token not in rows:
            raise SourceError(f"nuScenes data: no table in {self._tables} has the token {token} that others refer to")
        return as_transform(rows[token])

    def _samples(self, scene: str | None) -> list[dict]:
        scenes = {entry["name"]: entry for entry in self._table("scene")}
        if scene is not None and scene not in scenes:
            raise SourceError(f"nuScenes has no scene {scene} in {self._tables}; it has {', '.join(sorted(scenes))}")
        if scene is None:
            self._refuse_several_places(scenes)
        samples = [e for e in self._table("sample") if scene is None or e["scene_token"] == scenes[scene]["token"]]
        return sorted(samples, key=lambda entry: entry["timestamp"])

    def _refuse_several_places(self, scenes: dict[str, dict]) -> None:
        """Every city has its own map frame. Without the table of logs, each log counts as a place."""
        has_logs = (self._tables / "log.json").exists()
        location = {entry["token"]: entry["location"] for entry in self._table("log")} if has_logs else {}
        logs = {name: entry["log_token"] for name, entry in scenes.items()}
        places = {name: location.get(log, log) for name, log in logs.items()}
        if len(set(places.values())) > 1:
            there = ", ".join(f"{name} ({place})" for name, place in sorted(places.items()))
            raise SourceError(f"nuScenes scenes of several places share no map; name one: {there}")

    def _keyframe_data(self) -> dict[str, dict[str, dict]]:
        """sample token -> channel -> row of sample_data, cameras and LIDAR_TOP only."""
        wanted, found = {sample["token"] for sample in self.samples}, defaultdict(dict)
        for entry in self._table("sample_data"):
            if entry["is_key_frame"] and entry["sample_token"] in wanted:
                sensor = self._sensor(entry["calibrated_sensor_token"])
                if sensor["modality"] == "camera" or sensor["channel"] == LIDAR:
                    found[entry["sample_token"]][sensor["channel"]] = entry
        return found

    def _sensor(self, token: str) -> dict:
        """Row of `sensor` that a row of calibrated_sensor belongs to."""
        try:
            return self._sensors[self._calibrations[token]["sensor_token"]]
        except KeyError as problem:
            raise SourceError(f"nuScenes data: no table in {self._tables} has the token {problem}") from problem

    def _by_token(self, table: str) -> dict[str, dict]:
        return {entry["token"]: entry for entry in self._table(table)}

    def _table(self, name: str) -> list[dict]:
        return read_table(self._tables / f"{name}.json", COLUMNS[name])

    def _require(self, filename: str) -> Path:
        path = self.root / filename
        if not path.exists():
            raise SourceError(f"nuScenes data: {path} is missing")
        return path


def find_tables(root: Path, version: str | None = None) -> Path:
    """The folder of this version under the root; without a version the one folder v1.0-*."""
    folders = sorted(path for path in root.glob("v1.0-*") if path.is_dir())
    there = ", ".join(path.name for path in folders) or "none"
    if version is None and len(folders) != 1:
        raise SourceError(f"nuScenes data: {root} must hold one folder v1.0-* with the tables, it holds {there}")
    if version is not None and version not in [path.name for path in folders]:
        raise SourceError(f"nuScenes data: {root} has no folder {version} with the tables, it holds {there}")
    return folders[0] if version is None else root / version


def read_table(path: Path, columns: tuple[str, ...], is_wanted: Callable[[dict], bool] | None = None) -> list[dict]:
    """The wanted rows of a table, with these columns only: a whole data set has 2.6 million rows of sample_data.

    is_wanted: called with each whole row before it is checked. Raises SourceError for a file that is missing or no JSON
    list of objects, and unless the wanted ones have these columns.
    """

    def pick(row: dict) -> dict | tuple[str, ...]:
        """{} for an unwanted row, and for an unusable one a tuple, which JSON does not know, of what is wrong."""
        if is_wanted is not None and not is_wanted(row):
            return {}
        wrong = tuple(column for column in columns if not isinstance(row.get(column), KINDS.get(column, str)))
        return wrong or {column: row[column] for column in columns}

    if not path.exists():
        raise SourceError(f"nuScenes data: {path} is missing")
    try:
        rows = json.loads(path.read_text(), object_hook=pick)
    except (ValueError, RecursionError) as problem:
        raise SourceError(f"nuScenes data: {path} is no JSON ({problem})") from problem
    if not isinstance(rows, list) or not all(isinstance(row, (dict, tuple)) for row in rows):
        raise SourceError(f"nuScenes data: {path} is no list of objects")
    for row in rows:
        if isinstance(row, tuple):
            raise SourceError(f"nuScenes data: {path} has a row without a usable {', '.join(row)}")
    return [row for row in rows if row]


def camera_rank(entry: tuple[str, dict]) -> tuple[bool, str]:
    """Sorts (channel, row): the main camera, then the others by name."""
    return entry[0] != MAIN_CAMERA, entry[0]


def as_transform(entry: dict) -> np.ndarray:
    """[4, 4] of a row with a translation and a rotation (w, x, y, z). Raises SourceError for what is none."""
    w, x, y, z = as_numbers(entry, "rotation", (4,))
    try:
        R = quaternion_to_matrix(np.array([x, y, z, w]))
    except ValueError as problem:
        raise SourceError(f"nuScenes data: rotation of {entry['token']}: {problem}") from problem
    return make_transform(R, as_numbers(entry, "translation", (3,)))


def as_numbers(entry: dict, column: str, shape: tuple[int, ...]) -> np.ndarray:
    """Finite float64 of this shape. Raises SourceError for anything else."""
    try:
        numbers = np.array(entry[column], dtype=np.float64).reshape(shape)
    except (ValueError, TypeError):
        numbers = np.full(shape, np.nan)
    if not np.isfinite(numbers).all():
        raise SourceError(f"nuScenes data: {column} of {entry['token']} is not {shape} finite numbers")
    return numbers
