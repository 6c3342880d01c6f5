"""One table for all data sets: when and where each frame was taken, and the files of its image and cloud.

On disk a CSV with the columns of the authors' release (`timestamp, date, northing, easting, yaw, submap_path,
img_path`), so that their files can be read and ours can be read by their tools. Who is near whom is asked of a KD-tree
when it is needed; lists of positives and negatives are not stored.
"""

import csv
import hashlib
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

import numpy as np

from vxp_ros.core.errors import SourceError

Unit = Literal["ns", "us", "s"]
NS_PER: dict[Unit, int] = {"ns": 1, "us": 1_000, "s": 1_000_000_000}
COLUMNS = ("timestamp", "date", "northing", "easting", "yaw", "submap_path", "img_path")


@dataclass(frozen=True)
class Annotation:
    """Columns over N frames.

    drive: [N] str, which drive (run, sequence, bag) a frame belongs to. stamp_ns: [N] int64. northing, easting: [N]
    float64 metres. yaw: [N] float64 radians, counter-clockwise from the east (REP-103) in prepared data. image, cloud:
    [N] str, paths below a root, "" for a frame without. Rows of a drive stand together, in the order of time.
    """

    drive: np.ndarray
    stamp_ns: np.ndarray
    northing: np.ndarray
    easting: np.ndarray
    yaw: np.ndarray
    image: np.ndarray
    cloud: np.ndarray

    def __len__(self) -> int:
        return len(self.drive)

    @property
    def positions(self) -> np.ndarray:
        """[N, 2] float64: northing, easting."""
        return np.column_stack([self.northing, self.easting])

    def select(self, rows: np.ndarray | slice) -> "Annotation":
        """The frames of these row numbers, or of this mask, in the given order."""
        return Annotation(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def rows_of(self, drive: str) -> np.ndarray:
        """Row numbers of one drive, ascending. Raises SourceError that lists the drives there are."""
        rows = np.flatnonzero(self.drive == drive)
        if not len(rows):
            raise SourceError(f"no drive {drive} in the annotation; it has {', '.join(self.drives) or 'none'}")
        return rows

    def fingerprint(self) -> str:
        """Sixteen hex digits over all columns."""
        digest = hashlib.sha256()
        for field in fields(self):
            digest.update(repr(getattr(self, field.name).tolist()).encode())
        return digest.hexdigest()[:16]

    @property
    def drives(self) -> list[str]:
        """The drives' names in the order in which they begin."""
        names, first = np.unique(self.drive, return_index=True)
        return [str(names[i]) for i in np.argsort(first)]


def concatenate(parts: Sequence[Annotation]) -> Annotation:
    """All rows of the parts, one after the other."""
    return Annotation(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Annotation)}
    )


def neighbours(query_positions: np.ndarray, positions: np.ndarray, radius: float) -> list[np.ndarray]:
    """For each query position the rows of `positions` within `radius` metres (bound included), ascending int64.

    query_positions: [Q, 2 or 3], positions: [N, same]. A query that is itself among the positions finds itself.
    """
    from scipy.spatial import cKDTree

    if not len(positions):
        return [np.zeros(0, np.int64) for _ in range(len(query_positions))]
    found = cKDTree(positions).query_ball_point(query_positions, radius, return_sorted=True)
    return [np.array(rows, dtype=np.int64) for rows in found]


