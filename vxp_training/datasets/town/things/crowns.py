"""Crowns of trees: lobes, each a ball with loose leaves on it, or a conifer's tiers."""

from dataclasses import dataclass
from math import pi

import numpy as np

from ..scene import Material
from .habits import DECIDUOUS, EVERGREEN, Habit
from .shapes import MeshBuilder

GOLDEN = pi * (3 - 5**0.5)


@dataclass(frozen=True)
class Crown:
    """centre, radii [3] metres: of the whole. lobes: [L, 4] centres and radii of the clumps. height: of the tree."""

    centre: np.ndarray
    radii: np.ndarray
    lobes: np.ndarray
    height: float

    @classmethod
    def draw(cls, habit: Habit, rng: np.random.Generator, height: float) -> "Crown":
        """The crown on a trunk at the origin, up to this height."""
        base = habit.base * height
        radius = 0.5 * habit.width * height * rng.uniform(0.9, 1.1)
        radii = np.array([radius, radius * rng.uniform(0.9, 1.1), (height - base) / 2])
        return cls.around(np.array([0, 0, (base + height) / 2]), radii, habit, rng)

    @classmethod
    def around(cls, centre: np.ndarray, radii: np.ndarray, habit: Habit, rng: np.random.Generator) -> "Crown":
        """Lobes on a spiral inside an ellipsoid, so that each reaches its skin; wider below than above."""
        count = habit.lobes
        steps = (np.arange(count) + 0.5) / max(count, 1)
        z = 0.62 * (2 * steps - 1)
        angle = GOLDEN * np.arange(count) + rng.uniform(0, 2 * pi)
        out = np.sqrt(np.maximum(0.36 - 0.5 * z**2, 0.0)) * rng.uniform(0.8, 1.1, count) * (count > 1)
        unit = np.stack([out * np.cos(angle), out * np.sin(angle), z], axis=1)
        size = (0.52 - 0.12 * np.maximum(z, 0)) * rng.uniform(0.9, 1.12, count) * (7 / max(count, 1)) ** 0.3
        lobes = np.column_stack([centre + unit * radii, size])
        return cls(centre, radii, lobes, float(centre[2] + radii[2]))


def add_crown(b: MeshBuilder, habit: Habit, crown: Crown, rng: np.random.Generator, count: int) -> None:
    """Each lobe: a ball of 20 triangles and loose leaves on its skin; `count` triangles in all."""
    seed = int(rng.integers(2**31))
    loose = count // len(crown.lobes) - 20
    for i, lobe in enumerate(crown.lobes):
        tint = rng.uniform(0.88, 1.12)
        bright, dark = (tuple(tint * c for c in colour) for colour in (habit.leaf, habit.second))
        centre = 0.6 * lobe[:3] + 0.4 * crown.centre  # light flows around the lobe and the whole crown
        fields = {"seed": seed + i, "x": centre[0], "y": centre[1], "z": centre[2]}
        style = EVERGREEN if habit.is_evergreen else DECIDUOUS
        core = b.surface(Material.LEAF, dark, bright, style=style, **fields)
        leaf = b.surface(Material.LEAF, bright, dark, style=style, **fields)
        b.triangles(_icosahedron(rng) * (0.92 * lobe[3] * crown.radii) + lobe[:3], core)
        b.triangles(_leaves(habit, crown, i, rng, loose), leaf)


