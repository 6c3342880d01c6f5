"""Roofs of houses: gable, hip, mansard, flat; eaves, chimneys, dormers. Frame as in buildings."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from vxp_ros.core.geometry import make_transform

from ..scene import Material
from .house import House
from .shapes import MeshBuilder

FASCIA = 0.16  # height of the board along the eaves
PARAPET = 0.45  # above a flat roof
STEEP = 2.2  # rise over run of a mansard's lower part
STEEP_RUN = 0.9


def add_roof(b: MeshBuilder, house: House) -> None:
    """The roof of the house's shape on walls that end at `house.eaves`."""
    if house.is_turned:
        _add_turned_gable(b, house)
        return
    {"gable": _add_gable, "hip": _add_hip, "mansard": _add_mansard, "flat": _add_flat}[house.roof](b, house)
    if house.theme == "slabs":
        _add_lift_house(b, house)


def roof_height(house: House, y: float) -> float:
    """z of the roof's surface at depth y, on a line in the middle of the house."""
    run = min(y, house.depth - y)
    if house.roof == "flat":
        return house.eaves
    if house.roof == "mansard":
        return house.eaves + STEEP * min(run, STEEP_RUN) + 0.35 * max(run - STEEP_RUN, 0.0)
    return house.eaves + house.pitch * min(run, house.front / 2 if house.roof == "hip" else run)


def _ridge_height(house: House) -> float:
    if house.is_turned:
        return house.eaves + house.pitch * house.front / 2
    return roof_height(house, house.depth / 2)


def overhang(house: House) -> float:
    """How far the eaves reach beyond the wall; less on steep roofs, so that they do not hang before the windows."""
    return 0.0 if house.is_row and house.is_turned else min(0.45, 0.30 / house.pitch)


def _tiles(b: MeshBuilder, house: House) -> int:
    return b.surface(
        Material.ROOF, house.roof_colour, house.trim, style=house.roof_style, seed=house.seed, width=house.front
    )


def _board(b: MeshBuilder, house: House) -> int:
    return b.surface(Material.WOOD, tuple(0.75 * c for c in house.trim), seed=house.seed)


def _add_gable(b: MeshBuilder, house: House) -> None:
    """Two slopes with the ridge along the street, eaves with a board, gables of wall."""
    w, d, o = house.front, house.depth, overhang(house)
    side = 0.3 if house.is_turned or not house.is_row else 0.0
    low, ridge = house.eaves - house.pitch * o, house.eaves + house.pitch * d / 2
    tiles, board = _tiles(b, house), _board(b, house)
    for left, right, y, out in ((-side, w + side, 0.0, -o), (w + side, -side, d, o)):  # left as seen from outside
        b.polygon([(left, y + out, low), (right, y + out, low), (right, d / 2, ridge), (left, d / 2, ridge)], tiles)
        if o:
            _add_eaves(b, left, right, y, out, low, house.eaves, board)
    _add_gables(b, house, [(0.0, house.eaves), (d, house.eaves), (d / 2, ridge)])
    if side:
        _add_verges(b, house, side, [(-o, low), (d / 2, ridge), (d + o, low)], board)


def _add_turned_gable(b: MeshBuilder, house: House) -> None:
    """The ridge at a right angle to the street: the same roof over swapped sides, turned by a quarter."""
    turned = MeshBuilder()
    _add_gable(turned, replace(house, width=house.depth, depth=house.front, garage=0.0))
    b.add(turned.build(), make_transform(np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]), np.array([house.front, 0, 0])))


def _add_eaves(b: MeshBuilder, left, right, y, out, low, top, board) -> None:
    """The board along the eaves, the soffit beneath and both ends of this little box."""
    b.wall((left, y + out), (right, y + out), low - FASCIA, low, board)
    z = low - FASCIA
    b.polygon([(left, y, z), (right, y, z), (right, y + out, z), (left, y + out, z)], board)
    b.polygon([(right, y + out, z), (right, y, z), (right, y, top), (right, y + out, low)], board)
    b.polygon([(left, y, z), (left, y + out, z), (left, y + out, low), (left, y, top)], board)


