"""The master of a recording: one folder with all that a drive saw, small enough to keep, from which layouts are made.

meta.json, stamps.npy (int64 [N] ns), poses.npy (float64 [N, 4, 4] T_world_base at the stamps), sweeps.npy (float64 [N,
KNOTS, 4, 4], the same at `Lidar.knot_times`) and in frames/ per frame NUMBER.CAMERA.jpg, NUMBER.range.png (uint16, 5 mm
steps, 0 for no echo), NUMBER.intensity.png (uint8) and NUMBER.sha256 of those, written last. The LiDAR's images have
the highest ring on top and the sweep from left to right, so ring, azimuth and time of each point follow from its pixel.
"""

import hashlib
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vxp_ros.core.errors import SourceError
from vxp_ros.core.json_file import write_json

from ..rig import KNOTS, Lidar, Rig, describe_rig

if TYPE_CHECKING:
    from ..lidar import Sweep

FORMAT = 1
RANGE_STEP_M = 0.005
JPEG_QUALITY = 90
FRAMES = "frames"
ARRAYS = STAMPS, POSES, SWEEPS = ("stamps.npy", "poses.npy", "sweeps.npy")


def write_head(folder: Path, stamps_ns: np.ndarray, sweeps: np.ndarray, rig: Rig, facts: dict) -> None:
    """Everything but the frames; meta.json comes last and makes the rest count. sweeps: [N, KNOTS, 4, 4]. facts: what
    else meta.json is to hold, with the dictionaries "split" and "day" and the "key"."""
    (folder / FRAMES).mkdir(parents=True, exist_ok=True)
    sums = {}
    for name, array in zip(ARRAYS, (stamps_ns, sweeps[:, KNOTS // 2], sweeps), strict=True):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        write_atomically(folder / name, buffer.getvalue())
        sums[name] = hashlib.sha256(buffer.getvalue()).hexdigest()
    meta = {"format": FORMAT, "frames": len(stamps_ns), **facts, "rig": describe_rig(rig), "arrays_sha256": sums}
    write_json(folder / "meta.json", meta)


def encode_frame(number: int, pictures: dict[str, np.ndarray], sweep: "Sweep", lidar: Lidar) -> dict[str, bytes]:
    """File name -> content. pictures: camera -> [H, W, 3] uint8 RGB."""
    files = {f"{number:06d}.{name}.jpg": encode_jpeg(pixels) for name, pixels in pictures.items()}
    steps = np.zeros((lidar.rings, lidar.columns), np.uint16)
    grey = np.zeros((lidar.rings, lidar.columns), np.uint8)
    steps[sweep.rings, sweep.columns] = np.round(sweep.ranges / RANGE_STEP_M)
    grey[sweep.rings, sweep.columns] = np.round(sweep.points[:, 3] * 255)
    for kind, picture in (("range", steps), ("intensity", grey)):
        files[f"{number:06d}.{kind}.png"] = encode(".png", picture[::-1], [cv2.IMWRITE_PNG_COMPRESSION, 6])
    return files


def encode_jpeg(pixels: np.ndarray) -> bytes:
    return encode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def encode(kind: str, picture: np.ndarray, options: list[int]) -> bytes:
    done, data = cv2.imencode(kind, picture, options)
    if not done:
        raise SourceError(f"a picture of {picture.shape} cannot be written as {kind}")
    return data.tobytes()


def write_frame(folder: Path, number: int, files: dict[str, bytes]) -> None:
    """Write a frame's files and, when they are there, the checksums that make it count."""
    for name, content in files.items():
        write_atomically(folder / FRAMES / name, content)
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
    write_atomically(sums_path(folder, number), "".join(lines).encode())


def write_atomically(path: Path, content: bytes) -> None:
    """The whole file or none of it, also when the process is killed. Not flushed: checksums find what a crash costs."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_bytes(content)
        os.replace(scratch, path)
    except OSError as problem:  # a full disk
        scratch.unlink(missing_ok=True)
        problem.filename = problem.filename or str(path)
        raise


def sums_path(folder: Path, number: int) -> Path:
    return folder / FRAMES / f"{number:06d}.sha256"


def is_frame_whole(folder: Path, number: int) -> bool:
    """True when all files of a frame are there with the content that was written."""
    try:
        lines = [line.split("  ", 1) for line in sums_path(folder, number).read_text().splitlines()]
        return bool(lines) and all(
            hashlib.sha256((folder / FRAMES / name).read_bytes()).hexdigest() == digest for digest, name in lines
        )
    except (OSError, ValueError):
        return False


def is_head_whole(folder: Path, key: str) -> bool:
    """True when everything but the frames is there, as it was written for the task of this key."""
    try:
        meta = read_meta(folder)
        whole = [
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == meta["arrays_sha256"][name] for name in ARRAYS
        ]
    except (SourceError, OSError, KeyError, TypeError):
        return False
    return all(whole) and meta.get("key") == key and (folder / FRAMES).is_dir()


def read_meta(folder: Path) -> dict:
    """Raises SourceError when the folder holds no master of our format."""
    try:
        meta = json.loads((folder / "meta.json").read_text())
    except (OSError, ValueError) as problem:
        raise SourceError(f"{folder} holds no town recording: {problem}") from problem
    if meta.get("format") != FORMAT:
        raise SourceError(f"{folder}: recording of format {meta.get('format')}, this program reads {FORMAT}")
    return meta
