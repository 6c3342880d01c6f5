"""Which triangle is seen at each sample of an image: a z-buffer, filled row by row, nearest clusters first.

Coordinates are float64 and relative to the viewer, so that a town hundreds of metres wide costs no precision. Both
sides of a triangle are drawn. The buffer holds 1 / depth in perspective (affine over the image), or height towards the
viewer in parallel projection: in both, the larger value is nearer.
"""

from math import ceil, floor
from typing import NamedTuple

import numpy as np

from ..compiled import inner, kernel
from ..scene import Mesh

NEAR = 0.15  # metres
CLUSTER = 48  # triangles
BROAD = 12.0  # metres; larger triangles form clusters of their own, so that they do not inflate others


class Clusters(NamedTuple):
    """Triangles in groups of neighbours. corners: [F, 9] float32, three vertices each. faces: [F] int32, which face of
    the mesh. bounds: [C, 4] float64, spheres x y z radius around CLUSTER triangles each."""

    corners: np.ndarray
    faces: np.ndarray
    bounds: np.ndarray


def make_clusters(mesh: Mesh, choice: np.ndarray | None = None) -> Clusters:
    """Group the faces of a mesh (of `choice` [n], if given) along a space-filling curve."""
    faces = np.arange(len(mesh.faces), dtype=np.int32) if choice is None else choice.astype(np.int32)
    corners = mesh.vertices[mesh.faces[faces]]  # [F, 3, 3]
    low, high = corners.min(axis=1), corners.max(axis=1)
    is_broad = (high - low).max(axis=1, initial=0.0) > BROAD
    order = np.lexsort((_curve_place((low + high) / 2), is_broad))
    corners, faces = corners[order], faces[order]
    starts = np.arange(0, len(faces), CLUSTER)
    if len(faces) == 0:
        return Clusters(np.zeros((0, 9), np.float32), faces, np.zeros((0, 4)))
    low = np.minimum.reduceat(corners.min(axis=1), starts).astype(np.float64)
    high = np.maximum.reduceat(corners.max(axis=1), starts).astype(np.float64)
    bounds = np.concatenate([(low + high) / 2, np.linalg.norm(high - low, axis=1, keepdims=True) / 2 + 1e-3], axis=1)
    return Clusters(np.ascontiguousarray(corners.reshape(-1, 9)), np.ascontiguousarray(faces), bounds)


def _curve_place(points: np.ndarray) -> np.ndarray:
    """Place on a Z-order curve through 2 m cells of x and y, 4 m of z. points: [N, 3]. Returns [N] int64."""
    cells = ((points - points.min(axis=0, initial=0.0)) / np.array([2.0, 2.0, 4.0])).astype(np.int64)
    place = np.zeros(len(points), np.int64)
    for bit in range(12):
        for axis in range(3):
            place |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return place


def visible_clusters(clusters: Clusters, T_camera_world: np.ndarray, lens: np.ndarray, far: float) -> np.ndarray:
    """Clusters that may show, nearest first. lens: fx, fy, cx, cy, width, height in pixels. Returns [n] int64."""
    fx, fy, cx, cy, width, height = lens
    centres = clusters.bounds[:, :3] @ T_camera_world[:3, :3].T + T_camera_world[:3, 3]
    x, y, z = centres.T
    radius = clusters.bounds[:, 3]
    keep = (z > NEAR - radius) & (z < far + radius)
    for edge, focal, across in (
        (-(cx + 0.5), fx, x), (cx + 0.5 - width, fx, -x), (-(cy + 0.5), fy, y), (cy + 0.5 - height, fy, -y),
    ):  # fmt: skip
        keep &= focal * across - edge * z > -radius * np.hypot(focal, edge)
    kept = np.flatnonzero(keep)
    return kept[np.argsort(z[kept] - radius[kept], kind="stable")]


@kernel
def draw(corners, faces, clusters, cluster_size, first, T, lens, samples, ids, nearness):
    """Draw clusters of triangles in perspective. T: [4, 4] T_camera_world. samples: per pixel and axis. ids: [H, W]
    int32 of the sampled image gets first + face; nearness: [H, W] float32, 1 / depth, starts at 0."""
    s = float(samples)
    fx, fy = lens[0] * s, lens[1] * s
    cx, cy = (lens[2] + 0.5) * s - 0.5, (lens[3] + 0.5) * s - 0.5
    p = np.empty((3, 3))
    q = np.empty((4, 3))
    for k in range(clusters.shape[0]):
        start = clusters[k] * cluster_size
        for f in range(start, min(start + cluster_size, corners.shape[0])):
            behind = 0
            for c in range(3):
                x, y, z = float(corners[f, 3 * c]), float(corners[f, 3 * c + 1]), float(corners[f, 3 * c + 2])
                p[c, 0] = T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3]
                p[c, 1] = T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3]
                p[c, 2] = T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3]
                if p[c, 2] < NEAR:
                    behind += 1
            if behind == 3:
                continue
            count = _clip(p, q) if behind > 0 else _copy(p, q)
            for c in range(count):
                q[c, 2] = 1.0 / q[c, 2]
                q[c, 0] = fx * q[c, 0] * q[c, 2] + cx
                q[c, 1] = fy * q[c, 1] * q[c, 2] + cy
            for c in range(1, count - 1):
                _fill(q, 0, c, c + 1, first + faces[f], True, ids, nearness)


