"""Draws the plan: a jittered grid of streets, one roundabout, and which streets the drives take."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..draws import Purpose, draw
from ..style import Style
from .blocks import make_blocks
from .plan import Plan, Street
from .tour import Tours, choose_tours

BLOCK = (90.0, 75.0)  # metres between junctions, east and north
NODE_JITTER = 7.0
MERGED = 0.09  # share of inner streets left out, which makes double blocks and T-junctions
ONE_WAY = 0.8  # share of streets that the main drive takes in one direction only: two lanes that way


def make_plan(seed: int, style: Style, size: tuple[int, int], is_hardened: bool) -> Plan:
    """The plan of a town of columns x rows blocks; a pure function of its arguments.

    Raises ValueError for fewer than 2 x 2 blocks: no room for a loop and an unmapped street.
    """
    if min(size) < 2:
        raise ValueError(f"size is {size} blocks, expected at least (2, 2)")
    nodes = _place_nodes(seed, size)
    roundabout = _choose_roundabout(seed, size)
    pairs = _choose_streets(seed, size, roundabout)
    tours = choose_tours(draw(seed, Purpose.TOUR), nodes, pairs, size, roundabout)
    streets = _make_streets(seed, style, pairs, tours, is_hardened)
    neighbours = _link(len(nodes), streets)
    plan = Plan(nodes, streets, neighbours, (), roundabout, tours)
    return replace(plan, blocks=make_blocks(plan, seed, style, is_hardened))


def reach(size: tuple[int, int]) -> np.ndarray:
    """[2] metres east and north of the origin, beyond which no town of so many blocks has a junction."""
    return np.array(size) / 2 * BLOCK + NODE_JITTER


def _place_nodes(seed: int, size: tuple[int, int]) -> np.ndarray:
    """[N, 2] junctions around the origin."""
    columns, rows = size
    x, y = np.meshgrid(np.arange(columns + 1) - columns / 2, np.arange(rows + 1) - rows / 2)
    grid = np.stack([x.ravel() * BLOCK[0], y.ravel() * BLOCK[1]], axis=1)
    return grid + draw(seed, Purpose.NODES).uniform(-NODE_JITTER, NODE_JITTER, grid.shape)


def _choose_roundabout(seed: int, size: tuple[int, int]) -> int:
    """An inner node, away from the eastern blocks, which the main drive leaves out."""
    columns, rows = size
    inner = [r * (columns + 1) + c for r in range(1, rows) for c in range(1, max(2, columns - 1))]
    return inner[int(draw(seed, Purpose.STREETS, 1).integers(len(inner)))]


def _choose_streets(seed: int, size: tuple[int, int], roundabout: int) -> list[tuple[int, int]]:
    """Pairs of nodes with a street between them: the grid without some inner streets. No node is left with less than
    three streets, and the roundabout keeps all four."""
    columns, rows = size
    node = np.arange((columns + 1) * (rows + 1)).reshape(rows + 1, columns + 1)
    pairs = [(int(a), int(b)) for a, b in zip(node[:, :-1].ravel(), node[:, 1:].ravel(), strict=True)]
    pairs += [(int(a), int(b)) for a, b in zip(node[:-1].ravel(), node[1:].ravel(), strict=True)]
    candidates = [pair for pair in pairs if set(node[1:-1, 1:-1].ravel().tolist()).issuperset(pair)]
    touched, removed = {roundabout}, 0
    for i in draw(seed, Purpose.STREETS).permutation(len(candidates)):
        if removed < MERGED * len(pairs) and touched.isdisjoint(candidates[i]):
            touched.update(candidates[i])
            pairs.remove(candidates[i])
            removed += 1
    return pairs


def _make_streets(
    seed: int, style: Style, pairs: list[tuple[int, int]], tours: Tours, is_hardened: bool
) -> tuple[Street, ...]:
    """Streets with their widths; those that the main drive takes one way only may be one-way."""
    rng = draw(seed, Purpose.STREETS, 2)
    driven = set(pairwise(tours.main))
    streets = []
    for a, b in pairs:
        lane, chance = rng.uniform(*style.lane), rng.uniform()
        is_driven = {(a, b), (b, a)} & driven
        if is_hardened and len(is_driven) == 1 and chance < ONE_WAY:
            streets.append(Street(*is_driven.pop(), lane=lane, is_one_way=True))
        else:
            streets.append(Street(a, b, lane=lane))
    return tuple(streets)


def _link(count: int, streets: tuple[Street, ...]) -> tuple[dict[int, int], ...]:
    neighbours: tuple[dict[int, int], ...] = tuple({} for _ in range(count))
    for number, street in enumerate(streets):
        neighbours[street.a][street.b] = number
        neighbours[street.b][street.a] = number
    return neighbours
