"""ResNet-18 (He et al., CVPR 2016) without its classifier; tensor names as in torchvision's published weights.

`Stages` is a ResNet without its beginning, for scans: layers 2 to 4, with columns that close to a circle.
"""

import copy
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = (64, 128, 256, 512)  # channels of the four stages; each but the first halves rows and columns


class ResNet18(nn.Module):
    """[B, 3, H, W] -> [B, 512, H / 32, W / 32]."""

    channels, stride = WIDTHS[-1], 32
    unused_tensors = ("fc.",)

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = make_layer(WIDTHS[0], WIDTHS[0], 1)
        self.layer2 = make_layer(WIDTHS[0], WIDTHS[1], 2)
        self.layer3 = make_layer(WIDTHS[1], WIDTHS[2], 2)
        self.layer4 = make_layer(WIDTHS[2], WIDTHS[3], 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.taps(images)[-1]

    def stem(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The maps [B, 64, H / 2, W / 2] before and [B, 64, H / 4, W / 4] after the pooling and the first stage."""
        first = F.relu(self.bn1(self.conv1(images)))
        return first, self.layer1(F.max_pool2d(first, 3, 2, 1))

    def taps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Five maps, of 64, 64, 128, 256 and 512 channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size."""
        maps = [*self.stem(images)]
        for layer in (self.layer2, self.layer3, self.layer4):
            maps.append(layer(maps[-1]))
        return maps

    @staticmethod
    def packaged_weights() -> Path | None:
        return None  # no registry carries them

    def published_state(self) -> dict[str, torch.Tensor]:
        return self.state_dict()

    def load_published_state(self, tensors: dict[str, torch.Tensor]) -> None:
        self.load_state_dict(tensors)


class Stages(nn.Module):
    """Layers 2 to 4 of a ResNet-18 for a map that is a full turn: [B, 64, rows, columns], an eighth of both at the end.

    is_circle: the first column's neighbour is the last one; else the map ends in zeros, as an image does.
    """

    def __init__(self, is_circle: bool):
        super().__init__()
        self.layer2 = make_layer(WIDTHS[0], WIDTHS[1], 2, is_circle)
        self.layer3 = make_layer(WIDTHS[1], WIDTHS[2], 2, is_circle)
        self.layer4 = make_layer(WIDTHS[2], WIDTHS[3], 2, is_circle)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layer4(self.layer3(self.layer2(features)))

    def start_from(self, trunk: ResNet18) -> None:
        """Take over the trunk's weights of the same layers."""
        for name in ("layer2", "layer3", "layer4"):
            getattr(self, name).load_state_dict(copy.deepcopy(getattr(trunk, name).state_dict()))


def make_layer(channels: int, out: int, stride: int, is_circle: bool = False) -> nn.Sequential:
    """One stage: two basic blocks."""
    return nn.Sequential(BasicBlock(channels, out, stride, is_circle), BasicBlock(out, out, 1, is_circle))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a short cut."""

    def __init__(self, channels: int, out: int, stride: int, is_circle: bool):
        super().__init__()
        convolution = CircleConv2d if is_circle else nn.Conv2d
        self.conv1, self.bn1 = convolution(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = convolution(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample = None
        if stride > 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        body = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(features)))))
        short = features if self.downsample is None else self.downsample(features)
        return F.relu(body + short)


class CircleConv2d(nn.Conv2d):
    """3 x 3 convolution of a panorama: columns close to a circle, rows end in zeros."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        closed = F.pad(features, (1, 1, 0, 0), mode="circular")
        return F.conv2d(closed, self.weight, self.bias, self.stride, (1, 0))
