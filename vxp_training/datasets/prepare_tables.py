"""Oxford RobotCar, ViViD++ and KITTI from the annotation tables of the authors' release, with the calibration that the
release states (specification, sections 2.2, 4.2 and 4.3); KITTI's is its own. Its table has the positions of the raw
OXTS, in which the test boxes are. Extracting the raw data comes later."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vxp_ros.core.datatypes import Camera
from vxp_ros.core.errors import SourceError
from vxp_ros.core.geometry import invert, make_transform
from vxp_ros.sources.kitti import read_calibration, require

from .annotation import Annotation, Unit, concatenate, heading_from_track, read_annotation
from .prepare import Part, rows_apart
from .prepare_kitti import camera_of
from .prepared import Drive

# camera axes (x right, y down, z ahead) seen from axes with x ahead, y left, z up
R_AHEAD_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
IDENTITY = np.eye(4)
# ViViD++'s LiDAR is mounted the wrong way round: x back, y right.
T_VIVID_LIDAR = np.diag([-1.0, -1.0, 1.0, 1.0])
# Oxford's submaps are stored in the stereo camera's frame: x ahead, y right, z down.
T_OXFORD_LIDAR = np.diag([1.0, -1.0, -1.0, 1.0])
VIVID_T_CAMERA_LIDAR = make_transform(
    np.array(
        [
            [-0.02706162, 0.99963206, -0.00184903],
            [0.01903198, -0.00133414, -0.99981799],
            [-0.99945258, -0.02709189, -0.01898888],
        ]
    ),
    np.array([-0.38352616, -0.38655251, -0.03873405]),
)


@dataclass(frozen=True)
class Rig:
    """camera: for the size at which its intrinsics are stated. All matrices [4, 4]."""

    camera: Camera
    T_base_camera: np.ndarray
    T_base_lidar: np.ndarray


@dataclass(frozen=True)
class Form:
    """How the authors write a data set's table."""

    unit: Unit
    swapped_ne_columns: bool


def pinhole(width: int, height: int, fx: float, fy: float, cx: float, cy: float) -> Camera:
    return Camera(width, height, np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]))


FORMS = {"oxford": Form("us", False), "vivid": Form("s", True), "kitti-table": Form("s", True)}
RIGS = {
    # "stereo narrow left"; images are undistorted and 320 x 240 on disk, which `PreparedData.camera` scales to
    "oxford": Rig(
        pinhole(1280, 960, 964.828979, 964.828979, 643.788025, 484.407990),
        make_transform(R_AHEAD_OPTICAL, np.zeros(3)),
        T_OXFORD_LIDAR,
    ),
    "vivid": Rig(
        pinhole(1280, 1024, 702.60305, 703.45417, 644.92965, 526.45724),
        T_VIVID_LIDAR @ invert(VIVID_T_CAMERA_LIDAR),
        T_VIVID_LIDAR,
    ),
}


def read(source: str, spacing: float | None, root: Path | None) -> Part:
    """source: oxford:CSV, vivid:CSV or kitti-table:CSV. root: folder below which its files are; None for the CSV's."""
    kind, _, rest = source.partition(":")
    form, path = FORMS[kind], Path(rest).expanduser()
    root = (path.parent if root is None else root.expanduser()).resolve()
    if not path.is_file():
        raise SourceError(f"{path} is missing; {kind}: needs the annotation table all_annotation.csv of the data set")
    annotation = read_annotation(path, form.unit, form.swapped_ne_columns, root)
    if kind == "kitti-table":  # the authors' 0 is sequence 00
        annotation = replace(annotation, drive=np.char.zfill(annotation.drive, 2))
    parts = [spaced(annotation.select(annotation.rows_of(name)), spacing) for name in annotation.drives]
    annotation = with_true_yaw(kind, concatenate(parts))
    rigs = {name: rig_of(kind, part, root) for name, part in zip(annotation.drives, parts, strict=True)}
    drives = {name: Drive(root, source, rig.camera, rig.T_base_lidar) for name, rig in rigs.items()}
    T_base_camera = np.array([rigs[str(name)].T_base_camera for name in annotation.drive])
    return Part(drives, kind, annotation, planar_poses(annotation), T_base_camera)


def rig_of(kind: str, part: Annotation, root: Path) -> Rig:
    """The rig of one drive. KITTI's calibration lies beside its images."""
    if kind != "kitti-table":
        return RIGS[kind]
    image = root / str(part.image[0])
    calibration = read_calibration(require(image.parent.parent / "calib.txt"))
    return Rig(camera_of(image, calibration.K), calibration.T_base_camera, IDENTITY)


def spaced(annotation: Annotation, spacing: float | None) -> Annotation:
    return annotation.select(rows_apart(annotation.positions, spacing))


def with_true_yaw(kind: str, annotation: Annotation) -> Annotation:
    """Counter-clockwise from the east, as KITTI's is. Oxford's INS counts clockwise from the north; ViViD++'s table
    always says 0, so the heading comes from the track."""
    if kind == "kitti-table":
        return annotation
    if kind == "oxford":
        yaw = (np.pi / 2 - annotation.yaw + np.pi) % (2 * np.pi) - np.pi
        return replace(annotation, yaw=yaw)
    yaw = np.empty(len(annotation))
    for name in annotation.drives:
        rows = annotation.rows_of(name)
        yaw[rows] = heading_from_track(annotation.positions[rows])
    return replace(annotation, yaw=yaw)


def planar_poses(annotation: Annotation) -> np.ndarray:
    """[N, 4, 4] T_odom_base on level ground, the most that the table knows."""
    T = np.tile(IDENTITY, (len(annotation), 1, 1))
    c, s = np.cos(annotation.yaw), np.sin(annotation.yaw)
    T[:, 0, 0], T[:, 0, 1], T[:, 1, 0], T[:, 1, 1] = c, -s, s, c
    T[:, 0, 3], T[:, 1, 3] = annotation.easting, annotation.northing
    return T
