"""Round trips of the traffic: closed walks through the streets in the allowed directions."""

from itertools import pairwise

import numpy as np

from ..draws import Purpose, draw
from ..scene import Day

LONGEST = 16  # streets of one round trip
TRIES = 400
COVERAGE = 1.6  # round trips, in lengths of all streets' right lanes


def choose_circuits(world, day: Day) -> list[tuple[int, ...]]:
    """Closed tours (the first node again at the end) that together pass most streets in both directions. One-way
    streets lead the other way on a day that is driven in reverse."""
    plan = world.plan
    others = _directed(plan, day.is_reverse)
    rng = draw(world.seed, Purpose.TRAFFIC, day.number)
    count = {step: 0 for node, following in others.items() for step in ((node, n) for n in following)}
    goal = COVERAGE * len(count)
    circuits, passed = [], 0
    for _ in range(TRIES):
        tour = _walk_home(others, count, rng)
        if tour:
            circuits.append(tour)
            passed += len(tour) - 1
            for step in pairwise(tour):
                count[step] += 1
        if passed >= goal:
            break
    return circuits


def _directed(plan, is_reverse: bool) -> dict[int, list[int]]:
    """Where one may drive to from each node."""
    others: dict[int, list[int]] = {node: [] for node in range(len(plan.nodes))}
    for street in plan.streets:
        a, b = (street.b, street.a) if is_reverse else (street.a, street.b)
        others[a].append(b)
        if not street.is_one_way:
            others[b].append(a)
    return others


def _walk_home(
    others: dict[int, list[int]], count: dict[tuple[int, int], int], rng: np.random.Generator
) -> tuple[int, ...] | None:
    """A random walk without U-turns, which likes empty streets, until it comes back to where it began."""
    fewest = min(count.values())
    steps = [step for step, times in count.items() if times == fewest]
    walk = list(steps[int(rng.integers(len(steps)))])
    while len(walk) < LONGEST:
        choices = [n for n in others[walk[-1]] if n != walk[-2]]
        if not choices:
            return None
        if len(walk) > 3 and walk[0] in choices and walk[0] != walk[1] and walk[1] != walk[-1]:
            return (*walk, walk[0])
        weights = np.array([1.0 / (1 + count[walk[-1], n]) for n in choices])
        walk.append(choices[int(rng.choice(len(choices), p=weights / weights.sum()))])
    return None
