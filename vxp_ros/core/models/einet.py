"""EINet (Xu et al., IROS 2024) as we build it: cameras and LiDAR tell each other what the other lacks.

The cameras' colours are painted on the range image, and in training the LiDAR's depth teaches the image trunk (a head
that lives in vxp_training and is gone afterwards). One transformer layer lets all columns of both attend to each other.
The authors' network is not published: what is fixed here and what is our choice is told in docs/benchmark.md.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ..datatypes import Frame
from ..preprocessing.rig import rig_inputs
from .netvlad import NetVlad
from .panorama import VerticalSqueeze, check_sizes, side_by_side
from .recipe import Recipe
from .resnet import WIDTHS, ResNet18, Stages

WIDTH, HEADS = 256, 4


class Einet(nn.Module):
    """images: [B, N, 3, H, W] float32, normalised, clockwise. range_image: [B, channels, rows, N * W / 4].

    A network of one sensor, for comparison, ignores the other's input, which may be None. Returns unit descriptors
    [B, D]. Raises ValueError for sizes that do not meet.
    """

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe = recipe
        sensors = [sensor for sensor in ("camera", "lidar") if recipe.modalities[0] in (sensor, "fused")]
        out = recipe.dimension // len(sensors)
        self.backbone = ResNet18() if "camera" in sensors else None
        self.scan_stem = nn.Conv2d(recipe.scan_channels, WIDTHS[0], 1) if "lidar" in sensors else None
        self.scan_stages = Stages(is_circle=True) if "lidar" in sensors else None
        self.branches = nn.ModuleDict({sensor: Branch() for sensor in sensors})
        self.transformer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.1, batch_first=True, norm_first=True)
        self.poolings = nn.ModuleDict({sensor: NetVlad(WIDTH, recipe.rig.clusters, out) for sensor in sensors})

    def forward(self, images: torch.Tensor | None, range_image: torch.Tensor | None) -> torch.Tensor:
        if self.backbone and self.scan_stages:
            check_sizes(images, range_image)
        maps = self.backbone(images.flatten(0, 1)).unflatten(0, images.shape[:2]) if self.backbone else None
        return self.describe(maps, range_image)

    def prepare_frame(self, frame: Frame, device: str) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """What `fuse` wants of one frame. Raises BadInput."""
        return rig_inputs(frame, self.recipe, device)

    def fuse(self, images: torch.Tensor | None, range_image: torch.Tensor | None) -> torch.Tensor:
        """Descriptors of what `prepare_frame` made."""
        return self(images, range_image)

    def describe(self, image_maps: torch.Tensor | None, range_image: torch.Tensor | None) -> torch.Tensor:
        """Descriptors from the image trunk's last maps [B, N, 512, h, w] and range images."""
        panoramas = {}
        if self.backbone:
            panoramas["camera"] = side_by_side(image_maps.flatten(0, 1), image_maps.shape[1])
        if self.scan_stages:
            panoramas["lidar"] = self.scan_stages(self.scan_stem(range_image))
        tokens = [self.branches[sensor](panorama) for sensor, panorama in panoramas.items()]
        mixed = self.transformer(torch.cat(tokens, dim=1))
        parts = mixed.split([sequence.shape[1] for sequence in tokens], dim=1)
        vectors = [self.poolings[sensor](part) for sensor, part in zip(panoramas, parts, strict=True)]
        return F.normalize(torch.cat(vectors, dim=1), dim=1)


class Branch(nn.Module):
    """The panorama of one sensor as tokens [B, columns, 256] that say which sensor they are from."""

    def __init__(self):
        super().__init__()
        self.squeeze = VerticalSqueeze(WIDTHS[-1], WIDTH, WIDTH, is_circle=True)
        self.sensor = nn.Parameter(0.02 * torch.randn(1, WIDTH))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.squeeze(features).transpose(1, 2) + self.sensor
