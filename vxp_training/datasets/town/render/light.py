"""The day's light: sun, sky, haze, and by night street lamps and headlights."""

from math import exp
from typing import NamedTuple

import numpy as np

from ..compiled import inner
from ..paint.noise import clamp, smooth
from ..scene import Day, Material, Mesh
from .shadows import to_sun

# Rows of Light.colours
SUN_WAY, SUN, SKY, BOUNCE, ZENITH, HORIZON = range(6)

NOON = 2.5  # the sun's strength on a clear noon, where a white sheet under the sky alone shows about 0.5
LAMP = np.array([24.0, 16.5, 9.0])  # of a street lamp's light at 1 m straight below
LAMP_REACH, LAMP_CELL = 26.0, 20.0  # metres
HEADLAMP = np.array([20.0, 18.5, 15.5])  # of one headlight at 1 m
TAIL_LAMP = 0.6


class Light(NamedTuple):
    """colours: [6, 3] float64, rows above. fog: extinction per metre."""

    colours: np.ndarray
    fog: float
    clouds: float
    is_night: bool


class Lamps(NamedTuple):
    """heads: [L, 3] float64. cells: [R, C, 2] int64, where the lamps that reach a cell begin and end in `near` [n]
    int64. corner: [2] float64, of cell (0, 0)."""

    heads: np.ndarray
    cells: np.ndarray
    near: np.ndarray
    corner: np.ndarray


def make_light(day: Day) -> Light:
    """The light of a day."""
    sky = np.array(day.sky, np.float64)
    rise = max(np.sin(day.sun_elevation), 0.0) + 0.05
    sun = NOON * day.sun * np.exp(-np.array([0.02, 0.075, 0.19]) / rise)
    if day.is_night:
        sun = np.zeros(3)
    clear = 1.0 - day.clouds
    if not day.is_night:  # a clear sky is darker when the sun is low
        sky = sky * (1.0 - 0.45 * clear * (1.0 - min(np.sin(day.sun_elevation) / 0.6, 1.0)))
    grey = sky.mean()
    soil = np.array([0.75, 0.76, 0.78]) if day.snow > 0.3 else np.array([0.24, 0.22, 0.18])
    bounce = soil * (0.6 * sky + 0.55 * sun * np.sin(max(day.sun_elevation, 0.0)))
    zenith = sky * np.array([0.62, 1.0, 1.45]) * clear + 1.35 * grey * day.clouds
    horizon = (0.35 * sky + 0.65 * grey) * (2.1 * clear + 1.45 * day.clouds) + 0.10 * sun * clear
    if day.is_night:
        zenith, horizon = 0.30 * sky, 0.6 * sky + np.array([0.012, 0.009, 0.006])
    colours = np.stack([to_sun(day), sun, sky, bounce, zenith, horizon])
    return Light(np.ascontiguousarray(colours), float(day.fog), float(day.clouds), bool(day.is_night))


def make_lamps(heads: np.ndarray, day: Day) -> Lamps:
    """Which lamps reach which cell of the town; none by day."""
    heads = np.asarray(heads if day.is_night else np.zeros((0, 3)), np.float64).reshape(-1, 3)
    if len(heads) == 0:
        return Lamps(np.zeros((0, 3)), np.zeros((1, 1, 2), np.int64), np.zeros(0, np.int64), np.zeros(2))
    corner = heads[:, :2].min(axis=0) - LAMP_REACH
    shape = np.ceil((heads[:, :2].max(axis=0) + LAMP_REACH - corner) / LAMP_CELL).astype(int)
    cells, near = np.zeros((shape[1], shape[0], 2), np.int64), []
    for i in range(shape[1]):
        for j in range(shape[0]):
            low = corner + LAMP_CELL * np.array([j, i])
            away = np.maximum(np.maximum(low - heads[:, :2], heads[:, :2] - low - LAMP_CELL), 0.0)
            reach = np.flatnonzero((away**2).sum(axis=1) < LAMP_REACH**2)
            cells[i, j] = len(near), len(near) + len(reach)
            near.extend(reach.tolist())
    return Lamps(heads, cells, np.array(near, np.int64), corner)


