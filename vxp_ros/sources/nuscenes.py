"""nuScenes keyframes (Caesar et al., CVPR 2020): six cameras and LIDAR_TOP, read from its tables without its devkit."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ..core.datatypes import Camera, Frame, Image
from ..core.errors import BadInput, SourceError
from ..core.geometry import invert, make_transform, quaternion_to_matrix

LIDAR = "LIDAR_TOP"
POINT_BYTES = 20  # float32 x y z intensity ring


class NuscenesSource:
    """Keyframes of one scene, or of all scenes in the order of time. The base frame is nuScenes' ego frame.

    T_odom_base: the ego pose in the city's map when the LiDAR turned. Cameras fire up to 50 ms apart from it while the
    car drives: their T_base_camera holds that motion too, so that points land where they belong in each image.
    Raises SourceError for missing tables, files and an unknown scene.
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
        for sample in self.samples:
            try:
                yield self.frame(sample["token"])
            except BadInput as problem:
                self.problems[problem.reason] += 1

    def frame(self, token: str) -> Frame:
        """The keyframe of this sample token. Raises BadInput when one of its files is damaged."""
        data = dict(self._data[token])
        if LIDAR not in data:
            raise SourceError(f"nuScenes sample {token} has no {LIDAR} in sample_data.json")
        lidar = data.pop(LIDAR)
        T_map_base = as_transform(self._ego[lidar["ego_pose_token"]])
        points, rings = read_lidar(self._require(lidar["filename"]))
        return Frame(
            stamp_ns=lidar["timestamp"] * 1000,
            images={name: self._image(entry, T_map_base) for name, entry in sorted(data.items())},
            points=points,
            rings=rings,
            T_base_lidar=as_transform(self._calibrations[lidar["calibrated_sensor_token"]]),
            T_odom_base=T_map_base,
        )

    def _image(self, entry: dict, T_map_base: np.ndarray) -> Image:
        pixels = read_image(self._require(entry["filename"]))
        calibration = self._calibrations[entry["calibrated_sensor_token"]]
        T_base_then = invert(T_map_base) @ as_transform(self._ego[entry["ego_pose_token"]])
        height, width = pixels.shape[:2]
        K = np.array(calibration["camera_intrinsic"], dtype=np.float64)
        return Image(pixels, Camera(width, height, K, T_base_camera=T_base_then @ as_transform(calibration)))

    def _samples(self, scene: str | None) -> list[dict]:
        scenes = {entry["name"]: entry["token"] for entry in self._table("scene")}
        if scene is not None and scene not in scenes:
            raise SourceError(f"nuScenes has no scene {scene} in {self._tables}; it has {', '.join(sorted(scenes))}")
        samples = [entry for entry in self._table("sample") if scene is None or entry["scene_token"] == scenes[scene]]
        return sorted(samples, key=lambda entry: entry["timestamp"])

    def _keyframe_data(self) -> dict[str, dict[str, dict]]:
        """sample token -> channel -> row of sample_data, cameras and LIDAR_TOP only."""
        wanted, found = {sample["token"] for sample in self.samples}, defaultdict(dict)
        for entry in self._table("sample_data"):
            if entry["is_key_frame"] and entry["sample_token"] in wanted:
                sensor = self._sensors[self._calibrations[entry["calibrated_sensor_token"]]["sensor_token"]]
                if sensor["modality"] == "camera" or sensor["channel"] == LIDAR:
                    found[entry["sample_token"]][sensor["channel"]] = entry
        return found

    def _by_token(self, table: str) -> dict[str, dict]:
        return {entry["token"]: entry for entry in self._table(table)}

    def _table(self, name: str) -> list[dict]:
        path = self._tables / f"{name}.json"
        if not path.exists():
            raise SourceError(f"nuScenes data: {path} is missing")
        return json.loads(path.read_text())

    def _require(self, filename: str) -> Path:
        path = self.root / filename
        if not path.exists():
            raise SourceError(f"nuScenes data: {path} is missing")
        return path


def find_tables(root: Path) -> Path:
    """The one folder v1.0-* under the root."""
    folders = sorted(path for path in root.glob("v1.0-*") if path.is_dir())
    if len(folders) != 1:
        there = ", ".join(path.name for path in folders) or "none"
        raise SourceError(f"nuScenes data: {root} must hold one folder v1.0-* with the tables, it holds {there}")
    return folders[0]


def as_transform(entry: dict) -> np.ndarray:
    """[4, 4] of a row with a translation and a rotation (w, x, y, z)."""
    w, x, y, z = entry["rotation"]
    return make_transform(quaternion_to_matrix(np.array([x, y, z, w])), np.array(entry["translation"]))


def read_image(path: Path) -> np.ndarray:
    """[H, W, 3] uint8 RGB."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise BadInput("bad_image", f"{path} cannot be decoded")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def read_lidar(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """points [N, 4] float32 x y z intensity (0 to 255), rings [N] uint16."""
    if path.stat().st_size % POINT_BYTES:
        raise BadInput("bad_cloud", f"{path} ends inside a point of {POINT_BYTES} bytes")
    rows = np.fromfile(path, dtype="<f4").reshape(-1, 5)
    rows = rows[np.isfinite(rows).all(axis=1)]
    return np.ascontiguousarray(rows[:, :4]), rows[:, 4].astype(np.uint16)
