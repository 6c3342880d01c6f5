"""Every frame described once per sensor, kept on disk, and taken up again where a killed run stopped."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from vxp_ros.core import fsio
from vxp_ros.core.datatypes import Descriptor, Frame, Modality
from vxp_ros.core.errors import BadInput, SourceError
from vxp_ros.core.resources import user_cache

from .datasets.annotation import Annotation

Progress = Callable[[int, int], None]
WAITING, DONE, REFUSED = 0, 1, 2


class Frames(Protocol):
    """Where frames come from: PreparedData, or the recordings of towns. fingerprint: the same for the same frames."""

    annotation: Annotation

    def __len__(self) -> int: ...
    def frame(self, row: int) -> Frame: ...
    def fingerprint(self) -> str: ...


class Describer(Protocol):
    """What turns frames into vectors: an Encoder, or a baseline that behaves like one."""

    modalities: tuple[Modality, ...]
    model_id: str

    def length_of(self, modality: Modality) -> int: ...
    def describe(self, frame: Frame, modality: Modality) -> Descriptor: ...


def default_cache() -> Path:
    """vxp/descriptors in the user's cache folder."""
    return user_cache("descriptors")


class DescriptorStore:
    """Descriptors of one data set by one model, in one folder: a file per modality with a state and a vector per row.
    It is mapped into memory, so what is described survives the end of the process."""

    def __init__(self, cache: Path, frames: Frames, describer: Describer):
        self.frames, self.describer = frames, describer
        self.folder = cache / f"{describer.model_id}-{frames.fingerprint()}"
        fsio.create_folders(self.folder)

    def describe(self, rows: np.ndarray, progress: Progress | None = None) -> dict[Modality, np.ndarray]:
        """By each of the model's modalities [N, D], rows of NaN where a frame was not asked for or cannot be described.

        Raises SourceError when another process describes the same, and what reading frames raises.
        """
        report = progress or (lambda done, total: None)
        wanted = np.unique(rows)
        with self._only_writer():
            files = {modality: self._open(modality) for modality in self.describer.modalities}
            todo = [row for row in wanted if any(file["state"][row] == WAITING for file in files.values())]
            done = len(wanted) - len(todo)
            report(done, len(wanted))
            for row in todo:
                self._describe_row(int(row), files)
                done += 1
                report(done, len(wanted))
            return {modality: taken(file, wanted) for modality, file in files.items()}

    def _describe_row(self, row: int, files: dict[Modality, np.memmap]) -> None:
        """A frame whose files are damaged is refused by all its sensors."""
        try:
            frame = self.frames.frame(row)
        except BadInput:
            frame = None
        for modality, file in files.items():
            if file["state"][row] == WAITING:
                file["state"][row] = self._describe_into(file["vector"][row], frame, modality)

    def _describe_into(self, vector: np.ndarray, frame: Frame | None, modality: Modality) -> int:
        """Fills the vector; returns the state, to be written after it: a killed run leaves no half one that counts."""
        if frame is None:
            return REFUSED
        try:
            vector[:] = self.describer.describe(frame, modality).vector
        except BadInput:
            return REFUSED
        return DONE

    def _open(self, modality: Modality) -> np.memmap:
        """The modality's file, a new one of zeros when there is none or one of another form."""
        path = self.folder / f"{modality}.npy"
        form = np.dtype([("state", "u1"), ("vector", "<f4", (self.describer.length_of(modality),))])
        try:
            array = np.lib.format.open_memmap(path, mode="r")  # "r+" would lengthen a file that was cut
            if array.shape == (len(self.frames),) and array.dtype == form:
                fsio.reserve(path)
                return np.lib.format.open_memmap(path, mode="r+")
        except (FileNotFoundError, ValueError):
            pass
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        fsio.create_array(scratch, form, (len(self.frames),)).flush()
        os.replace(scratch, path)
        return np.lib.format.open_memmap(path, mode="r+")

    @contextmanager
    def _only_writer(self) -> Iterator[None]:
        try:
            with fsio.lock(self.folder / ".lock", wait_s=0.0):
                yield
        except fsio.Busy as problem:
            raise SourceError(f"{self.folder} is being filled by {problem}; wait for it") from None


def taken(file: np.memmap, rows: np.ndarray) -> np.ndarray:
    found = np.full(file["vector"].shape, np.nan, np.float32)
    kept = rows[file["state"][rows] == DONE]
    found[kept] = file["vector"][kept]
    return found
