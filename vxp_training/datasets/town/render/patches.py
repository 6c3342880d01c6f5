"""What the sensors keep of each triangle: its plane, how uv runs over it, which surface it shows.

One row per face holds all that is needed to go from a ray that hits the face to a painted point, so that the loops read
one cache line instead of three vertices, three uv and an index each.
"""

from typing import NamedTuple

import numpy as np

from ..scene import Mesh

NORMAL, ORIGIN, U, V = 0, 3, 6, 10  # columns of `planes`: n[3], p0[3], (du/dp[3], u at p0), (dv/dp[3], v at p0)


class Patches(NamedTuple):
    """planes: [F, 16] float32, columns above (n is a unit vector; zero for a face without area). surface: [F] int32.
    seed: [F] int64, a number of its own for each face, the same on every day. kinds: [S, 5] int64 material, style,
    is_shop, seed, object. numbers: [S, 14] float32: the columns of SURFACE from `red` to `z`."""

    planes: np.ndarray
    surface: np.ndarray
    seed: np.ndarray
    kinds: np.ndarray
    numbers: np.ndarray


NUMBERS = (
    "red", "green", "blue", "red2", "green2", "blue2", "width", "height", "bay", "storey", "lit", "x", "y", "z",
)  # fmt: skip


def make_patches(mesh: Mesh) -> Patches:
    """The patches of a mesh, in the order of its faces."""
    kinds = np.stack(
        [mesh.surfaces[name].astype(np.int64) for name in ("material", "style", "is_shop", "seed", "object")]
    )
    numbers = np.stack([mesh.surfaces[name] for name in NUMBERS]).astype(np.float32)
    return Patches(
        _planes(mesh),
        np.ascontiguousarray(mesh.surface, dtype=np.int32),
        _face_seeds(mesh),
        np.ascontiguousarray(kinds.T),
        np.ascontiguousarray(numbers.T),
    )


def _planes(mesh: Mesh) -> np.ndarray:
    corners = mesh.vertices[mesh.faces].astype(np.float64)  # [F, 3, 3]
    origin, e1, e2 = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    cross = np.cross(e1, e2)
    area = np.linalg.norm(cross, axis=1, keepdims=True)
    normal = np.divide(cross, area, out=np.zeros_like(cross), where=area > 1e-12)
    planes = np.zeros((len(mesh.faces), 16), np.float32)
    planes[:, NORMAL : NORMAL + 3] = normal
    planes[:, ORIGIN : ORIGIN + 3] = origin
    uv = mesh.uv.astype(np.float64)
    d1, d2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]  # [F, 2]
    a, b, c = (e1 * e1).sum(1), (e1 * e2).sum(1), (e2 * e2).sum(1)
    determinant = np.maximum(a * c - b * b, 1e-18)
    for axis, column in ((0, U), (1, V)):
        along_e1 = (d1[:, axis] * c - d2[:, axis] * b) / determinant
        along_e2 = (d2[:, axis] * a - d1[:, axis] * b) / determinant
        planes[:, column : column + 3] = along_e1[:, None] * e1 + along_e2[:, None] * e2
        planes[:, column + 3] = uv[:, 0, axis]
    return planes


def _face_seeds(mesh: Mesh) -> np.ndarray:
    """From where the face lies in uv and relative to its surface's centre: adding other things changes nothing."""
    centres = np.stack([mesh.surfaces[name] for name in ("x", "y", "z")], axis=1)[mesh.surface]
    offset = np.round((mesh.vertices[mesh.faces[:, 0]] - centres) * 64.0).astype(np.int64)
    mixed = offset @ np.array([73856093, 19349663, 83492791], np.int64)
    return (mixed ^ (mesh.surfaces["seed"].astype(np.int64)[mesh.surface] * 2654435761)) & 0x7FFFFFFF
