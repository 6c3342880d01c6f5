"""What training minimises. VXP's three losses (Li et al., 3DV 2025, sections 3.2 to 3.4 of our specification), their
alternatives, and two losses for branches that are trained together.

Everything here is a function of tensors of one batch; which pairs count as the same place is the caller's to say.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from vxp_ros.core.preprocessing.projection import CellHits

KINDS = ("smooth_l1", "mse", "cosine")
MARGIN = 0.3


class TripletLoss(NamedTuple):
    """loss: scalar. mined: triplets looked at, one per anchor with both kinds. non_zero: those inside the margin."""

    loss: torch.Tensor
    mined: int
    non_zero: int


def batch_hard_triplet(
    descriptors: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, margin: float = MARGIN
) -> TripletLoss:
    """Triplet loss on plain L2 with the batch's hardest positive and negative, "swap", averaged over what is not zero.

    descriptors: [B, D]. positives, negatives: [B, B] bool, row = anchor; a pair may be neither. An anchor needs both
    kinds. The swap (Balntas et al., 2016) takes the negative's distance to the positive where that is smaller.
    """
    anchor, positive, negative = hardest(descriptors.detach(), positives, negatives)
    to_positive = distance(descriptors[anchor], descriptors[positive])
    to_negative = torch.minimum(
        distance(descriptors[anchor], descriptors[negative]), distance(descriptors[positive], descriptors[negative])
    )
    values = F.relu(to_positive - to_negative + margin)  # [anchors]
    non_zero = int((values > 0).sum())
    return TripletLoss(values.sum() / max(non_zero, 1), len(anchor), non_zero)


def hardest(descriptors: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor):
    """Rows (anchors, their farthest positives, their nearest negatives), each [A] int64, of anchors with both kinds."""
    distances = torch.cdist(descriptors, descriptors, compute_mode="donot_use_mm_for_euclid_dist")
    anchor = (positives.any(dim=1) & negatives.any(dim=1)).nonzero()[:, 0]
    farthest = distances.masked_fill(~positives, -1.0)[anchor].argmax(dim=1)
    nearest = distances.masked_fill(~negatives, torch.inf)[anchor].argmin(dim=1)
    return anchor, farthest, nearest


def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """L2 between rows of [N, D]: [N]. Where they are equal the gradient is 0."""
    return torch.linalg.vector_norm(a - b, dim=1)


def local_alignment(
    teacher: torch.Tensor,
    features: torch.Tensor,
    hits: CellHits,
    *,
    kind: str = "smooth_l1",
    depth_weight: bool = True,
    nearest_cell: bool = False,
) -> torch.Tensor:
    """How far each voxel's feature is from the image's feature where the camera sees the voxel; near voxels count more.

    teacher: [B, C, rows, columns], the image network's map. features: [N, C] of all voxels; hits: the M in view.
    Sum over voxels of 1 / depth (in 1 / metres, not renormalised) times the mean over channels, divided by M.
    nearest_cell: look up the cell instead of interpolating between cells, as the authors' release does.
    """
    wanted = (sample_cell if nearest_cell else sample_bilinear)(teacher, hits)  # [M, C]
    values = element_loss(features[hits.row].float(), wanted.float(), kind)  # [M]
    if depth_weight:
        values = values * hits.inverse_depth
    return values.sum() / max(len(values), 1)


def global_alignment(
    teacher: torch.Tensor, student: torch.Tensor, is_valid: torch.Tensor, *, kind: str = "smooth_l1"
) -> torch.Tensor:
    """Mean over samples and dimensions of the difference of two descriptors. teacher, student: [B, D].

    is_valid: [B] bool; scans without a voxel in view have no descriptor and do not count.
    """
    values = element_loss(student[is_valid].float(), teacher[is_valid].float(), kind)
    return values.sum() / max(len(values), 1)


def element_loss(values: torch.Tensor, wanted: torch.Tensor, kind: str) -> torch.Tensor:
    """Per row of [N, C], mean over C: [N]. cosine: one minus the cosine of the two rows."""
    if kind == "cosine":
        return 1 - F.cosine_similarity(values, wanted, dim=1)
    function = {"smooth_l1": F.smooth_l1_loss, "mse": F.mse_loss}[kind]
    return function(values, wanted, reduction="none").mean(dim=1)


def sample_cell(features: torch.Tensor, hits: CellHits) -> torch.Tensor:
    """The cell that each hit lies in. features: [B, C, rows, columns]. Returns [M, C]."""
    return features[hits.sample, :, hits.v.long(), hits.u.long()]


def sample_bilinear(features: torch.Tensor, hits: CellHits) -> torch.Tensor:
    """Between the four nearest cell centres, at (column + 0.5, row + 0.5); constant beyond the outer centres."""
    rows, columns = features.shape[2:]
    u, v = (hits.u - 0.5).clamp(0, columns - 1), (hits.v - 0.5).clamp(0, rows - 1)
    left, top = u.floor().long(), v.floor().long()
    right, bottom = (left + 1).clamp(max=columns - 1), (top + 1).clamp(max=rows - 1)
    x, y = (u - left)[:, None], (v - top)[:, None]
    upper = torch.lerp(features[hits.sample, :, top, left], features[hits.sample, :, top, right], x)
    lower = torch.lerp(features[hits.sample, :, bottom, left], features[hits.sample, :, bottom, right], x)
    return torch.lerp(upper, lower, y)


def info_nce(
    a: torch.Tensor, b: torch.Tensor, positives: torch.Tensor, ignored: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Symmetric contrastive loss between two branches, with any number of positives per row.

    a, b: [B, D], rows of length 1. positives: [B, B] bool, a's row against b's row. ignored: [B, B] bool, pairs that
    are neither the same place nor surely another one; positives win over it. Per row: mean over its positives of
    -log softmax over all that is not ignored (Khosla et al., 2020, their L_out); rows without a positive do not count.
    """
    logits = (a @ b.T).float() / temperature
    logits = logits.masked_fill(ignored & ~positives, -torch.inf)
    return (_row_nce(logits, positives) + _row_nce(logits.T, positives.T)) / 2