def make_spots(T_world_base: np.ndarray, moving: Mesh, day: Day) -> np.ndarray:
    """Head and tail lights, [n, 9] float64: place, way, colour. Our own car's first; none by day."""
    if not day.is_night:
        return np.zeros((0, 9))
    forward = T_world_base[:3, 0] - 0.03 * T_world_base[:3, 2]
    own = [
        np.concatenate([T_world_base[:3, :3] @ [3.7, side, 0.65] + T_world_base[:3, 3], forward, HEADLAMP])
        for side in (-0.65, 0.65)
    ]
    return np.array([*own, *_lights_of(moving)])


def _lights_of(moving: Mesh) -> list[np.ndarray]:
    """One spot per glowing surface of the traffic, along its faces' mean normal."""
    spots = []
    for row in np.flatnonzero(moving.surfaces["material"] == Material.LIGHT) if len(moving) else ():
        corners = moving.vertices[moving.faces[moving.surface == row]].astype(np.float64)
        if len(corners) == 0:
            continue
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(axis=0)
        length = np.linalg.norm(normal)
        if length > 1e-9:
            colour = np.array([moving.surfaces[name][row] for name in ("red", "green", "blue")], np.float64)
            strength = HEADLAMP.mean() if colour.min() > 0.4 * colour.max() else TAIL_LAMP
            way = normal / length - np.array([0.0, 0.0, 0.05])
            spots.append(np.concatenate([corners.mean(axis=(0, 1)) + 0.05 * way, way, strength * colour]))
    return spots


@inner
def add_lamps(lamps, x, y, z, nx, ny, nz, into):
    """Add the street lamps' light that falls on a point with a normal into [3]."""
    j, i = int((x - lamps.corner[0]) / LAMP_CELL), int((y - lamps.corner[1]) / LAMP_CELL)
    if x < lamps.corner[0] or y < lamps.corner[1] or i >= lamps.cells.shape[0] or j >= lamps.cells.shape[1]:
        return
    for k in range(lamps.cells[i, j, 0], lamps.cells[i, j, 1]):
        head = lamps.heads[lamps.near[k]]
        dx, dy, dz = head[0] - x, head[1] - y, head[2] - z
        square = dx * dx + dy * dy + dz * dz
        if square < LAMP_REACH * LAMP_REACH:
            distance = max(square, 0.3) ** 0.5
            facing = (nx * dx + ny * dy + nz * dz) / distance
            down = clamp(dz / distance + 0.25, 0.0, 1.0)
            fall = (1.0 - square / (LAMP_REACH * LAMP_REACH)) / max(square, 0.3)
            strength = (max(facing, 0.0) + 0.06) * down * fall
            into[0] += LAMP[0] * strength
            into[1] += LAMP[1] * strength
            into[2] += LAMP[2] * strength


@inner
def add_spots(spots, x, y, z, nx, ny, nz, retro, into):
    """Add head and tail lights. retro: share that goes straight back, for our own headlights (the first two)."""
    for k in range(spots.shape[0]):
        dx, dy, dz = spots[k, 0] - x, spots[k, 1] - y, spots[k, 2] - z
        square = max(dx * dx + dy * dy + dz * dz, 0.05)
        if square < 3600.0:
            distance = square**0.5
            beam = -(dx * spots[k, 3] + dy * spots[k, 4] + dz * spots[k, 5]) / distance
            if beam > 0.5:
                facing = (nx * dx + ny * dy + nz * dz) / distance
                cone = smooth(0.78, 0.995, beam) * (1.0 - square / 3600.0)
                cone *= 1.0 - 0.85 * smooth(-0.02, 0.05, -dz / distance)  # dipped: little above the lamp's height
                strength = cone * max(facing, 0.0) / (square + 6.0)
                if k < 2:
                    strength += 14.0 * retro * smooth(0.72, 0.995, beam) / square
                into[0] += spots[k, 6] * strength
                into[1] += spots[k, 7] * strength
                into[2] += spots[k, 8] * strength


@inner
def hide_in_haze(light, distance, dx, dy, dz, colour):
    """Mix a colour [3] seen at a distance along a unit vector with the haze between."""
    clear = exp(-light.fog * distance)
    ways = light.colours
    to_sun = max(dx * ways[0, 0] + dy * ways[0, 1] + dz * ways[0, 2], 0.0)
    glow = (0.35 - 0.28 * ways[0, 2]) * to_sun**6 if not light.is_night else 0.0
    for i in range(3):
        haze = (0.8 - 0.22 * light.clouds) * ways[5, i] + glow * ways[1, i]
        colour[i] = colour[i] * clear + haze * (1.0 - clear)
