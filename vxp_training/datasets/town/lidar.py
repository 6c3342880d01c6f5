"""The LiDAR: rays from a head that travels while it turns, their closest hits by Embree, and the echoes of those.

What a surface reflects comes from `materials.reflectance`, the same paint that the camera sees. embreex is imported
here and nowhere else.
"""

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from .echoes import FAR_RATIO, Echoes, Hits, receive, receive_exactly
from .paint.materials import reflectance
from .rig import Lidar
from .scene import Mesh, Scene


@dataclass(frozen=True)
class Sweep:
    """One turn of the head: N echoes in the order of time, column by column and in a column from the lowest ring up.

    points: [N, 4] float32 x y z intensity (0 to 1) in the LiDAR frame, each as it was measured at its own time. ranges:
    [N] float32 metres. rings, columns: [N] uint16. times: [N] float32 seconds from the stamp. faces: [N] int32 of the
    scene's mesh, -1 for things that move and for weather.
    """

    points: np.ndarray
    ranges: np.ndarray
    rings: np.ndarray
    columns: np.ndarray
    times: np.ndarray
    faces: np.ndarray


class Caster:
    """Closest hits with one mesh."""

    def __init__(self, mesh: Mesh):
        # Embree borrows both arrays: they have to live as long as its scene.
        self._vertices = np.ascontiguousarray(mesh.vertices, np.float32)
        self._faces = np.ascontiguousarray(mesh.faces, np.int32)
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, self._vertices, self._faces)

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """origins, directions: [N, 3] float32. Returns ranges [N] float32 (inf on a miss; Embree says 1e37, whose
        square is too much), faces [N] int32 (-1 on a miss) and cosines [N] float32 of the angles of incidence."""
        found = self._scene.run(origins, directions, output=True)
        faces, normals = found["primID"], found["Ng"]
        lengths = np.sqrt(np.einsum("ij,ij->i", normals, normals))
        cosines = np.abs(np.einsum("ij,ij->i", normals, directions)) / np.maximum(lengths, 1e-20)
        return np.where(faces < 0, np.float32(np.inf), found["tfar"]), faces, cosines


class LidarSimulator:
    """Sweeps through one scene."""

    def __init__(self, scene: Scene, lidar: Lidar):
        self.scene, self.lidar = scene, lidar
        self._static = Caster(scene.mesh)
        self._directions = lidar.directions()  # [C, R, 3]

    def sweep(self, T_world_base: np.ndarray, moving: Mesh | None, seed: int, noise: bool = True) -> Sweep:
        """One sweep. T_world_base: [columns, 4, 4], where the base is when each column is measured. moving: what drives
        and walks, as it stands at the stamp. noise: False makes every hit within range an exact echo."""
        hits = self._hit(*self._rays(T_world_base), moving)
        if noise:
            echoes = receive(hits, self.lidar, self.scene.day, np.random.default_rng([seed, 0x11DA]))
        else:
            echoes = receive_exactly(hits, self.lidar)
        return self._collect(echoes)

    def _rays(self, T_world_base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Origins and unit directions in the world, [C * R, 3] float32."""
        T_world_lidar = T_world_base @ self.lidar.T_base_lidar
        directions = self._directions @ np.swapaxes(T_world_lidar[:, :3, :3], 1, 2)
        origins = np.repeat(T_world_lidar[:, :3, 3], self.lidar.rings, axis=0)
        return origins.astype(np.float32), directions.reshape(-1, 3).astype(np.float32)

    def _hit(self, origins: np.ndarray, directions: np.ndarray, moving: Mesh | None) -> Hits:
        ranges, faces, cosines = self._static.cast(origins, directions)
        is_moving = np.zeros(len(ranges), bool)
        moving_faces = faces
        if moving is not None and len(moving):
            moving_ranges, moving_faces, moving_cosines = Caster(moving).cast(origins, directions)
            is_moving = moving_ranges < ranges
            ranges, cosines = np.where(is_moving, moving_ranges, ranges), np.where(is_moving, moving_cosines, cosines)
        is_near = ranges < 2 * FAR_RATIO * self.lidar.max_range
        paint = np.zeros((3, len(ranges)), np.float32)  # reflectance, glass, retro-reflection
        for rows, numbers, mesh in (
            (np.flatnonzero(is_near & ~is_moving), faces, None),
            (np.flatnonzero(is_near & is_moving), moving_faces, moving),
        ):
            if len(rows):
                points = origins[rows] + ranges[rows, None] * directions[rows]
                paint[:, rows] = reflectance(self.scene, numbers[rows], points, mesh)
        return Hits(ranges, cosines, *paint, np.where(is_moving, np.int32(-1), faces))

    def _collect(self, echoes: Echoes) -> Sweep:
        rows = np.flatnonzero(echoes.ranges)
        columns, rings = np.divmod(rows, self.lidar.rings)
        ranges = echoes.ranges[rows]
        points = np.empty((len(rows), 4), np.float32)
        points[:, :3] = ranges[:, None] * self._directions.reshape(-1, 3)[rows].astype(np.float32)
        points[:, 3] = echoes.intensity[rows]
        times = self.lidar.column_times()[columns].astype(np.float32)
        rings, columns = rings.astype(np.uint16), columns.astype(np.uint16)
        return Sweep(points, ranges, rings, columns, times, echoes.faces[rows])
