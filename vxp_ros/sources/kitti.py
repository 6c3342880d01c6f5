"""KITTI odometry benchmark (Geiger et al., CVPR 2012): colour camera, Velodyne and ground truth of one sequence.

The base frame is the LiDAR's: x forward, y left, z up, origin in the Velodyne. The benchmark's poses are those of the
left grey camera (camera 0, optical axes); they are turned into base poses that start at the origin.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.datatypes import Camera, Frame, Image
from ..core.errors import SourceError
from ..core.geometry import invert, is_rigid, make_transform
from .files import read_image, read_points
from .source import usable_frames

# times.txt counts from the start of each drive; the drives were recorded on 26 September 2011 and after.
RECORDED_NS = 1_317_000_000 * 1_000_000_000
# The benchmark publishes ground truth for sequences 00 to 10 only.
SEQUENCES_WITH_TRUTH = tuple(f"{number:02d}" for number in range(11))
DIGITS = 6 * "[0-9]"


@dataclass(frozen=True)
class Calibration:
    """K: [3, 3] of the rectified colour camera (P2). T_base_camera, T_camera0_base: [4, 4]."""

    K: np.ndarray
    T_base_camera: np.ndarray
    T_camera0_base: np.ndarray


class KittiSource:
    """Frames of `root/sequences/NN`; T_odom_base is the ground-truth pose of the base (None for sequences 11 to 21).

    frames: which frame numbers, e.g. slice(0, 100, 2). T_odom_start: [4, 4] where to place the first pose, so that
    several sequences can share one map. start_ns: the time of frame 0. Raises SourceError that names the file which is
    missing or wrong, and for what is no sequence's number.
    """

    def __init__(
        self,
        root: str | Path,
        sequence: str,
        frames: slice = slice(None),
        T_odom_start: np.ndarray | None = None,
        start_ns: int = RECORDED_NS,
    ):
        self.sequence = sequence_name(sequence)
        self.folder = Path(root).expanduser() / "sequences" / self.sequence
        self.start_ns = start_ns
        self.T_odom_start = np.eye(4) if T_odom_start is None else T_odom_start
        self.problems: Counter[str] = Counter()
        self.calibration = read_calibration(require(self.folder / "calib.txt"))
        self.times = read_numbers(require(self.folder / "times.txt"), columns=1)[:, 0]
        self.truth = self._read_truth(Path(root).expanduser() / "poses" / f"{self.sequence}.txt")
        self.numbers = self._find_frames()[frames]
        self.name = f"kitti_{self.sequence}"
        self.description = f"KITTI odometry sequence {self.sequence}, {len(self.numbers)} frames of {self.folder}"

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Frame]:
        return usable_frames(self.frame, self.numbers, self.problems)

    def frame(self, number: int) -> Frame:
        """The frame of this number. Raises BadInput "bad_image" or "bad_cloud" when its file is damaged."""
        pixels = read_image(self.image_path(number))
        return Frame(
            stamp_ns=self.stamp_ns(number),
            images={"camera": Image(pixels, self.camera(pixels))},
            points=read_points(self.points_path(number), columns=4),  # x y z reflectance (0 to 1)
            T_base_lidar=np.eye(4),
            T_odom_base=None if self.truth is None else self.truth[number],
        )

    def stamp_ns(self, number: int) -> int:
        return self.start_ns + round(self.times[number] * 1e9)

    def image_path(self, number: int) -> Path:
        return self.folder / "image_2" / f"{number:06d}.png"

    def points_path(self, number: int) -> Path:
        return self.folder / "velodyne" / f"{number:06d}.bin"

    def camera(self, pixels: np.ndarray) -> Camera:
        """Calibration for these pixels [H, W, 3]; the benchmark's images are rectified, so there is no distortion."""
        height, width = pixels.shape[:2]
        return Camera(width, height, self.calibration.K, T_base_camera=self.calibration.T_base_camera)

    def _find_frames(self) -> list[int]:
        """Numbers of the frames on disk. A frame with only one of its two files is an incomplete download."""
        images = {path.stem for path in require(self.folder / "image_2").glob(DIGITS + ".png")}
        clouds = {path.stem for path in require(self.folder / "velodyne").glob(DIGITS + ".bin")}
        numbers = sorted(int(stem) for stem in images | clouds)
        if not numbers:
            raise SourceError(f"KITTI sequence {self.sequence}: no frames in {self.folder / 'image_2'}")
        for number in numbers:
            require(self.image_path(number))
            require(self.points_path(number))
        for name, rows in (("times.txt", self.times), ("poses", self.truth)):
            if rows is not None and len(rows) <= numbers[-1]:
                raise SourceError(
                    f"KITTI sequence {self.sequence}: {name} has {len(rows)} rows but frame {numbers[-1]} is there"
                )
        return numbers

    def _read_truth(self, path: Path) -> np.ndarray | None:
        """[N, 4, 4] T_odom_base: camera-0 poses seen from the base, moved to `T_odom_start`."""
        if self.sequence not in SEQUENCES_WITH_TRUTH and not path.exists():
            return None
        T_start_camera0 = as_transforms(read_numbers(require(path), columns=12))
        if not is_rigid(T_start_camera0):
            raise SourceError(f"{path}: holds a pose that is not a rigid transform")
        T = self.calibration.T_camera0_base
        return self.T_odom_start @ invert(T) @ T_start_camera0 @ T


