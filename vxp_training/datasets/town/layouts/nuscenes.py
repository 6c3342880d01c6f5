"""nuScenes: thirteen tables as v1.0-synth, a day is a log, 20 seconds are a scene, every frame is a keyframe.

Dates are those of the days, so that splits by date (NUSC-PR) mean something. Points are deskewed and in the axes of
nuScenes' LiDAR (x right, y ahead). All sensors fire together, so each sample has one ego pose. The map's origin is the
town's south-west corner, because nuScenes' maps know no negative coordinates: poses are those of the other layouts,
moved by the same way on all days.
"""

import json
from collections.abc import Callable
from datetime import datetime, timezone
from hashlib import md5
from pathlib import Path

import cv2
import numpy as np

from vxp_ros.core.geometry import make_transform, matrix_to_quaternion, rotation_z

from ..rig import Rig
from ..store.master import Recording
from ..streets.planner import reach

VERSION = "v1.0-synth"
SCENE_FRAMES = 40  # 20 s at 2 Hz
# x right, y ahead, z up, seen from x ahead, y left, z up
T_LIDAR_TOP = make_transform(rotation_z(-np.pi / 2), np.zeros(3))
MAP_PIXELS_PER_M, STREET_M = 10, 10.0
MAP_EDGE_M = 20.0  # around the outermost junctions
EMPTY_TABLES = ("category", "attribute", "visibility", "instance", "sample_annotation")
OWN_FILES = r"samples/[A-Z_]+/[^/]+\.(jpg|pcd\.bin)|maps/[^/]+\.png|v1\.0-synth/[a-z_]+\.json"


