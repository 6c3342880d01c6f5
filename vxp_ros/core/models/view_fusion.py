"""The fused descriptor of the view model: both sensors' maps, of any number of views, become one vector.

EINet's interactions (Xu et al., IROS 2024; our specification, section 2) on the view model's trunks: the camera paints
the LiDAR's picture, the LiDAR's depth taught the camera's trunk (in training), and a cross-modal transformer lets the
columns of all maps look at each other. It starts from the sensors' own descriptors; training can only add to them.

What each sensor tells is laid side by side, not added: of town-val's queries 90 % find their place so, and 86 % by the
sum (docs/LOG.md). A sensor that is missing leaves zeros, and the other's half is compared as it is.
"""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import nn

from .recipe import ViewRecipe

SENSORS = ("camera", "lidar")
PAINT = 4  # channels of the painted picture: red, green, blue, and whether a LiDAR point lies there
HEADS, DROPOUT = 4, 0.1
HARMONICS = 2


class FusedView(nn.Module):
    """Of B frames with V views each. camera, lidar: the networks whose maps it reads and whose heads it starts from.
    channels, columns: of their maps."""

    def __init__(
        self, camera: nn.Module, lidar: nn.Module, channels: int, columns: int, dimension: int, recipe: ViewRecipe
    ):
        super().__init__()
        width = recipe.tokens
        self.paint = Paint(channels)
        self.read = nn.ModuleDict({sensor: ColumnReader(channels, columns, width) for sensor in SENSORS})
        self.mix = nn.TransformerEncoderLayer(
            width, HEADS, 2 * width, DROPOUT, batch_first=True, norm_first=True, activation="gelu"
        )
        self.write = nn.ModuleDict({sensor: zeroed(nn.Linear(width, channels)) for sensor in SENSORS})
        self.trust = nn.ModuleDict({sensor: zeroed(nn.Linear(width, 1)) for sensor in SENSORS})
        self.norm, self.head = nn.ModuleDict(), nn.ModuleDict()
        self.start_from(camera, lidar)
        self.turn = zeroed(nn.Linear(2 * HARMONICS, dimension, bias=False))

    def start_from(self, camera: nn.Module, lidar: nn.Module) -> None:
        """Take over the sensors' own norms and heads."""
        for sensor, network in (("camera", camera), ("lidar", lidar)):
            self.norm[sensor], self.head[sensor] = deepcopy(network.norm), deepcopy(network.head)
            self.read[sensor].norm = deepcopy(network.norm)

    def forward(
        self,
        camera: torch.Tensor,
        lidar: torch.Tensor,
        painted: torch.Tensor,
        yaw: torch.Tensor,
        sees: torch.Tensor,
    ) -> torch.Tensor:
        """camera, lidar: [B, V, C, rows, columns] maps. painted: [B, V, 4, 4 rows, 4 columns]. yaw: [B, V] radians from
        ahead to where a view looks, left positive. sees: [B, V, 2] bool, whether camera and LiDAR gave something; what
        they gave otherwise does not matter. Returns [B, 2, D]: what cameras and LiDAR tell, summed over the views;
        zeros where they saw nothing."""
        painted = painted * sees.all(dim=2)[..., None, None, None]
        maps = {"camera": camera, "lidar": lidar + each_view(self.paint, painted)}
        tokens = torch.stack([each_view(self.read[sensor], maps[sensor]) for sensor in maps], dim=2)
        mixed = self.look_around(tokens, sees)  # [B, V, 2, columns, width]
        vectors = torch.stack(
            [self.describe(sensor, maps[sensor], mixed[:, :, i]) for i, sensor in enumerate(maps)], dim=2
        )
        vectors = vectors * (1 + self.turn(harmonics(yaw) - harmonics(torch.zeros_like(yaw))))[:, :, None]
        return torch.where(sees[..., None], vectors, 0.0).sum(dim=1)

    def look_around(self, tokens: torch.Tensor, sees: torch.Tensor) -> torch.Tensor:
        """tokens: [B, V, 2, columns, width]: all of a frame look at all others that were seen."""
        is_blind = ~sees[..., None].expand(tokens.shape[:4]).flatten(1)
        is_blind = is_blind & ~is_blind.all(dim=1, keepdim=True)  # nothing to look at is no number
        return self.mix(tokens.flatten(1, 3), src_key_padding_mask=is_blind).view(tokens.shape)

    def describe(self, sensor: str, maps: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """[B, V, D] from maps [B, V, C, rows, columns] and what their columns heard, [B, V, columns, width]."""
        heard = self.write[sensor](mixed).transpose(2, 3)[:, :, :, None]
        vectors = each_view(lambda features: self.head[sensor](self.norm[sensor](features)), maps + heard)
        return vectors * F.softplus(LINEAR_ONE + self.trust[sensor](mixed.mean(dim=2)))


LINEAR_ONE = 0.5413248546  # softplus of it is 1


def side_by_side(told: torch.Tensor) -> torch.Tensor:
    """[B, 2, D] -> descriptors [B, 2 D]: two halves of one length, unit vectors together, so that no sensor drowns the
    other (`trust` weighs views against each other then, no longer sensors). The half of a sensor that saw nothing is
    zero; where none did, NaN."""
    is_silent = ~told.any(dim=2).any(dim=1, keepdim=True)
    return (F.normalize(told, dim=2) / len(SENSORS) ** 0.5).flatten(1).masked_fill(is_silent, torch.nan)


def added(told: torch.Tensor) -> torch.Tensor:
    """[B, 2, D] -> unit vectors [B, D]: training compares these, so that a frame that lacks one sensor meets a frame
    that lacks the other."""
    total = told.sum(dim=1)
    return total / torch.linalg.vector_norm(total, dim=1, keepdim=True)


class Paint(nn.Module):
    """What the LiDAR's map gains from colour: [B, 4, 4 rows, 4 columns] -> [B, channels, rows, columns]; 0 at first."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(PAINT, 32, 3, 2, 1, bias=False), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1, bias=False), nn.ReLU()
        )
        self.out = zeroed(nn.Conv2d(64, channels, 1, bias=False))

    def forward(self, painted: torch.Tensor) -> torch.Tensor:
        return self.out(self.layers(painted))


class ColumnReader(nn.Module):
    """One token per column, the strongest of its rows: [B, C, rows, columns] -> [B, columns, width]. A simple VertConv
    (LCPR, Zhou et al., RA-L 2024)."""

    def __init__(self, channels: int, columns: int, width: int):
        super().__init__()
        self.norm, self.layer = nn.BatchNorm2d(channels), nn.Conv2d(channels, width, 1)
        self.place = nn.Parameter(torch.zeros(columns, width))
        nn.init.normal_(self.place, std=0.02)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layer(self.norm(features)).amax(dim=2).transpose(1, 2) + self.place


def in_colour(colours: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """LiDAR pictures in the camera's colours. colours: [B, V, 3, rows, columns], the image with a pixel per cell of
    pictures [B, V, 4, rows, columns]. Returns [B, V, 4, rows, columns], zero where no point lies."""
    mask = pictures[:, :, :1]
    return torch.cat([colours * mask, mask], dim=2)


def each_view(function, views: torch.Tensor) -> torch.Tensor:
    """A function of [N, ...] on [B, V, ...]."""
    out = function(views.flatten(0, 1))
    return out.view(*views.shape[:2], *out.shape[1:])


def harmonics(angle: torch.Tensor) -> torch.Tensor:
    """[...] -> [..., 2 HARMONICS]."""
    angles = torch.stack([(i + 1) * angle for i in range(HARMONICS)], dim=-1)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def zeroed(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
