"""Buildings that one remembers: church, school, supermarket. Frame and `House` as in buildings."""

from collections.abc import Callable

from ..scene import Material, Mesh
from .house import House
from .roofs import add_roof
from .shapes import FOUNDATION, MeshBuilder
from .walls import add_walls, blind_surface


def _church(house: House) -> Mesh:
    """A nave with its gable to the street, buttresses, a round choir, and a tower with a spire at the left."""
    b = MeshBuilder()
    wall = blind_surface(b, house, house.width, house.eaves)
    trim = b.surface(Material.CONCRETE, (0.45, 0.42, 0.36), seed=house.seed)
    tiles = b.surface(Material.ROOF, house.roof_colour, house.trim, style=house.roof_style, seed=house.seed)
    pane = b.surface(Material.GLASS, (0.12, 0.13, 0.20), seed=house.seed)
    side = min(5.0, 0.33 * house.width)
    _add_nave(b, house, side, (wall, trim, tiles, pane))
    _add_tower(b, house, side, (wall, trim, tiles, pane))
    return b.build()


def _add_nave(b: MeshBuilder, house: House, side: float, surfaces: tuple[int, int, int, int]) -> None:
    """The ridge runs from the street backwards; the front gable has a rose window and a door."""
    wall, trim, tiles, pane = surfaces
    x0, x1, y0, y1, top = side - 0.5, house.width, 1.5, house.depth - 3.0, house.eaves
    mid, ridge = (x0 + x1) / 2, house.eaves + house.pitch * (house.width - side) / 2
    b.box((x0, y0, -FOUNDATION), (x1, y1, top), wall, without="zZ")
    b.polygon([(x0, y0, top), (x1, y0, top), (mid, y0, ridge)], wall)
    b.polygon([(x1, y1, top), (x0, y1, top), (mid, y1, ridge)], wall)
    o, drop = 0.3, 0.3 * (ridge - top) / (mid - x0)
    b.polygon(
        [(x1 + o, y0 - o, top - drop), (x1 + o, y1 + o, top - drop), (mid, y1 + o, ridge), (mid, y0 - o, ridge)], tiles
    )
    b.polygon(
        [(x0 - o, y1 + o, top - drop), (x0 - o, y0 - o, top - drop), (mid, y0 - o, ridge), (mid, y1 + o, ridge)], tiles
    )
    b.tube((mid, y1 - 0.5, -FOUNDATION), (mid, y1 - 0.5, top * 0.8), 3.0, wall, 10)
    b.tube((mid, y1 - 0.5, top * 0.8), (mid, y1 - 0.5, top * 0.8 + 2.6), 3.3, tiles, 10, 0.0)
    b.disc((mid, y0 - 0.03, top + 0.6), (0, -1, 0), 1.2, pane, 10)
    _add_arch(b, (mid - 1.1, mid + 1.1), y0, 0.1, 3.2, b.surface(Material.WOOD, (0.16, 0.09, 0.05), seed=house.seed))
    count = max(2, round((y1 - y0) / 4.0))
    for i in range(count + 1):
        y = y0 + 0.4 + (y1 - y0 - 0.8) * i / count
        b.box((x1, y - 0.35, -FOUNDATION), (x1 + 0.6, y + 0.35, top * 0.75), trim, without="xz")
        if i < count:
            z, half = y + (y1 - y0 - 0.8) / count / 2, 0.5
            b.polygon([(x1 + 0.03, z - half, 2.2), (x1 + 0.03, z + half, 2.2), (x1 + 0.03, z + half, top * 0.72),
                       (x1 + 0.03, z, top * 0.82), (x1 + 0.03, z - half, top * 0.72)], pane)  # fmt: skip


def _add_tower(b: MeshBuilder, house: House, side: float, surfaces: tuple[int, int, int, int]) -> None:
    """A square tower with clock faces, sound windows and an eight-sided spire."""
    wall, trim, tiles, pane = surfaces
    top = house.eaves * 2.1
    b.box((0, 0, -FOUNDATION), (side, side, top), wall, without="zZ")
    b.box((-0.2, -0.2, top), (side + 0.2, side + 0.2, top + 0.35), trim, without="")
    m = side / 2
    spire = [(-0.1, -0.1), (side + 0.1, -0.1), (side + 0.1, side + 0.1), (-0.1, side + 0.1)]
    for i in range(4):
        p, q = spire[i], spire[(i + 1) % 4]
        b.polygon([(*p, top + 0.35), (*q, top + 0.35), (m, m, top + 0.35 + 1.9 * side)], tiles)
    gold = b.surface(Material.METAL, (0.55, 0.38, 0.10))
    b.tube((m, m, top + 1.8 * side), (m, m, top + 2.2 * side + 1.0), 0.07, gold, 4, lids="end")
    dial = b.surface(Material.METAL, (0.85, 0.83, 0.75))
    b.disc((m, -0.04, top - 1.2), (0, -1, 0), 0.8, dial, 10)
    b.disc((-0.04, m, top - 1.2), (-1, 0, 0), 0.8, dial, 10)
    _add_arch(b, (m - 0.55, m + 0.55), 0.0, top - 4.8, top - 2.8, pane)
    _add_arch(b, (m - 0.3, m + 0.3), 0.0, 3.0, 5.0, pane)


