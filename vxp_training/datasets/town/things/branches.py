"""Trunks, branches and twigs: what stands in winter."""

from math import pi

import numpy as np

from ..scene import Material
from .crowns import GOLDEN, Crown
from .habits import Habit
from .shapes import MeshBuilder

WOOD = 60  # triangles of trunk, branches and twigs


def add_trunk(b: MeshBuilder, habit: Habit, crown: Crown, rng: np.random.Generator) -> None:
    """A tapering trunk with a slight bend at the crown's base, from below the ground up into the crown."""
    radius = habit.trunk * crown.height
    low = crown.centre[2] - crown.radii[2]
    bend = (*(0.15 * radius * rng.normal(size=2)), max(low, 0.3))
    tip = (*(0.25 * crown.radii[:2] * 0.2 * rng.normal(size=2)), crown.centre[2] + 0.55 * crown.radii[2])
    bark = bark_surface(b, habit, crown, rng)
    b.tube((0, 0, -0.5), bend, 1.15 * radius, bark, 5, 0.8 * radius)
    b.tube(bend, tip, 0.8 * radius, bark, 5, 0.0)


def bark_surface(b: MeshBuilder, habit: Habit, crown: Crown, rng: np.random.Generator) -> int:
    """A row of BARK; its second colour, dark, is for cracks and a birch's bands."""
    dark = tuple(0.35 * c if c < 0.5 else 0.06 for c in habit.bark)
    return b.surface(Material.BARK, habit.bark, dark, seed=int(rng.integers(2**31)), height=crown.height)


def add_branches(b: MeshBuilder, habit: Habit, crown: Crown, rng: np.random.Generator) -> None:
    """A branch from the trunk to each lobe and twigs from there to the lobes' skins."""
    bark = bark_surface(b, habit, crown, rng)
    radius, low = habit.trunk * crown.height, crown.centre[2] - crown.radii[2]
    twigs = []
    for i, lobe in enumerate(crown.lobes):
        reach = np.linalg.norm(lobe[:2])
        start = np.array([0, 0, max(low + 0.1, lobe[2] - (0.3 + habit.rise) * reach - 0.2 * crown.radii[2])])
        end = lobe[:3] + 0.45 * lobe[3] * crown.radii * _unit(lobe[:3] - start)
        b.tube(start, end, 0.42 * radius, bark, 3, 0.0)
        count = (WOOD - 15) // len(crown.lobes) - 3
        turn = GOLDEN * np.arange(count) + i
        for k in range(count):
            root = start + (end - start) * (0.35 + 0.5 * k / count)
            side = np.array([np.cos(turn[k]), np.sin(turn[k]), 0.25 + habit.rise])
            twigs.append(_twig(root, lobe[:3] + 0.85 * lobe[3] * crown.radii * _unit(side), 0.13 * radius))
    b.triangles(np.array(twigs), bark)


def _twig(root: np.ndarray, tip: np.ndarray, radius: float) -> np.ndarray:
    """[3, 3] one thin upright triangle."""
    along = _unit(tip - root)
    across = _unit(np.cross(along, np.array([along[1], -along[0], 0.3])))
    return np.array([root - radius * across, root + radius * across, tip])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def add_stake(b: MeshBuilder) -> None:
    """Two stakes and a slat that hold a young tree."""
    wood = b.surface(Material.WOOD, (0.33, 0.24, 0.15))
    for angle in (0.0, pi):
        x = 0.35 * np.cos(angle)
        b.tube((x, 0, -0.4), (x, 0, 1.7), 0.04, wood, 4, lids="end")
    b.box((-0.38, -0.03, 1.5), (0.38, 0.03, 1.6), wood, without="")
