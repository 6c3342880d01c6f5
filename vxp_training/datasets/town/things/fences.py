"""Fences, garden walls and rails. Local frame: along +x from 0, centred on y = 0; fronts face -y."""

from math import ceil

from ..scene import Material, Mesh
from .shapes import Colour, MeshBuilder

FENCE_STYLES = 4
_PAINT: tuple[Colour, ...] = ((0.70, 0.69, 0.65), (0.26, 0.17, 0.10), (0.10, 0.16, 0.11), (0.20, 0.12, 0.07))


def fence_mesh(length: float, style: int = 0, height: float = 1.1, seed: int = 0) -> Mesh:
    """A fence of this length. style: 0 pickets, 1 boards, 2 iron bars on a low wall, 3 posts with two rails."""
    b = MeshBuilder()
    {0: _add_pickets, 1: _add_boards, 2: _add_bars, 3: _add_rails}[style](b, length, height, seed)
    return b.build()


def _posts(length: float, gap: float) -> list[float]:
    count = max(1, ceil(length / gap))
    return [0.04 + (length - 0.08) * i / count for i in range(count + 1)]


def _add_pickets(b: MeshBuilder, length: float, height: float, seed: int) -> None:
    """Flat pointed slats, 9 cm wide with gaps of as much again, on two rails."""
    wood = b.surface(Material.WOOD, _PAINT[seed % 4], seed=seed, width=length, height=height)
    for z in (0.3 * height, 0.75 * height):
        b.box((0, 0.0, z), (length, 0.04, z + 0.07), wood, without="xX")
    count = max(2, round(length / 0.18))
    for i in range(count):
        x, top = length * (i + 0.25) / count, height - 0.05
        w = 0.5 * length / count
        b.polygon(
            [(x, -0.02, 0.05), (x + w, -0.02, 0.05), (x + w, -0.02, top), (x + w / 2, -0.02, height), (x, -0.02, top)],
            wood,
        )
    for x in _posts(length, 2.2):
        b.box((x - 0.04, 0.04, -0.5), (x + 0.04, 0.12, height - 0.1), wood)


def _add_boards(b: MeshBuilder, length: float, height: float, seed: int) -> None:
    """A tight fence of boards between posts."""
    wood = b.surface(Material.WOOD, _PAINT[1 + seed % 3], seed=seed, width=length, height=height)
    b.box((0, -0.02, -0.3), (length, 0.02, height - 0.06), wood)
    for x in _posts(length, 1.9):
        b.box((x - 0.045, -0.045, -0.5), (x + 0.045, 0.045, height), wood)


def _add_bars(b: MeshBuilder, length: float, height: float, seed: int) -> None:
    """Iron bars, one triangle pair each, between two rails on a wall 0.35 m high."""
    stone = b.surface(Material.CONCRETE, (0.40, 0.37, 0.33), seed=seed, width=length, height=0.35)
    iron = b.surface(Material.METAL, (0.03, 0.035, 0.034), seed=seed)
    b.box((0, -0.14, -0.8), (length, 0.14, 0.35), stone)
    for z in (0.42, height - 0.12):
        b.box((0, -0.02, z), (length, 0.02, z + 0.04), iron, without="xX")
    count = max(2, round(length / 0.16))
    for i in range(count):
        x = length * (i + 0.5) / count
        b.wall((x - 0.012, 0.0), (x + 0.012, 0.0), 0.35, height, iron)
    for x in _posts(length, 2.5):
        b.box((x - 0.03, -0.03, 0.35), (x + 0.03, 0.03, height + 0.06), iron)


def _add_rails(b: MeshBuilder, length: float, height: float, seed: int) -> None:
    """Posts with two boards across, as around parks and paddocks."""
    wood = b.surface(Material.WOOD, _PAINT[seed % 4], seed=seed, width=length, height=height)
    for x in _posts(length, 2.4):
        b.box((x - 0.05, -0.05, -0.5), (x + 0.05, 0.05, height), wood)
    for z in (0.42 * height, 0.82 * height):
        b.box((0, -0.085, z), (length, -0.05, z + 0.12), wood, without="")


def wall_mesh(length: float, height: float = 1.0, thickness: float = 0.25, seed: int = 0) -> Mesh:
    """A garden wall with a coping; it reaches 1 m into the ground."""
    b = MeshBuilder()
    colours: tuple[Colour, ...] = ((0.45, 0.42, 0.37), (0.30, 0.15, 0.11), (0.55, 0.52, 0.46))
    stone = b.surface(Material.CONCRETE, colours[seed % 3], seed=seed, width=length, height=height)
    coping = b.surface(Material.CONCRETE, (0.42, 0.41, 0.39), seed=seed, width=length)
    half = thickness / 2
    b.box((0, -half, -1.0), (length, half, height - 0.07), stone, without="zZ")
    b.box((0, -half - 0.04, height - 0.07), (length, half + 0.04, height), coping, without="")
    return b.build()


def rail_mesh(length: float, height: float = 1.0) -> Mesh:
    """A steel railing: posts, a handrail and a middle bar."""
    b = MeshBuilder()
    steel = b.surface(Material.METAL, (0.42, 0.44, 0.45))
    for x in _posts(length, 1.8):
        b.tube((x, 0, -0.4), (x, 0, height), 0.03, steel, 4, lids="end")
    for z in (0.5 * height, height - 0.03):
        b.tube((0, 0, z), (length, 0, z), 0.025, steel, 4, lids="start end")
    return b.build()
