"""Lane-accurate ways through the streets: straight lanes, smooth turns, lane changes, the roundabout's ring."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .kerbside import lane_offset
from .lines import bezier, left, lengths, meet, resample, signed_angle, unit
from .plan import RING_LANE, ROUNDABOUT_RADIUS, Plan

STEP = 0.25  # metres between a path's points
RIGHT_RADIUS, LEFT_RADIUS = 9.5, 12.5  # of turns, metres
STRAIGHT_ON = np.radians(25)  # less than this is no turn
STRAIGHT_REACH = 13.0  # metres before and behind a junction over which lanes of unequal streets are joined
CHANGE_LENGTH = 28.0  # metres of a lane change
RING_ANGLE = 0.6  # radians between a street and where its cars join or leave the ring
RING_REACH = ROUNDABOUT_RADIUS + 8.0
SMOOTHING = 3.0  # metres; makes the curvature continuous


@dataclass(frozen=True)
class LanePath:
    """points: [P, 2], STEP apart. junctions: metres along the path at which each junction on the way begins, and its
    node."""

    points: np.ndarray
    junctions: list[tuple[float, int]]


def lane_path(plan: Plan, tour: tuple[int, ...], lanes: list[tuple[int, int]], is_closed: bool = False) -> LanePath:
    """The way along the nodes `tour`. lanes: of each leg, at its beginning and its end (see `lane_offset`). A closed
    tour names its first node again at the end, and its path ends where it begins."""
    legs = list(pairwise(tour))
    turns = [
        _connect(plan, legs[i], lanes[i][1], legs[i + 1], lanes[i + 1][0])
        for i in range(len(legs) - 1)
    ]  # fmt: skip
    if is_closed:
        turns.append(_connect(plan, legs[-1], lanes[-1][1], legs[0], lanes[0][0]))
    begin = turns[-1][-1] if is_closed else _lane_point(plan, legs[0], lanes[0][0], 0.0)
    pieces, junctions, metres = [begin[None]], [], 0.0
    for i, leg in enumerate(legs):
        end = turns[i][0] if i < len(turns) else _lane_point(plan, leg, lanes[i][1], 1.0)
        straight = _leg(plan, leg, lanes[i], pieces[-1][-1], end)
        metres += lengths(np.vstack([pieces[-1][-1:], straight]))[-1]
        pieces.append(straight)
        if i < len(turns):
            junctions.append((metres, leg[1]))
            metres += lengths(turns[i])[-1]
            pieces.append(turns[i][1:])
    points = resample(np.concatenate(pieces), STEP, is_closed=False)
    return LanePath(_smooth(points, is_closed), junctions)


def _lane_point(plan: Plan, leg: tuple[int, int], lane: int, share: float) -> np.ndarray:
    a, b = plan.nodes[leg[0]], plan.nodes[leg[1]]
    street = plan.streets[plan.neighbours[leg[0]][leg[1]]]
    return a + share * (b - a) - lane_offset(street, lane) * left(unit(b - a))


def _leg(plan: Plan, leg: tuple[int, int], lanes: tuple[int, int], begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Points after `begin` up to `end`; with a lane change in the middle, if the lanes differ."""
    if lanes[0] == lanes[1]:
        return end[None]
    d = unit(plan.nodes[leg[1]] - plan.nodes[leg[0]])
    long, across = (end - begin) @ d, (end - begin) @ left(d)
    change = min(CHANGE_LENGTH, long)
    x = np.linspace((long - change) / 2, (long + change) / 2, 24)
    t = (x - x[0]) / change
    y = across * t**3 * (10 - 15 * t + 6 * t**2)
    return np.vstack([begin + x[:, None] * d + y[:, None] * left(d), end])


def _connect(plan: Plan, leg: tuple[int, int], lane: int, next_leg: tuple[int, int], next_lane: int) -> np.ndarray:
    """The way [K, 2] through a junction, from one lane to another."""
    node = plan.nodes[leg[1]]
    d, e = unit(node - plan.nodes[leg[0]]), unit(plan.nodes[next_leg[1]] - node)
    p, q = _lane_point(plan, leg, lane, 1.0), _lane_point(plan, next_leg, next_lane, 0.0)
    if leg[1] == plan.roundabout:
        return _go_round(node, p - RING_REACH * d, d, q + RING_REACH * e, e)
    turn = signed_angle(d, e)
    if abs(turn) < STRAIGHT_ON:
        return bezier(p - STRAIGHT_REACH * d, d, q + STRAIGHT_REACH * e, e, 0.65 * STRAIGHT_REACH)
    corner = meet(p, d, q, e)
    radius = LEFT_RADIUS if turn > 0 else RIGHT_RADIUS
    tangent = radius * np.tan(abs(turn) / 2)
    return bezier(corner - tangent * d, d, corner + tangent * e, e, 4 / 3 * np.tan(abs(turn) / 4) * radius)


def _go_round(centre: np.ndarray, start: np.ndarray, d: np.ndarray, end: np.ndarray, e: np.ndarray) -> np.ndarray:
    """Counter-clockwise around the centre."""
    first, last = np.arctan2(-d[1], -d[0]), np.arctan2(e[1], e[0])
    sweep = (last - first) % (2 * np.pi)
    angle = min(RING_ANGLE, 0.4 * sweep)
    angles = first + np.linspace(angle, sweep - angle, max(3, int(sweep * RING_LANE)))
    spokes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ring = centre + RING_LANE * spokes
    way_in = bezier(start, d, ring[0], left(spokes[0]), 6.0)
    way_out = bezier(ring[-1], left(spokes[-1]), end, e, 6.0)
    return np.concatenate([way_in[:-1], ring, way_out[1:]])


def _smooth(points: np.ndarray, is_closed: bool) -> np.ndarray:
    """Running mean over SMOOTHING metres; the ends of an open path stay."""
    half = round(SMOOTHING / STEP / 2)
    if is_closed:
        ring = points[:-1]
        padded = np.concatenate([ring[-half:], ring, ring[:half]])
    else:
        before = 2 * points[0] - points[half:0:-1]
        after = 2 * points[-1] - points[-2 : -half - 2 : -1]
        padded = np.concatenate([before, points, after])
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(padded, axis=0)])
    smooth = (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)
    return np.concatenate([smooth, smooth[:1]]) if is_closed else smooth