def write(recordings: list[Recording], folder: Path, step: Callable[[], None]) -> None:
    """Write all days under `folder`; step is called once per frame."""
    split = recordings[0].meta["split"]
    tables = Tables(split["name"], map_frame(split["size"]))
    for recording in recordings:
        tables.add_sensors(recording.rig)
        for channel in channels(recording.rig):
            (folder / "samples" / channel).mkdir(parents=True, exist_ok=True)
        log = tables.add_log(recording)
        deskewed = Recording(recording.folder, is_deskewed=True)
        for first in range(0, len(recording), SCENE_FRAMES):
            numbers = recording.numbers[first : first + SCENE_FRAMES]
            scene = tables.add_scene(recording, log, first // SCENE_FRAMES, numbers)
            for row, number in enumerate(numbers):
                files = tables.add_sample(recording, log, scene, row, number)
                write_frame(deskewed, number, files, folder)
                step()
    (folder / "maps").mkdir()
    draw_map(recordings, tables.T_map_world, folder / tables.rows["map"][0]["filename"])
    (folder / VERSION).mkdir()
    for name, rows in tables.rows.items():
        (folder / VERSION / f"{name}.json").write_text(json.dumps(rows, indent=0))


def write_frame(deskewed: Recording, number: int, files: dict[str, str], folder: Path) -> None:
    """files: channel -> path under `folder`."""
    for name in deskewed.rig.cameras:
        (folder / files[channel_of(name)]).write_bytes(deskewed.jpeg(number, name))
    frame = deskewed.frame(number)
    x, y, z, intensity = frame.points.T
    rows = np.stack([-y, x, z, 255 * intensity, frame.rings.astype(np.float32)], axis=1)
    (folder / files["LIDAR_TOP"]).write_bytes(rows.astype("<f4").tobytes())


class Tables:
    """The rows of all tables so far. Tokens are hashes of what they stand for, so that they are the same every time.

    T_map_world: [4, 4], from the town's axes to those of nuScenes' map."""

    def __init__(self, town: str, T_map_world: np.ndarray):
        self.town, self.T_map_world = town, T_map_world
        names = ("sensor", "calibrated_sensor", "ego_pose", "log", "scene", "sample", "sample_data", "map")
        self.rows: dict[str, list[dict]] = {name: [] for name in (*names, *EMPTY_TABLES)}
        self.rows["map"].append({
            "token": self.token("map"), "log_tokens": [], "category": "semantic_prior",
            "filename": f"maps/{self.token('map')}.png",
        })  # fmt: skip

    def token(self, *parts) -> str:
        return md5("/".join(map(str, (self.town, *parts))).encode(), usedforsecurity=False).hexdigest()

    def add_sensors(self, rig: Rig) -> None:
        """The rig is the same for all logs of a town."""
        if self.rows["sensor"]:
            return
        for channel, (T, K) in channels(rig).items():
            is_camera = len(K) > 0
            self.rows["sensor"].append({
                "token": self.token("sensor", channel), "channel": channel,
                "modality": "camera" if is_camera else "lidar",
            })  # fmt: skip
            self.rows["calibrated_sensor"].append({
                "token": self.token("calibrated", channel), "sensor_token": self.token("sensor", channel),
                **pose_row(T), "camera_intrinsic": K,
            })  # fmt: skip

    def add_log(self, recording: Recording) -> dict:
        day = recording.meta["day"]["name"]
        start = datetime.fromtimestamp(recording.stamps_ns[0] / 1e9, timezone.utc)
        log = {
            "token": self.token("log", day), "logfile": f"{self.town}-{day}-{start:%Y-%m-%d-%H-%M-%S+0000}",
            "vehicle": self.town, "date_captured": f"{start:%Y-%m-%d}", "location": self.town,
        }  # fmt: skip
        self.rows["log"].append(log)
        self.rows["map"][0]["log_tokens"].append(log["token"])
        return log

    def add_scene(self, recording: Recording, log: dict, count: int, numbers: list[int]) -> dict:
        day = recording.meta["day"]["name"]
        scene = {
            "token": self.token("scene", day, count), "log_token": log["token"], "nbr_samples": len(numbers),
            "first_sample_token": self.token("sample", day, numbers[0]),
            "last_sample_token": self.token("sample", day, numbers[-1]),
            "name": f"{day}-{count + 1:02d}", "description": f"{self.town}, day {day}",
        }  # fmt: skip
        self.rows["scene"].append(scene)
        return scene

    def add_sample(self, recording: Recording, log: dict, scene: dict, row: int, number: int) -> dict[str, str]:
        """Rows of one frame, `row` in its scene. Returns channel -> file name."""
        day, micros = recording.meta["day"]["name"], int(recording.stamps_ns[number]) // 1000
        token = self.token("sample", day, number)
        has_previous, has_next = row > 0, row + 1 < scene["nbr_samples"]

        def chain(*parts) -> dict[str, str]:
            return {
                "prev": self.token(*parts, number - 1) if has_previous else "",
                "next": self.token(*parts, number + 1) if has_next else "",
            }

        self.rows["sample"].append(
            {"token": token, "timestamp": micros, "scene_token": scene["token"], **chain("sample", day)}
        )
        ego = self.token("ego", day, number)
        T_map_base = self.T_map_world @ recording.poses[number]
        self.rows["ego_pose"].append({"token": ego, "timestamp": micros, **pose_row(T_map_base)})
        files = {}
        for channel in channels(recording.rig):
            camera = recording.rig.cameras.get(name_of(channel))
            kind = "jpg" if camera else "pcd.bin"
            files[channel] = f"samples/{channel}/{log['logfile']}__{channel}__{micros}.{kind}"
            self.rows["sample_data"].append({
                "token": self.token("data", channel, day, number), "sample_token": token, "ego_pose_token": ego,
                "calibrated_sensor_token": self.token("calibrated", channel), "timestamp": micros,
                "fileformat": kind.removesuffix(".bin"), "is_key_frame": True, "filename": files[channel],
                "height": camera.height if camera else 0, "width": camera.width if camera else 0,
                **chain("data", channel, day),
            })  # fmt: skip
        return files


def channels(rig: Rig) -> dict[str, tuple[np.ndarray, list]]:
    """Channel -> T_base_sensor [4, 4] and K as rows of numbers, which the LiDAR lacks."""
    cameras = {channel_of(name): (camera.T_base_camera, camera.K.tolist()) for name, camera in rig.cameras.items()}
    return {**cameras, "LIDAR_TOP": (rig.lidar.T_base_lidar @ T_LIDAR_TOP, [])}


def channel_of(camera: str) -> str:
    """CAM_FRONT of "camera", CAM_BACK_LEFT of "camera_back_left"."""
    return "CAM_FRONT" if camera == "camera" else camera.upper().replace("CAMERA", "CAM")


def name_of(channel: str) -> str:
    return "camera" if channel == "CAM_FRONT" else channel.lower().replace("cam_", "camera_")


def pose_row(T: np.ndarray) -> dict:
    x, y, z, w = matrix_to_quaternion(T[:3, :3]).tolist()
    return {"translation": T[:3, 3].tolist(), "rotation": [w, x, y, z]}


def map_frame(size: tuple[int, int]) -> np.ndarray:
    """[4, 4] T_map_world of a town of so many blocks: x = y = 0 is its south-west corner."""
    return make_transform(np.eye(3), np.array([*(reach(size) + MAP_EDGE_M), 0.0]))


def draw_map(recordings: list[Recording], T_map_world: np.ndarray, path: Path) -> None:
    """The driven streets in white on the whole town, ten pixels a metre, x = y = 0 in the lower left corner, as
    nuScenes' own masks."""
    width, height = np.ceil(2 * T_map_world[:2, 3] * MAP_PIXELS_PER_M).astype(int)
    mask = np.zeros((height, width), np.uint8)
    for recording in recordings:
        track = (T_map_world @ recording.poses[recording.numbers])[:, :2, 3]
        pixels = np.round(track * MAP_PIXELS_PER_M * [1, -1] + [0, height]).astype(np.int32)
        cv2.polylines(mask, [pixels], False, 255, int(STREET_M * MAP_PIXELS_PER_M))
    path.write_bytes(cv2.imencode(".png", mask)[1].tobytes())
