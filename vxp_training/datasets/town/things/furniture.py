"""Street furniture. Local frame: foot at the origin, the thing's front faces -y; long things run along +x from 0."""

from math import cos, pi, sin

from ..scene import Material, Mesh
from .fences import FENCE_STYLES, fence_mesh, rail_mesh, wall_mesh
from .poles import (
    DARK,
    ROOT,
    STEEL,
    lamp_mesh,
    sign_mesh,
    street_name_mesh,
    traffic_light_mesh,
)
from .shapes import Colour, MeshBuilder

__all__ = [
    "FENCE_STYLES", "advertising_column_mesh", "bench_mesh", "bike_rack_mesh", "bin_mesh", "bollard_mesh",
    "cabinet_mesh", "fence_mesh", "kiosk_mesh", "lamp_mesh", "rail_mesh", "shelter_mesh", "sign_mesh",
    "street_name_mesh", "traffic_light_mesh", "wall_mesh", "wheelie_bins_mesh",
]  # fmt: skip


def shelter_mesh(seed: int = 0) -> Mesh:
    """A bus shelter 4 m x 1.5 m, x from 0, open towards -y, with a poster at its right end and a bench."""
    b = MeshBuilder()
    steel = b.surface(Material.METAL, (0.12, 0.14, 0.15))
    pane = b.surface(Material.GLASS, (0.30, 0.36, 0.36), seed=seed)
    poster = b.surface(Material.CLOTH, _POSTERS[seed % 4], _POSTERS[(seed + 1) % 4], seed=seed)
    wood = b.surface(Material.WOOD, (0.30, 0.19, 0.10))
    for x in (0.05, 1.35, 2.65, 3.95):
        b.tube((x, 1.4, -ROOT), (x, 1.4, 2.35), 0.04, steel, 4)
    b.tube((0.05, 0.1, -ROOT), (0.05, 0.1, 2.35), 0.04, steel, 4)
    b.box((-0.1, -0.15, 2.35), (4.1, 1.6, 2.47), steel, without="")
    b.wall((0.1, 1.4), (3.9, 1.4), 0.2, 2.2, pane)
    b.wall((0.05, 1.35), (0.05, 0.3), 0.2, 2.2, pane)
    b.box((3.9, 0.15, 0.15), (4.02, 1.4, 2.2), steel, without="")
    b.wall((4.035, 0.25), (4.035, 1.3), 0.3, 2.1, poster)
    b.wall((3.885, 1.3), (3.885, 0.25), 0.3, 2.1, poster)
    b.box((0.6, 0.95, 0.45), (3.2, 1.3, 0.52), wood, without="")
    return b.build()


_POSTERS: tuple[Colour, ...] = ((0.65, 0.10, 0.08), (0.80, 0.78, 0.70), (0.05, 0.22, 0.45), (0.75, 0.50, 0.08))


def bench_mesh() -> Mesh:
    """A bench, 1.8 m along x from 0, facing -y."""
    b = MeshBuilder()
    wood, iron = b.surface(Material.WOOD, (0.28, 0.16, 0.08)), b.surface(Material.METAL, DARK)
    for x in (0.2, 1.55):
        b.box((x, -0.22, -0.2), (x + 0.06, 0.22, 0.42), iron)
        b.polygon([(x, 0.18, 0.42), (x + 0.06, 0.18, 0.42), (x + 0.06, 0.32, 0.85), (x, 0.32, 0.85)], iron)
    b.box((0, -0.25, 0.42), (1.8, 0.18, 0.47), wood, without="")
    b.box((0, 0.22, 0.55), (1.8, 0.27, 0.68), wood, without="")
    b.box((0, 0.26, 0.72), (1.8, 0.31, 0.85), wood, without="")
    return b.build()


def bin_mesh(colour: Colour = (0.04, 0.13, 0.06)) -> Mesh:
    """A waste bin with a lid on a short post."""
    b = MeshBuilder()
    body = b.surface(Material.METAL, colour)
    b.tube((0, 0, -0.3), (0, 0, 0.3), 0.05, b.surface(Material.METAL, STEEL), 5)
    b.tube((0, 0, 0.28), (0, 0, 0.85), 0.19, body, 8, 0.23, "start")
    b.tube((0, 0, 0.85), (0, 0, 1.0), 0.24, body, 8, 0.10, "start end")
    return b.build()


def wheelie_bins_mesh(seed: int = 0) -> Mesh:
    """Two or three household bins side by side along x, fronts towards -y."""
    b = MeshBuilder()
    colours = ((0.02, 0.02, 0.022), (0.02, 0.10, 0.04), (0.03, 0.07, 0.25), (0.45, 0.32, 0.03))
    for i in range(2 + seed % 2):
        body = b.surface(Material.METAL, (0.045, 0.048, 0.05))
        lid = b.surface(Material.METAL, colours[(seed + i) % 4])
        x = 0.66 * i
        b.box((x, -0.3, 0.0), (x + 0.56, 0.3, 0.95), body)
        b.box((x - 0.02, -0.34, 0.95), (x + 0.58, 0.34, 1.06), lid, without="")
    return b.build()


