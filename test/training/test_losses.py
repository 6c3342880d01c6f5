"""Losses against values worked out by hand, against loops, and against pytorch-metric-learning where it is there."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from vxp_ros.core.preprocessing.projection import CellHits
from vxp_training.losses import (
    batch_hard_triplet,
    global_alignment,
    info_nce,
    local_alignment,
    multi_similarity,
    sample_bilinear,
)


def masks_of(labels) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.tensor(labels)
    is_same = labels[:, None] == labels
    return is_same & ~torch.eye(len(labels), dtype=torch.bool), ~is_same


def random_unit(seed: int, rows: int = 12, width: int = 6) -> torch.Tensor:
    return F.normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def random_masks(seed: int, rows: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """(positives with a true diagonal but for the last row, ignored)."""
    generator = torch.Generator().manual_seed(seed)
    positives = (torch.rand(rows, rows, generator=generator) < 0.15) | torch.eye(rows, dtype=torch.bool)
    positives[-1] = positives[:, -1] = False
    return positives, (torch.rand(rows, rows, generator=generator) < 0.2) & ~positives


# --- triplet ---


def test_triplet_worked_by_hand():
    """On a line: two places, a at 0 and 1, b at 1.1 and 9.

    a0: positive 1 away, nearest negative 1.1 away, but 0.1 from the positive (swap): 1 - 0.1 + 0.3 = 1.2
    a1: positive 1 away, nearest negative 0.1 away, swap 1.1 does not help: 1 - 0.1 + 0.3 = 1.2
    b0: positive 7.9 away, nearest negative a1 0.1 away: 8.1
    b1: positive 7.9 away, nearest negative a1 8 away, 0.1 from the positive: 8.1
    """
    descriptors = torch.tensor([[0.0, 0], [1, 0], [1.1, 0], [9, 0]])
    result = batch_hard_triplet(descriptors, *masks_of([0, 0, 1, 1]))
    assert (result.mined, result.non_zero) == (4, 4)
    assert result.loss.item() == pytest.approx((1.2 + 1.2 + 8.1 + 8.1) / 4, abs=1e-5)


def test_triplets_that_do_not_violate_do_not_dilute_the_mean():
    """Places at 0, at 10 (spread by 0.2: far enough) and at 20 with a spread of 9.9: only its samples violate.

    Each of these has its positive 9.9 away. The nearest negative of the sample at 20 is 9.8 away, and swapping to the
    other one (29.9) does not help: 9.9 - 9.8 + 0.3 = 0.4. The sample at 29.9 takes it by the swap: 0.4.
    """
    descriptors = torch.tensor([[0.0], [0.1], [10], [10.2], [20], [29.9]])
    result = batch_hard_triplet(descriptors, *masks_of([0, 0, 1, 1, 2, 2]))
    assert (result.mined, result.non_zero) == (6, 2)
    assert result.loss.item() == pytest.approx(0.4, abs=1e-5)


def test_triplet_is_zero_when_nothing_violates_and_when_there_is_nothing():
    descriptors = torch.tensor([[0.0], [0.1], [10], [10.1]], requires_grad=True)
    for masks in (masks_of([0, 0, 1, 1]), masks_of([0, 1, 2, 3]), masks_of([0, 0, 0, 0])):
        result = batch_hard_triplet(descriptors, *masks)
        assert result.loss.item() == 0 and result.non_zero == 0
        result.loss.backward()
        assert torch.equal(descriptors.grad, torch.zeros(4, 1))


def test_triplet_equals_a_loop_over_all_triplets():
    generator = torch.Generator().manual_seed(3)
    descriptors = torch.randn(14, 5, generator=generator)
    positives = torch.rand(14, 14, generator=generator) < 0.2
    positives = (positives | positives.T) & ~torch.eye(14, dtype=torch.bool)
    negatives = (torch.rand(14, 14, generator=generator) < 0.5) & ~positives & ~torch.eye(14, dtype=torch.bool)
    d = [[math.dist(a, b) for b in descriptors.tolist()] for a in descriptors.tolist()]
    values = []
    for a in range(14):
        near, far = negatives[a].nonzero()[:, 0].tolist(), positives[a].nonzero()[:, 0].tolist()
        if near and far:
            p, n = max(far, key=lambda i: d[a][i]), min(near, key=lambda i: d[a][i])
            values.append(max(0.0, d[a][p] - min(d[a][n], d[p][n]) + 0.3))
    violated = [value for value in values if value > 0]
    result = batch_hard_triplet(descriptors, positives, negatives)
    assert (result.mined, result.non_zero) == (len(values), len(violated))
    assert result.loss.item() == pytest.approx(sum(violated) / len(violated), rel=1e-5)


def test_equal_descriptors_give_finite_gradients():
    descriptors = torch.zeros(4, 3, requires_grad=True)
    batch_hard_triplet(descriptors, *masks_of([0, 0, 1, 1])).loss.backward()
    assert torch.isfinite(descriptors.grad).all()


def test_triplet_equals_pytorch_metric_learning():
    library = pytest.importorskip("pytorch_metric_learning", reason="pytorch-metric-learning is not installed")
    from pytorch_metric_learning import distances, losses, miners

    assert library.__version__
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 3, 4]
    descriptors = torch.randn(len(labels), 8, generator=torch.Generator().manual_seed(1)) / 3
    plain = distances.LpDistance(normalize_embeddings=False)
    mined = miners.BatchHardMiner(distance=plain)(descriptors, torch.tensor(labels))
    wanted = losses.TripletMarginLoss(margin=0.3, swap=True, distance=plain)(descriptors, torch.tensor(labels), mined)
    assert batch_hard_triplet(descriptors, *masks_of(labels)).loss.item() == pytest.approx(wanted.item(), rel=1e-5)


# --- local alignment ---


def hits_at(u, v, depth, sample=None, row=None) -> CellHits:
    count = len(u)
    numbers = [torch.tensor(values, dtype=torch.float32) for values in (u, v, depth)]
    row = torch.arange(count) if row is None else torch.tensor(row)
    sample = torch.zeros(count, dtype=torch.long) if sample is None else torch.tensor(sample)
    return CellHits(row, sample, numbers[0], numbers[1], 1 / numbers[2])


def test_local_loss_worked_by_hand():
    """Two voxels, 384 channels, each 3 off: SmoothL1 = 2.5. At 5 m and 10 m: (2.5 / 5 + 2.5 / 10) / 2."""
    teacher = torch.zeros(1, 384, 28, 28)
    hits = hits_at([3.5, 8.5], [4.5, 9.5], [5.0, 10.0])
    loss = local_alignment(teacher, torch.full((2, 384), 3.0), hits)
    assert loss.item() == pytest.approx(0.375)
    near, far = (local_alignment(teacher, torch.full((1, 384), 3.0), hits_at([3.5], [4.5], [d])) for d in (5.0, 10.0))
    assert far.item() == pytest.approx(near.item() / 2)
    assert local_alignment(teacher, torch.full((2, 384), 3.0), hits, depth_weight=False).item() == pytest.approx(2.5)


def test_local_loss_equals_the_formula_written_as_loops():
    generator = torch.Generator().manual_seed(0)
    teacher, features = torch.randn(2, 3, 4, 6, generator=generator), torch.randn(9, 3, generator=generator).relu()
    hits = hits_at([0.2, 5.9, 3.1, 2.7], [0.9, 3.99, 1.5, 2.2], [4, 9, 16, 30], sample=[0, 1, 1, 0], row=[7, 2, 5, 0])
    total = 0.0
    for i in range(4):
        f = teacher[hits.sample[i], :, math.floor(hits.v[i]), math.floor(hits.u[i])]
        for c in range(3):
            off = abs((f[c] - features[hits.row[i], c]).item())
            total += hits.inverse_depth[i].item() * (0.5 * off * off if off < 1 else off - 0.5)
    wanted = total / (3 * 4)
    assert local_alignment(teacher, features, hits, nearest_cell=True).item() == pytest.approx(wanted, rel=1e-5)


def test_bilinear_lookup_equals_torch_and_hits_cell_centres():
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(2, 5, 4, 6, generator=generator)
    u, v = torch.rand(50, generator=generator) * 6, torch.rand(50, generator=generator) * 4
    hits = hits_at(u.tolist(), v.tolist(), [1.0] * 50, sample=[0, 1] * 25)
    grid = torch.stack([2 * u / 6 - 1, 2 * v / 4 - 1], dim=1)[None, None].expand(2, -1, -1, -1)
    looked_up = F.grid_sample(teacher, grid, padding_mode="border", align_corners=False)[:, :, 0]  # [B, C, M]
    wanted = torch.stack([looked_up[hits.sample[i], :, i] for i in range(50)])
    torch.testing.assert_close(sample_bilinear(teacher, hits), wanted, atol=1e-5, rtol=1e-5)
    centre = sample_bilinear(teacher, hits_at([4.5], [1.5], [1.0], sample=[1]))
    torch.testing.assert_close(centre[0], teacher[1, :, 1, 4])


def test_other_kinds_of_local_loss():
    teacher = torch.zeros(1, 2, 2, 2)
    teacher[0, 0] = 1.0
    hits, features = hits_at([0.5], [0.5], [2.0]), torch.tensor([[0.0, 3.0]])
    assert local_alignment(teacher, features, hits, kind="mse").item() == pytest.approx((1 + 9) / 2 / 2)
    assert local_alignment(teacher, features, hits, kind="cosine").item() == pytest.approx(1 / 2)


def test_local_loss_without_a_voxel_in_view_is_zero():
    features = torch.ones(3, 2, requires_grad=True)
    loss = local_alignment(torch.ones(1, 2, 2, 2), features, hits_at([], [], []))
    loss.backward()
    assert loss.item() == 0 and torch.equal(features.grad, torch.zeros(3, 2))


# --- global alignment ---


def test_global_loss_worked_by_hand_and_without_invalid_scans():
    teacher = torch.tensor([[0.0, 0], [0, 0], [5, 5]])
    student = torch.tensor([[0.5, 2], [0, 0], [0, 0]], requires_grad=True)
    is_valid = torch.tensor([True, True, False])
    loss = global_alignment(teacher, student, is_valid)
    assert loss.item() == pytest.approx((0.125 + 1.5) / 4)
    loss.backward()
    assert student.grad[2].abs().max() == 0
    assert global_alignment(teacher, student, is_valid, kind="mse").item() == pytest.approx((0.25 + 4) / 4)
    assert global_alignment(teacher, student, torch.zeros(3, dtype=torch.bool)).item() == 0


# --- joint losses ---


def test_info_nce_equals_a_loop():
    a, b = random_unit(1), random_unit(2)
    positives, ignored = random_masks(3)

    def one_way(x, y, wanted, left_out):
        rows = []
        for i in range(len(x)):
            scores = {j: (x[i] @ y[j]).item() / 0.1 for j in range(len(y)) if not left_out[i, j]}
            total = math.log(sum(math.exp(score) for score in scores.values()))
            own = [total - scores[j] for j in scores if wanted[i, j]]
            rows += [sum(own) / len(own)] if own else []
        return sum(rows) / len(rows)

    wanted = (one_way(a, b, positives, ignored) + one_way(b, a, positives.T, ignored.T)) / 2
    assert info_nce(a, b, positives, ignored, 0.1).item() == pytest.approx(wanted, rel=1e-5)


def test_info_nce_with_one_positive_each_is_cross_entropy():
    a, b = random_unit(1), random_unit(2)
    eye = torch.eye(12, dtype=torch.bool)
    logits = a @ b.T / 0.07
    wanted = (F.cross_entropy(logits, torch.arange(12)) + F.cross_entropy(logits.T, torch.arange(12))) / 2
    torch.testing.assert_close(info_nce(a, b, eye, torch.zeros_like(eye), 0.07), wanted)


def test_ignored_pairs_pass_no_gradient_and_positives_win():
    a, b = random_unit(1, 3).requires_grad_(), random_unit(2, 3)
    positives, ignored = torch.eye(3, dtype=torch.bool), torch.zeros(3, 3, dtype=torch.bool)
    ignored[0, 1] = ignored[0, 2] = ignored[0, 0] = True
    (gradient,) = torch.autograd.grad(info_nce(a, b, positives, ignored, 0.1), a)
    by_columns = info_nce(a[1:], b, positives[1:], ignored[1:], 0.1)
    assert torch.isfinite(gradient).all() and torch.isfinite(by_columns)
    alone = info_nce(a[:1], b, positives[:1], ignored[:1], 0.1)  # row 0 is sure of its only candidate
    assert alone.item() == pytest.approx(0, abs=1e-6)


def test_no_positive_at_all_gives_zero_and_finite_gradients():
    a, b = random_unit(1, 4).requires_grad_(), random_unit(2, 4)
    none = torch.zeros(4, 4, dtype=torch.bool)
    for everything_ignored in (none, ~none):
        loss = info_nce(a, b, none, everything_ignored, 0.1)
        (gradient,) = torch.autograd.grad(loss, a)
        assert loss.item() == 0 and torch.isfinite(gradient).all()
        (gradient,) = torch.autograd.grad(multi_similarity(a, b, none, everything_ignored), a)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("margin", [None, 0.1])
def test_multi_similarity_equals_a_loop(margin):
    a, b = random_unit(1), random_unit(2)
    positives, ignored = random_masks(3)

    def one_way(x, y, wanted, left_out):
        total = 0.0
        for i in range(len(x)):
            near = [(x[i] @ y[j]).item() for j in range(len(y)) if wanted[i, j]]
            far = [(x[i] @ y[j]).item() for j in range(len(y)) if not wanted[i, j] and not left_out[i, j]]
            if margin is not None:
                near, far = (
                    [s for s in near if s < max(far, default=-math.inf) + margin],
                    [s for s in far if s > min(near, default=math.inf) - margin],
                )
            total += math.log1p(sum(math.exp(-2 * (s - 0.5)) for s in near)) / 2
            total += math.log1p(sum(math.exp(50 * (s - 0.5)) for s in far)) / 50
        return total / len(x)

    wanted = (one_way(a, b, positives, ignored) + one_way(b, a, positives.T, ignored.T)) / 2
    loss = multi_similarity(a, b, positives, ignored, mining_margin=margin)
    assert loss.item() == pytest.approx(wanted, rel=1e-4)


def test_multi_similarity_equals_pytorch_metric_learning():
    pytest.importorskip("pytorch_metric_learning", reason="pytorch-metric-learning is not installed")
    from pytorch_metric_learning import losses, miners

    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    a, b = random_unit(1, 8), random_unit(2, 8)
    positives = labels[:, None] == labels
    none = torch.zeros_like(positives)
    library, miner = losses.MultiSimilarityLoss(2, 50, 0.5), miners.MultiSimilarityMiner(0.1)
    ways = [
        library(x, labels, miner(x, labels, y, labels.clone()), ref_emb=y, ref_labels=labels.clone()).item()
        for x, y in itertools.permutations([a, b])
    ]
    assert multi_similarity(a, b, positives, none).item() == pytest.approx(sum(ways) / 2, rel=1e-4)
