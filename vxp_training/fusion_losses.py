"""What EINet minimises (section 3.1 of our specification): a lazy triplet on descriptors, and depth as LiDAR saw it.

L = lazy_triplet + lambda * depth_loss, with lambda 0.1.
"""

import torch
import torch.nn.functional as F

from .depth_decoder import depth_of

MARGIN = 0.5


def lazy_triplet(
    queries: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, margin: float = MARGIN
) -> torch.Tensor:
    """The worst of each tuple: its farthest positive against its nearest negative, on squared L2; mean over tuples.

    queries: [Q, D]. positives: [Q, P, D]. negatives: [Q, N, D]. 0 for tuples whose negatives are all farther than the
    farthest positive by the margin.
    """
    to_positives = (queries[:, None] - positives).square().sum(dim=2)  # [Q, P]
    to_negatives = (queries[:, None] - negatives).square().sum(dim=2)  # [Q, N]
    return F.relu(margin + to_positives.amax(dim=1) - to_negatives.amin(dim=1)).mean()


def depth_loss(shares: list[torch.Tensor], depth: torch.Tensor) -> torch.Tensor:
    """Mean over the scales of the mean over valid pixels of |log predicted - log true|.

    shares: per scale [B, 1, rows, columns], as `DepthDecoder` gives them; enlarged to the size of `depth` [B, H, W]
    metres, which has 0 where the LiDAR saw nothing and is never interpolated. Without a valid pixel 0.
    """
    row = depth.flatten().nonzero()[:, 0]
    if len(row) == 0:
        return sum(share.sum() for share in shares) * 0.0
    wanted = depth.flatten()[row].log()
    return sum(log_error(share, depth.shape[1:], row, wanted) for share in shares) / len(shares)


def log_error(share: torch.Tensor, size: torch.Size, row: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """row: [P] which pixels of the enlarged maps, flat over the batch. wanted: [P] log metres."""
    large = F.interpolate(share.float(), tuple(size), mode="bilinear")
    return (depth_of(large.flatten()[row]).log() - wanted).abs().mean()
