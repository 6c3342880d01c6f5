"""Generalised-mean pooling and the linear head: many local features become one global descriptor."""

import torch
from torch import nn

EPSILON = 1e-6  # smaller (also negative) activations count as this


class GemHead(nn.Module):
    """GeM with one learnable power, then a linear layer; no normalisation."""

    def __init__(self, channels: int, dimension: int):
        super().__init__()
        self.p = nn.Parameter(torch.tensor([3.0]))
        self.dense_head = nn.Linear(channels, dimension)
        nn.init.zeros_(self.dense_head.bias)  # a constant in every descriptor would only hide the rest

    def pool_map(self, features: torch.Tensor) -> torch.Tensor:
        """Pool every position of a feature map. features: [B, C, h, w]. Returns [B, D]."""
        mean = features.clamp(min=EPSILON).pow(self.p).mean(dim=(2, 3))  # [B, C]
        return self.dense_head(mean.pow(1 / self.p))

    def pool_sets(self, features: torch.Tensor, sample: torch.Tensor, batch_size: int):
        """Pool the features that belong to one sample. features: [N, C]. sample: [N] int64, which row of the batch.

        Returns (descriptors [B, D], is_valid [B] bool). A sample without features is a zero row, not valid; it passes
        no gradient (the mean of nothing would be NaN).
        """
        powers = features.clamp(min=EPSILON).pow(self.p)  # [N, C]
        sums = powers.new_zeros(batch_size, features.shape[1]).index_add(0, sample, powers)
        counts = torch.bincount(sample, minlength=batch_size)[:, None]  # [B, 1]
        is_valid = counts > 0
        mean = torch.where(is_valid, sums / counts.clamp(min=1), 1.0)
        vectors = self.dense_head(mean.pow(1 / self.p))
        return torch.where(is_valid, vectors, 0.0), is_valid[:, 0]
