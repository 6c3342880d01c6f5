"""Reflections on wet roads: rays mirrored by the ground are followed across the picture itself."""

import numpy as np

from ..compiled import inner, kernel
from ..paint.noise import chance, noise
from .sky import paint_reflection

STEPS, FIRST, GROWTH = 13, 0.4, 1.42  # of the march along a mirrored ray, metres; it ends at about 38 m
TAPS, MUDDLE = 3, 0.13  # rays per pixel, and how far a wet but rough surface spreads them


@kernel
def mirror_in_puddles(light, wet, nearness, samples, T, lens, picture):
    """Mix reflections into picture [H, W, 3]. wet: [H, W, 2] float32, the mirrored share of level ground and how calm
    it is, 0 to 1. nearness: 1 / depth at the samples. T: [4, 4] T_world_camera."""
    mirror, total = np.zeros(3), np.zeros(3)
    seen = picture.copy()
    for i in range(picture.shape[0]):
        for j in range(picture.shape[1]):
            near = nearness[i * samples, j * samples]
            if wet[i, j, 0] < 0.01 or near <= 0.0:
                continue
            cx, cy = (j - lens[2]) / lens[0], (i - lens[3]) / lens[1]
            dx = T[0, 0] * cx + T[0, 1] * cy + T[0, 2]
            dy = T[1, 0] * cx + T[1, 1] * cy + T[1, 2]
            dz = T[2, 0] * cx + T[2, 1] * cy + T[2, 2]
            depth = 1.0 / near
            x, y, z = T[0, 3] + depth * dx, T[1, 3] + depth * dy, T[2, 3] + depth * dz
            norm = (dx * dx + dy * dy + dz * dz) ** 0.5
            total[0], total[1], total[2] = 0.0, 0.0, 0.0
            rough = MUDDLE * (1.0 - wet[i, j, 1])
            ripple = noise(7.0 * x, 7.0 * y, 501) + 0.35 * chance(i, j, 502)
            for k in range(TAPS):
                tilt = rough * ((k + ripple) / TAPS - 0.42)
                sway = 0.3 * rough * (noise(5.0 * x, 5.0 * y, 503 + k) - 0.5)
                wx, wy, wz = dx / norm + sway, dy / norm + sway, max(abs(dz) / norm + tilt, 0.01)
                _follow(light, seen, nearness, samples, T, lens, x, y, z, wx, wy, wz, mirror)
                for c in range(3):
                    total[c] += mirror[c] / TAPS
            for c in range(3):
                picture[i, j, c] += wet[i, j, 0] * (total[c] - picture[i, j, c])


@inner
def _follow(light, seen, nearness, samples, T, lens, x, y, z, rx, ry, rz, colour):
    """Colour [3] that a ray from a point meets: of the first pixel whose surface it passes behind, else the sky's."""
    height, width = seen.shape[0], seen.shape[1]
    reach = FIRST
    for _ in range(STEPS):
        wx, wy, wz = x + reach * rx - T[0, 3], y + reach * ry - T[1, 3], z + reach * rz - T[2, 3]
        depth = T[0, 2] * wx + T[1, 2] * wy + T[2, 2] * wz
        if depth < 0.3:
            break
        column = lens[0] * (T[0, 0] * wx + T[1, 0] * wy + T[2, 0] * wz) / depth + lens[2]
        row = lens[1] * (T[0, 1] * wx + T[1, 1] * wy + T[2, 1] * wz) / depth + lens[3]
        j, i = int(column + 0.5), int(row + 0.5)
        if column < -0.5 or row < -0.5 or j >= width or i >= height:
            break
        near = nearness[i * samples, j * samples]
        if near * depth > 1.0 and near * (depth - 0.75 * reach - 0.5) < 1.0:
            for c in range(3):
                colour[c] = seen[i, j, c]
            return
        reach *= GROWTH
    length = (rx * rx + ry * ry + rz * rz) ** 0.5
    paint_reflection(light, rx / length, ry / length, rz / length, colour)
