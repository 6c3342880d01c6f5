"""EINet's depth head (section 2.3 of our specification): in training it reads the depth off the image trunk's maps, so
that the trunk learns geometry from the LiDAR. It is no part of the model that is saved."""

import torch
import torch.nn.functional as F
from torch import nn

NEAREST_M, FARTHEST_M = 1.0, 80.0
TAPS = (64, 64, 128, 256, 512)  # channels of ResNet-18's maps at 1/2 to 1/32 of the size
WIDTHS = (256, 128, 64, 32, 16)  # of the five steps, from 1/16 to the full size
PREDICTED = 4  # the last so many steps say a depth


class DepthDecoder(nn.Module):
    """A U-Net decoder. taps: five maps of B images as `ResNet18.taps`.

    Returns inverse depth as a share s in (0, 1), [B, 1, rows, columns] at 1/8, 1/4, 1/2 and all of the images' size;
    `depth_of` makes metres of it.
    """

    def __init__(self):
        super().__init__()
        beside = [*TAPS[-2::-1], 0]  # the tap of each step's size; the full size has none
        steps = zip((TAPS[-1], *WIDTHS), WIDTHS, beside, strict=False)
        self.steps = nn.ModuleList([Step(channels, out, tap) for channels, out, tap in steps])
        self.heads = nn.ModuleList([nn.Conv2d(width, 1, 3, padding=1) for width in WIDTHS[-PREDICTED:]])

    def forward(self, taps: list[torch.Tensor]) -> list[torch.Tensor]:
        features, shares = taps[-1], []
        for i, step in enumerate(self.steps):
            features = step(features, taps[-2 - i] if i < len(taps) - 1 else None)
            if i > len(self.steps) - PREDICTED - 1:
                shares.append(self.heads[len(shares)](features).sigmoid())
        return shares


class Step(nn.Module):
    """Twice the size: convolution, enlarge, put the trunk's map beside, convolution."""

    def __init__(self, channels: int, out: int, tap: int):
        super().__init__()
        self.narrow, self.mix = nn.Conv2d(channels, out, 3, padding=1), nn.Conv2d(out + tap, out, 3, padding=1)

    def forward(self, features: torch.Tensor, tap: torch.Tensor | None) -> torch.Tensor:
        features = F.interpolate(F.elu(self.narrow(features)), scale_factor=2, mode="nearest")
        return F.elu(self.mix(features if tap is None else torch.cat([features, tap], dim=1)))


def depth_of(share: torch.Tensor) -> torch.Tensor:
    """Metres, 80 for 0 and 1 for 1."""
    return 1 / (1 / FARTHEST_M + (1 / NEAREST_M - 1 / FARTHEST_M) * share)
