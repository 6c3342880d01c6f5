"""Kerb lines around blocks: straight sides, rounded corners, the roundabout's circle."""

import numpy as np

from .lines import left as left_of
from .lines import meet, round_corner, signed_angle, unit
from .plan import ROUNDABOUT_RADIUS, Plan, Side

CORNER_RADIUS = 6.0  # of kerbs
TOWN_CORNER_RADIUS = 14.0
FLARE = 4.0  # metres over which a kerb bends into the roundabout


def trace_kerb(plan: Plan, face: list[int], theme: str, seed: int) -> tuple[np.ndarray, tuple[Side, ...]]:
    """The kerb line of one face and its straight sides."""
    count = len(face)
    corners = [_corner(plan, face[i - 1], face[i], face[(i + 1) % count]) for i in range(count)]
    sides, pieces = [], []
    for i, (points, corner) in enumerate(corners):
        following, next_corner = corners[(i + 1) % count]
        a, b = face[i], face[(i + 1) % count]
        d = unit(plan.nodes[b] - plan.nodes[a])
        origin = _on_kerb(plan, a, b, corner)
        length = float((_on_kerb(plan, a, b, next_corner) - origin) @ d)
        sides.append(Side(plan.neighbours[a][b], a, b, points[-1], following[0], origin, d, length, theme, seed))
        pieces.append(points)
    return np.concatenate(pieces), tuple(sides)


def _on_kerb(plan: Plan, a: int, b: int, point: np.ndarray) -> np.ndarray:
    """The point's foot on the kerb line left of the way from a to b."""
    d = unit(plan.nodes[b] - plan.nodes[a])
    base = plan.nodes[a] + plan.streets[plan.neighbours[a][b]].half * left_of(d)
    return base + ((point - base) @ d) * d


def _corner(plan: Plan, before: int, node: int, after: int) -> tuple[np.ndarray, np.ndarray]:
    """The kerb around one corner of a face: its points [K, 2], and where the two kerb lines meet [2]."""
    centre = plan.nodes[node]
    d, e = unit(centre - plan.nodes[before]), unit(plan.nodes[after] - centre)
    half_d = plan.streets[plan.neighbours[before][node]].half
    half_e = plan.streets[plan.neighbours[node][after]].half
    p, q = centre + half_d * left_of(d), centre + half_e * left_of(e)
    turn = signed_angle(d, e)
    if node == plan.roundabout:
        return _round_the_circle(centre, d, e, half_d, half_e), meet(p, d, q, e)
    if abs(turn) < np.radians(25):  # straight on past a T-junction: the widths blend
        return np.array([p - 4.0 * d, q + 4.0 * e]), (p + q) / 2
    corner = meet(p, d, q, e)
    radius = TOWN_CORNER_RADIUS if turn < 0 else CORNER_RADIUS
    return round_corner(corner, d, e, radius), corner


def _round_the_circle(centre: np.ndarray, d: np.ndarray, e: np.ndarray, half_d: float, half_e: float) -> np.ndarray:
    """The kerb from a street along the roundabout's edge into the next: flare, arc (clockwise), flare."""
    enter = centre - np.sqrt(ROUNDABOUT_RADIUS**2 - half_d**2) * d + half_d * left_of(d)
    leave = centre + np.sqrt(ROUNDABOUT_RADIUS**2 - half_e**2) * e + half_e * left_of(e)
    first = np.arctan2(*(enter - centre)[::-1])
    sweep = (first - np.arctan2(*(leave - centre)[::-1])) % (2 * np.pi)
    trim = FLARE / ROUNDABOUT_RADIUS
    angles = first - np.linspace(trim, sweep - trim, 9)
    arc = centre + ROUNDABOUT_RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    t = np.linspace(0, 1, 5)[:-1, None]
    flare_in = (1 - t) ** 2 * (enter - FLARE * d) + 2 * t * (1 - t) * enter + t**2 * arc[0]
    flare_out = (1 - t) ** 2 * (leave + FLARE * e) + 2 * t * (1 - t) * leave + t**2 * arc[-1]
    return np.concatenate([flare_in, arc, flare_out[::-1]])
