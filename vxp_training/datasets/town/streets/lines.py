"""Plane geometry of the town: polylines [P, 2] in metres, float64. Left is the counter-clockwise side."""

import numpy as np


def unit(v: np.ndarray) -> np.ndarray:
    """Vectors [..., 2] scaled to length 1."""
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def left(v: np.ndarray) -> np.ndarray:
    """Vectors [..., 2] turned by a quarter to the left."""
    return np.stack([-v[..., 1], v[..., 0]], axis=-1)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """z of the cross product of vectors [..., 2]."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def meet(p: np.ndarray, d: np.ndarray, q: np.ndarray, e: np.ndarray) -> np.ndarray:
    """Where the line through p along d meets the line through q along e (not parallel)."""
    return p + d * (cross(q - p, e) / cross(d, e))


def signed_angle(d: np.ndarray, e: np.ndarray) -> float:
    """Angle from direction d to direction e, (-pi, pi], positive to the left."""
    return float(np.arctan2(cross(d, e), d @ e))


def round_corner(corner: np.ndarray, d: np.ndarray, e: np.ndarray, radius: float, step: float = 0.8) -> np.ndarray:
    """An arc [K, 2] that leaves direction d for direction e, tangent to both legs of the corner."""
    turn = signed_angle(d, e)
    tangent = radius * np.tan(abs(turn) / 2)
    side = np.sign(turn)
    centre = corner - tangent * d + side * radius * left(d)
    count = max(3, int(np.ceil(abs(turn) * radius / step)) + 1)
    angles = np.linspace(0, turn, count)
    spoke = -side * left(d) * radius
    return centre + np.stack(
        [spoke[0] * np.cos(angles) - spoke[1] * np.sin(angles), spoke[0] * np.sin(angles) + spoke[1] * np.cos(angles)],
        axis=1,
    )


def bezier(a: np.ndarray, d: np.ndarray, b: np.ndarray, e: np.ndarray, handle: float, step: float = 0.5) -> np.ndarray:
    """A cubic curve [K, 2] from a (leaving along d) to b (arriving along e)."""
    count = max(4, int(np.linalg.norm(b - a) / step))
    t = np.linspace(0, 1, count)[:, None]
    p, q = a + handle * d, b - handle * e
    return (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * p + 3 * (1 - t) * t**2 * q + t**3 * b


def lengths(line: np.ndarray) -> np.ndarray:
    """Distance along the polyline of each of its points [P]."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])


def resample(line: np.ndarray, step: float, is_closed: bool = False) -> np.ndarray:
    """The polyline with points every `step` metres (adjusted to fit; both ends kept; a closed one ends before its
    start)."""
    line = np.vstack([line, line[:1]]) if is_closed else line
    along = lengths(line)
    count = max(2, round(along[-1] / step) + 1)
    at = np.linspace(0, along[-1], count)[: count - 1 if is_closed else count]
    return np.stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])], axis=1)


def split(line: np.ndarray, longest: float) -> np.ndarray:
    """The closed polyline with further points so that no stretch is longer; its own points are kept."""
    following = np.roll(line, -1, axis=0)
    counts = np.maximum(1, np.ceil(np.linalg.norm(following - line, axis=1) / longest).astype(int))
    return np.concatenate(
        [a + (b - a) * (np.arange(n) / n)[:, None] for a, b, n in zip(line, following, counts, strict=True)]
    )


def shift(outline: np.ndarray, distance: float) -> np.ndarray:
    """A closed polyline moved to its left (inwards, if counter-clockwise) by mitred vertices; keeps its point count."""
    d = unit(np.roll(outline, -1, axis=0) - outline)
    before = np.roll(d, 1, axis=0)
    normal = left(d) + left(before)
    return outline + distance * normal / np.maximum(1 + (d * before).sum(1), 0.5)[:, None]


def is_inside(outline: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which points [N, 2] lie inside the closed polyline, by crossings: bool [N]."""
    a, b = outline, np.roll(outline, -1, axis=0)
    y = points[:, 1:2]
    is_crossed = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    x = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / rise
    return (is_crossed & (points[:, 0:1] < x)).sum(1) % 2 == 1


def distance(outline: np.ndarray, points: np.ndarray, is_closed: bool = True) -> np.ndarray:
    """Distance [N] of points [N, 2] to the polyline."""
    a = outline if is_closed else outline[:-1]
    b = np.roll(outline, -1, axis=0) if is_closed else outline[1:]
    edge = b - a
    offset = points[:, None] - a
    t = np.clip((offset * edge).sum(2) / np.maximum((edge**2).sum(1), 1e-12), 0, 1)
    return np.sqrt(((offset - t[..., None] * edge) ** 2).sum(2).min(1))


def rectangle(origin: np.ndarray, along: np.ndarray, width: float, depth: float) -> np.ndarray:
    """Corners [4, 2], counter-clockwise, of the rectangle with its front on `origin` + [0, width] `along`, and its
    depth to the left."""
    across = left(along)
    return np.array([origin, origin + width * along, origin + width * along + depth * across, origin + depth * across])


def overlaps(rectangle_a: np.ndarray, others: np.ndarray, gap: float = 0.0) -> bool:
    """Whether the rectangle [4, 2] comes closer than about `gap` to any of the others [M, 4, 2] (separating axes)."""
    if len(others) == 0:
        return False
    is_apart = np.zeros(len(others), bool)
    for corners in (np.broadcast_to(rectangle_a, others.shape), others):
        for i in (0, 1):
            axis = unit(corners[:, i + 1] - corners[:, i])
            own = rectangle_a @ axis.T  # [4, M]
            their = (others * axis[:, None]).sum(2).T
            is_apart |= (own.max(0) + gap <= their.min(0) + 1e-6) | (their.max(0) + gap <= own.min(0) + 1e-6)
    return bool((~is_apart).any())
