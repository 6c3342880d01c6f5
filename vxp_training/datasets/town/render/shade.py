"""From triangle ids to light: every pixel's faces are hit by its ray, painted, lit and hidden in haze.

A pixel whose samples all show one face is shaded once, its patterns averaged over the footprint by the painters; where
several faces meet, each is shaded once at the middle of its samples and counts by their number.
"""

from typing import NamedTuple

import numpy as np

from ..compiled import inner, kernel
from ..paint.coat import GLOSS, GLOW, PANE, RETRO, SLOTS
from ..paint.ground import paint_ground
from ..paint.materials import GROUND, LEAF, paint
from ..paint.noise import clamp, noise
from .light import add_lamps, add_spots, hide_in_haze
from .shadows import CELL, read_map, sunlight
from .sky import paint_reflection, paint_sky


class Stage(NamedTuple):
    """All that lights a picture. still and moving: `Patches`; ids count through both."""

    still: NamedTuple
    moving: NamedTuple
    ground: NamedTuple
    weather: NamedTuple
    light: NamedTuple
    sun_map: NamedTuple
    moving_sun_map: NamedTuple
    sky_map: NamedTuple
    contact_map: NamedTuple
    lamps: NamedTuple
    spots: np.ndarray


@kernel
def shade(ids, samples, stage, T, lens, picture, wet):
    """Fill picture [H, W, 3] float32 with light. ids: [H * samples, W * samples] int32, -1 for sky. T: [4, 4]
    T_world_camera. lens: fx, fy, cx, cy, ... in pixels. wet: [H, W, 2] float32, zeros, gets the share of each pixel
    that wet ground is to mirror, and how calm the water is; [0, 0, 2] on a dry day."""
    coat, lit, mirror, total = np.zeros(SLOTS), np.zeros(3), np.zeros(3), np.zeros(3)
    share = 1.0 / (samples * samples)
    seen = np.empty(samples * samples, np.int64)
    for i in range(picture.shape[0]):
        for j in range(picture.shape[1]):
            total[0], total[1], total[2] = 0.0, 0.0, 0.0
            for k in range(samples * samples):
                seen[k] = ids[i * samples + k // samples, j * samples + k % samples]
            for k in range(samples * samples):
                face, count, x, y, is_new = seen[k], 0, 0.0, 0.0, True
                for m in range(samples * samples):
                    if seen[m] == face:
                        if m < k:
                            is_new = False
                            break
                        count += 1
                        x += (m % samples + 0.5) / samples - 0.5
                        y += (m // samples + 0.5) / samples - 0.5
                if is_new:
                    _shade_point(face, j + x / count, i + y / count, stage, T, lens, coat, lit, mirror)
                    if wet.shape[0] > 0 and mirror[0] < 0.0:
                        wet[i, j, 0] += -mirror[0] * count * share
                        wet[i, j, 1] = max(wet[i, j, 1], mirror[1])
                    for c in range(3):
                        total[c] += lit[c] * count * share
            for c in range(3):
                picture[i, j, c] = total[c]


@inner
def _shade_point(face, column, row, stage, T, lens, coat, lit, mirror):
    """Light that arrives along the ray of an image point, into lit [3]. Of wet ground, minus the share that it mirrors
    goes to mirror[0], and how calm it is to mirror[1]."""
    mirror[0] = 0.0
    cx, cy = (column - lens[2]) / lens[0], (row - lens[3]) / lens[1]
    dx = T[0, 0] * cx + T[0, 1] * cy + T[0, 2]
    dy = T[1, 0] * cx + T[1, 1] * cy + T[1, 2]
    dz = T[2, 0] * cx + T[2, 1] * cy + T[2, 2]
    norm = (dx * dx + dy * dy + dz * dz) ** 0.5
    if face < 0:
        paint_sky(stage.light, dx / norm, dy / norm, dz / norm, True, lit)
        return
    patches = stage.still
    if face >= stage.still.surface.shape[0]:
        patches = stage.moving
        face -= stage.still.surface.shape[0]
    depth = _shade_face(patches, face, dx, dy, dz, norm, stage, T, lens, coat, lit, mirror)
    hide_in_haze(stage.light, depth * norm, dx / norm, dy / norm, dz / norm, lit)


@inner
def _shade_face(patches, face, dx, dy, dz, norm, stage, T, lens, coat, lit, mirror):
    """Where a ray (dx, dy, dz), of this length, meets the plane of a face: paint, light, reflections. Returns depth."""
    plane, surface = patches.planes[face], patches.surface[face]
    kind, tone = patches.kinds[surface], patches.numbers[surface]
    nx, ny, nz = float(plane[0]), float(plane[1]), float(plane[2])
    slant = nx * dx + ny * dy + nz * dz
    if slant > 0.0:
        nx, ny, nz, slant = -nx, -ny, -nz, -slant
    slant = min(slant, -1e-5 * norm)
    px, py, pz = plane[3] - T[0, 3], plane[4] - T[1, 3], plane[5] - T[2, 3]
    depth = clamp((nx * px + ny * py + nz * pz) / slant, 0.05, 5000.0)
    # How the hit moves per pixel to the right (a) and down (b), along the face.
    ax, ay, az = depth * T[0, 0] / lens[0], depth * T[1, 0] / lens[0], depth * T[2, 0] / lens[0]
    bx, by, bz = depth * T[0, 1] / lens[1], depth * T[1, 1] / lens[1], depth * T[2, 1] / lens[1]
    along_a, along_b = (nx * ax + ny * ay + nz * az) / slant, (nx * bx + ny * by + nz * bz) / slant
    ax, ay, az = ax - along_a * dx, ay - along_a * dy, az - along_a * dz
    bx, by, bz = bx - along_b * dx, by - along_b * dy, bz - along_b * dz
    x, y, z = T[0, 3] + depth * dx, T[1, 3] + depth * dy, T[2, 3] + depth * dz
    if kind[0] == GROUND:
        paint_ground(coat, stage.ground, x, y, ax, ay, bx, by, stage.weather)
    else:
        u = _along(plane, 6, depth * dx - px, depth * dy - py, depth * dz - pz) + plane[9]
        v = _along(plane, 10, depth * dx - px, depth * dy - py, depth * dz - pz) + plane[13]
        wu = min(abs(_along(plane, 6, ax, ay, az)) + abs(_along(plane, 6, bx, by, bz)), 1e3)
        wv = min(abs(_along(plane, 10, ax, ay, az)) + abs(_along(plane, 10, bx, by, bz)), 1e3)
        lean_u, lean_v = -_along(plane, 6, dx, dy, dz) / slant, -_along(plane, 10, dx, dy, dz) / slant
        seed = patches.seed[face]
        paint(coat, kind, tone, seed, u, v, wu, wv, lean_u, lean_v, x, y, nz, stage.weather)
    if kind[0] == LEAF:
        nx, ny, nz = _leaf_normal(x - tone[11], y - tone[12], z - tone[13], nx, ny, nz)
    _light(stage, kind[0] == LEAF, x, y, z, nx, ny, nz, coat, lit)
    slant /= norm
    if kind[0] == GROUND and stage.weather.wetness > 0.0:
        mirror[0], mirror[1] = -min(coat[GLOSS] * _fresnel(slant), 1.0), clamp(2.0 * coat[GLOSS] - 0.9, 0.0, 1.0)
    elif kind[0] != LEAF and (coat[PANE] > 0.0 or coat[GLOSS] > 0.0):
        _reflect(stage.light, dx / norm, dy / norm, dz / norm, nx, ny, nz, slant, x, y, z, coat, lit, mirror)
    for c in range(3):
        lit[c] += coat[GLOW + c]
    return depth


@inner
def _along(plane, column, x, y, z):
    """How much u (column 6) or v (column 10) of a patch changes along a vector."""
    return plane[column] * x + plane[column + 1] * y + plane[column + 2] * z


@inner
def _leaf_normal(x, y, z, nx, ny, nz):
    """Mostly away from the crown's centre, so that a crown is shaded like a round thing."""
    length = max((x * x + y * y + z * z) ** 0.5, 1e-3)
    x, y, z = 0.75 * x / length + 0.35 * nx, 0.75 * y / length + 0.35 * ny, 0.75 * z / length + 0.35 * nz
    length = max((x * x + y * y + z * z) ** 0.5, 1e-3)
    return x / length, y / length, z / length


@inner
def _light(stage, is_leaf, x, y, z, nx, ny, nz, coat, lit):
    """Sun, sky, lamps on a painted point: lit [3] = colour times light."""
    light, ways = stage.light, stage.light.colours
    facing = nx * ways[0, 0] + ny * ways[0, 1] + nz * ways[0, 2]
    if is_leaf:
        facing = 0.75 * max(facing, 0.0) + 0.22
    sun = 0.0
    if facing > 0.0 and ways[1, 0] > 0.0:
        # Towards the sun, by as much as its map rises over 1.5 cells of this slope, so that nothing shades itself.
        off = 0.30 if is_leaf else 0.05 + 1.5 * CELL * min((1.0 - min(facing * facing, 1.0)) ** 0.5 / facing, 10.0)
        sx, sy, sz = (
            x + off * ways[0, 0] + 0.03 * nx,
            y + off * ways[0, 1] + 0.03 * ny,
            z + off * ways[0, 2] + 0.03 * nz,
        )
        sun = facing * min(sunlight(stage.sun_map, sx, sy, sz), sunlight(stage.moving_sun_map, sx, sy, sz))
    frame, hidden = stage.sky_map.frame, stage.sky_map.hidden
    height = max(z - read_map(hidden, frame, x, y, 0), 0.0)
    open_sky = 1.0
    if height < 12.0:
        far = read_map(hidden, frame, x + 3.0 * nx, y + 3.0 * ny, 2)
        open_sky -= 0.62 * far * (1.0 - height / 12.0)
        if height < 1.5:
            near = read_map(hidden, frame, x + 0.5 * nx, y + 0.5 * ny, 1)
            contact = stage.contact_map
            if nz > 0.5 and height < 0.4:
                near = max(near, read_map(contact.hidden, contact.frame, x, y, 0))
            open_sky *= 1.0 - 0.7 * near * (1.0 - height / 1.5)
    up = 0.5 + 0.5 * nz
    for c in range(3):
        lit[c] = ways[1, c] * sun + (ways[2, c] * up + ways[3, c] * (1.0 - up)) * open_sky
    if light.is_night:
        add_lamps(stage.lamps, x, y, z, nx, ny, nz, lit)
        add_spots(stage.spots, x, y, z, nx, ny, nz, coat[RETRO], lit)
    for c in range(3):
        lit[c] *= coat[c]


@inner
def _fresnel(slant):
    """Mirrored share of a smooth surface, more at grazing angles (Schlick's form). slant: minus the cosine."""
    grazing = 1.0 + slant
    return 0.045 + 0.955 * grazing * grazing * grazing * grazing * grazing


@inner
def _reflect(light, dx, dy, dz, nx, ny, nz, slant, x, y, z, coat, lit, mirror):
    """Mirror the surroundings in panes, polish and water."""
    if coat[PANE] > 0.3:  # panes are never quite flat
        nx, ny = (
            nx + 0.03 * (noise(x * 0.9 + z, z * 0.9, 421) - 0.5),
            ny + 0.03 * (noise(y * 0.9 + z, z * 0.9, 422) - 0.5),
        )
    rx, ry, rz = dx - 2.0 * slant * nx, dy - 2.0 * slant * ny, dz - 2.0 * slant * nz
    fresnel = _fresnel(slant)
    share = min(coat[PANE] * (fresnel + 0.04) + coat[GLOSS] * fresnel, 1.0)
    mirror[0] = 0.0
    if share > 0.004:
        length = (rx * rx + ry * ry + rz * rz) ** 0.5
        paint_reflection(light, rx / length, ry / length, rz / length, mirror)
        for c in range(3):
            lit[c] = lit[c] * (1.0 - share) + mirror[c] * share
        mirror[0] = 0.0