def bollard_mesh() -> Mesh:
    """A bollard 0.9 m high with a white band."""
    b = MeshBuilder()
    b.tube((0, 0, -0.3), (0, 0, 0.9), 0.06, b.surface(Material.METAL, (0.06, 0.06, 0.065)), 6, lids="end")
    b.tube((0, 0, 0.68), (0, 0, 0.80), 0.072, b.surface(Material.METAL, (0.75, 0.75, 0.73)), 6)
    return b.build()


def bike_rack_mesh(count: int = 4) -> Mesh:
    """Steel hoops along x, 0.9 m apart, each across it (0.8 m along y)."""
    b = MeshBuilder()
    steel = b.surface(Material.METAL, (0.45, 0.46, 0.47))
    for i in range(count):
        x = 0.9 * i
        for y in (-0.4, 0.4):
            b.tube((x, y, -0.3), (x, y, 0.82), 0.03, steel, 4)
        b.tube((x, -0.4, 0.82), (x, 0.4, 0.82), 0.03, steel, 4, lids="start end")
    return b.build()


def cabinet_mesh(seed: int = 0) -> Mesh:
    """A distribution cabinet on a base, front towards -y, centred on x = 0."""
    b = MeshBuilder()
    tone = (0.40, 0.42, 0.40) if seed % 3 else (0.10, 0.20, 0.13)
    width, height = 0.8 + 0.2 * (seed % 3), 1.1 + 0.15 * (seed % 2)
    b.box(
        (-width / 2, -0.2, -0.3), (width / 2, 0.2, 0.14), b.surface(Material.CONCRETE, (0.38, 0.37, 0.35)), without="z"
    )
    body = b.surface(Material.METAL, tone, seed=seed, width=width, height=height)
    b.box((-width / 2 + 0.03, -0.17, 0.14), (width / 2 - 0.03, 0.17, height), body)
    b.box((-width / 2, -0.21, height), (width / 2, 0.21, height + 0.06), body, without="")
    return b.build()


def kiosk_mesh(seed: int = 0) -> Mesh:
    """A kiosk 3.5 m x 2.5 m, x from 0 and y from 0, hatch and awning towards -y."""
    b = MeshBuilder()
    colours = ((0.05, 0.20, 0.12), (0.35, 0.06, 0.05), (0.06, 0.13, 0.28), (0.55, 0.42, 0.20))
    body = b.surface(Material.WOOD, colours[seed % 4], seed=seed, width=3.5, height=2.6)
    roof = b.surface(Material.METAL, (0.20, 0.21, 0.22))
    cloth = b.surface(Material.CLOTH, _POSTERS[seed % 4], (0.80, 0.78, 0.70), seed=seed)
    b.box((0, 0, -0.5), (3.5, 2.5, 2.6), body)
    b.box((-0.25, -0.25, 2.6), (3.75, 2.75, 2.75), roof, without="")
    b.box((1.0, 0.5, 2.75), (2.5, 2.0, 3.05), roof)
    b.wall((0.35, -0.02), (3.15, -0.02), 1.05, 2.1, b.surface(Material.GLASS, (0.16, 0.14, 0.10), seed=seed))
    b.box((0.3, -0.35, 0.95), (3.2, 0, 1.02), roof, without="Y")
    b.polygon([(0.2, -1.0, 2.15), (3.3, -1.0, 2.15), (3.3, -0.03, 2.5), (0.2, -0.03, 2.5)], cloth)
    b.wall((2.6, 2.52), (1.7, 2.52), 0.02, 2.05, b.surface(Material.METAL, (0.30, 0.30, 0.30)))
    return b.build()


def advertising_column_mesh(seed: int = 0) -> Mesh:
    """A round column with posters, 3.5 m."""
    b = MeshBuilder()
    stone, cap = b.surface(Material.CONCRETE, (0.30, 0.29, 0.27)), b.surface(Material.METAL, DARK)
    b.tube((0, 0, -0.4), (0, 0, 0.35), 0.68, stone, 12, lids="end")
    for i in range(12):
        paper = i // 3
        first, second = _POSTERS[(seed + paper) % 4], _POSTERS[(seed + 3 * paper + 1) % 4]
        face = b.surface(Material.CLOTH, first, second, seed=seed + paper)
        a, c = 2 * pi * i / 12, 2 * pi * (i + 1) / 12
        b.wall((0.6 * cos(a), 0.6 * sin(a)), (0.6 * cos(c), 0.6 * sin(c)), 0.35, 2.95, face, u=0.31 * (i % 3))
    b.tube((0, 0, 2.95), (0, 0, 3.1), 0.74, cap, 12, lids="start")
    b.tube((0, 0, 3.1), (0, 0, 3.5), 0.74, cap, 12, 0.08, "end")
    return b.build()
