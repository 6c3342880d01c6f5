"""A street of boxes, made by hand: what it looks like follows from these lines. The road runs along x, 8 m wide."""

from itertools import pairwise

import numpy as np

from vxp_ros.core.datatypes import Camera
from vxp_training.datasets.town.scene import SURFACE, Day, Ground, GroundClass, Material, Mesh, Scene, merge

SUNNY = Day("sunny", 1, sun_azimuth=-np.pi / 2, sun_elevation=0.7)  # the sun stands in the south, over the low houses
NIGHT = Day("night", 2, sun_azimuth=0.0, sun_elevation=0.5, sun=0.0, sky=(0.010, 0.012, 0.020), is_night=True)
SNOW = Day("snow", 3, sun_azimuth=np.pi / 2, sun_elevation=0.7, sun=0.3, snow=1.0, leaves=0.0)
RAIN = Day(
    "rain", 4, sun_azimuth=0.0, sun_elevation=0.5, sun=0.05, sky=(0.4, 0.42, 0.45), clouds=1.0, wetness=1.0, rain=0.7
)
LENSES = {
    "none": ("", ()),
    "plumb_bob": ("plumb_bob", (-0.28, 0.09, 0.0008, -0.0005, -0.012)),
    "rational_polynomial": ("rational_polynomial", (0.12, -0.04, 0.0003, 0.0002, 0.01, 0.42, -0.02, 0.015)),
    "equidistant": ("equidistant", (-0.02, 0.004, -0.002, 0.0004)),
}


def make_camera(lens="none", width=160, height=90, focal=100.0, at=(0.0, 0.0, 1.5), yaw=0.0) -> Camera:
    """Looks along the base's x, turned by yaw."""
    model, coefficients = LENSES[lens]
    K = np.array([[focal, 0, width / 2 - 0.3], [0, focal * 1.02, height / 2 + 0.4], [0, 0, 1]])
    c, s = np.cos(yaw), np.sin(yaw)
    T = np.eye(4)
    T[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    T[:3, 3] = at
    return Camera(width, height, K, np.array(coefficients), model, T)


def pose(x=0.0, y=-1.8, yaw=0.0) -> np.ndarray:
    T = np.eye(4)
    T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    T[:2, 3] = x, y
    return T


def surface(material: Material, colour=(0.5, 0.5, 0.5), **fields) -> np.ndarray:
    row = np.zeros(1, SURFACE)
    row["material"] = material
    for name, value in zip(("red", "green", "blue"), colour, strict=True):
        row[name] = row[name + "2"] = value
    for name, value in fields.items():
        row[name] = value
    return row


def quad(corners, row) -> Mesh:
    """Two triangles; uv in metres from the first corner along its two edges."""
    corners = np.array(corners, np.float32)
    length, height = np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[3] - corners[0])
    uv = np.array([[0, 0], [length, 0], [length, height], [0, height]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return Mesh(corners, faces, uv[faces], np.zeros(2, np.int32), row)


def box(low, high, row, top=None) -> Mesh:
    """Four walls and a lid, without a floor."""
    (x, y, z), (X, Y, Z) = low, high
    sides = [((x, y), (X, y)), ((X, y), (X, Y)), ((X, Y), (x, Y)), ((x, Y), (x, y))]
    walls = [quad([(*a, z), (*b, z), (*b, Z), (*a, Z)], row) for a, b in sides]
    return merge([*walls, quad([(x, y, Z), (X, y, Z), (X, Y, Z), (x, Y, Z)], row if top is None else top)])


def house(x, y, width, depth, height, style, colour, **fields) -> Mesh:
    row = surface(
        Material.WALL,
        colour,
        style=style,
        seed=7 + style,
        width=width,
        height=height,
        bay=width / 4,
        storey=3.0,
        **fields,
    )
    return box(
        (x, y, 0), (x + width, y + depth, height), row, surface(Material.ROOF, (0.4, 0.15, 0.1), style=style % 6)
    )


def tree(x, y, rng) -> Mesh:
    crown = np.array([x, y, 4.5])
    row = surface(Material.LEAF, (0.08, 0.22, 0.05), x=crown[0], y=crown[1], z=crown[2])
    centres = crown + rng.normal(0, 1, (160, 1, 3))
    vertices = (centres + rng.uniform(-0.35, 0.35, (160, 3, 3))).astype(np.float32).reshape(-1, 3)
    faces = np.arange(480, dtype=np.int32).reshape(-1, 3)
    leaves = Mesh(vertices, faces, np.zeros((160, 3, 2), np.float32), np.zeros(160, np.int32), row)
    trunk = box((x - 0.15, y - 0.15, 0), (x + 0.15, y + 0.15, 4.0), surface(Material.BARK, (0.2, 0.15, 0.1)))
    return merge([trunk, leaves])


def car(x, y, colour=(0.5, 0.03, 0.03)) -> Mesh:
    body = box((x - 2.1, y - 0.85, 0.25), (x + 2.1, y + 0.85, 0.9), surface(Material.CAR_BODY, colour))
    cabin = box(
        (x - 1.2, y - 0.7, 0.9),
        (x + 0.9, y + 0.7, 1.45),
        surface(Material.CAR_GLASS),
        surface(Material.CAR_BODY, colour),
    )
    return merge([body, cabin])


def make_ground(size=80.0) -> tuple[Mesh, Ground]:
    cells = int(2 * size / 0.15)
    y = -size + 0.15 * np.arange(cells)
    classes = np.full((cells, cells), GroundClass.GRASS, np.uint8)
    classes[np.abs(y) < 7.0] = GroundClass.PAVEMENT
    classes[np.abs(y) < 4.15] = GroundClass.KERB
    classes[np.abs(y) < 4.0] = GroundClass.ASPHALT
    classes[np.abs(y) < 0.1] = GroundClass.LINE
    row = surface(Material.GROUND)
    edges = list(pairwise(np.linspace(-size, size, 9)))
    tiles = [quad([(a, b, 0), (A, b, 0), (A, B, 0), (a, B, 0)], row) for a, A in edges for b, B in edges]
    return merge(tiles), Ground(classes, -size, -size)


def make_scene(day: Day = SUNNY, extra: tuple[Mesh, ...] = ()) -> Scene:
    rng, columns = np.random.default_rng(5), range(-30, 60, 12)
    floor, ground = make_ground()
    sign = surface(Material.SIGN, (0.8, 0.8, 0.8), width=0.6, height=0.6)
    things = [
        floor,
        *(house(x, 8, 12, 9, 9, k, (0.6, 0.5, 0.4), lit=0.4, is_shop=k % 2) for k, x in enumerate(columns)),
        *(house(x, -17, 12, 9, 6, k + 8, (0.7, 0.3, 0.2), lit=0.4) for k, x in enumerate(columns)),
        *(tree(x, y, rng) for x, y in ((12, 5.5), (24, -5.5), (36, 5.5))),
        *(car(x, -3.2, colour) for x, colour in ((9, (0.02, 0.1, 0.4)), (17, (0.6, 0.6, 0.6)))),
        quad([(20, 5, 2), (20, 4.4, 2), (20, 4.4, 2.6), (20, 5, 2.6)], sign),
        *extra,
    ]
    lamps = np.array([[x, y, 6.5] for x in range(-30, 60, 20) for y in (-5.0, 5.0)], np.float32)
    return Scene(merge(things), ground, day, lamps)