def sequence_name(text: str) -> str:
    """ "00" of "0" or "00". Raises SourceError for anything but one or two digits."""
    if not re.fullmatch("[0-9]{1,2}", str(text)):
        raise SourceError(f"{text!r} is no KITTI sequence; name one by its number, 00 to 21")
    return str(text).zfill(2)


def require(path: Path) -> Path:
    if not path.exists():
        raise SourceError(
            f"KITTI data: {path} is missing; expected are sequences/NN/{{image_2,velodyne,calib.txt,times.txt}} "
            "and poses/NN.txt under the root"
        )
    return path


def read_calibration(path: Path) -> Calibration:
    """calib.txt: projection matrices P0 to P3 [3, 4] and Tr, camera 0 from Velodyne [3, 4]."""
    rows = dict(line.split(":", 1) for line in path.read_text(errors="replace").splitlines() if ":" in line)
    try:
        P2, Tr = (np.array(rows[key].split(), dtype=np.float64).reshape(3, 4) for key in ("P2", "Tr"))
    except (KeyError, ValueError) as problem:
        raise SourceError(f"{path}: needs rows P2 and Tr of twelve numbers each ({problem})") from problem
    T_camera0_base = as_transforms(Tr.reshape(1, 12))[0]
    if not is_rigid(T_camera0_base):
        raise SourceError(f"{path}: Tr is not a rigid transform")
    if not is_projection(P2):
        raise SourceError(f"{path}: P2 is no camera's projection, with positive focal lengths and last row 0 0 1")
    K = P2[:, :3]
    T_camera_camera0 = make_transform(np.eye(3), np.linalg.solve(K, P2[:, 3]))  # P2 = K [I | t]
    return Calibration(K, invert(T_camera_camera0 @ T_camera0_base), T_camera0_base)


def is_projection(P: np.ndarray) -> bool:
    """True for a finite [3, 4] whose left part can be the K of a camera."""
    K = P[:, :3]
    return bool(
        np.isfinite(P).all() and np.allclose(K[2], [0, 0, 1]) and (np.diag(K) > 0).all() and np.linalg.det(K) > 0
    )


def read_numbers(path: Path, columns: int) -> np.ndarray:
    """[N, columns] finite float64 of a text file with one row per frame."""
    rows = [line.split() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    if not rows:
        raise SourceError(f"{path} is empty; expected {columns} numbers in each row")
    try:
        numbers = np.array(rows, dtype=np.float64)
    except ValueError as problem:
        raise SourceError(f"{path}: expected {columns} numbers in each row ({problem})") from problem
    if numbers.shape[1] != columns:
        raise SourceError(f"{path}: expected {columns} numbers in each row, found {numbers.shape[1]}")
    if not np.isfinite(numbers).all():
        raise SourceError(f"{path}: holds numbers that are not finite")
    return numbers


def as_transforms(rows: np.ndarray) -> np.ndarray:
    """[N, 12] upper three rows of each matrix -> [N, 4, 4]."""
    T = np.tile(np.eye(4), (len(rows), 1, 1))
    T[:, :3] = rows.reshape(-1, 3, 4)
    return T
