"""A LiDAR among boxes on flat ground: scenes whose true poses are known."""

import numpy as np

from vxp_ros.core.geometry import make_transform, rotation_z

Box = tuple[tuple[float, float, float], tuple[float, float, float]]  # lowest and highest corner, metres
HEIGHT = 1.8  # of the LiDAR above the ground
FAR = 60.0
CORRIDOR: list[Box] = [((-200, -4.5, 0), (200, -4, 4)), ((-200, 4, 0), (200, 4.5, 4))]
FIELD: list[Box] = []


def block(seed: int, boxes: int = 25) -> list[Box]:
    """Houses and sheds around a free place."""
    rng = np.random.default_rng(seed)
    scene = []
    for _ in range(boxes):
        (x, y), (a, b), height = rng.uniform(-45, 45, 2), rng.uniform(1, 6, 2), rng.uniform(2, 8)
        if max(abs(x), abs(y)) >= 9:
            scene.append(((x - a, y - b, 0.0), (x + a, y + b, height)))
    return scene


def point_symmetric(scene: list[Box]) -> list[Box]:
    """The scene and itself turned by half a circle about the origin."""
    return scene + [((-h[0], -h[1], low[2]), (-low[0], -low[1], h[2])) for low, h in scene]


def pose(x: float, y: float, yaw: float) -> np.ndarray:
    """[4, 4] of a LiDAR in the scene."""
    return make_transform(rotation_z(yaw), np.array([x, y, 0.0]))


def scan(scene: list[Box], T_scene_lidar: np.ndarray, seed: int, noise: float = 0.02) -> np.ndarray:
    """[N, 3] float32 in the LiDAR's frame: 32 rings of 900 columns, the range off by `noise` metres (1 sigma)."""
    rng = np.random.default_rng(seed)
    directions = beams(rng.uniform(0, 2 * np.pi / 900))
    along = directions @ T_scene_lidar[:3, :3].T
    ranges = hit(scene, T_scene_lidar[:3, 3] + [0, 0, HEIGHT], along)
    is_seen = ranges < FAR
    noisy = ranges[is_seen] + rng.normal(0, noise, is_seen.sum())
    return (directions[is_seen] * noisy[:, None]).astype(np.float32)


def beams(start: float) -> np.ndarray:
    elevation, azimuth = np.radians(np.linspace(-25, 10, 32))[:, None], np.linspace(0, 2 * np.pi, 900, False) + start
    directions = np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
    return np.stack(np.broadcast_arrays(*directions), axis=-1).reshape(-1, 3)


def hit(scene: list[Box], origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """[N] metres to the ground or the nearest box, infinite where there is none."""
    with np.errstate(divide="ignore"):
        nearest = np.where(directions[:, 2] < 0, -origin[2] / directions[:, 2], np.inf)
        for low, high in scene:
            to_low, to_high = (low - origin) / directions, (high - origin) / directions
            enters = np.minimum(to_low, to_high).max(axis=1)
            leaves = np.maximum(to_low, to_high).min(axis=1)
            nearest = np.where((enters < leaves) & (enters > 0), np.minimum(nearest, enters), nearest)
    return nearest
