"""A prepared folder: any data set as one table of frames that can be read in any order.

`vxp data prepare` writes it: annotation.csv (annotation.py), drives.json (where a drive's files are, its camera, its
T_base_lidar), T_odom_base.npy and T_base_camera.npy (float64 [N, 4, 4], one matrix per row of the table; NaN where
unknown). Images and clouds stay where the user has them, or lie in frames/ when they came out of a bag.

Odometry axes are x east, y north, z up, so northing is T[1, 3], easting T[0, 3]. Drives that share no world (two
KITTI sequences, two bags) lie `WORLD_GAP_M` apart, so that no radius query takes them for neighbours.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vxp_ros.core.datatypes import Camera, Frame, Image
from vxp_ros.core.errors import BadInput, SourceError
from vxp_ros.sources.files import read_image, read_points

from .annotation import Annotation, read_annotation

FORMAT = 1
TABLE, DRIVES, POSES, CAMERA_POSES = "annotation.csv", "drives.json", "T_odom_base.npy", "T_base_camera.npy"
CAMERA = "camera"
BESIDE = ".cameras.json"  # after a picture's name: calibrations of the moment's other cameras
WORLD_GAP_M = 100_000.0


@dataclass(frozen=True)
class Drive:
    """What holds for all frames of a drive. root: folder of the paths in the table. camera: calibration for images of
    its own size (others are taken as resized), without T_base_camera; None while unknown. T_base_lidar: [4, 4]."""

    root: Path
    source: str
    camera: Camera | None
    T_base_lidar: np.ndarray | None


class PreparedData:
    """Frames of a prepared folder by row of its annotation.

    root: where the data has moved to since, for all drives. Raises SourceError for a folder that is none.
    """

    def __init__(self, folder: str | Path, root: str | Path | None = None):
        self.folder = Path(folder).expanduser()
        self.drives = read_drives(self.folder, root)
        self.annotation: Annotation = read_annotation(self.folder / TABLE)
        self.T_odom_base, self.T_base_camera = (
            read_matrices(self.folder / name, len(self.annotation)) for name in (POSES, CAMERA_POSES)
        )
        unknown = set(self.annotation.drives) - set(self.drives)
        if unknown:
            raise SourceError(f"{self.folder / DRIVES} says nothing about the drive {sorted(unknown)[0]} of {TABLE}")

    def __len__(self) -> int:
        return len(self.annotation)

    def fingerprint(self) -> str:
        """Sixteen hex digits over the table and all calibration: the same for the same frames, unless their files
        change in place."""
        parts = [self.annotation.fingerprint(), (self.folder / DRIVES).read_text(), self.T_base_camera.tobytes().hex()]
        parts += [path.read_text() for path in sorted(self.folder.rglob(f"*{BESIDE}"))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def frame(self, row: int) -> Frame:
        """The frame of this row. Raises SourceError for a missing file, BadInput for a damaged one."""
        drive = self.drives[str(self.annotation.drive[row])]
        image, cloud = self.image_path(row), self.cloud_path(row)
        images, cameras = {}, {}
        if image is not None:
            pixels = read_image(require(image))
            images = {CAMERA: Image(pixels, self.camera(row, pixels.shape[1], pixels.shape[0])), **images_beside(image)}
        elif drive.camera is not None:
            cameras[CAMERA] = self.camera(row, drive.camera.width, drive.camera.height)
        return Frame(
            stamp_ns=int(self.annotation.stamp_ns[row]),
            images=images,
            points=None if cloud is None else read_cloud(require(cloud)),
            T_base_lidar=drive.T_base_lidar,
            T_odom_base=known(self.T_odom_base[row]),
            cameras=cameras,
        )

    def camera(self, row: int, width: int, height: int) -> Camera | None:
        """Calibration of the row's camera for images of this size in pixels; None while it is unknown."""
        camera = self.drives[str(self.annotation.drive[row])].camera
        if camera is None:
            return None
        K = np.diag([width / camera.width, height / camera.height, 1.0]) @ camera.K
        T_base_camera = known(self.T_base_camera[row])
        return Camera(width, height, K, camera.distortion, camera.distortion_model, T_base_camera)

    def image_path(self, row: int) -> Path | None:
        return self._path(row, str(self.annotation.image[row]))

    def cloud_path(self, row: int) -> Path | None:
        return self._path(row, str(self.annotation.cloud[row]))

    def _path(self, row: int, name: str) -> Path | None:
        return self.drives[str(self.annotation.drive[row])].root / name if name else None


