"""What a point of a surface looks like: one function for the camera's picture and the LiDAR's intensity."""

from typing import NamedTuple
from weakref import ref

import numpy as np

from ..compiled import inner, kernel
from ..render.patches import Patches, make_patches
from ..scene import Day, Mesh, Scene
from .coat import GLOSS, PANE, RETRO, SLOTS, cover, dim
from .facade import paint_facade
from .ground import paint_ground
from .ground_maps import GroundMaps, make_ground_maps
from .noise import clamp, rough_noise, smooth
from .signs import paint_sign
from .street import (
    paint_car,
    paint_car_glass,
    paint_light,
    paint_pane,
    paint_tyre,
)  # fmt: skip
from .things import (
    paint_backdrop,
    paint_bark,
    paint_cloth,
    paint_clothes,
    paint_concrete,
    paint_hedge,
    paint_leaf,
    paint_metal,
    paint_roof,
    paint_wood,
)  # fmt: skip
from .walls import paint_wall

GROUND, WALL, BLIND_WALL, ROOF, BARK, LEAF, HEDGE, WOOD, METAL, CONCRETE = range(10)
SIGN, CLOTH, GLASS, CAR_BODY, CAR_GLASS, TYRE, LIGHT, CLOTHES, BACKDROP = range(10, 19)
BEAM = 0.03  # metres, footprint of the LiDAR's beam


class Weather(NamedTuple):
    """What painting needs of a day."""

    snow: float
    wetness: float
    autumn: float
    is_night: bool


def weather_of(day: Day) -> Weather:
    return Weather(float(day.snow), float(day.wetness), float(day.autumn), bool(day.is_night))


@inner
def paint(coat, kind, tone, face_seed, u, v, wu, wv, lean_u, lean_v, x, y, up, weather):
    """Lay everything but the ground. kind: material, style, is_shop, seed, object; tone: the surface's numbers. u, v:
    metres; wu, wv: the pixel's footprint in them. lean: how uv moves per metre into the wall. x, y: world. up: z of the
    normal that faces the viewer."""
    material, style, seed = kind[0], kind[1], kind[3]
    w = max(wu, wv)
    if material == WALL:
        paint_facade(coat, style, kind[2] > 0, seed, tone, u, v, wu, wv, lean_u, lean_v, weather.is_night)
    elif material == BLIND_WALL:
        paint_wall(coat, style, seed, tone, u, v, wu, wv)
    elif material == LEAF:
        paint_leaf(coat, tone, face_seed, u, v, w, weather.autumn)
    elif material == ROOF:
        paint_roof(coat, style, seed, tone, u, v, wu, wv)
    elif material == CAR_BODY:
        paint_car(coat, seed, tone, u, v, wu, wv)
    elif material == CAR_GLASS:
        paint_car_glass(coat, tone, u, v)
    elif material == BARK:
        paint_bark(coat, tone, u, v, w)
    elif material == HEDGE:
        paint_hedge(coat, seed, tone, u, v, w)
    elif material == WOOD:
        paint_wood(coat, seed, tone, u, v, wu, wv)
    elif material == CONCRETE:
        paint_concrete(coat, seed, tone, u, v, wu, wv)
    elif material == SIGN:
        paint_sign(coat, style, seed, tone, u, v, wu, wv)
    elif material == CLOTH:
        paint_cloth(coat, tone, u, wu)
    elif material == GLASS:
        paint_pane(coat, tone)
    elif material == TYRE:
        paint_tyre(coat, u, v, w)
    elif material == LIGHT:
        paint_light(coat, tone, weather.is_night)
    elif material == CLOTHES:
        paint_clothes(coat, seed, tone, u, v, w)
    elif material == BACKDROP:
        paint_backdrop(coat, seed, tone, u, v)
    else:
        paint_metal(coat, seed, tone, u, v, w)
    if weather.wetness > 0.0 and coat[PANE] < 0.5 and coat[GLOSS] < 0.5:
        dim(coat, 1.0 - 0.25 * weather.wetness)
        if up > 0.5:
            coat[GLOSS] = max(coat[GLOSS], 0.4 * weather.wetness)
    if weather.snow > 0.0 and material != LIGHT:
        _cover_with_snow(coat, material, face_seed, x, y, up, weather.snow)


@inner
def _cover_with_snow(coat, material, face_seed, x, y, up, snow):
    """Snow lies on what looks up, thinner where it is steep, blown off in patches."""
    lies = smooth(0.25, 0.62, up + 0.3 * (rough_noise(x * 1.3, y * 1.3, 301) - 0.5)) * snow
    if material in (LEAF, HEDGE):
        lies = max(lies, 0.55 * snow * clamp(up + 0.35, 0.0, 1.0))
    elif material == CAR_GLASS:
        lies *= 0.45
    cover(coat, 0.96 * lies, 0.79, 0.805, 0.82)


@kernel
def _reflect(planes, surface, seeds, kinds, numbers, ground, weather, faces, points, out):
    """Grey reflectance, glass and retro-reflection of points on faces into out [N, 3]."""
    coat = np.zeros(SLOTS)
    for i in range(faces.shape[0]):
        face = faces[i]
        row = surface[face]
        kind, tone, plane = kinds[row], numbers[row], planes[face]
        x, y, z = float(points[i, 0]), float(points[i, 1]), float(points[i, 2])
        if kind[0] == GROUND:
            paint_ground(coat, ground, x, y, BEAM, 0.0, 0.0, BEAM, weather)
        else:
            dx, dy, dz = x - plane[3], y - plane[4], z - plane[5]
            u = plane[6] * dx + plane[7] * dy + plane[8] * dz + plane[9]
            v = plane[10] * dx + plane[11] * dy + plane[12] * dz + plane[13]
            paint(coat, kind, tone, seeds[face], u, v, BEAM, BEAM, 0.0, 0.0, x, y, abs(float(plane[2])), weather)
        grey = 0.5 * coat[0] + 0.35 * coat[1] + 0.15 * coat[2]
        if kind[0] == LEAF or kind[0] == HEDGE:
            grey = min(2.2 * grey + 0.15, 1.0)  # plants are bright in the near infrared
        out[i, 0], out[i, 1], out[i, 2] = grey, coat[PANE], coat[RETRO]


class Looks(NamedTuple):
    """All that painting a scene needs, made once: its patches, the ground's maps, the weather."""

    patches: Patches
    ground: GroundMaps
    weather: Weather


_latest: tuple | None = None  # one process works on one day at a time; the camera and the LiDAR share this


def looks_of(scene: Scene) -> Looks:
    """The looks of a scene; kept for as long as the same scene is asked for."""
    global _latest
    if _latest is None or _latest[0]() is not scene:
        looks = Looks(make_patches(scene.mesh), make_ground_maps(scene.ground), weather_of(scene.day))
        _latest = (ref(scene), looks)
    return _latest[1]


def reflectance(
    scene: Scene, faces: np.ndarray, points: np.ndarray, mesh: Mesh | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How the LiDAR's pulse comes back from points on faces.

    faces: [N] int, of scene.mesh, or of `mesh` (moving things) where given. points: [N, 3] world. Returns diffuse
    reflectance, share of glass (what it reflects like a mirror is lost) and retro-reflection, each [N] float32, 0 to 1.
    """
    looks = looks_of(scene)
    patches = looks.patches if mesh is None else make_patches(mesh)
    out = np.empty((len(faces), 3), np.float32)
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    points = np.ascontiguousarray(points, dtype=np.float64)
    _reflect(*patches, looks.ground, looks.weather, faces, points, out)
    return out[:, 0], out[:, 1], out[:, 2]
