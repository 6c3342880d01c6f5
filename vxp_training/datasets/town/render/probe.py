"""Exact rays against the faces that were drawn around them: depth at sub-pixel positions, finer than a depth buffer."""

from math import floor

import numpy as np

from ..compiled import inner, kernel
from ..scene import Mesh

AROUND = 2  # samples on each side whose faces are tried


def nearest_hits(
    mesh: Mesh, ids: np.ndarray, place: np.ndarray, rays: np.ndarray, T_world_camera: np.ndarray
) -> np.ndarray:
    """Depth [N] float32 of rays (x, y, 1) [N, 2] of a camera: the nearest hit of a face whose id lies around place
    [N, 2] (column, row) in ids [H, W]; inf where none is hit, NaN for rays that are NaN."""
    depth = np.empty(len(rays), np.float32)
    _probe(mesh.vertices, mesh.faces, ids, place, rays, np.ascontiguousarray(T_world_camera), depth)
    return depth


@kernel
def _probe(vertices, faces, ids, place, rays, T, depth):
    height, width = ids.shape
    for n in range(rays.shape[0]):
        depth[n] = np.nan
        if rays[n, 0] == rays[n, 0] and rays[n, 1] == rays[n, 1]:
            best = np.inf
            dx = T[0, 0] * rays[n, 0] + T[0, 1] * rays[n, 1] + T[0, 2]
            dy = T[1, 0] * rays[n, 0] + T[1, 1] * rays[n, 1] + T[1, 2]
            dz = T[2, 0] * rays[n, 0] + T[2, 1] * rays[n, 1] + T[2, 2]
            column, row = floor(place[n, 0] + 0.5), floor(place[n, 1] + 0.5)
            tried = -1
            for i in range(max(row - AROUND, 0), min(row + AROUND + 1, height)):
                for j in range(max(column - AROUND, 0), min(column + AROUND + 1, width)):
                    face = ids[i, j]
                    if face >= 0 and face != tried:
                        tried = face
                        t = _hit(vertices, faces[face], T, dx, dy, dz)
                        if t < best:
                            best = t
            depth[n] = best


@inner
def _hit(vertices, corners, T, dx, dy, dz):
    """Depth at which a ray from the camera hits a triangle, inf if it does not (Möller and Trumbore, 1997)."""
    a, b, c = vertices[corners[0]], vertices[corners[1]], vertices[corners[2]]
    ox, oy, oz = T[0, 3] - a[0], T[1, 3] - a[1], T[2, 3] - a[2]
    e1x, e1y, e1z = float(b[0]) - a[0], float(b[1]) - a[1], float(b[2]) - a[2]
    e2x, e2y, e2z = float(c[0]) - a[0], float(c[1]) - a[1], float(c[2]) - a[2]
    px, py, pz = dy * e2z - dz * e2y, dz * e2x - dx * e2z, dx * e2y - dy * e2x
    determinant = e1x * px + e1y * py + e1z * pz
    if abs(determinant) < 1e-12:
        return np.inf
    u = (ox * px + oy * py + oz * pz) / determinant
    qx, qy, qz = oy * e1z - oz * e1y, oz * e1x - ox * e1z, ox * e1y - oy * e1x
    v = (dx * qx + dy * qy + dz * qz) / determinant
    t = (e2x * qx + e2y * qy + e2z * qz) / determinant
    if u < -1e-7 or v < -1e-7 or u + v > 1.0 + 1e-7 or t <= 0.0:
        return np.inf
    return t
