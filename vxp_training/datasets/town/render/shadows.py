"""What keeps light from a point: a map of the sun's view, and maps of how much sky is hidden, made once per day; small
ones of the moving things per picture."""

from typing import NamedTuple

import cv2
import numpy as np

from ..compiled import inner
from ..paint.noise import clamp
from ..scene import Day, Material, Mesh
from .raster import draw_parallel

CELL = 0.125  # metres, of the sun's maps
SKY_CELL = 0.5  # of the maps of hidden sky
NOWHERE = -1e9
DIM_SUN = 0.12  # below, the sun is behind clouds and casts no shadow
REACH = 60.0  # metres around the viewer in which moving things cast shadows


class SunMap(NamedTuple):
    """height: [H, W] float32, metres towards the sun of what it meets first. axes: [3, 3] float64, rows: along columns,
    along rows, to the sun. origin: [3] float64, the world point of cell (0, 0)."""

    height: np.ndarray
    axes: np.ndarray
    origin: np.ndarray


class SkyMap(NamedTuple):
    """hidden: [H, W, 3] float32: ground height, and shares of near sky (1.5 m around) and of far sky (10 m around) that
    things hide at the ground. frame: [3] float64 x0, y0, cell."""

    hidden: np.ndarray
    frame: np.ndarray


def to_sun(day: Day) -> np.ndarray:
    """Unit vector [3] towards the sun."""
    c = np.cos(day.sun_elevation)
    return np.array([c * np.cos(day.sun_azimuth), c * np.sin(day.sun_azimuth), np.sin(day.sun_elevation)])


def corners_of(mesh: Mesh, choice: np.ndarray) -> np.ndarray:
    """[n, 9] float32 of the chosen faces."""
    return np.ascontiguousarray(mesh.vertices[mesh.faces[choice]].reshape(-1, 9))


def make_sun_map(mesh: Mesh, day: Day, viewer: np.ndarray | None = None) -> SunMap:
    """The sun's map of a mesh, without the far backdrop; of what is near a viewer [3], if given. Empty without sun."""
    sun = to_sun(day)
    right = np.array([-np.sin(day.sun_azimuth), np.cos(day.sun_azimuth), 0.0])
    axes = np.stack([right, np.cross(sun, right), sun])
    casts = mesh.surfaces["material"][mesh.surface] != Material.BACKDROP
    if viewer is not None and len(mesh):
        casts &= np.abs(mesh.vertices[mesh.faces[:, 0], :2] - viewer[:2]).max(axis=1) < REACH
    if day.is_night or day.sun < DIM_SUN or not casts.any():
        return SunMap(np.full((1, 1), NOWHERE, np.float32), axes, np.zeros(3))
    corners = corners_of(mesh, np.flatnonzero(casts))
    plane = corners.reshape(-1, 3).astype(np.float64) @ axes.T
    low, high = plane.min(axis=0) - 2 * CELL, plane.max(axis=0) + 2 * CELL
    shape = np.ceil((high - low)[:2] / CELL).astype(int) + 1
    height = np.full((shape[1], shape[0]), NOWHERE, np.float32)
    origin = low @ axes
    draw_parallel(corners, axes, origin, 1.0 / CELL, height)
    return SunMap(height, axes, origin)


@inner
def sunlight(sun_map, x, y, z):
    """Share of the sun's disc seen from a point, 0 to 1, blended over the four nearest cells."""
    rows, columns = sun_map.height.shape
    axes = sun_map.axes
    x, y, z = x - sun_map.origin[0], y - sun_map.origin[1], z - sun_map.origin[2]
    across = (axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z) / CELL
    along = (axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z) / CELL
    if across < 0.0 or along < 0.0 or across >= columns - 1.0 or along >= rows - 1.0:
        return 1.0
    height = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z
    j, i = int(across), int(along)
    fx, fy = across - j, along - i
    sight = sun_map.height
    below = (1.0 - fx) * _is_clear(sight[i, j], height) + fx * _is_clear(sight[i, j + 1], height)
    above = (1.0 - fx) * _is_clear(sight[i + 1, j], height) + fx * _is_clear(sight[i + 1, j + 1], height)
    return (1.0 - fy) * below + fy * above


@inner
def _is_clear(met, height):
    return 1.0 if met <= height else 0.0


def make_sky_map(mesh: Mesh) -> SkyMap:
    """How much sky the standing things hide; leaves let it through."""
    material = mesh.surfaces["material"][mesh.surface]
    is_ground = material == Material.GROUND
    stands = ~is_ground & (material != Material.LEAF) & (material != Material.BACKDROP)
    used = mesh.vertices[mesh.faces[is_ground | stands]].reshape(-1, 3)
    low, high = used[:, :2].min(axis=0) - 2.0, used[:, :2].max(axis=0) + 2.0
    shape = np.ceil((high - low) / SKY_CELL).astype(int) + 1
    ground = from_above(corners_of(mesh, np.flatnonzero(is_ground)), low, shape)
    ground = np.where(ground > NOWHERE / 2, ground, np.median(ground[ground > NOWHERE / 2])).astype(np.float32)
    top = from_above(corners_of(mesh, np.flatnonzero(stands)), low, shape)
    rise = np.maximum(top - ground, 0.0)
    near = cv2.blur(np.minimum(rise, 1.5) / 1.5, (3, 3))
    far = cv2.blur(cv2.blur(np.minimum(rise, 10.0) / 10.0, (23, 23)), (23, 23))
    return SkyMap(np.stack([ground, near, far], axis=2), np.array([low[0], low[1], SKY_CELL], np.float64))


def make_contact_map(moving: Mesh, viewer: np.ndarray) -> SkyMap:
    """Near sky that moving things hide from the ground, around a viewer [3]."""
    low = np.floor(viewer[:2]) - REACH
    size = int(2 * REACH / SKY_CELL)
    near = np.zeros((size, size, 1), np.float32)
    if len(moving):
        top = from_above(corners_of(moving, np.arange(len(moving))), low, (size, size))
        near[..., 0] = cv2.blur((top > NOWHERE / 2).astype(np.float32), (3, 3))
    return SkyMap(near, np.array([low[0], low[1], SKY_CELL], np.float64))


def from_above(corners: np.ndarray, low: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Greatest height [rows, columns] float32 of triangles over cells of SKY_CELL, NOWHERE where there is none."""
    height = np.full((shape[1], shape[0]), NOWHERE, np.float32)
    draw_parallel(corners, np.eye(3), np.array([low[0], low[1], 0.0]), 1.0 / SKY_CELL, height)
    return height


@inner
def read_map(picture, frame, x, y, channel):
    """A channel of a map at (x, y), blended over four cells; the border's value outside."""
    rows, columns = picture.shape[0], picture.shape[1]
    across = clamp((x - frame[0]) / frame[2], 0.0, columns - 1.001)
    along = clamp((y - frame[1]) / frame[2], 0.0, rows - 1.001)
    j, i = int(across), int(along)
    fx, fy = across - j, along - i
    below = (1.0 - fx) * picture[i, j, channel] + fx * picture[i, j + 1, channel]
    above = (1.0 - fx) * picture[i + 1, j, channel] + fx * picture[i + 1, j + 1, channel]
    return (1.0 - fy) * below + fy * above