def yaw_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angle between two headings in radians, [0, pi]; arrays broadcast."""
    return np.abs((np.asarray(a) - np.asarray(b) + np.pi) % (2 * np.pi) - np.pi)


def heading_from_track(positions: np.ndarray, min_step: float = 0.5) -> np.ndarray:
    """[N] yaw, counter-clockwise from the east, of a drive known by its positions [N, 2] (northing, easting) alone.

    The direction to the first position at least `min_step` metres further on; where there is none, that of the frame
    before. A standing car keeps its heading; a drive that never moves looks east.
    """
    yaw, ahead = np.full(len(positions), np.nan), 0
    for row in range(len(positions)):
        ahead = max(ahead, row)
        while ahead < len(positions) and np.linalg.norm(positions[ahead] - positions[row]) < min_step:
            ahead += 1
        if ahead == len(positions):
            yaw[row:] = yaw[row - 1] if row else 0.0
            break
        north, east = positions[ahead] - positions[row]
        yaw[row] = np.arctan2(north, east)
    return yaw


def read_annotation(
    path: str | Path, unit: Unit = "ns", swapped_ne_columns: bool = False, root: str | Path | None = None
) -> Annotation:
    """Read a table of `write_annotation` or of the authors.

    unit: what the file's timestamps count; the authors write microseconds for Oxford and seconds for ViViD++ and KITTI.
    swapped_ne_columns: the file's northing holds the east and its easting the north, as in the authors' files of KITTI
    and ViViD++; the result always has the true names. root: the user's data folder; absolute paths of another computer
    lose as many leading folders as it takes until the rest exists below it. None: paths stay as they are.

    Raises SourceError that names the file and the first bad row.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise SourceError(f"annotation {path} cannot be read: {problem}") from problem
    rows = list(csv.DictReader(io.StringIO(text)))
    header = csv.DictReader(io.StringIO(text)).fieldnames or []
    missing = [name for name in COLUMNS if name not in header]
    if missing or not rows:
        lacks = f"lacks the columns {', '.join(missing)}" if missing else "holds no row"
        raise SourceError(f"annotation {path} {lacks}; expected are {', '.join(COLUMNS)}")
    annotation = as_columns(path, rows, unit)
    if swapped_ne_columns:
        annotation = replace(annotation, northing=annotation.easting, easting=annotation.northing)
    return annotation if root is None else below_root(annotation, Path(root).expanduser(), path)


def as_columns(path: Path, rows: list[dict], unit: Unit) -> Annotation:
    parsed = []
    for number, row in enumerate(rows, start=2):  # the header is line 1
        try:
            stamp = int(Decimal(row["timestamp"]) * NS_PER[unit])
            north, east, yaw = (float(row[name]) for name in ("northing", "easting", "yaw"))
        except (TypeError, ValueError, ArithmeticError, InvalidOperation) as problem:
            raise SourceError(f"annotation {path}, line {number}: not a number where one is expected") from problem
        if not np.isfinite([north, east, yaw]).all():
            raise SourceError(f"annotation {path}, line {number}: holds a number that is not finite")
        if abs(stamp) >= 2**63:
            raise SourceError(f"annotation {path}, line {number}: {row['timestamp']} {unit} is no time of this age")
        parsed.append((row["date"], stamp, north, east, yaw, row["img_path"] or "", row["submap_path"] or ""))
    drive, stamp, north, east, yaw, image, cloud = zip(*parsed, strict=True)
    return Annotation(
        np.array(drive, str), np.array(stamp, np.int64), np.array(north, np.float64), np.array(east, np.float64),
        np.array(yaw, np.float64), np.array(image, str), np.array(cloud, str),
    )  # fmt: skip


def below_root(annotation: Annotation, root: Path, path: Path) -> Annotation:
    """Paths relative to `root`, by the number of leading folders that the first row has too many."""
    columns = {}
    for name in ("image", "cloud"):
        values = getattr(annotation, name)
        first = next((value for value in values if value), "")
        drop = leading_folders(first, root, path) if first else 0
        columns[name] = np.array(["/".join(parts_of(value)[drop:]) for value in values], str)
    return replace(annotation, **columns)


def leading_folders(first: str, root: Path, path: Path) -> int:
    """How many parts of the path `first` to leave out until the rest is a file below `root`. Raises SourceError."""
    parts = parts_of(first)
    for drop in range(len(parts)):
        if (root / "/".join(parts[drop:])).is_file():
            return drop
    raise SourceError(f"annotation {path} names {first}, but no end of that path is a file below {root}")


def parts_of(path: str) -> list[str]:
    return [part for part in re.split(r"[/\\]", path) if part not in ("", ".")]


def write_annotation(path: str | Path, annotation: Annotation, swapped_ne_columns: bool = False) -> None:
    """Write the table, whole or not at all; timestamps are nanoseconds, numbers keep all their digits.

    swapped_ne_columns: under the authors' wrong column names, for their tools.
    """
    north, east = annotation.northing, annotation.easting
    if swapped_ne_columns:
        north, east = east, north
    columns = (annotation.stamp_ns, annotation.drive, north, east, annotation.yaw, annotation.cloud, annotation.image)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(zip(*(column.tolist() for column in columns), strict=True))
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text.getvalue())
    os.replace(scratch, path)