def _add_gables(b: MeshBuilder, house: House, profile: list[tuple[float, float]]) -> None:
    """Both ends under the roof: a convex outline (y, z), counter-clockwise seen from +x, whose first edge is level."""
    wall = b.surface(
        Material.BLIND_WALL, house.wall, house.trim, style=house.facade, seed=house.seed, width=house.depth,
        height=max(z for _, z in profile),
    )  # fmt: skip
    w, d = house.front, house.depth
    b.polygon([(w, y, z) for y, z in profile], wall, profile)
    b.polygon([(0, y, z) for y, z in profile[::-1]], wall, [(d - y, z) for y, z in profile[::-1]])


def _add_verges(b: MeshBuilder, house: House, side: float, line: list[tuple[float, float]], board: int) -> None:
    """Boards along the sloping edges of a gable roof, at both ends."""
    w = house.front
    for (y0, z0), (y1, z1) in pairwise(line):
        x = w + side
        b.polygon([(x, y0, z0 - FASCIA), (x, y1, z1 - FASCIA), (x, y1, z1), (x, y0, z0)], board)
        b.polygon([(-side, y1, z1 - FASCIA), (-side, y0, z0 - FASCIA), (-side, y0, z0), (-side, y1, z1)], board)


def _add_hip(b: MeshBuilder, house: House) -> None:
    """Four slopes, with eaves all round."""
    w, d, o = house.front, house.depth, overhang(house)
    low = house.eaves - house.pitch * o
    run = min(w, d) / 2 + o
    ridge = low + house.pitch * run
    x0, x1, y0, y1 = -o, w + o, -o, d + o
    a, c = (x0 + run, y0 + run, ridge), (x1 - run, y1 - run, ridge)  # the ridge's ends
    corners = [(x0, y0, low), (x1, y0, low), (x1, y1, low), (x0, y1, low)]
    tops = [[c, a], [c], [a, c], [a]] if w >= d else [[a], [c, a], [c], [a, c]]
    tiles, board = _tiles(b, house), _board(b, house)
    inner = [(0, 0), (w, 0), (w, d), (0, d)]
    z = low - FASCIA
    for i in range(4):
        p, q, j = corners[i], corners[(i + 1) % 4], (i + 1) % 4
        b.polygon([p, q, *tops[i]], tiles)
        b.wall(p, q, z, low, board)
        b.polygon([(*inner[i], z), (*inner[j], z), (*q[:2], z), (*p[:2], z)], board)


def _add_mansard(b: MeshBuilder, house: House) -> None:
    """A steep lower and a flat upper slope on both sides, gables of wall."""
    w, d = house.front, house.depth
    knee, top = house.eaves + STEEP * STEEP_RUN, roof_height(house, d / 2)
    tiles = _tiles(b, house)
    line = [(0.0, house.eaves), (STEEP_RUN, knee), (d / 2, top), (d - STEEP_RUN, knee), (d, house.eaves)]
    for (y0, z0), (y1, z1) in pairwise(line[:3]):
        b.polygon([(0, y0, z0), (w, y0, z0), (w, y1, z1), (0, y1, z1)], tiles)
        b.polygon([(w, d - y0, z0), (0, d - y0, z0), (0, d - y1, z1), (w, d - y1, z1)], tiles)
    _add_gables(b, house, [(0.0, house.eaves), (d, house.eaves), *line[3:0:-1]])


