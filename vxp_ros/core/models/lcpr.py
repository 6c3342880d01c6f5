"""LCPR (Zhou et al., RA-L 2024): a ring of cameras and a range image, fused at four scales into one descriptor.

Two ResNet paths run side by side. After each stage both maps are squeezed to one token per column, all tokens attend to
each other, and what each column learnt is added to all its rows.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ..datatypes import Frame
from ..preprocessing.rig import rig_inputs
from .netvlad import NetVlad
from .panorama import VerticalSqueeze, apart, check_sizes, side_by_side
from .recipe import Recipe
from .resnet import WIDTHS, ResNet18, Stages

HEADS = 4
FINAL = 256  # channels of the tokens that NetVLAD sees


class Lcpr(nn.Module):
    """images: [B, N, 3, H, W] float32, normalised, clockwise. range_image: [B, 1, rows, N * W / 4].

    Returns unit descriptors [B, D]. Raises ValueError for sizes that do not meet.
    """

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe = recipe
        is_circle = not recipe.paper_compat.lcpr_zero_pad
        self.backbone = ResNet18()
        self.scan_stem = nn.Conv2d(recipe.scan_channels, WIDTHS[0], 1)
        self.scan_stages = Stages(is_circle)
        self.fusions = nn.ModuleList([ColumnFusion(width, is_circle) for width in WIDTHS])
        self.squeezes = nn.ModuleList([VerticalSqueeze(WIDTHS[-1], FINAL, FINAL, is_circle) for _ in range(2)])
        pooling = (FINAL, recipe.rig.clusters, recipe.dimension // 2, recipe.paper_compat.lcpr_unused_bn)
        self.poolings = nn.ModuleList([NetVlad(*pooling) for _ in range(2)])
        self.gate = ChannelGate()

    def forward(self, images: torch.Tensor, range_image: torch.Tensor) -> torch.Tensor:
        check_sizes(images, range_image)
        pictures, scan = self.backbone.stem(images.flatten(0, 1))[1], self.scan_stem(range_image)
        pictures, scan = self.fusions[0](pictures, scan)
        for i, name in enumerate(("layer2", "layer3", "layer4"), start=1):
            pictures, scan = getattr(self.backbone, name)(pictures), getattr(self.scan_stages, name)(scan)
            pictures, scan = self.fusions[i](pictures, scan)
        maps = (side_by_side(pictures, images.shape[1]), scan)
        tokens = [squeeze(features).transpose(1, 2) for squeeze, features in zip(self.squeezes, maps, strict=True)]
        vectors = [pooling(sequence) for pooling, sequence in zip(self.poolings, tokens, strict=True)]
        return F.normalize(self.gate(torch.cat(vectors, dim=1)), dim=1)

    def prepare_frame(self, frame: Frame, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        """What `fuse` wants of one frame. Raises BadInput."""
        return rig_inputs(frame, self.recipe, device)

    def fuse(self, images: torch.Tensor, range_image: torch.Tensor) -> torch.Tensor:
        """Descriptors of what `prepare_frame` made."""
        return self(images, range_image)


class ColumnFusion(nn.Module):
    """Adds to every column of both maps what it learnt from all columns of both (section 2.4, "Fusion")."""

    def __init__(self, channels: int, is_circle: bool):
        super().__init__()
        self.squeezes = nn.ModuleList([VerticalSqueeze(channels, channels // 2, channels, is_circle) for _ in range(2)])
        self.attention = nn.MultiheadAttention(channels, HEADS, batch_first=True)

    def forward(self, pictures: torch.Tensor, scan: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """pictures: [B * N, C, h, w]. scan: [B, C, rows, N * w]. Returns both, of the same shapes."""
        cameras = len(pictures) // len(scan)
        maps = (side_by_side(pictures, cameras), scan)
        tokens = torch.cat([squeeze(features) for squeeze, features in zip(self.squeezes, maps, strict=True)], dim=2)
        tokens = tokens.transpose(1, 2)  # [B, 2 * N * w, C]
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        of_pictures, of_scan = tokens.transpose(1, 2)[:, :, None].chunk(2, dim=3)  # each [B, C, 1, N * w]
        return pictures + apart(of_pictures, cameras), scan + of_scan


class ChannelGate(nn.Module):
    """ECA (Wang et al., CVPR 2020) on a vector [B, D]: each number weighed by itself and its two neighbours."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors * self.conv(vectors[:, None])[:, 0].sigmoid()