@inner
def _copy(p, q):
    """Triangle p into q, element by element: numba spends 5 s on compiling the error message of q[:3] = p."""
    for c in range(3):
        q[c, 0], q[c, 1], q[c, 2] = p[c, 0], p[c, 1], p[c, 2]
    return 3


@inner
def _clip(p, q):
    """The part of triangle p in front of the near plane, into q. Returns its number of corners, 3 or 4."""
    count = 0
    for c in range(3):
        d = (c + 1) % 3
        if p[c, 2] >= NEAR:
            q[count, 0], q[count, 1], q[count, 2] = p[c, 0], p[c, 1], p[c, 2]
            count += 1
        if (p[c, 2] >= NEAR) != (p[d, 2] >= NEAR):
            a, b = (c, d) if p[c, 2] < p[d, 2] else (d, c)  # one order, whichever triangle of an edge asks
            t = (NEAR - p[a, 2]) / (p[b, 2] - p[a, 2])
            q[count, 0] = p[a, 0] + t * (p[b, 0] - p[a, 0])
            q[count, 1] = p[a, 1] + t * (p[b, 1] - p[a, 1])
            q[count, 2] = NEAR
            count += 1
    return count


@inner
def _fill(q, a, b, c, number, has_ids, ids, nearness):
    """Fill the triangle of rows a, b, c of q (x, y in samples, nearness), sample centres at whole numbers."""
    height, width = nearness.shape
    if q[b, 1] < q[a, 1]:
        a, b = b, a
    if q[c, 1] < q[b, 1]:
        b, c = c, b
        if q[b, 1] < q[a, 1]:
            a, b = b, a
    top, bottom = max(ceil(q[a, 1] - 1e-3), 0), min(floor(q[c, 1] + 1e-3), height - 1)
    if top > bottom:
        return
    xa, xb, xc = q[a, 0], q[b, 0], q[c, 0]
    least, most = min(xa, min(xb, xc)), max(xa, max(xb, xc))
    if most < -0.5 or least > width - 0.5 or floor(most + 1e-3) < ceil(least - 1e-3):
        return
    ya, yb, yc = q[a, 1], q[b, 1], q[c, 1]
    area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
    if abs(area) < 1e-12:
        return
    wa, wb, wc = q[a, 2], q[b, 2], q[c, 2]
    lowest, highest = min(wa, min(wb, wc)), max(wa, max(wb, wc))
    step_x = ((wb - wa) * (yc - ya) - (wc - wa) * (yb - ya)) / area
    step_y = ((wc - wa) * (xb - xa) - (wb - wa) * (xc - xa)) / area
    long_slope = (xc - xa) / (yc - ya)
    upper_slope = (xb - xa) / (yb - ya) if yb > ya else 0.0
    lower_slope = (xc - xb) / (yc - yb) if yc > yb else 0.0
    for i in range(top, bottom + 1):
        y = min(max(float(i), ya), yc)
        left = xa + (y - ya) * long_slope
        right = xa + (y - ya) * upper_slope if y < yb else xb + (y - yb) * lower_slope
        if left > right:
            left, right = right, left
        first = ceil(max(max(left, least) - 1e-3, 0.0))
        last = floor(min(min(right, most) + 1e-3, width - 1.0))
        w = wa + (first - xa) * step_x + (i - ya) * step_y
        for j in range(first, last + 1):
            value = np.float32(min(max(w, lowest), highest))
            if value > nearness[i, j]:
                nearness[i, j] = value
                if has_ids:
                    ids[i, j] = number
            w += step_x


@kernel
def draw_parallel(corners, axes, origin, scale, nearness):
    """Draw triangles [F, 9] in parallel projection: column = (p - origin) . axes[0] * scale, row = ... axes[1], value =
    (p - origin) . axes[2] in metres, the largest of each cell is kept. nearness: [H, W] float32."""
    q = np.empty((3, 3))
    ids = np.empty((1, 1), np.int32)
    for f in range(corners.shape[0]):
        for c in range(3):
            x, y = float(corners[f, 3 * c]) - origin[0], float(corners[f, 3 * c + 1]) - origin[1]
            z = float(corners[f, 3 * c + 2]) - origin[2]
            q[c, 0] = (axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z) * scale
            q[c, 1] = (axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z) * scale
            q[c, 2] = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z
        _fill(q, 0, 1, 2, 0, False, ids, nearness)
