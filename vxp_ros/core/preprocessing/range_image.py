"""A spinning LiDAR's scan as a panorama: one row per ring, one column per direction, nearest point per cell.

Columns grow clockwise, as in a picture taken from inside: column 0 looks back, the middle one ahead. LCPR's layout
(Zhou et al., RA-L 2024), with the scanner's own rings as rows where they are known.
"""

import numpy as np

BODY_M = 2.0  # points nearer than this both along x and along y lie on the car itself
FEWEST_RINGS = 16


def range_image(
    points: np.ndarray, rows: np.ndarray, size: tuple[int, int], farthest: float, values: np.ndarray | None = None
) -> np.ndarray:
    """[1 + C, rows, columns] float32: range in metres (0 where no point fell), then the point's values.

    points: [N, 3 or more] in LiDAR-centred axes, x ahead, y left. rows: [N] int64, the row of each. size: rows and
    columns. farthest: metres; points beyond do not count. values: [N, C], e.g. colours.
    """
    ranges = np.linalg.norm(points[:, :3], axis=1)
    is_body = (np.abs(points[:, 0]) < BODY_M) & (np.abs(points[:, 1]) < BODY_M)
    kept = np.flatnonzero((ranges > 0) & (ranges < farthest) & ~is_body)
    kept = kept[np.argsort(-ranges[kept], kind="stable")]  # the nearest is written last
    cell = rows[kept] * size[1] + columns_of(points[kept], size[1])
    channels = ranges[:, None] if values is None else np.column_stack([ranges, values])
    image = np.zeros((size[0] * size[1], channels.shape[1]), np.float32)
    image[cell] = channels[kept]
    return np.ascontiguousarray(image.T).reshape(-1, *size)


def columns_of(points: np.ndarray, columns: int) -> np.ndarray:
    """[N] int64: the middle column looks along x, columns grow clockwise."""
    turn = -np.arctan2(points[:, 1].astype(np.float64), points[:, 0]) / np.pi  # (-1, 1], to the right is positive
    return np.clip((0.5 * (turn + 1) * columns).astype(np.int64), 0, columns - 1)


def ring_rows(rings: np.ndarray, points: np.ndarray, rows: int) -> np.ndarray:
    """[N] int64: the row of each point by its ring, the highest ring on top, whichever end the driver counts from.

    rings: [N] ring index. A scanner has the next power of two of rings (a ring that looks into the sky may be silent);
    when that is not `rows`, rings share rows or leave some empty.
    """
    if len(rings) == 0:
        return np.zeros(0, np.int64)
    rings = rings.astype(np.int64)
    count = max(FEWEST_RINGS, 1 << int(rings.max()).bit_length())
    slope = points[:, 2] / np.maximum(np.hypot(points[:, 0], points[:, 1]), 1e-6)
    counts_upwards = np.corrcoef(rings, slope)[0, 1] >= 0 if np.ptp(rings) and np.ptp(slope) else True
    return (count - 1 - rings if counts_upwards else rings) * rows // count


def elevation_rows(points: np.ndarray, rows: int, lowest: float, highest: float) -> np.ndarray:
    """[N] int64: the row of each point by its elevation; what lies outside [lowest, highest] radians goes to the edge.

    LCPR's rows, and ours where the scan does not say its rings.
    """
    ranges = np.maximum(np.linalg.norm(points[:, :3], axis=1), 1e-6)
    elevation = np.arcsin(np.clip(points[:, 2] / ranges, -1, 1))
    row = np.floor((1 - (elevation - lowest) / (highest - lowest)) * rows).astype(np.int64)
    return np.clip(row, 0, rows - 1)


def beside_panorama(image: np.ndarray, cameras: int) -> np.ndarray:
    """Turn a range image [C, rows, columns] so that its columns show what the camera strips beside it show.

    Strips of `cameras` images run clockwise from the one that looks ahead, whose middle is at column
    columns / (2 cameras); in the range image that is ahead in the middle.
    """
    columns = image.shape[2]
    return np.roll(image, columns // (2 * cameras) - columns // 2, axis=2)
