"""Images and point files as data sets keep them. Their damage costs a frame, not the run."""

from pathlib import Path

import cv2
import numpy as np

from ..core.errors import BadInput


def read_image(path: Path) -> np.ndarray:
    """[H, W, 3] uint8 RGB. Raises BadInput "bad_image"."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise BadInput("bad_image", f"{path} cannot be decoded")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def read_points(path: Path, columns: int) -> np.ndarray:
    """[N, columns] float32 of a file of little-endian float32, the finite rows. Raises BadInput "bad_cloud"."""
    if path.stat().st_size % (4 * columns):
        raise BadInput("bad_cloud", f"{path} ends inside a point of {4 * columns} bytes")
    rows = np.fromfile(path, dtype="<f4").reshape(-1, columns)
    return rows[np.isfinite(rows).all(axis=1)]
