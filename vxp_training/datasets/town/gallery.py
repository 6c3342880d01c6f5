"""Pictures of a town for people: the same places on every day, one under the other, and the town from above."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from vxp_ros.core.datatypes import Camera

from .camera import CameraSimulator
from .days import DAYS, make_day
from .rig import MAIN_CAMERA, make_rig
from .routes import Drive, drive
from .scene import Ground, GroundClass, Mesh
from .splits import Split
from .world import World

PLACES = 5
PICTURE = (480, 270)
TOP_HEIGHT = 1400
MARGIN, CAPTION = 12, 34
PAPER, INK = (250, 250, 248), (50, 44, 40)
ROUTE, UNMAPPED = (196, 62, 50), (60, 110, 190)
GROUND_COLOURS = {
    GroundClass.GRASS: (158, 180, 128), GroundClass.ASPHALT: (150, 150, 153), GroundClass.LINE: (240, 240, 238),
    GroundClass.PAVEMENT: (196, 191, 184), GroundClass.COBBLES: (176, 165, 152), GroundClass.KERB: (206, 204, 200),
    GroundClass.EARTH: (166, 146, 118), GroundClass.GRAVEL: (190, 180, 164), GroundClass.PATCH: (134, 134, 138),
    GroundClass.MANHOLE: (112, 112, 114),
}  # fmt: skip


def make_gallery(split: Split, out: Path, progress: Callable[[int, int], None]) -> None:
    """Write one PNG: a row of pictures per day, all from the same places, and beside them the map with its routes.

    progress: called as progress(days done, all days).
    """
    progress(0, len(DAYS))
    world = World(split.seed, split.style, split.size, split.is_hardened)
    sheet = contact_sheet(world, split, progress)
    day = make_day(DAYS[0], split.seed, split.is_hardened)
    routes = [(drive(world, day, spacing=2.0, length=split.length), ROUTE)]
    routes.append((drive(world, day, spacing=2.0, route="unmapped"), UNMAPPED))
    top = captioned(draw_top(world, routes), f"{split.name}: the mapped route in red, unmapped streets in blue")
    height = max(len(sheet), len(top))
    pictures = [np.vstack([picture, paper(height - len(picture), picture.shape[1])]) for picture in (sheet, top)]
    out.write_bytes(cv2.imencode(".png", np.hstack(pictures)[:, :, ::-1])[1].tobytes())


def contact_sheet(world: World, split: Split, progress: Callable[[int, int], None]) -> np.ndarray:
    """[H, W, 3] RGB: one row per day, one column per place."""
    rows = []
    for name in DAYS:
        rows.append(day_row(world, split, name))
        progress(len(rows), len(DAYS))
    return np.vstack(rows)


def day_row(world: World, split: Split, name: str) -> np.ndarray:
    """The places are spread evenly over the route, so that none is chosen by hand. On the reverse day the car meets
    them in the opposite direction."""
    day = make_day(name, split.seed, split.is_hardened)
    camera = make_rig(size=PICTURE).cameras[MAIN_CAMERA]
    simulator = CameraSimulator(world.scene(day))
    route = drive(world, day, spacing=5.0, length=split.length)
    rows = np.linspace(0, len(route.stamps_ns) - 1, PLACES + 2).round().astype(int)[1:-1]
    pictures = [take(world, simulator, camera, day, route, row) for row in rows]
    gap = paper(PICTURE[1], MARGIN)
    return captioned(np.hstack([part for picture in pictures for part in (picture, gap)][:-1]), name)


def take(world: World, simulator: CameraSimulator, camera: Camera, day, route: Drive, row: int) -> np.ndarray:
    T_world_base = route.T_world_base[row]
    moving = world.moving(day, int(route.stamps_ns[row]), T_world_base)
    return simulator.picture(camera, T_world_base, moving, seed=int(row))


def draw_top(world: World, routes: list[tuple[Drive, tuple[int, int, int]]]) -> np.ndarray:
    """The town from above, [H, W, 3] RGB: the ground's picture, what stands on it in its own colours, the routes."""
    scene = world.scene(make_day(DAYS[0], world.seed))
    view = TopView(scene.ground)
    picture = view.paint_ground()
    view.paint_mesh(picture, scene.mesh)
    for route, colour in routes:
        line = view.pixels(route.T_world_base[:, :2, 3])
        cv2.polylines(picture, [line], False, (255, 255, 255), 7, cv2.LINE_AA)
        cv2.polylines(picture, [line], False, colour, 4, cv2.LINE_AA)
    return picture


class TopView:
    """North-up picture coordinates for the area of the ground's picture."""

    def __init__(self, ground: Ground):
        self.ground = ground
        rows, columns = ground.classes.shape
        self.scale = TOP_HEIGHT / (rows * ground.cell)
        self.size = round(columns * ground.cell * self.scale), TOP_HEIGHT

    def pixels(self, xy: np.ndarray) -> np.ndarray:
        """[N, 2] metres -> [N, 2] int32 column and row."""
        x, y = np.asarray(xy, dtype=np.float64).T
        column, row = (x - self.ground.x0) * self.scale, TOP_HEIGHT - (y - self.ground.y0) * self.scale
        return np.stack([column, row], axis=1).round().astype(np.int32)

    def paint_ground(self) -> np.ndarray:
        palette = np.zeros((256, 3), np.uint8)
        for kind, colour in GROUND_COLOURS.items():
            palette[kind] = colour
        return cv2.resize(palette[self.ground.classes[::-1]], self.size, interpolation=cv2.INTER_AREA)

    def paint_mesh(self, picture: np.ndarray, mesh: Mesh) -> None:
        """Low triangles first, lit from the north-west."""
        corners = mesh.vertices[mesh.faces].astype(np.float64)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        rows = mesh.surfaces[mesh.surface]
        is_shown = (np.abs(normals[:, 2]) > 0.05) & (rows["material"] > 0)
        light = 0.75 + 0.35 * np.abs(normals @ [-0.45, 0.45, 0.77])
        albedo = np.stack([rows["red"], rows["green"], rows["blue"]], axis=1)
        colours = np.clip(255 * np.clip(albedo, 0, 1) ** (1 / 2.2) * light[:, None], 0, 255)
        order = np.flatnonzero(is_shown)
        for face in order[np.argsort(corners[order, :, 2].max(axis=1), kind="stable")]:
            cv2.fillConvexPoly(picture, self.pixels(corners[face, :, :2]), colours[face].tolist(), cv2.LINE_AA)


def captioned(picture: np.ndarray, text: str) -> np.ndarray:
    """The picture on paper, with a line of text above."""
    head = paper(CAPTION, picture.shape[1])
    cv2.putText(head, text, (2, CAPTION - 11), cv2.FONT_HERSHEY_SIMPLEX, 0.62, INK[::-1], 1, cv2.LINE_AA)
    framed = np.vstack([head, picture, paper(MARGIN, picture.shape[1])])
    return np.hstack([paper(len(framed), MARGIN), framed, paper(len(framed), MARGIN)])


def paper(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PAPER, np.uint8)
