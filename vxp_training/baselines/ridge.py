"""The simplest thing that crosses from camera to LiDAR: ridge regression from an image's GIST to what the LiDAR sees
inside that image. Linear, fitted in closed form, no network; what a learnt model has to beat.

Both sensors meet in the space of LiDAR views: 9 x 32 cells of the image plane, each with the inverse distance of its
nearest point. A camera is described by the view that its picture predicts.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vxp_ros.core.datatypes import Camera, Descriptor, Frame, Modality
from vxp_ros.core.errors import BadInput
from vxp_ros.core.geometry import invert, transform_points

from .images import gabor_gist, unit

if TYPE_CHECKING:
    from ..datasets.town_days import TownDays

ROWS, COLUMNS = 9, 32
NEAREST_M = 2.0  # closer than this the car sees itself
PENALTIES = (1e2, 1e3, 1e4, 1e5, 1e6)
FIT_TOWNS = ("town-train-1", "town-train-2", "town-train-3", "town-train-4")
CHOICE_TOWN = "town-val"
MAP_DAY, FIT_DAYS = "sunny", ("sunny", "sameday", "rain", "night", "snow")
FIT_SPACING_M, CHOICE_SPACING_M, CHOICE_START_M = 13.0, 20.0, 2.5


class Ridge:
    """Describes frames like an Encoder. Fitted on GISTs [N, G] and LiDAR views [N, V] of the same moments.

    penalty: of the squared weights, on standardised GISTs.
    """

    modalities: tuple[Modality, ...] = ("camera", "lidar")

    def __init__(self, gists: np.ndarray, views: np.ndarray, penalty: float):
        self.gist_mean, self.gist_scale = moments(gists)
        self.view_mean, self.view_scale = moments(views)
        X, Y = (gists - self.gist_mean) / self.gist_scale, (views - self.view_mean) / self.view_scale
        self.weights = np.linalg.solve(X.T @ X + penalty * np.eye(X.shape[1]), X.T @ Y)
        parts = (self.weights, self.gist_mean, self.gist_scale, self.view_mean, self.view_scale)
        self.model_id = "ridge-" + hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:12]

    def length_of(self, modality: Modality) -> int:
        return len(self.view_mean)

    def describe(self, frame: Frame, modality: Modality) -> Descriptor:
        """Length 1, so that the nearest by L2 is the nearest by angle. Raises BadInput for a frame without the sensor
        or, of a LiDAR, without a calibrated camera."""
        vector = self.describe_gist(gist(frame)) if modality == "camera" else self.describe_view(lidar_view(frame))
        return Descriptor(vector, modality, self.model_id)

    def describe_gist(self, gist: np.ndarray) -> np.ndarray:
        return unit((gist - self.gist_mean) / self.gist_scale @ self.weights).astype(np.float32)

    def describe_view(self, view: np.ndarray) -> np.ndarray:
        return unit((view - self.view_mean) / self.view_scale).astype(np.float32)


def moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column; columns that hardly vary keep their size."""
    deviation = rows.std(axis=0)
    return rows.mean(axis=0), np.where(deviation > 1e-6, deviation, 1.0)


def gist(frame: Frame) -> np.ndarray:
    if not frame.images:
        raise BadInput("no_sensor", "the frame holds no image")
    return gabor_gist(next(iter(frame.images.values())).pixels).astype(np.float64)


def lidar_view(frame: Frame) -> np.ndarray:
    """[ROWS * COLUMNS] float64: 1 / metres along the axis to the nearest point in each cell of the image, 0 without."""
    camera = calibrated_camera(frame)
    if frame.points is None or camera is None or frame.T_base_lidar is None:
        raise BadInput("no_sensor", "the frame holds no point cloud with a calibrated camera beside it")
    T_camera_lidar = invert(camera.T_base_camera) @ frame.T_base_lidar
    x, y, z = transform_points(T_camera_lidar, frame.points[:, :3].astype(np.float64)).T
    ahead = z > NEAREST_M
    x, y, z = x[ahead], y[ahead], z[ahead]
    column = np.floor((camera.K[0, 0] * x / z + camera.K[0, 2]) / camera.width * COLUMNS).astype(np.int64)
    row = np.floor((camera.K[1, 1] * y / z + camera.K[1, 2]) / camera.height * ROWS).astype(np.int64)
    inside = (column >= 0) & (column < COLUMNS) & (row >= 0) & (row < ROWS)
    view = np.zeros((ROWS, COLUMNS))
    np.maximum.at(view, (row[inside], column[inside]), 1 / z[inside])
    return view.ravel()


def calibrated_camera(frame: Frame) -> Camera | None:
    cameras = [*(image.camera for image in frame.images.values()), *frame.cameras.values()]
    return next((camera for camera in cameras if camera is not None and camera.T_base_camera is not None), None)


def features(frames: Iterable[Frame]) -> tuple[np.ndarray, np.ndarray]:
    """GISTs [N, G] and views [N, V]."""
    pairs = [(gist(frame), lidar_view(frame)) for frame in frames]
    return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])


def fit_on_towns(
    cache: Path | None = None,
    processes: int | None = None,
    bar: Callable[[str], Callable[[int, int], None]] | None = None,
) -> Ridge:
    """Fitted on the training towns, a frame every 13 m on five days; the penalty is the one that finds most on the
    validation town. Records what is not recorded yet. cache, processes: as for `record_days`."""
    from ..datasets.town_days import Spacing, record_days

    towns = record_days(list(FIT_TOWNS), dict.fromkeys(FIT_DAYS, Spacing(FIT_SPACING_M)), cache, processes, bar)
    sampling = {day: Spacing(CHOICE_SPACING_M, CHOICE_START_M) for day in FIT_DAYS[1:]}
    sampling = {MAP_DAY: Spacing(FIT_SPACING_M)} | sampling
    choice = record_days([CHOICE_TOWN], sampling, cache, processes, bar)
    fitted, chosen = features(tracked(towns, bar)), features(tracked(choice, bar))
    candidates = [Ridge(*fitted, penalty) for penalty in PENALTIES]
    return max(candidates, key=lambda ridge: cross_recall(ridge, choice, *chosen))


def tracked(towns: "TownDays", bar: Callable[[str], Callable[[int, int], None]] | None) -> Iterable[Frame]:
    step = bar("features") if bar else lambda done, total: None
    for row in range(len(towns)):
        yield towns.frame(row)
        step(row + 1, len(towns))


def cross_recall(ridge: Ridge, frames: "TownDays", gists: np.ndarray, views: np.ndarray) -> float:
    """Mean recall@1 of 2D-3D and 3D-2D over the validation town's days."""
    from ..evaluate import answer, mean
    from ..protocols.town import trials

    camera = np.array([ridge.describe_gist(row) for row in gists])
    lidar = np.array([ridge.describe_view(row) for row in views])
    asked = trials(frames.annotation, [CHOICE_TOWN], MAP_DAY, list(FIT_DAYS[1:]))
    pairs = ((camera, lidar), (lidar, camera))
    return mean([answer(trial, frames.annotation, query[trial.queries], places[trial.database]).recall(1)
                 for trial in asked for query, places in pairs])  # fmt: skip
