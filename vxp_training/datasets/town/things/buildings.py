"""Houses: plain parameters in, triangles out. Local frame: the front wall stands in the plane y = 0 and faces -y (the
street), x runs from 0 to `width`, depth along +y, z = 0 is the pavement at the front.

A `House` is all that a mesh depends on, so that a clone is the same `House` elsewhere and a change is a `replace`.
"""

from ..scene import Material, Mesh
from .fronts import add_front
from .house import House, draw_house
from .landmarks import LANDMARKS
from .roofs import add_chimneys, add_dormers, add_roof
from .shapes import MeshBuilder
from .walls import add_walls

__all__ = ["House", "draw_house", "house_mesh", "scaffold_mesh", "site_fence_mesh"]


def house_mesh(house: House) -> Mesh:
    """The whole building, closed from the foundation to the ridge."""
    if house.theme in LANDMARKS:
        return LANDMARKS[house.theme](house)
    b = MeshBuilder()
    add_walls(b, house)
    add_roof(b, house)
    add_chimneys(b, house)
    add_dormers(b, house)
    add_front(b, house)
    return b.build()


def scaffold_mesh(house: House) -> Mesh:
    """Poles, decks and a torn tarpaulin before the front wall (y from -1.3 to -0.3)."""
    b = MeshBuilder()
    steel = b.surface(Material.METAL, (0.42, 0.44, 0.46), seed=house.seed)
    boards = b.surface(Material.WOOD, (0.45, 0.33, 0.18), seed=house.seed)
    sheet = b.surface(Material.CLOTH, (0.30, 0.45, 0.40), (0.33, 0.48, 0.43), seed=house.seed)
    count = max(2, round(house.width / 2.6) + 1)
    top = house.eaves + 1.0
    for i in range(count):
        x = 0.1 + (house.width - 0.2) * i / (count - 1)
        for y in (-1.25, -0.35):
            b.tube((x, y, -0.8), (x, y, top), 0.05, steel, 3)
    for level in range(1, house.storeys + 1):
        z = level * house.storey - 1.0
        b.box((0.0, -1.25, z), (house.width, -0.35, z + 0.06), boards, without="")
        b.box((0.0, -1.28, z + 1.0), (house.width, -1.22, z + 1.05), steel, without="xX")
    bay = (house.width - 0.2) / (count - 1)
    for i in range(count - 1):
        if (house.seed >> i) % 3 and count > 2:  # some bays are covered from the first deck up
            x = 0.1 + i * bay
            b.wall((x, -1.31), (x + bay, -1.31), house.storey - 1.0, top - 0.3, sheet)
    return b.build()


def site_fence_mesh(width: float, depth: float) -> Mesh:
    """A demolished house's plot: site fence around, heaps of rubble within. Same frame as a house."""
    b = MeshBuilder()
    mesh = b.surface(Material.METAL, (0.48, 0.50, 0.52))
    foot = b.surface(Material.CONCRETE, (0.35, 0.34, 0.32))
    corners = [(0.0, 0.0), (width, 0.0), (width, depth), (0.0, depth)]
    for a, c in zip(corners, [*corners[1:], corners[0]], strict=True):
        _add_fence_side(b, a, c, mesh, foot)
    rubble = b.surface(Material.CONCRETE, (0.42, 0.33, 0.27), seed=3)
    for x, y, r, h in ((0.3, 0.35, 0.24, 1.0), (0.62, 0.55, 0.30, 1.5), (0.4, 0.75, 0.2, 0.7)):
        r *= min(width, depth)
        b.tube((x * width, y * depth, -0.4), (x * width, y * depth, h), r, rubble, 9, 0.3 * r, "end")
    return b.build()


def _add_fence_side(b: MeshBuilder, a: tuple[float, float], c: tuple[float, float], mesh: int, foot: int) -> None:
    """Panels about 3.5 m long on concrete feet; bars as three thin rails and a low sheet, which the LiDAR can see."""
    length = abs(c[0] - a[0]) + abs(c[1] - a[1])
    count = max(1, round(length / 3.5))
    for i in range(count):
        p = [a[k] + (c[k] - a[k]) * (i + 0.01) / count for k in (0, 1)]
        q = [a[k] + (c[k] - a[k]) * (i + 0.99) / count for k in (0, 1)]
        for low, high in ((0.15, 0.22), (1.0, 1.05), (1.93, 2.0)):
            b.wall(p, q, low, high, mesh)
        for s in (p, q):
            b.tube((*s, 0.0), (*s, 2.0), 0.03, mesh, 3)
        b.box((p[0] - 0.3, p[1] - 0.15, -0.3), (p[0] + 0.3, p[1] + 0.15, 0.15), foot)
