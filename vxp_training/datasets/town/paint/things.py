"""Roofs, plants, wood, metal, concrete, cloth, people."""

from math import floor

from ..compiled import inner
from .coat import GLOSS, cover, dim, lay
from .noise import chance, clamp, comb, detail, noise, rough_noise, smooth

SLATE, CONCRETE_TILES, SEAMS, GRAVEL, COPPER = 1, 2, 3, 4, 5  # roof styles; 0: pantiles


@inner
def paint_roof(coat, style, seed, tone, u, v, wu, wv):
    """Tiles, slate, metal or gravel in the surface's colour."""
    lay(coat, float(tone[0]), float(tone[1]), float(tone[2]))
    if style == GRAVEL:
        dim(coat, 1.0 + 0.5 * (noise(u * 16.0, v * 16.0, seed) - 0.5) * detail(0.08, max(wu, wv)))
        dim(coat, 1.0 - 0.25 * comb(u, 1.0, 0.03, wu))
    elif style in (SEAMS, COPPER):
        dim(coat, 1.0 - 0.45 * comb(u, 0.55, 0.04, wu))
        if style == COPPER:
            cover(coat, 0.55 * rough_noise(u * 0.5, v * 0.3, seed), 0.20, 0.36, 0.30)
        coat[GLOSS] = 0.25
    else:
        rise, length = (0.33, 0.24) if style == 0 else ((0.22, 0.26) if style == SLATE else (0.34, 0.33))
        row = floor(v / rise)
        shift = 0.5 * length * (row % 2.0) if style != 0 else 0.0
        column = floor((u + shift) / length)
        fine = detail(rise, max(wu, wv))
        dim(coat, 1.0 + 0.42 * (chance(int(column), int(row), seed) - 0.5) * fine)
        dim(coat, 1.0 - 0.55 * comb(v, rise, 0.045, wv))
        if style == 0:  # round ridges
            across = (u / length - floor(u / length)) - 0.5
            dim(coat, 1.0 + 0.55 * (0.22 - abs(across)) * detail(0.2, wu))
        else:
            dim(coat, 1.0 - 0.4 * comb(u + shift, length, 0.012, wu))
    moss = smooth(0.5, 0.85, rough_noise(u * 0.4, v * 0.4, seed + 1))
    cover(coat, 0.35 * moss, 0.10, 0.11, 0.06)
    dim(coat, 0.88 + 0.24 * rough_noise(u * 0.25, v * 0.8, seed + 2))


@inner
def paint_leaf(coat, tone, face, u, v, w, autumn):
    """One clump of leaves: its own tint, dark gaps and light tips; some turn yellow, orange and brown first."""
    tint = chance(face, 1, 201)
    light = 0.8 + 0.4 * chance(face, 2, 201)
    red, green, blue = float(tone[0]), float(tone[1]), float(tone[2])
    lay(coat, red * (0.8 + 0.45 * tint) * light, green * light, blue * (1.2 - 0.5 * tint) * light)
    turned = clamp(autumn * 1.7 - 0.9 * chance(face, 3, 201), 0.0, 1.0) if green > blue * 2.0 else 0.0
    hue = chance(face, 4, 201)
    cover(coat, turned, 0.30 + 0.10 * hue, 0.095 + 0.15 * hue, 0.025)
    clump = noise(8.0 * u, 8.0 * v, face & 255) + 0.6 * noise(23.0 * u, 23.0 * v, face & 127) * detail(0.05, w)
    dim(coat, 1.0 + 1.5 * (clump - 0.8 + 0.3 * (1.0 - detail(0.05, w))) * detail(0.14, w))


@inner
def paint_hedge(coat, seed, tone, u, v, w):
    """Clipped leaves: dark gaps, light tips."""
    lay(coat, float(tone[0]), float(tone[1]), float(tone[2]))
    dim(coat, 0.7 + 0.6 * rough_noise(u * 2.2, v * 2.2, seed))
    fine = detail(0.07, w)
    dim(coat, 1.0 + 1.3 * (noise(u * 19.0, v * 19.0, seed + 1) - 0.5) * fine)
    coat[0] *= 0.85 + 0.4 * noise(u * 6.0, v * 6.0, seed + 2)