def images_beside(path: Path) -> dict[str, Image]:
    """What the moment's other cameras saw, by name; `prepare_frames.write_beside` writes it."""
    cameras = path.with_suffix(BESIDE)
    if not cameras.exists():
        return {}
    try:
        known = {name: camera_from(entry) for name, entry in json.loads(cameras.read_text()).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BadInput("bad_camera_info", f"{cameras} cannot be read: {problem!r}") from problem
    return {
        name: Image(read_image(require(path.with_suffix(f".{name}.png"))), camera) for name, camera in known.items()
    }


def require(path: Path) -> Path:
    if not path.is_file():
        raise SourceError(f"prepared data: {path} is missing; if the data has moved, say so with --root")
    return path


def read_cloud(path: Path) -> np.ndarray:
    """[N, 4] float32, finite: .bin holds x y z intensity as float32; .npy holds [N, 3] or [N, 4], 3 without intensity.

    Raises BadInput "bad_cloud".
    """
    if path.suffix != ".npy":
        return read_points(path, columns=4)
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as problem:
        raise BadInput("bad_cloud", f"{path} is no array: {problem}") from problem
    if rows.ndim != 2 or rows.shape[1] not in (3, 4) or rows.dtype.kind not in "fiu":
        raise BadInput("bad_cloud", f"{path} holds {rows.dtype} {rows.shape}, expected numbers [N, 3] or [N, 4]")
    points = np.zeros((len(rows), 4), np.float32)
    points[:, : rows.shape[1]] = rows
    return points[np.isfinite(points).all(axis=1)]


def known(T: np.ndarray) -> np.ndarray | None:
    return T if np.isfinite(T).all() else None


def read_matrices(path: Path, count: int) -> np.ndarray:
    """[count, 4, 4] float64. Raises SourceError."""
    try:
        matrices = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as problem:
        raise SourceError(f"prepared data: {path} cannot be read: {problem}") from problem
    if matrices.shape != (count, 4, 4) or matrices.dtype != np.float64:
        raise SourceError(
            f"prepared data: {path} is {matrices.dtype} {matrices.shape}, {TABLE} beside it has {count} rows"
        )
    return matrices


def read_drives(folder: Path, root: str | Path | None) -> dict[str, Drive]:
    """drives.json. Raises SourceError for what is no prepared folder, or of another format."""
    path = folder / DRIVES
    try:
        entry = json.loads(path.read_text())
        if entry["format"] != FORMAT:
            raise SourceError(f"{folder} has format {entry['format']}, this program reads {FORMAT}; prepare it anew")
        return {name: drive_from(row, folder, root) for name, row in entry["drives"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise SourceError(f"{folder} is no prepared folder ({problem!r}); make one with vxp data prepare") from problem


def drive_from(row: dict, folder: Path, root: str | Path | None) -> Drive:
    camera = row["camera"] and camera_from(row["camera"])
    T_base_lidar = None if row["T_base_lidar"] is None else np.array(row["T_base_lidar"], np.float64).reshape(4, 4)
    is_inside = not Path(row["root"]).is_absolute()
    place = Path(root).expanduser() if root is not None and not is_inside else folder / row["root"]
    return Drive(place, row["source"], camera, T_base_lidar)


def camera_from(row: dict) -> Camera:
    T_base_camera = row.get("T_base_camera")
    return Camera(
        row["width"],
        row["height"],
        np.array(row["K"], np.float64).reshape(3, 3),
        np.array(row["distortion"], np.float64),
        row["distortion_model"],
        None if T_base_camera is None else np.array(T_base_camera, np.float64).reshape(4, 4),
    )


def describe_camera(camera: Camera) -> dict:
    """What `camera_from` reads."""
    return {
        "width": camera.width, "height": camera.height, "K": camera.K, "distortion": camera.distortion,
        "distortion_model": camera.distortion_model, "T_base_camera": camera.T_base_camera,
    }  # fmt: skip


def describe_drive(drive: Drive) -> dict:
    """The entry of drives.json that `drive_from` reads."""
    camera = drive.camera and describe_camera(replace(drive.camera, T_base_camera=None))
    return {
        "source": drive.source,
        "root": str(drive.root),
        "camera": camera,
        "T_base_lidar": drive.T_base_lidar,
    }