def _add_flat(b: MeshBuilder, house: House) -> None:
    """A gravelled roof behind a parapet with a coping."""
    w, d, z, top, t = house.front, house.depth, house.eaves, house.eaves + PARAPET, 0.25
    wall = b.surface(
        Material.BLIND_WALL, house.wall, house.trim, style=house.facade, seed=house.seed, width=w, height=top
    )
    coping = b.surface(Material.CONCRETE, house.trim, seed=house.seed)
    gravel = b.surface(Material.CONCRETE, (0.22, 0.21, 0.20), seed=house.seed)
    b.box((0, 0, z), (w, d, top), wall, without="zZ")
    outer, inner = [(0, 0), (w, 0), (w, d), (0, d)], [(t, t), (w - t, t), (w - t, d - t), (t, d - t)]
    for i in range(4):
        j = (i + 1) % 4
        b.polygon([(*outer[i], top), (*outer[j], top), (*inner[j], top), (*inner[i], top)], coping)
        b.wall(inner[j], inner[i], z + 0.05, top, wall)
    b.polygon([(*p, z + 0.05) for p in inner], gravel)


def add_chimneys(b: MeshBuilder, house: House) -> None:
    """Chimneys near the ridge, by the party walls first, with a lid."""
    if not house.chimneys:
        return
    brick = b.surface(Material.CONCRETE, (0.33, 0.17, 0.12), seed=house.seed)
    y = house.depth * (0.42 + 0.16 * (house.seed % 2))
    for x in (0.6, house.front - 1.3, house.front * 0.45)[: house.chimneys]:
        x = min(max(x, house.front * 0.28), house.front * 0.72) if house.roof == "hip" else x
        top = _ridge_height(house) + 0.9
        b.box((x, y - 0.3, house.eaves), (x + 0.7, y + 0.3, top), brick, without="z")


def add_dormers(b: MeshBuilder, house: House) -> None:
    """Dormers with little gables on the front slope, spread evenly."""
    if not house.dormers or house.roof in ("flat", "hip") or house.is_turned:
        return
    front = b.surface(Material.CONCRETE, house.trim, seed=house.seed)
    pane = b.surface(Material.GLASS, (0.10, 0.12, 0.14), seed=house.seed)
    tiles = b.surface(Material.ROOF, house.roof_colour, house.trim, style=house.roof_style, seed=house.seed, width=1.6)
    start = 0.25 if house.roof == "mansard" else 0.9
    for i in range(house.dormers):
        _add_dormer(b, house, (i + 0.5) * house.front / house.dormers, start, (front, pane, tiles))


def _add_dormer(b: MeshBuilder, house: House, x: float, y: float, surfaces: tuple[int, int, int]) -> None:
    """One dormer centred on x whose front stands at depth y."""
    front, pane, tiles = surfaces
    z, half = roof_height(house, y), 0.75
    side, ridge = z + 1.15, z + 1.75
    left, right = x - half, x + half
    b.polygon([(left, y, z), (right, y, z), (right, y, side), (x, y, ridge), (left, y, side)], front)
    b.wall((left + 0.2, y - 0.02), (right - 0.2, y - 0.02), z + 0.2, side + 0.02, pane)
    back, end = _depth_at(house, side), _depth_at(house, ridge)
    b.polygon([(right, y, z), (right, back, side), (right, y, side)], front)
    b.polygon([(left, y, z), (left, y, side), (left, back, side)], front)
    b.polygon([(left, back, side), (left, y, side), (x, y, ridge), (x, end, ridge)], tiles)
    b.polygon([(right, y, side), (right, back, side), (x, end, ridge), (x, y, ridge)], tiles)


def _depth_at(house: House, z: float) -> float:
    """The inverse of `roof_height` on the front slope; at most the middle."""
    rise = z - house.eaves
    if house.roof == "mansard":
        y = rise / STEEP if rise < STEEP * STEEP_RUN else STEEP_RUN + (rise - STEEP * STEEP_RUN) / 0.35
    else:
        y = rise / house.pitch
    return min(y, house.depth / 2)


def _add_lift_house(b: MeshBuilder, house: House) -> None:
    """The box for stairs and lift on a slab's flat roof."""
    wall = b.surface(Material.CONCRETE, (0.45, 0.44, 0.42), seed=house.seed)
    x, y = house.front * (0.25 + 0.1 * (house.seed % 5)), house.depth * 0.4
    b.box((x, y, house.eaves), (x + 3.2, y + 3.0, house.eaves + 2.4), wall, without="z")
