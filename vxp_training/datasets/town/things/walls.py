"""Walls of houses and their rows of SURFACE. Frame and `House` as in buildings."""

from ..scene import Material
from .house import House
from .shapes import FOUNDATION, MeshBuilder


def add_walls(b: MeshBuilder, house: House) -> None:
    """Front, back, both ends (windows unless in a row) and the foundation, without the roof's gables."""
    w, d, top = house.front, house.depth, house.eaves
    ends = int(max(1, round(d / 3.5)))
    front = wall_surface(b, house, w, house.bays, house.is_shop)
    back = wall_surface(b, house, w, house.bays, False)
    end = blind_surface(b, house, d, top) if house.is_row else wall_surface(b, house, d, ends, False)
    b.wall((0, 0), (w, 0), 0, top, front)
    b.wall((w, d), (0, d), 0, top, back)
    b.wall((w, 0), (w, d), 0, top, end)
    b.wall((0, d), (0, 0), 0, top, end)
    stone = b.surface(Material.CONCRETE, (0.28, 0.27, 0.25), seed=house.seed, width=w, height=FOUNDATION)
    b.box((0, 0, -FOUNDATION), (w, d, 0), stone, without="zZ")


def wall_surface(b: MeshBuilder, house: House, width: float, bays: int, is_shop: bool) -> int:
    """A WALL row for a front this wide."""
    return b.surface(
        Material.WALL, house.wall, house.trim, style=house.facade, seed=house.seed, is_shop=is_shop, width=width,
        height=house.eaves, bay=width / bays, storey=house.storey, lit=house.lit,
    )  # fmt: skip


def blind_surface(b: MeshBuilder, house: House, width: float, height: float) -> int:
    """A row of the same wall without openings."""
    return b.surface(
        Material.BLIND_WALL, house.wall, house.trim, style=house.facade, seed=house.seed, width=width, height=height
    )
