"""Reads a master: the folder with all that one drive saw. Needs neither the renderer nor its packages."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from vxp_ros.core.datatypes import Frame, Image
from vxp_ros.core.errors import BadInput
from vxp_ros.core.geometry import invert
from vxp_ros.sources.source import usable_frames

from ..rig import rig_from
from .master_files import ARRAYS, FRAMES, RANGE_STEP_M, read_meta, sums_path


class Recording:
    """The frames in a master folder, by number; those not rendered yet are left out.

    T_odom_base is the exact T_world_base. is_deskewed: points are moved to where the LiDAR was at the stamp, as KITTI
    and nuScenes publish theirs, instead of staying as measured while the car drove. frames: which of the frames there.
    Raises SourceError when the folder holds no master.
    """

    def __init__(self, folder: str | Path, is_deskewed: bool = False, frames: slice = slice(None)):
        self.folder, self.is_deskewed = Path(folder), is_deskewed
        self.problems: Counter[str] = Counter()
        self.meta = read_meta(self.folder)
        self.rig = rig_from(self.meta["rig"])
        self.stamps_ns, self.poses, self.sweeps = (np.load(self.folder / name) for name in ARRAYS)
        self.numbers = [n for n in range(len(self.stamps_ns)) if sums_path(self.folder, n).exists()][frames]
        self.name = self.folder.name
        self.description = f"{self.meta['split']['name']}, day {self.meta['day']['name']}, {len(self.numbers)} frames"
        self._directions = self.rig.lidar.directions().astype(np.float32)
        self._times = self.rig.lidar.column_times().astype(np.float32)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Frame]:
        return usable_frames(self.frame, self.numbers, self.problems)

    def frame(self, number: int) -> Frame:
        """Raises BadInput "bad_image" or "bad_cloud" when a file is damaged."""
        points, rings, columns = self._points(number)
        T_base_lidar = self.rig.lidar.T_base_lidar
        if self.is_deskewed:
            moved = self._columns_to_stamp(number)[columns]
            points[:, :3] = (np.einsum("nij,nj->ni", moved[:, :3, :3], points[:, :3]) + moved[:, :3, 3]).astype("f4")
        return Frame(
            stamp_ns=int(self.stamps_ns[number]),
            images={name: Image(self._pixels(number, name), camera) for name, camera in self.rig.cameras.items()},
            points=points,
            rings=rings.astype(np.uint16),
            T_base_lidar=T_base_lidar,
            T_odom_base=self.poses[number],
            times=self._times[columns],
        )

    def jpeg(self, number: int, camera: str) -> bytes:
        """The picture as it was recorded."""
        return (self.folder / FRAMES / f"{number:06d}.{camera}.jpg").read_bytes()

    def _pixels(self, number: int, camera: str) -> np.ndarray:
        pixels = cv2.imdecode(np.frombuffer(self.jpeg(number, camera), np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise BadInput("bad_image", f"{self.folder}: picture {number} of {camera} cannot be decoded")
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)

    def _points(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """points [N, 4], rings [N] and columns [N] in the order of time."""
        stem = self.folder / FRAMES / f"{number:06d}"
        steps, grey = (cv2.imread(f"{stem}.{kind}.png", cv2.IMREAD_UNCHANGED) for kind in ("range", "intensity"))
        expected = (self.rig.lidar.rings, self.rig.lidar.columns)
        if steps is None or grey is None or steps.shape != expected or grey.shape != expected:
            raise BadInput("bad_cloud", f"{stem}.range.png or .intensity.png cannot be decoded")
        columns, rings = np.nonzero(steps[::-1].T)
        ranges = steps[::-1][rings, columns].astype(np.float32) * np.float32(RANGE_STEP_M)
        points = np.empty((len(ranges), 4), np.float32)
        points[:, :3] = ranges[:, None] * self._directions[columns, rings]
        points[:, 3] = grey[::-1][rings, columns] / np.float32(255)
        return points, rings, columns

    def _columns_to_stamp(self, number: int) -> np.ndarray:
        """[columns, 4, 4] from the LiDAR at each column's time to the LiDAR at the stamp."""
        T_world_lidar = self.rig.lidar.column_poses(self.sweeps[number]) @ self.rig.lidar.T_base_lidar
        return invert(self.poses[number] @ self.rig.lidar.T_base_lidar) @ T_world_lidar