def _leaves(habit: Habit, crown: Crown, number: int, rng: np.random.Generator, count: int) -> np.ndarray:
    """[count, 3, 3] triangles on the outside of one lobe, facing away from it, those that other lobes hide left out."""
    lobe = crown.lobes[number]
    directions = rng.normal(size=(4 * count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points = lobe[:3] + directions * lobe[3] * crown.radii * rng.uniform(0.88, 1.06, (4 * count, 1))
    others = np.delete(crown.lobes, number, axis=0)
    gaps = (points[:, None] - others[None, :, :3]) / (others[None, :, 3:] * crown.radii)
    depth = (np.linalg.norm(gaps, axis=2).min(axis=1)) if len(others) else np.full(len(points), 9.0)
    kept = np.sort(np.argsort(-np.minimum(depth, 0.95), kind="stable")[:count])
    return _triangles(points[kept], directions[kept] / crown.radii, habit.size, rng)


def _triangles(points: np.ndarray, normals: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """[N, 3, 3] about equilateral triangles around points that look roughly along the normals, tips down."""
    count = len(points)
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True) + rng.normal(0, 0.38, (count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    helper = np.where(np.abs(normals[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    right = np.cross(helper, normals)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    up = np.cross(normals, right)
    turn = rng.uniform(0, 2 * pi, (count, 1)) + 2 * pi / 3 * np.arange(3)
    reach = size / 3**0.5 * rng.uniform(0.75, 1.3, (count, 3))
    return points[:, None] + reach[..., None] * (
        np.cos(turn)[..., None] * right[:, None] + np.sin(turn)[..., None] * up[:, None]
    )


def _icosahedron(rng: np.random.Generator) -> np.ndarray:
    """[20, 3, 3] a unit ball of 20 triangles whose corners are a little off."""
    g = (1 + 5**0.5) / 2
    corners = np.array([(s, t * g, 0) for s in (-1, 1) for t in (-1, 1)], float)
    corners = np.concatenate([corners, corners[:, [2, 0, 1]], corners[:, [1, 2, 0]]]) / np.hypot(1, g)
    close = np.linalg.norm(corners[:, None] - corners[None], axis=2) < 1.2
    faces = [
        (i, j, k) for i in range(12) for j in range(i) for k in range(j) if close[i, j] and close[j, k] and close[i, k]
    ]
    balls = corners * rng.uniform(0.9, 1.1, (12, 1))
    triangles = balls[np.array(faces)]
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    is_inward = (normal * triangles.mean(axis=1)).sum(axis=1) < 0
    triangles[is_inward] = triangles[is_inward][:, ::-1]
    return triangles


def add_tiers(b: MeshBuilder, habit: Habit, crown: Crown, rng: np.random.Generator) -> None:
    """A spruce: jagged skirts of hanging boughs, smaller towards the tip."""
    seed, tiers = int(rng.integers(2**31)), 9
    base = crown.centre[2] - crown.radii[2]
    for i in range(tiers):
        share = i / tiers
        low = base + (crown.height - base) * share
        high = base + (crown.height - base) * min(share + 2.2 / tiers, 1.0)
        tint = rng.uniform(0.85, 1.15)
        leaf = b.surface(
            Material.LEAF, tuple(tint * c for c in habit.leaf), habit.second, seed=seed + i, style=EVERGREEN,
            z=low - 0.4 * crown.radii[0],
        )  # fmt: skip
        b.triangles(_skirt(crown.radii[0] * (1.02 - share) ** 0.9, low, high, max(7, 13 - i), rng), leaf)


def _skirt(radius: float, low: float, high: float, boughs: int, rng: np.random.Generator) -> np.ndarray:
    """[2 * boughs, 3, 3]: two layers of pointed boughs from the trunk at `high` down to the tips at about `low`."""
    angle = 2 * pi * (np.arange(2 * boughs) + rng.uniform(-0.3, 0.3, 2 * boughs)) / boughs + rng.uniform(0, 2 * pi)
    is_upper = np.arange(2 * boughs) >= boughs
    angle[is_upper] += pi / boughs
    reach = radius * rng.uniform(0.85, 1.12, 2 * boughs) * np.where(is_upper, 0.72, 1.0)
    drop = np.where(is_upper, 0.4 * (high - low), 0.0) + rng.uniform(-0.15, 0.1, 2 * boughs) * (high - low)
    half = 1.35 * pi / boughs

    def ring(turn: np.ndarray, share: float, z: np.ndarray) -> np.ndarray:
        return np.stack([share * reach * np.cos(turn), share * reach * np.sin(turn), z], axis=1)

    tip = ring(angle, 1.0, low + drop)
    top = np.where(is_upper, high, high - 0.15 * (high - low))
    left, right = ring(angle - half, 0.55, 0.5 * (low + drop + top)), ring(angle + half, 0.55, 0.5 * (low + drop + top))
    apex = np.stack([0 * top, 0 * top, top], axis=1)
    return np.concatenate([np.stack([tip, right, left], axis=1), np.stack([apex, left, right], axis=1)])