def _row_nce(logits: torch.Tensor, positives: torch.Tensor) -> torch.Tensor:
    counts = positives.sum(dim=1)
    log_share = torch.where(positives, F.log_softmax(logits, dim=1), 0.0)
    per_row = -log_share.sum(dim=1) / counts.clamp(min=1)
    return per_row.sum() / (counts > 0).sum().clamp(min=1)


def multi_similarity(
    a: torch.Tensor,
    b: torch.Tensor,
    positives: torch.Tensor,
    ignored: torch.Tensor,
    *,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
    mining_margin: float | None = 0.1,
) -> torch.Tensor:
    """Multi-similarity loss (Wang et al., CVPR 2019) between two branches, both ways; arguments as `info_nce`.

    mining_margin: use only positives less similar than the row's best negative plus this, and negatives more similar
    than its worst positive minus this; None: all pairs.
    """
    similarity = (a @ b.T).float()
    negatives = ~positives & ~ignored
    both = [(similarity, positives, negatives), (similarity.T, positives.T, negatives.T)]
    return sum(_row_similarity(*each, alpha, beta, base, mining_margin) for each in both) / 2


def _row_similarity(similarity, positives, negatives, alpha: float, beta: float, base: float, margin: float | None):
    if margin is not None:
        positives, negatives = _informative(similarity.detach(), positives, negatives, margin)
    pull = _soft_sum(-alpha * (similarity - base), positives) / alpha
    push = _soft_sum(beta * (similarity - base), negatives) / beta
    return (pull + push).mean()


def _informative(similarity, positives, negatives, margin: float):
    worst_positive = similarity.masked_fill(~positives, torch.inf).amin(dim=1, keepdim=True)
    best_negative = similarity.masked_fill(~negatives, -torch.inf).amax(dim=1, keepdim=True)
    return positives & (similarity < best_negative + margin), negatives & (similarity > worst_positive - margin)


def _soft_sum(exponents: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Per row log(1 + sum of exp over the mask), 0 for an empty mask."""
    masked = exponents.masked_fill(~mask, -torch.inf)
    return torch.logsumexp(F.pad(masked, (1, 0), value=0.0), dim=1)