@inner
def paint_bark(coat, tone, u, v, w):
    """Upright ridges."""
    lay(coat, float(tone[0]), float(tone[1]), float(tone[2]))
    ridge = noise(u * 22.0, v * 3.0, 211)
    dim(coat, 1.0 + 1.1 * (ridge - 0.5) * detail(0.06, w))
    dim(coat, 0.8 + 0.4 * noise(u * 2.0, v * 0.9, 212))
    cover(coat, 0.3 * smooth(0.5, 0.8, noise(u * 1.3, v * 1.1, 213)), 0.10, 0.13, 0.06)


@inner
def paint_wood(coat, seed, tone, u, v, wu, wv):
    """Boards 12 cm wide with grain."""
    lay(coat, float(tone[0]), float(tone[1]), float(tone[2]))
    row = floor(u / 0.12)
    dim(coat, 1.0 + 0.35 * (chance(int(row), seed, 1) - 0.5) * detail(0.12, wu))
    dim(coat, 1.0 - 0.6 * comb(u, 0.12, 0.008, wu))
    dim(coat, 1.0 + 0.4 * (noise(u * 60.0, v * 2.5, seed + 2) - 0.5) * detail(0.02, wu))


@inner
def paint_metal(coat, seed, tone, u, v, w):
    """Painted or galvanised metal, a little stained."""
    lay(coat, float(tone[0]), float(tone[1]), float(tone[2]))
    dim(coat, 0.85 + 0.3 * noise(u * 3.0, v * 0.9, seed))
    cover(coat, 0.25 * smooth(0.7, 0.9, noise(u * 5.0, v * 2.0, seed + 1)), 0.16, 0.09, 0.05)
    coat[GLOSS] = 0.3


@inner
def paint_concrete(coat, seed, tone, u, v, wu, wv):
    """Cast concrete: pores, joints every two metres, a dirty foot."""
    lay(coat, float(tone[0]), float(tone[1]), float(tone[2]))
    dim(coat, 0.82 + 0.36 * rough_noise(u * 0.8, v * 0.8, seed))
    dim(coat, 1.0 + 0.25 * (noise(u * 30.0, v * 30.0, seed + 1) - 0.5) * detail(0.05, max(wu, wv)))
    dim(coat, 1.0 - 0.4 * comb(u, 2.0, 0.015, wu))
    cover(coat, 0.3 * clamp(1.0 - v / 0.35, 0.0, 1.0), 0.12, 0.115, 0.10)


@inner
def paint_cloth(coat, tone, u, wu):
    """Stripes 22 cm wide of both colours."""
    lay(coat, float(tone[0]), float(tone[1]), float(tone[2]))
    cover(coat, comb(u, 0.44, 0.22, wu), float(tone[3]), float(tone[4]), float(tone[5]))


@inner
def paint_clothes(coat, seed, tone, u, v, w):
    """Trousers, jacket, skin and hair by height."""
    if v > 1.66:
        hair = 0.03 + 0.25 * chance(seed, 1, 231) * chance(seed, 2, 231)
        lay(coat, hair * 1.2, hair, hair * 0.8)
    elif v > 1.48:
        skin = 0.25 + 0.75 * chance(seed, 3, 231)
        lay(coat, 0.52 * skin, 0.34 * skin, 0.25 * skin)
    elif v > 0.9:
        lay(coat, float(tone[0]), float(tone[1]), float(tone[2]))
    elif v > 0.09:
        lay(coat, float(tone[3]), float(tone[4]), float(tone[5]))
    else:
        lay(coat, 0.03, 0.028, 0.026)
    dim(coat, 1.0 + 0.4 * (noise(u * 9.0, v * 6.0, seed) - 0.5) * detail(0.12, w))


@inner
def paint_backdrop(coat, seed, tone, u, v):
    """Far houses and woods: blocks of tone."""
    lay(coat, float(tone[0]), float(tone[1]), float(tone[2]))
    dim(coat, 0.8 + 0.4 * chance(floor(u / 9.0), seed, 241))
    dim(coat, 0.9 + 0.2 * chance(floor(u / 1.9), floor(v / 3.0), 242))
