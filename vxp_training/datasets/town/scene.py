"""What the world's builders hand to the sensors: triangles with surfaces, the ground's picture, the day, the lamps.

World axes are x east, y north, z up, in metres (REP-103). The camera's shader and the LiDAR read the same surfaces, so
that both see the same facts.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np

from vxp_ros.core.geometry import transform_points


class Material(IntEnum):
    """How a surface is painted and how it reflects. uv is in metres unless the line says otherwise."""

    GROUND = 0  # painted from `Ground` at the world position; uv unused
    WALL = 1  # facade: u along the wall from its left end, v up from the pavement; windows, doors, shop fronts by style
    BLIND_WALL = 2  # the same plaster, brick, stone, panel or siding, without openings
    ROOF = 3  # u along the eaves, v up the slope; tiles, slate, metal, gravel by style
    BARK = 4  # u around, v up
    LEAF = 5  # foliage; lit by the normal that points away from the surface's (x, y, z); style 1: evergreen
    HEDGE = 6  # clipped foliage; u along, v up
    WOOD = 7  # boards, fences, benches
    METAL = 8  # poles, rails, scaffolding, bins, lamp posts
    CONCRETE = 9  # kerbs, garden walls, bases
    SIGN = 10  # a retro-reflecting face; uv in 0..1 across it, pictogram by style and seed
    CLOTH = 11  # awnings and tarpaulins: stripes of both colours
    GLASS = 12  # panes of shelters and shop windows on their own
    CAR_BODY = 13  # paint; v up from the road: dirt below, shine above
    CAR_GLASS = 14
    TYRE = 15
    LIGHT = 16  # glows at night in the first colour: lamp heads, head and tail lights
    CLOTHES = 17  # people: first colour above 0.9 m of v, second below, skin above 1.5 m
    BACKDROP = 18  # far houses and woods at the edge: no detail, hazy


class GroundClass(IntEnum):
    """What lies at a cell of the ground's picture."""

    GRASS = 0
    ASPHALT = 1
    LINE = 2  # white road paint: lane lines, edges of parking slots, zebra bars, arrows
    PAVEMENT = 3
    COBBLES = 4
    KERB = 5
    EARTH = 6
    GRAVEL = 7
    PATCH = 8  # newer, darker asphalt
    MANHOLE = 9


FACADE_STYLES = 16  # `style` of WALL and BLIND_WALL: 0..15; a style set uses its own few of them
ROOF_STYLES = 6
SIGN_STYLES = 8

# One row per surface: everything that the painting of its faces depends on. Colours are linear albedo, 0 to 1.
SURFACE = np.dtype(
    [
        ("material", np.uint8),
        ("style", np.uint8),
        ("is_shop", np.uint8),  # WALL: its ground floor is a shop front
        ("object", np.int32),  # which thing it belongs to (a house, a tree, a car): instance ids of the whole town
        ("seed", np.uint32),  # variation of patterns within a style
        ("red", np.float32), ("green", np.float32), ("blue", np.float32),
        ("red2", np.float32), ("green2", np.float32), ("blue2", np.float32),  # trim, shutters, stripes, trousers
        ("width", np.float32), ("height", np.float32),  # extent of the surface in uv, metres
        ("bay", np.float32),  # WALL: width of one window bay; divides `width`
        ("storey", np.float32),  # WALL: height of one storey; the ground floor begins at v = 0
        ("lit", np.float32),  # WALL: share of windows lit at night
        ("x", np.float32), ("y", np.float32), ("z", np.float32),  # centre (LEAF: of the crown) in the mesh's frame
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Mesh:
    """A triangle soup. vertices: [V, 3] float32. faces: [F, 3] int32, counter-clockwise seen from outside (both sides
    are drawn). uv: [F, 3, 2] float32. surface: [F] int32, row in surfaces. surfaces: [S] SURFACE."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    surface: np.ndarray
    surfaces: np.ndarray

    def __len__(self) -> int:
        return len(self.faces)


def empty_mesh() -> Mesh:
    return Mesh(
        np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 3, 2), np.float32),
        np.zeros(0, np.int32), np.zeros(0, SURFACE),
    )  # fmt: skip


def merge(meshes: list[Mesh]) -> Mesh:
    """One mesh of all, in this order; object ids are kept."""
    if not meshes:
        return empty_mesh()
    first_vertex = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])], dtype=np.int32)
    first_surface = np.cumsum([0, *(len(mesh.surfaces) for mesh in meshes[:-1])], dtype=np.int32)
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + first for mesh, first in zip(meshes, first_vertex, strict=True)]),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.surface + first for mesh, first in zip(meshes, first_surface, strict=True)]),
        np.concatenate([mesh.surfaces for mesh in meshes]),
    )


def move(mesh: Mesh, T_target_mesh: np.ndarray) -> Mesh:
    """The mesh moved by a rigid transform [4, 4], its surfaces' centres too."""
    surfaces = mesh.surfaces.copy()
    centres = transform_points(T_target_mesh, np.stack([surfaces["x"], surfaces["y"], surfaces["z"]], axis=1))
    surfaces["x"], surfaces["y"], surfaces["z"] = centres.T
    vertices = transform_points(T_target_mesh, mesh.vertices.astype(np.float64)).astype(np.float32)
    return replace(mesh, vertices=vertices, surfaces=surfaces)


def with_object(mesh: Mesh, number: int) -> Mesh:
    """The mesh with all its surfaces belonging to this object."""
    surfaces = mesh.surfaces.copy()
    surfaces["object"] = number
    return replace(mesh, surfaces=surfaces)


@dataclass(frozen=True)
class Ground:
    """The ground's picture. classes: [rows, columns] uint8 `GroundClass`; entry [row, column] lies at
    x = x0 + column * cell, y = y0 + row * cell, in metres."""

    classes: np.ndarray
    x0: float
    y0: float
    cell: float = 0.15


@dataclass(frozen=True)
class Day:
    """What differs from day to day. Angles in radians; sun_azimuth counter-clockwise from east.

    number: seeds everything of this day. fog: extinction per metre. wetness, snow, clouds, leaves, autumn: 0 to 1
    (leaves: share that hangs; autumn: how yellow). parked: share of slots taken. car_set: days with one number park the
    same cars. changed: share of houses that are missing, new, scaffolded or repainted against the first day.
    is_reverse: driven the other way round, in the other lane.
    """

    name: str
    number: int
    sun_azimuth: float
    sun_elevation: float
    sun: float = 1.0  # strength of the direct light against a clear noon; 0 at night
    sky: tuple[float, float, float] = (0.32, 0.40, 0.55)
    clouds: float = 0.2
    fog: float = 0.0012
    wetness: float = 0.0
    rain: float = 0.0  # drops on the lens and in the LiDAR's way
    snowfall: float = 0.0  # flakes in the LiDAR's way
    snow: float = 0.0  # lying
    is_night: bool = False
    leaves: float = 1.0
    autumn: float = 0.0
    parked: float = 0.6
    car_set: int = 0
    moved_cars: float = 0.0  # share of the car set's slots that changed since
    changed: float = 0.0
    traffic: float = 1.0
    is_reverse: bool = False


@dataclass(frozen=True)
class Scene:
    """A town on one day, without what moves. mesh: everything that stands, parked cars included. lamps: [L, 3] float32
    positions of the street lamps' heads."""

    mesh: Mesh
    ground: Ground
    day: Day
    lamps: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.float32))
