"""Places that a build has finished, kept until its map is saved: a build that was killed goes on from them.

A place is found again by all that it was made of, to the last bit: the frame, the model, the settings, the code of
this folder, its libraries and the device. So it is never that of another recording, even of one with the same name.
"""

import hashlib
import logging
import re
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from .config import KeyframeSettings
from .datatypes import Frame, Modality, Place
from .errors import MapError
from .map_folder import points_at
from .map_store import load_map, save_map
from .place_map import PlaceMap
from .recognizer import PlaceRecognizer

logger = logging.getLogger(__name__)

PLACES_PER_PART, SECONDS_PER_PART = 100, 30.0  # a part is written after so many, or so long
OUR_FOLDER, OUR_PART = re.compile("[0-9a-f]{32}"), re.compile(r"[0-9a-f]{8}-\d+")
DAY_S = 86_400.0
KEPT_DAYS = 14  # what no build has asked for by then, none will


class FinishedPlaces:
    """Makes places, or takes those that an earlier build of the same question has left in `root`.

    question: what the build was asked for, in words; it names the folder. taken: how many places were taken. Where the
    folder cannot be used, every place is made, and the log says why. models: as a PlaceMap has them.
    """

    def __init__(self, root: Path, question: str, recognizer: PlaceRecognizer, keyframe: KeyframeSettings):
        self.keyframe = keyframe
        encoder = recognizer.encoder
        self.models = dict.fromkeys(encoder.modalities, encoder.model_id)
        self._recognizer = recognizer
        self._origin = digest_of((code_of_core(), libraries(), encoder.device, encoder.model_id, keyframe))
        self._folder = root / digest_of((question, self._origin))
        self._run, self._parts = secrets.token_hex(4), 0
        self._is_kept = True
        self.taken = 0
        self._begin_part()
        self._names: set[str] = set()  # of the parts that are this build's to remove
        self._found: dict[str, Place] = {}
        try:
            forget_old_ones(root)
            self._load_parts()
        except OSError as problem:
            self._give_up(problem)

    def make(self, frame: Frame, T_map_base: np.ndarray) -> Place:
        """As PlaceRecognizer.make_place. Raises BadInput."""
        key = digest_of((self._origin, frame, T_map_base))
        place = self._found.pop(key, None)
        if place is not None:
            self.taken += 1
            return place
        place = self._recognizer.make_place(frame, T_map_base, self.keyframe)
        if self._is_kept:
            self._keep(key, place)
        return place

    def remove(self) -> None:
        """The map is saved: what this build took and kept is needed no more. Other builds' parts stay."""
        remove_parts(self._folder, self._names)

    def _begin_part(self) -> None:
        self._part, self._began = PlaceMap(self.models, rig={"keys": []}), time.monotonic()

    def _keep(self, key: str, place: Place) -> None:
        self._part.add(place)
        self._part.rig["keys"].append(key)
        if len(self._part) < PLACES_PER_PART and time.monotonic() - self._began < SECONDS_PER_PART:
            return
        name = f"{self._run}-{self._parts}"
        self._names.add(name)
        try:
            self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # pictures of where somebody was
            save_map(self._part, self._folder / name)
        except (MapError, OSError) as problem:
            self._give_up(problem)
            self.remove()  # they may take the room that the map needs
        self._parts += 1
        self._begin_part()

    def _give_up(self, problem: Exception) -> None:
        logger.warning("finished places are not kept, a build that breaks off will start again: %s", problem)
        self._is_kept = False

    def _load_parts(self) -> None:
        for path in sorted(self._folder.glob("*")) if self._folder.is_dir() else []:
            if OUR_PART.fullmatch(path.name) and points_at(path):
                self._names.add(path.name)
                self._found |= load_part(path, self.models)


def load_part(path: Path, models: dict[Modality, str]) -> dict[str, Place]:
    """Place by key; none when the part is not whole."""
    try:
        part = load_map(path, models)
        return dict(zip(part.rig["keys"], part.places(), strict=True))
    except (MapError, OSError, KeyError, TypeError, ValueError) as problem:
        logger.warning("finished places that cannot be used are made again: %s", problem)
        return {}


def forget_old_ones(root: Path) -> None:
    """Remove the parts of builds that nobody went on with. What else lies there, whatever its age, is not ours."""
    for folder in root.glob("*") if root.is_dir() else []:
        with suppress(OSError):  # another build has removed it meanwhile
            if OUR_FOLDER.fullmatch(folder.name) and time.time() - folder.lstat().st_mtime > KEPT_DAYS * DAY_S:
                remove_parts(folder, {name for entry in folder.iterdir() if OUR_PART.fullmatch(name := name_of(entry))})


def remove_parts(folder: Path, names: set[str]) -> None:
    """Remove the maps of these names with all that their saves left, and then the folder, if it is empty."""
    with suppress(OSError):
        for entry in folder.iterdir():
            if name_of(entry) in names and entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif name_of(entry) in names:
                entry.unlink()
        folder.rmdir()


def name_of(entry: Path) -> str:
    """Which map a file or folder beside it belongs to: NAME, NAME.v1-0123456789ab, .NAME.lock."""
    return entry.name.lstrip(".").partition(".")[0]


def code_of_core() -> str:
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return digest_of(tuple(file.read_bytes() for file in files))


def libraries() -> tuple[str, ...]:
    """The versions of those that compute a place."""
    return torch.__version__, np.__version__, cv2.__version__


def digest_of(value: Any) -> str:
    """Of every bit of a nest of dataclasses, dicts, tuples and arrays."""
    hasher = hashlib.sha256()
    feed(hasher, value)
    return hasher.hexdigest()[:32]


def feed(hasher, value: Any) -> None:
    if is_dataclass(value):
        value = tuple((item.name, getattr(value, item.name)) for item in fields(value))
    elif isinstance(value, dict):
        value = tuple(value.items())
    if isinstance(value, tuple | list):
        hasher.update(f"({len(value)};".encode())
        for entry in value:
            feed(hasher, entry)
    elif isinstance(value, np.ndarray):
        hasher.update(f"{value.dtype.str}{value.shape};".encode())
        hasher.update(np.ascontiguousarray(value).view(np.uint8).data if value.size else b"")
    elif isinstance(value, bytes | memoryview):
        hasher.update(f"bytes{len(value)};".encode() + bytes(value))
    else:
        hasher.update(f"{type(value).__name__}{value!r};".encode())
