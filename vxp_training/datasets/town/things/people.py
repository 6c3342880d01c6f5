"""People and bicycles. Local frame: origin on the ground, x forward, y left, z up."""

from dataclasses import replace
from math import cos, pi, sin

import numpy as np

from ..scene import Material, Mesh
from .shapes import Colour, MeshBuilder, Point

_TOPS: tuple[Colour, ...] = (
    (0.45, 0.05, 0.05), (0.05, 0.10, 0.30), (0.55, 0.55, 0.52), (0.03, 0.03, 0.035), (0.10, 0.22, 0.10),
    (0.55, 0.38, 0.08), (0.20, 0.24, 0.30), (0.40, 0.28, 0.18),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = ((0.03, 0.04, 0.08), (0.02, 0.02, 0.022), (0.22, 0.18, 0.12), (0.10, 0.11, 0.12))
ADULT = 1.75  # metres: CLOTHES are painted by heights (v) on somebody of this size
_HEIGHTS = ((0.0, 0.88), (0.92, 1.48), (1.52, 1.80))  # v of legs, torso, head, whatever the posture


def person_mesh(rng: np.random.Generator, phase: float = 0.0) -> Mesh:
    """Somebody who walks along +x; phase: 0 to 1, where in the stride of two steps. The same rng state gives the same
    person. Feet touch the ground."""
    b, size = MeshBuilder(), float(rng.uniform(0.9, 1.06))
    legs, torso, head = _draw_clothes(b, rng)
    swing = 0.48 * sin(2 * pi * phase)
    hip = 0.90 * cos(swing)
    for side, angle in ((1, swing), (-1, -swing)):
        _add_leg(b, side, angle, hip, legs, bend=max(0.0, -cos(2 * pi * phase) * side) * 0.35)
        shoulder = (0.0, 0.22 * side, hip + 0.52)
        hand = (-0.52 * sin(0.8 * angle) + 0.05, 0.27 * side, hip + 0.52 - 0.55 * cos(0.8 * angle))
        b.tube(shoulder, hand, 0.055, torso, 4, 0.04, "start end")
    b.tube((0, 0, hip - 0.06), (0, 0, hip + 0.35), 0.155, torso, 6, 0.185)
    b.tube((0, 0, hip + 0.35), (0, 0, hip + 0.60), 0.185, torso, 6, 0.12, "end")
    _add_head(b, (0.03, 0, hip + 0.59), head)
    return _dress(b.build(), size)


def _draw_clothes(b: MeshBuilder, rng: np.random.Generator) -> list[int]:
    """The first rows of a mesh: legs, torso, head."""
    tops, trousers = _TOPS[int(rng.integers(len(_TOPS)))], _TROUSERS[int(rng.integers(len(_TROUSERS)))]
    seed = int(rng.integers(2**31))
    return [b.surface(Material.CLOTHES, tops, trousers, seed=seed, width=0.5, height=ADULT) for _ in _HEIGHTS]


def _add_leg(b: MeshBuilder, side: int, angle: float, hip: float, clothes: int, bend: float) -> None:
    """Thigh, shin and foot; the leg that swings forward bends its knee."""
    y = 0.1 * side
    knee = (0.45 * sin(angle + bend), y, hip - 0.45 * cos(angle + bend))
    foot = (knee[0] + 0.43 * sin(angle - bend), y, max(knee[2] - 0.43 * cos(angle - bend), 0.02))
    b.tube((0, y, hip), knee, 0.095, clothes, 4, 0.075)
    b.tube(knee, foot, 0.075, clothes, 4, 0.055, "start")
    b.box(
        (foot[0] - 0.07, y - 0.045, foot[2] - 0.02), (foot[0] + 0.17, y + 0.045, foot[2] + 0.06), clothes, without="z"
    )


def _add_head(b: MeshBuilder, neck: Point, clothes: int) -> None:
    """A head of two cut cones on the neck; together 0.26 m high."""
    x, y, z = neck
    b.tube((x, y, z), (x, y, z + 0.13), 0.07, clothes, 6, 0.105, "start")
    b.tube((x, y, z + 0.13), (x, y, z + 0.26), 0.105, clothes, 6, 0.06, "end")


def _dress(mesh: Mesh, size: float) -> Mesh:
    """Scaled to the person's size, with the v by which CLOTHES are painted: heights on a standing adult."""
    corners, uv = mesh.vertices[mesh.faces], mesh.uv.copy()
    for row, (low, high) in enumerate(_HEIGHTS):
        part = mesh.surface == row
        uv[part, :, 0] = corners[part, :, 0] + corners[part, :, 1]
        uv[part, :, 1] = np.clip(corners[part, :, 2], low, high)
    return replace(mesh, vertices=(mesh.vertices * np.float32(size)), uv=uv)


def bicycle_mesh(colour: Colour = (0.08, 0.08, 0.09)) -> Mesh:
    """A bicycle alone, upright, rear wheel at x = -0.53."""
    b = MeshBuilder()
    _add_bicycle(b, b.surface(Material.METAL, colour), b.surface(Material.TYRE, (0.02, 0.02, 0.02)))
    return b.build()


def _add_bicycle(b: MeshBuilder, frame: int, rubber: int) -> None:
    """Two flat rings and a frame of thin tubes."""
    for x in (-0.53, 0.53):
        ring = [(cos(2 * pi * i / 10), sin(2 * pi * i / 10)) for i in range(10)]
        for (c0, s0), (c1, s1) in zip(ring, [*ring[1:], ring[0]], strict=True):
            b.polygon(
                [
                    (x + r * c, 0.0, 0.34 + r * s)
                    for r, c, s in ((0.34, c0, s0), (0.34, c1, s1), (0.29, c1, s1), (0.29, c0, s0))
                ],
                rubber,
            )
    crank, seat, head, bar = (-0.08, 0, 0.30), (-0.22, 0, 0.92), (0.36, 0, 0.80), (0.30, 0, 1.02)
    for p, q in (
        (crank, seat),
        (crank, head),
        (seat, head),
        ((0.53, 0, 0.34), bar),
        ((-0.53, 0, 0.34), crank),
        ((-0.53, 0, 0.34), (-0.17, 0, 0.72)),
    ):
        b.tube(p, q, 0.022, frame, 3)
    b.tube((0.30, -0.28, 1.02), (0.30, 0.28, 1.02), 0.018, frame, 3)
    b.box((-0.36, -0.07, 0.92), (-0.10, 0.07, 0.97), rubber, without="")


def cyclist_mesh(rng: np.random.Generator, phase: float = 0.0) -> Mesh:
    """Somebody on a bicycle, riding along +x; phase: 0 to 1 of a turn of the pedals."""
    b = MeshBuilder()
    legs, torso, head = _draw_clothes(b, rng)
    colour = _TOPS[int(rng.integers(len(_TOPS)))]
    _add_bicycle(b, b.surface(Material.METAL, colour), b.surface(Material.TYRE, (0.02, 0.02, 0.02)))
    hip, shoulder = (-0.2, 0.0, 1.0), (0.02, 0.0, 1.46)
    for side in (1, -1):
        turn = 2 * pi * phase + (0 if side > 0 else pi)
        x, y, z = -0.08 + 0.17 * cos(turn), 0.11 * side, 0.30 + 0.17 * sin(turn)
        start = (hip[0], 0.09 * side, hip[2])
        knee = _joint(np.array(start), np.array((x, y, z)), 0.44)
        b.tube(start, knee, 0.085, legs, 4, 0.065)
        b.tube(knee, (x, y, z), 0.065, legs, 4, 0.05)
        b.box((x - 0.08, y - 0.04, z - 0.04), (x + 0.14, y + 0.04, z + 0.03), legs, without="")
        b.tube(
            (shoulder[0], 0.19 * side, shoulder[2] - 0.04), (0.30, 0.26 * side, 1.04), 0.05, torso, 3, 0.035, "start"
        )
    b.tube((hip[0], 0, hip[2] - 0.1), shoulder, 0.15, torso, 6, 0.17, "start end")
    _add_head(b, (shoulder[0] + 0.06, 0.0, shoulder[2]), head)
    return _dress(b.build(), 1.0)


def _joint(start: np.ndarray, end: np.ndarray, length: float) -> np.ndarray:
    """The knee of a leg of two equal parts, bent forward."""
    middle, along = (start + end) / 2, end - start
    reach = float(np.linalg.norm(along))
    bend = np.sqrt(max(length**2 - (reach / 2) ** 2, 0.0))
    forward = np.cross(along / reach, [0, 1, 0]) * -1
    return middle + bend * (forward if forward[0] > 0 else -forward)
