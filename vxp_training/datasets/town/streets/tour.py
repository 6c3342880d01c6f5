"""Which way the car drives: the best of many random walks over the street graph.

The main tour has loops, streets driven twice the same way, and streets driven in both directions. The unmapped tour
runs along the eastern edge of the town, which the main tour stays away from.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

MAIN_LENGTH = 3200.0  # metres, at most
MAIN_COVERAGE = 1.35  # of the length of the streets that it may take, at most
SHORT = 1200.0  # a training town's drive ends here, so that revisits must come before
WALKS = 300


@dataclass(frozen=True)
class Tours:
    """Nodes in the order of driving."""

    main: tuple[int, ...]
    unmapped: tuple[int, ...]


def choose_tours(
    rng: np.random.Generator, nodes: np.ndarray, pairs: list[tuple[int, int]], size: tuple[int, int],
    roundabout: int,
) -> Tours:  # fmt: skip
    """Draw many walks, keep the one with the best mix of new streets and revisits."""
    columns, rows = size
    corner = [columns, (rows + 1) * (columns + 1) - 1]  # south-east, north-east
    unmapped = (corner[0] - 1, *range(corner[0], corner[1] + 1, columns + 1), corner[1] - 1)
    metres = {}
    for a, b in pairs:
        if a % (columns + 1) < columns and b % (columns + 1) < columns:
            metres[a, b] = metres[b, a] = float(np.linalg.norm(nodes[a] - nodes[b]))
    goal = min(MAIN_LENGTH, MAIN_COVERAGE * sum(metres.values()) / 2)
    walks = [_walk(rng, metres, goal) for _ in range(WALKS)]
    return Tours(max(walks, key=lambda walk: _worth(walk, metres, roundabout)), unmapped)


def _walk(rng: np.random.Generator, metres: dict[tuple[int, int], float], goal: float) -> tuple[int, ...]:
    """A random walk without U-turns that likes new streets."""
    others: dict[int, list[int]] = {}
    for a, b in metres:
        others.setdefault(a, []).append(b)
    walk = list(list(metres)[int(rng.integers(len(metres)))])
    driven, length = {tuple(walk)}, metres[walk[0], walk[1]]
    while length < goal:
        here, choices = walk[-1], [n for n in others[walk[-1]] if n != walk[-2]]
        weights = [_appeal(here, n, driven) for n in choices]
        pick = int(np.searchsorted(np.cumsum(weights), rng.uniform() * sum(weights)))
        step = (here, choices[min(pick, len(choices) - 1)])
        driven.add(step)
        length += metres[step]
        walk.append(step[1])
    return tuple(walk)


def _appeal(here: int, there: int, driven: set[tuple[int, int]]) -> float:
    if (here, there) in driven:
        return 0.4
    return 0.8 if (there, here) in driven else 6.0


def _worth(walk: tuple[int, ...], metres: dict[tuple[int, int], float], roundabout: int) -> float:
    """Metres of new streets, and bonuses for enough revisits of each kind and for the roundabout, best before SHORT."""
    driven: set[tuple[int, int]] = set()
    length = new = same = back = early_same = early_back = rounds = 0.0
    for step in pairwise(walk):
        long = metres[step]
        if step in driven:
            same += long
            early_same += long * (length < SHORT - 100)
        elif step[::-1] in driven:
            back += long
            early_back += long * (length < SHORT - 100)
        else:
            new += long
        rounds += step[1] == roundabout and length < SHORT
        driven.add(step)
        length += long
    early = min(early_same, 85.0) + min(early_back, 85.0)
    return 0.4 * new + min(same, 300.0) + min(back, 300.0) + 3.0 * early + 500.0 * min(rounds, 1)
