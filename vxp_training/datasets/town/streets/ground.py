"""Gentle hills, and the mesh of roads, raised pavements and kerbs on them."""

import numpy as np

from ..draws import Purpose, draw
from ..scene import SURFACE, Material, Mesh, merge
from .lines import distance, is_inside, shift, split
from .plan import CENTRE_RADIUS, Block, Plan

KERB_HEIGHT = 0.12
CELL = 3.2  # of the terrain, within the town
BAND = 4.9  # width of the raised strip behind a kerb, which hides the terrain's step
REACH = 230.0  # metres of land beyond the outer junctions
WAVES = 3
WAVE_LENGTH = (240.0, 420.0)
WAVE_SLOPE = (0.010, 0.020)  # steepest slope of each wave
RIM_START = 70.0  # metres beyond the outer junctions where the land begins to rise
RIM_RISE = 9.0  # by how much, at most
CENTRE_RISE = 0.5  # of the roundabout's middle
KERB_COLOUR = (0.40, 0.39, 0.37)

GROUND_OBJECT, KERB_OBJECT = 0, 1


class Hills:
    """The smooth height of the roads; pavements and blocks lie KERB_HEIGHT above."""

    def __init__(self, seed: int, plan: Plan) -> None:
        rng = draw(seed, Purpose.HILLS)
        length = rng.uniform(*WAVE_LENGTH, WAVES)
        angle = rng.uniform(0, 2 * np.pi, WAVES)
        self._waves = 2 * np.pi / length * np.stack([np.cos(angle), np.sin(angle)])  # [2, WAVES]
        self._phases = rng.uniform(0, 2 * np.pi, WAVES)
        self._heights = rng.uniform(*WAVE_SLOPE, WAVES) * length / (2 * np.pi)
        self._low, self._high = plan.extent()

    def height(self, xy: np.ndarray) -> np.ndarray:
        """Metres above the origin's level, [N] float64, of points [N, 2]."""
        xy = np.asarray(xy, dtype=np.float64)
        hills = np.sin(xy @ self._waves + self._phases) @ self._heights
        outside = np.maximum(np.maximum(self._low - xy, xy - self._high), 0.0)
        beyond = np.clip((np.sqrt((outside**2).sum(1)) - RIM_START) / (REACH - RIM_START), 0.0, 1.0)
        return hills + RIM_RISE * beyond * beyond * (3 - 2 * beyond)


def make_ground_mesh(hills: Hills, plan: Plan) -> Mesh:
    """Terrain, pavement strips, kerbs and the roundabout's centre."""
    parts = [_terrain(hills, plan)]
    for block in plan.blocks:
        outline = split(block.outline, CELL)
        parts.append(_strip(hills, outline, KERB_HEIGHT, shift(outline, BAND), KERB_HEIGHT))
        parts.append(_kerb(hills, outline))
    edge, half, tip = (
        circle_around(plan.nodes[plan.roundabout], radius, 40) for radius in (CENTRE_RADIUS, CENTRE_RADIUS / 2, 0.05)
    )
    parts.append(_kerb(hills, edge))
    parts.append(_strip(hills, edge, KERB_HEIGHT, half, 0.8 * CENTRE_RISE))
    parts.append(_strip(hills, half, 0.8 * CENTRE_RISE, tip, CENTRE_RISE))
    return merge(parts)