def _add_arch(b: MeshBuilder, x: tuple[float, float], y: float, low: float, high: float, surface: int) -> None:
    """A pointed opening on a wall that faces -y."""
    left, right, out = *x, y - 0.03
    tip = high + 0.7 * (right - left)
    b.polygon(
        [(left, out, low), (right, out, low), (right, out, high), ((left + right) / 2, out, tip), (left, out, high)],
        surface,
    )


def _school(house: House) -> Mesh:
    """A long block with a flat roof; a taller stairwell of glass and a porch in the middle, steps, a clock."""
    b = MeshBuilder()
    add_walls(b, house)
    add_roof(b, house)
    stone = b.surface(Material.CONCRETE, house.trim, seed=house.seed)
    pane = b.surface(Material.GLASS, (0.10, 0.13, 0.15), seed=house.seed)
    top = house.eaves + 1.6
    mid = min(max((house.door_bay + 0.5) * house.bay, 3.4), house.width - 3.4)
    b.box((mid - 3.2, -1.6, -FOUNDATION), (mid + 3.2, 2.0, top), blind_surface(b, house, 6.4, top), without="z")
    b.wall((mid - 2.6, -1.63), (mid + 2.6, -1.63), 3.0, house.eaves - 0.6, pane)
    b.wall((mid - 1.3, -1.63), (mid + 1.3, -1.63), 0.3, 2.6, pane)
    b.box((mid - 2.6, -4.0, 2.75), (mid + 2.6, -1.6, 2.95), stone, without="Y")
    for x in (mid - 2.4, mid + 2.4):
        b.tube((x, -3.8, -FOUNDATION), (x, -3.8, 2.75), 0.14, stone, 6)
    for i in range(2):
        b.box((mid - 2.2, -3.0 + 0.35 * i, -0.5), (mid + 2.2, -1.6, 0.14 + 0.14 * i), stone, without="zY")
    b.disc((mid, -1.64, house.eaves + 0.5), (0, -1, 0), 0.75, b.surface(Material.METAL, (0.85, 0.85, 0.82)), 10)
    return b.build()


def _supermarket(house: House) -> Mesh:
    """A low hall: glass front, a canopy along it, a band with the chain's colours, a pylon."""
    b = MeshBuilder()
    add_walls(b, house)
    add_roof(b, house)
    first, second = house.awning or ((0.6, 0.05, 0.05), (0.8, 0.6, 0.05))
    band = b.surface(Material.METAL, first, seed=house.seed)
    light = b.surface(Material.LIGHT, second, seed=house.seed)
    w, z = house.width, house.storey
    b.box((0.0, -2.2, z - 1.55), (w, 0.0, z - 0.45), band, without="Y")
    b.wall((0.5 * w - 3.0, -2.22), (0.5 * w + 3.0, -2.22), z - 1.35, z - 0.65, light)
    steel = b.surface(Material.METAL, (0.35, 0.36, 0.38))
    count = max(2, round(w / 6))
    for i in range(count + 1):
        x = 0.2 + (w - 0.4) * i / count
        b.tube((x, -2.0, -FOUNDATION), (x, -2.0, z - 1.55), 0.09, steel, 5)
    b.box((w - 1.5, -3.6, -FOUNDATION), (w - 0.2, -3.3, 6.0), band, without="z")
    b.wall((w - 1.4, -3.62), (w - 0.3, -3.62), 4.5, 5.8, light)
    b.box((0.3 * w, 0.5 * house.depth, z), (0.3 * w + 3, 0.5 * house.depth + 2, z + 1.4), steel, without="z")
    return b.build()


LANDMARKS: dict[str, Callable[[House], Mesh]] = {"church": _church, "school": _school, "supermarket": _supermarket}
