"""What the two fused networks share: camera strips side by side, and maps squeezed to one token per column."""

import torch
from torch import nn


def side_by_side(maps: torch.Tensor, cameras: int) -> torch.Tensor:
    """[B * cameras, C, h, w] -> [B, C, h, cameras * w], the strips in the order of the cameras."""
    batch = len(maps) // cameras
    return maps.unflatten(0, (batch, cameras)).permute(0, 2, 3, 1, 4).flatten(3)


def apart(panorama: torch.Tensor, cameras: int) -> torch.Tensor:
    """The inverse of `side_by_side`; the panorama may have one row for all."""
    return panorama.unflatten(3, (cameras, -1)).permute(0, 3, 1, 2, 4).flatten(0, 1)


def check_sizes(images: torch.Tensor, range_image: torch.Tensor) -> None:
    """images: [B, N, 3, H, W]. range_image: [B, C, rows, columns]. Raises ValueError unless their columns meet."""
    cameras, height, width, columns = images.shape[1], *images.shape[3:], range_image.shape[3]
    if height % 32 or width % 32 or columns * 4 != cameras * width:
        raise ValueError(
            f"{cameras} images of {height} x {width} do not meet a range image of {columns} columns: it must have "
            f"{cameras} * {width} / 4 = {cameras * width // 4} columns, and images be made of multiples of 32"
        )


class VerticalSqueeze(nn.Module):
    """A map [B, C, h, w] -> one vector per column [B, out, w]: LCPR's vertical compression (section 2.4).

    is_circle: the convolutions along the columns close to a circle; else they end in zeros.
    """

    def __init__(self, channels: int, middle: int, out: int, is_circle: bool):
        super().__init__()
        self.weigh = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.Sigmoid(), nn.Conv2d(channels, channels, 1))
        self.narrow = column_layer(channels, middle, 1, is_circle)
        self.along = nn.Sequential(
            column_layer(middle, middle, 3, is_circle), column_layer(middle, middle, 3, is_circle)
        )
        self.widen = column_layer(middle, out, 1, is_circle, bias=True)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        columns = self.narrow(self.weigh(features).amax(dim=2))
        return self.widen(columns + self.along(columns))


def column_layer(channels: int, out: int, kernel: int, is_circle: bool, bias: bool = False) -> nn.Sequential:
    mode = "circular" if is_circle else "zeros"
    convolution = nn.Conv1d(channels, out, kernel, padding=kernel // 2, bias=bias, padding_mode=mode)
    return nn.Sequential(convolution, nn.BatchNorm1d(out), nn.ReLU())