def circle_around(centre: np.ndarray, radius: float, count: int) -> np.ndarray:
    """Counter-clockwise points [count, 2]."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _terrain(hills: Hills, plan: Plan) -> Mesh:
    """The land as a grid, fine in the town and ever coarser beyond; raised inside of blocks."""
    low, high = plan.extent()
    xs, ys = (_grid_line(low[i] - 30, high[i] + 30) for i in (0, 1))
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    z = hills.height(points) + KERB_HEIGHT * _is_raised(plan, points)
    first = (np.arange(len(ys) - 1)[:, None] * len(xs) + np.arange(len(xs) - 1)).ravel()
    a, b, c, d = first, first + 1, first + len(xs) + 1, first + len(xs)
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return _ground(np.column_stack([points, z]), faces)


def _grid_line(low: float, high: float) -> np.ndarray:
    count = int(np.ceil((high - low) / CELL)) + 1
    growing = np.cumsum(CELL * 1.35 ** np.arange(1, 14))
    growing = growing[growing < REACH]
    return np.concatenate([low - growing[::-1], np.linspace(low, high, count), high + growing])


def _is_raised(plan: Plan, points: np.ndarray) -> np.ndarray:
    """Which points [N, 2] lie so far inside of a block that no cell around them reaches the road: bool [N]."""
    is_raised = np.zeros(len(points), bool)
    for block in plan.blocks:
        low, high = block.outline.min(0) - 1, block.outline.max(0) + 1
        near = np.flatnonzero(((points > low) & (points < high)).all(1))
        if block.is_outside:
            is_raised[np.setdiff1d(np.arange(len(points)), near)] = True
        inside = near[is_inside(block.outline, points[near]) != block.is_outside]
        is_raised[inside[distance(block.outline, points[inside]) > CELL * np.sqrt(2) + 0.05]] = True
    return is_raised


def _strip(hills: Hills, outer: np.ndarray, outer_rise: float, inner: np.ndarray, inner_rise: float) -> Mesh:
    """The band between a closed line and another one to its left with as many points."""
    count = len(outer)
    i = np.arange(count)
    j = (i + 1) % count
    vertices = np.concatenate([_lift(hills, outer, outer_rise), _lift(hills, inner, inner_rise)])
    return _ground(vertices, np.concatenate([np.stack([i, j, j + count], 1), np.stack([i, j + count, i + count], 1)]))


def _kerb(hills: Hills, outline: np.ndarray) -> Mesh:
    """The upright face of the kerb, seen from the road on the outline's right."""
    count = len(outline)
    i = np.arange(count)
    j = (i + 1) % count
    vertices = np.concatenate([_lift(hills, outline, -0.15), _lift(hills, outline, KERB_HEIGHT)])
    faces = np.concatenate([np.stack([i, j, j + count], 1), np.stack([i, j + count, i + count], 1)])
    step = np.linalg.norm(outline[j] - outline[i], axis=1)
    along = np.concatenate([[0.0], np.cumsum(step)])
    u = np.stack([along[:-1], along[1:], along[1:], along[:-1]], 1)
    v = np.broadcast_to([-0.15, -0.15, KERB_HEIGHT, KERB_HEIGHT], u.shape)
    uv = np.stack([u, v], axis=2)
    surface = np.zeros(1, SURFACE)
    surface["material"], surface["object"] = Material.CONCRETE, KERB_OBJECT
    surface["red"], surface["green"], surface["blue"] = KERB_COLOUR
    surface["red2"], surface["green2"], surface["blue2"] = KERB_COLOUR
    surface["width"], surface["height"] = along[-1], KERB_HEIGHT
    uv = np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]]).astype(np.float32)
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), uv, np.zeros(len(faces), np.int32), surface)


def _lift(hills: Hills, points: np.ndarray, rise: float) -> np.ndarray:
    return np.column_stack([points, hills.height(points) + rise])


def _ground(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    surface = np.zeros(1, SURFACE)
    surface["material"], surface["object"] = Material.GROUND, GROUND_OBJECT
    uv = vertices[faces][:, :, :2].astype(np.float32)
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), uv, np.zeros(len(faces), np.int32), surface)


def is_in_block(block: Block, points: np.ndarray, margin: float) -> np.ndarray:
    """Which points [N, 2] lie in the block, at least `margin` behind its kerb: bool [N]."""
    inside = is_inside(block.outline, points) != block.is_outside
    return inside & (distance(block.outline, points) >= margin)
