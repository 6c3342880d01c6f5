"""Masks, positives and pair batches against brute force."""

import math

import numpy as np
import pytest

from vxp_training.datasets.annotation import Annotation
from vxp_training.mining import Poses, batch_masks, grown_batch, pair_batches, pair_masks, positives_of
from vxp_training.schedule import lr_factor


def poses(seed: int = 0, count: int = 300) -> Poses:
    random = np.random.default_rng(seed)
    positions = np.column_stack([random.uniform(-60, 60, count), random.uniform(4e5, 4e5 + 120, count)])
    return Poses(positions, random.choice([0.0, 0.3, math.pi, -3.1], count))


def relation(p: Poses, i: int, j: int) -> str:
    """The rule in plain words."""
    apart = math.dist(p.positions[i], p.positions[j])
    turned = abs(math.remainder(p.yaw[i] - p.yaw[j], math.tau))
    if apart <= 10 and turned < 0.5:
        return "positive"
    return "negative" if apart > 25 else "neither"


def test_masks_equal_brute_force():
    p = poses()
    rows = np.array([4, 9, 9, 77, 120, 30, 31, 32, 299])
    positives, negatives = batch_masks(p, rows)
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            wanted = "neither" if a == b else relation(p, a, b)
            assert (positives[i, j], negatives[i, j]) == (wanted == "positive", wanted == "negative")


def test_edges_of_the_masks():
    """10 m is near, 25 m is not far; opposite views of one place are neither; headings wrap around."""
    north = np.array([0.0, 10, 25, 25.1, 0, 0])
    p = Poses(np.column_stack([north, np.zeros(6)]), np.array([3.1, -3.1, 3.1, 3.1, 0.0, 2.6]))
    positives, negatives = pair_masks(p, p)
    assert positives[0].tolist() == [True, True, False, False, False, False]  # yaw: 0.08 apart, pi apart, 0.5 apart
    assert negatives[0].tolist() == [False, False, False, True, False, False]


def test_folders_lie_in_worlds_of_their_own():
    """The same coordinates in two tables are two places; inside each table nothing changes."""
    size = 5
    table = Annotation(
        np.full(size, "a"), np.arange(size), np.linspace(4e6, 4e6 + 20, size), np.full(size, 6e5), np.zeros(size),
        np.full(size, ""), np.full(size, ""),
    )  # fmt: skip
    p = Poses.of([table, table])
    positives, negatives = pair_masks(p, p)
    assert negatives[:size, size:].all() and not positives[:size, size:].any()
    alone = pair_masks(Poses(table.positions, table.yaw), Poses(table.positions, table.yaw))
    for own in (slice(0, size), slice(size, None)):
        np.testing.assert_array_equal([positives[own, own], negatives[own, own]], alone)


def test_positives_equal_brute_force():
    p = poses()
    found = positives_of(p)
    for i in range(len(p)):
        assert found[i].tolist() == [j for j in range(len(p)) if j != i and relation(p, i, j) == "positive"]


def test_batches_are_pairs_and_use_each_anchor_once():
    positives = positives_of(poses())
    batches = pair_batches(positives, 16, np.random.default_rng(0))
    assert all(len(batch) == 16 for batch in batches[:-1]) and 4 <= len(batches[-1]) <= 16
    pairs = np.concatenate(batches).reshape(-1, 2)
    assert all(partner in positives[anchor] for anchor, partner in pairs)
    assert len(set(pairs[:, 0])) == len(pairs)
    seen: set[int] = set()
    for anchor, partner in pairs:
        assert anchor not in seen  # an anchor was in no pair before
        assert partner not in seen or set(positives[anchor]) <= seen  # nor its partner, if one was left
        seen |= {anchor, partner}
    with_positives = {i for i, rows in enumerate(positives) if len(rows)}
    assert seen <= with_positives and len(with_positives - seen) < 4  # a last batch below 4 is left out


def test_batches_follow_from_the_seed():
    positives = positives_of(poses())
    first, again, other = (pair_batches(positives, 16, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=False))


def test_small_last_batches_and_lone_samples_are_left_out():
    def pairs(count):  # count pairs of neighbours and one sample without any
        return [np.array([i ^ 1]) for i in range(2 * count)] + [np.zeros(0, int)]

    assert [len(batch) for batch in pair_batches(pairs(5), 8, np.random.default_rng(0))] == [8]
    assert [len(batch) for batch in pair_batches(pairs(6), 8, np.random.default_rng(0))] == [8, 4]
    assert pair_batches(pairs(1), 8, np.random.default_rng(0)) == []


def test_batches_grow_while_too_few_triplets_violate():
    oxford = {"rate": 1.4, "threshold": 0.7, "largest": 80}
    assert grown_batch(16, 6.9, 10, **oxford) == 22
    assert grown_batch(16, 7, 10, **oxford) == 16
    assert grown_batch(70, 0, 10, **oxford) == 80
    assert grown_batch(100, 0, 10, **oxford) == 100  # a recipe may start above the cap; it never shrinks
    assert grown_batch(16, 0, 0, **oxford) == 16


def test_schedule():
    """Stage 1 of the paper: 1e-5 down to 1e-6, a step every second epoch."""
    factors = [lr_factor(epoch, 2, 1e-5, 1e-6) for epoch in range(100)]
    assert factors[:5] == pytest.approx([1, 1, 0.95, 0.95, 0.9025])
    assert factors[88:92] == pytest.approx([0.95**44, 0.95**44, 0.1, 0.1])
    assert factors[99] == pytest.approx(0.1)
    assert lr_factor(3, 1, 1e-4, 5e-6) == pytest.approx(0.857375)
