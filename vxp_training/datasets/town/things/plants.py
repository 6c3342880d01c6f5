"""Trees, hedges and bushes. Local frame: the trunk, or the hedge's left end, at the origin; a hedge runs along +x."""

from dataclasses import replace

import numpy as np

from ..scene import Material, Mesh
from .branches import add_branches, add_stake, add_trunk
from .crowns import Crown, add_crown, add_tiers
from .habits import DECIDUOUS, HABITS
from .shapes import MeshBuilder

TREE_KINDS: tuple[str, ...] = tuple(HABITS)
LEAVES = 250  # triangles of a grown tree's crown
YOUNG = 4.6  # metres: below, a tree is slim and tied to a stake


def tree_mesh(kind: str, rng: np.random.Generator, height: float, leaves: float = 1.0) -> Mesh:
    """A tree of a kind of TREE_KINDS. The same rng state gives the same tree at every share of leaves (0 to 1)."""
    habit, is_young = HABITS[kind], height < YOUNG
    if is_young:
        habit = replace(habit, base=0.45, width=min(habit.width, 0.42), lobes=min(habit.lobes, 3), trunk=0.012)
    b = MeshBuilder()
    crown = Crown.draw(habit, rng, height)
    add_trunk(b, habit, crown, rng)
    if is_young:
        add_stake(b)
    if habit.is_tiered:
        add_tiers(b, habit, crown, rng)
    else:
        add_branches(b, habit, crown, rng)
        add_crown(b, habit, crown, rng, LEAVES // 2 if is_young else LEAVES)
    return drop_leaves(b.build(), leaves)


def drop_leaves(mesh: Mesh, share: float) -> Mesh:
    """The mesh (a tree or a whole town) with only this share (0 to 1) of its leaves, chosen by a hash of each
    leaf, so that the leaves of a thin crown hang in a full one too. Evergreens, hedges and bushes keep theirs."""
    row = mesh.surfaces[mesh.surface]
    falls = (row["material"] == Material.LEAF) & (row["style"] == DECIDUOUS) & (_fate(mesh) >= share)
    if not falls.any():
        return mesh
    return replace(mesh, faces=mesh.faces[~falls], uv=mesh.uv[~falls], surface=mesh.surface[~falls])


def _fate(mesh: Mesh) -> np.ndarray:
    """[F] float64, 0 to 1: evenly spread and fixed for each face, by its last corner in uv and its surface's seed."""
    bits = np.ascontiguousarray(mesh.uv[:, 2]).view(np.uint32).astype(np.uint64)
    mixed = bits[:, 0] * np.uint64(0x9E3779B1) ^ bits[:, 1] * np.uint64(0x85EBCA77)
    mixed ^= mesh.surfaces["seed"][mesh.surface].astype(np.uint64) * np.uint64(0xC2B2AE3D)
    for shift, factor in ((15, 0x2C1B3C6D), (13, 0x297A2D39)):
        mixed &= np.uint64(0xFFFFFFFF)
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed &= np.uint64(0xFFFFFFFF)
    return (mixed ^ (mixed >> np.uint64(16))) / 2.0**32


def hedge_mesh(length: float, height: float = 1.2, thickness: float = 0.6, seed: int = 0) -> Mesh:
    """A clipped hedge along +x, centred on y = 0, with slightly leaning sides and an uneven top."""
    b = MeshBuilder()
    leaf = b.surface(Material.HEDGE, (0.065, 0.13, 0.035), (0.045, 0.10, 0.03), seed=seed, width=length, height=height)
    count = max(1, round(length / 2.5))
    rng = np.random.default_rng([seed, 77])
    tops = height * (1 + 0.05 * rng.uniform(-1, 1, count + 1))
    half = thickness / 2
    for i in range(count):
        x0, x1, z0, z1 = length * i / count, length * (i + 1) / count, tops[i], tops[i + 1]
        low, high = half, 0.85 * half
        uv = [(x0, -0.4), (x1, -0.4), (x1, z1), (x0, z0)]
        b.polygon([(x0, -low, -0.4), (x1, -low, -0.4), (x1, -high, z1), (x0, -high, z0)], leaf, uv)
        b.polygon(
            [(x1, low, -0.4), (x0, low, -0.4), (x0, high, z0), (x1, high, z1)], leaf, [uv[k] for k in (1, 0, 3, 2)]
        )
        b.polygon([(x0, -high, z0), (x1, -high, z1), (x1, high, z1), (x0, high, z0)], leaf)
    for x, z, s in ((0.0, tops[0], -1), (length, tops[-1], 1)):
        b.polygon([(x, -s * half, -0.4), (x, s * half, -0.4), (x, s * 0.85 * half, z), (x, -s * 0.85 * half, z)], leaf)
    return b.build()


def bush_mesh(rng: np.random.Generator, radius: float = 0.7) -> Mesh:
    """A round evergreen bush about 2 x radius wide; 56 triangles."""
    b = MeshBuilder()
    tint = rng.uniform(0.8, 1.25)
    habit = replace(
        HABITS["chestnut"], lobes=1, size=0.6 * radius, is_evergreen=True,
        leaf=tuple(tint * c for c in HABITS["chestnut"].leaf), second=HABITS["chestnut"].second,
    )  # fmt: skip
    crown = Crown.around(np.array([0, 0, 0.62 * radius]), np.array([radius, radius, 0.8 * radius]), habit, rng)
    add_crown(b, habit, crown, rng, 56)
    return b.build()
