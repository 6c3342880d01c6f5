"""Drives with loops, for `vxp eval loops` and `slam`: every frame described and kept as a place, with its truth."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vxp_ros.core.calibration import Calibration
from vxp_ros.core.config import KeyframeSettings
from vxp_ros.core.datatypes import Frame, Place
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.recognizer import PlaceRecognizer
from vxp_ros.core.registration import Registration, register

if TYPE_CHECKING:
    from .datasets.town_days import TownDays


@dataclass(frozen=True)
class LoopDrive:
    """The keyframes of one drive. truth: [N, 4, 4] T_world_base. rear: of each the descriptor of the view backwards."""

    name: str
    places: tuple[Place, ...]
    truth: np.ndarray
    models: dict[str, str]
    calibration: Calibration
    rear: tuple[np.ndarray | None, ...]

    def __len__(self) -> int:
        return len(self.places)

    def as_map(self, poses: np.ndarray) -> PlaceMap:
        """The drive as a map grows, with the poses [N, 4, 4] that odometry gave."""
        place_map = PlaceMap(self.models)
        for place, T in zip(self.places, poses, strict=True):
            place_map.add(replace(place, T_map_base=T))
        return place_map


def describe_drive(encoder: Encoder, name: str, frames: Iterable[Frame], truth: np.ndarray) -> LoopDrive:
    """Every frame as a keyframe. Raises BadInput on a frame that nothing can be made of."""
    recognizer, keyframe = PlaceRecognizer(encoder), KeyframeSettings(thumbnail_width=0)
    places, rear = [], []
    for frame, T in zip(frames, truth, strict=True):
        places.append(recognizer.make_place(frame, T, keyframe))
        rear.append(recognizer.describe_rear(frame))
    models = dict.fromkeys(encoder.modalities, encoder.model_id)
    return LoopDrive(name, tuple(places), np.asarray(truth), models, encoder.calibration, tuple(rear))


def town_drive(encoder: Encoder, days: "TownDays", drive: str, bar: Callable = lambda rows: rows) -> LoopDrive:
    """drive: TOWN-DAY."""
    rows = days.annotation.rows_of(drive)
    frames = (days.frame(int(row)) for row in bar(rows))
    return describe_drive(encoder, drive, frames, days.poses(drive))


class Memory:
    """`register` that answers the same two clouds once: other odometry asks again for most of them."""

    def __init__(self):
        self._answers: dict[tuple[bytes, bytes], Registration] = {}

    def register(self, source: np.ndarray, target: np.ndarray, T_guess: np.ndarray | None = None) -> Registration:
        if T_guess is not None:
            return register(source, target, T_guess=T_guess)
        key = fingerprint(source), fingerprint(target)
        if key not in self._answers:
            self._answers[key] = register(source, target)
        return self._answers[key]


def fingerprint(cloud: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(cloud)).digest()
