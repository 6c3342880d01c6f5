"""From corners to a `Mesh`: a builder with the few solids that a town is made of.

Corners run counter-clockwise seen from outside. Without explicit uv, u runs along a polygon's first edge and v at a
right angle to it, both in metres from the first corner.
"""

from collections.abc import Sequence
from math import hypot, pi, sin

import numpy as np

from ..scene import SURFACE, Material, Mesh, merge, move

Colour = tuple[float, float, float]
Point = Sequence[float]

FOUNDATION = 1.5  # metres that walls reach below z = 0, so that they stand on hilly ground without a gap


class MeshBuilder:
    """Collects surfaces and faces; `build` makes the mesh."""

    def __init__(self) -> None:
        self._rows: list[tuple] = []
        self._corners: list[Point] = []
        self._uv: list[Point | None] = []
        self._triangles: list[
            tuple[int, int, int, int, int]
        ] = []  # corners a b c, surface, first corner of its polygon
        self._meshes: list[Mesh] = []

    def surface(self, material: Material, colour: Colour, second: Colour | None = None, **fields: float) -> int:
        """A new row of SURFACE; further fields by name. Returns its number for the calls below."""
        values = {"style": 0, "is_shop": 0, "object": 0, "seed": 0, "width": 0, "height": 0, "bay": 0, "storey": 0}
        values |= {"lit": 0, "x": 0, "y": 0, "z": 0} | fields
        values |= {"material": int(material), "red": colour[0], "green": colour[1], "blue": colour[2]}
        values |= dict(zip(("red2", "green2", "blue2"), second or colour, strict=True))
        self._rows.append(tuple(values[name] for name in SURFACE.names))
        return len(self._rows) - 1

    def polygon(self, corners: Sequence[Point], surface: int, uv: Sequence[Point] | None = None) -> None:
        """A flat convex polygon of three or more corners [n, 3], as a fan from its first corner."""
        first = len(self._corners)
        self._corners.extend(corners)
        self._uv.extend(uv if uv is not None else [None] * len(corners))
        for i in range(1, len(corners) - 1):
            self._triangles.append((first, first + i, first + i + 1, surface, first))

    def triangles(self, corners: np.ndarray, surface: int) -> None:
        """Many loose triangles [N, 3, 3] of one surface."""
        first = len(self._corners)
        self._corners.extend(np.reshape(corners, (-1, 3)).tolist())
        self._uv.extend([None] * (3 * len(corners)))
        self._triangles.extend((i, i + 1, i + 2, surface, i) for i in range(first, first + 3 * len(corners), 3))

    def wall(self, left: Point, right: Point, bottom: float, top: float, surface: int, u: float = 0.0) -> None:
        """An upright rectangle from `left` to `right` (x, y) as seen from outside; uv = (u + metres from left, z)."""
        length = hypot(right[0] - left[0], right[1] - left[1])
        (ax, ay), (bx, by) = left[:2], right[:2]
        corners = [(ax, ay, bottom), (bx, by, bottom), (bx, by, top), (ax, ay, top)]
        self.polygon(corners, surface, [(u, bottom), (u + length, bottom), (u + length, top), (u, top)])

    def box(self, low: Point, high: Point, surface: int, without: str = "z") -> None:
        """An upright box; `without` names absent sides: x, y, z at `low`, X, Y, Z at `high`."""
        (x, y, z), (X, Y, Z) = low, high
        sides = {
            "y": ((x, y), (X, y)), "X": ((X, y), (X, Y)), "Y": ((X, Y), (x, Y)), "x": ((x, Y), (x, y)),
        }  # fmt: skip
        for name, (left, right) in sides.items():
            if name not in without:
                self.wall(left, right, z, Z, surface)
        if "Z" not in without:
            self.polygon([(x, y, Z), (X, y, Z), (X, Y, Z), (x, Y, Z)], surface)
        if "z" not in without:
            self.polygon([(x, Y, z), (X, Y, z), (X, y, z), (x, y, z)], surface)

    def tube(
        self, start: Point, end: Point, radius: float, surface: int, sides: int = 6, end_radius: float | None = None,
        lids: str = "",
    ) -> None:  # fmt: skip
        """A round pole from start to end, tapering to `end_radius` (0: a cone); lids: any of "start", "end" named."""
        end_radius = radius if end_radius is None else end_radius
        ring = _ring(np.asarray(end, float) - np.asarray(start, float), sides)
        low, high = np.asarray(start) + radius * ring, np.asarray(end) + end_radius * ring
        length = hypot(*np.subtract(end, start), radius - end_radius)  # of the slanting side
        side, end_side = 2 * sin(pi / sides) * radius, 2 * sin(pi / sides) * end_radius
        for i in range(sides):
            j = (i + 1) % sides
            uv = [(i * side, 0), ((i + 1) * side, 0), ((i + 1) * end_side, length), (i * end_side, length)]
            if end_radius > 0:
                self.polygon([low[i], low[j], high[j], high[i]], surface, uv)
            else:
                self.polygon([low[i], low[j], high[i]], surface, uv[:3])
        if "end" in lids and end_radius > 0:
            self.polygon(list(high), surface)
        if "start" in lids:
            self.polygon(list(low[::-1]), surface)

    def disc(self, centre: Point, normal: Point, radius: float, surface: int, sides: int = 8) -> None:
        """A flat regular polygon."""
        self.polygon(list(np.asarray(centre) + radius * _ring(np.asarray(normal, float), sides)), surface)

    def add(self, mesh: Mesh, T_target_mesh: np.ndarray | None = None) -> None:
        """All of another mesh, moved by a rigid transform [4, 4] if one is given."""
        self._meshes.append(mesh if T_target_mesh is None else move(mesh, T_target_mesh))

    def build(self) -> Mesh:
        """The mesh of everything so far: own faces first, then the added meshes."""
        own = np.array(self._triangles, np.int32).reshape(-1, 5)
        corners = np.array(self._corners, np.float64).reshape(-1, 3)
        mesh = Mesh(
            corners.astype(np.float32), np.ascontiguousarray(own[:, :3]), self._make_uv(own, corners),
            np.ascontiguousarray(own[:, 3]), np.array(self._rows, SURFACE),
        )  # fmt: skip
        return merge([mesh, *self._meshes]) if self._meshes else mesh

    def _make_uv(self, own: np.ndarray, corners: np.ndarray) -> np.ndarray:
        """[F, 3, 2] float32: the given uv, or else metres along and across the polygon's first edge."""
        given = np.array([uv if uv is not None else (np.nan, np.nan) for uv in self._uv], np.float64).reshape(-1, 2)
        uv = given[own[:, :3]]
        bare = np.isnan(uv[:, 0, 0])
        origin = corners[own[bare, 4]]
        along = corners[own[bare, 4] + 1] - origin
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        points = corners[own[bare, :3]] - origin[:, None]
        normal = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
        across = np.cross(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12), along)
        uv[bare] = np.stack([(points * along[:, None]).sum(2), (points * across[:, None]).sum(2)], axis=2)
        return uv.astype(np.float32)


def _ring(axis: np.ndarray, sides: int) -> np.ndarray:
    """[sides, 3] unit vectors at a right angle to the axis, counter-clockwise seen against it; the first one points as
    far towards +x as it can (or +y, for an axis along x)."""
    axis = axis / np.linalg.norm(axis)
    wish = np.array((1.0, 0.0, 0.0) if abs(axis[0]) < 0.9 else (0.0, 1.0, 0.0))
    first = wish - (wish @ axis) * axis
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    angles = 2 * pi * np.arange(sides) / sides
    return np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second
