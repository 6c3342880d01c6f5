"""NetVLAD (Arandjelovic et al., CVPR 2016) with context gating, as PointNetVLAD and LCPR use it."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class NetVlad(nn.Module):
    """Many features [B, T, C] -> one vector [B, out]: what is left of them around each of some learnt clusters.

    has_unused_norm: keep a BatchNorm that is never applied, as the release of LCPR does, so that its weights load.
    """

    def __init__(self, channels: int, clusters: int, out: int, has_unused_norm: bool = False):
        super().__init__()
        self.assign = nn.Parameter(torch.randn(channels, clusters) / math.sqrt(channels))
        self.assign_norm = nn.BatchNorm1d(clusters)
        self.centres = nn.Parameter(torch.randn(channels, clusters) / math.sqrt(channels))
        self.project = nn.Parameter(torch.randn(channels * clusters, out) / math.sqrt(channels))
        self.unused_norm = nn.BatchNorm1d(out) if has_unused_norm else None
        self.gate = nn.Parameter(torch.randn(out, out) / math.sqrt(out))
        self.gate_norm = nn.BatchNorm1d(out)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        shares = self.assign_norm((features @ self.assign).transpose(1, 2)).softmax(dim=1)  # [B, K, T]
        residuals = (shares @ features).transpose(1, 2) - shares.sum(dim=2)[:, None] * self.centres  # [B, C, K]
        bag = F.normalize(F.normalize(residuals, dim=1).flatten(1), dim=1)
        vector = bag @ self.project
        return vector * self.gate_norm(vector @ self.gate).sigmoid()
