"""VXP's two networks (Li et al., 3DV 2025): images and LiDAR scans meet in one descriptor space.

ImageNetwork: trunk, GeM, linear. LidarNetwork: voxel features, sparse convolutions, projection into the camera's image,
GeM over what the camera would see, linear.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..errors import ModelError
from ..preprocessing.pointcloud import Voxels, voxelise
from ..preprocessing.projection import CellHits, project
from .backbones import make_backbone
from .pooling import GemHead
from .recipe import LidarRecipe, PaperCompat, Recipe
from .sparse import SparseConv3d, SparseVoxels, default_backend


class Vxp(nn.Module):
    """Both networks of a recipe; one that its `modalities` leave out is None."""

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.camera = ImageNetwork(recipe) if "camera" in recipe.modalities else None
        self.lidar = LidarNetwork(recipe) if "lidar" in recipe.modalities else None
        if self.camera and self.lidar:
            _check_alignment(recipe, self.camera.backbone)


def _check_alignment(recipe: Recipe, backbone: nn.Module) -> None:
    """Voxels are trained to equal the image feature of their cell: both grids and both widths must agree."""
    map_size = [n // backbone.stride for n in recipe.image.size]
    if map_size != recipe.lidar.cells or recipe.lidar.channels[-1] != backbone.channels:
        raise ModelError(
            f"{recipe.name}: the image network's map has {map_size} cells of {backbone.channels} channels, but "
            f"lidar.cells is {recipe.lidar.cells} and the last of lidar.channels {recipe.lidar.channels[-1]}"
        )


class ImageNetwork(nn.Module):
    """Teacher. images: [B, 3, rows, columns] float32, normalised. Returns descriptors [B, D] float32."""

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.backbone = make_backbone(recipe.image.backbone)
        self.pooling = GemHead(self.backbone.channels, recipe.dimension)
        self.normalise = recipe.normalise
        if any(n % self.backbone.stride for n in recipe.image.size):
            raise ModelError(f"image.size {recipe.image.size} must be made of multiples of {self.backbone.stride}")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.describe_map(self.feature_map(images))

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        """[B, C, rows, columns of cells]; may be signed."""
        return self.backbone(images)

    def describe_map(self, features: torch.Tensor) -> torch.Tensor:
        vectors = self.pooling.pool_map(features)
        return F.normalize(vectors, dim=1) if self.normalise else vectors


@dataclass(frozen=True)
class VoxelBatch:
    """The voxels of B scans, one scan after the other.

    points: [P, 3] float32. counts: [V] int64, points per voxel. indices: [V, 4] int32 (sample, z, y, x).
    """

    points: torch.Tensor
    counts: torch.Tensor
    indices: torch.Tensor
    batch_size: int

    @classmethod
    def collate(cls, scans: list[Voxels], device: str | torch.device = "cpu") -> "VoxelBatch":
        indices = [np.insert(scan.coordinates, 0, i, axis=1) for i, scan in enumerate(scans)]
        arrays = ([scan.points for scan in scans], [scan.counts for scan in scans], indices)
        return cls(*(torch.from_numpy(np.concatenate(parts)).to(device) for parts in arrays), len(scans))


class LidarDescriptors(NamedTuple):
    """vectors: [B, D] float32. is_valid: [B] bool; a scan without a voxel in view has a zero vector and False."""

    vectors: torch.Tensor
    is_valid: torch.Tensor


class LidarNetwork(nn.Module):
    """Student. Describes scans as a camera with the given intrinsics at the view frame's origin would be."""

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe, self.compat, self.normalise = recipe.lidar, recipe.paper_compat, recipe.normalise
        self.voxel_feat_ext = VoxelFeatureExtractor(recipe.lidar, recipe.paper_compat)
        self.gem = GemHead(recipe.lidar.channels[-1], recipe.dimension)

    def prepare(self, points: np.ndarray, intrinsics: np.ndarray, device: str) -> tuple[VoxelBatch, torch.Tensor]:
        """What `forward` wants of one scan. points: [N, 3 or more] x y z in the view frame. intrinsics: [4]."""
        batch = VoxelBatch.collate([voxelise(points, self.recipe, self.compat.voxel_cap_scan_order)], device)
        return batch, torch.tensor(intrinsics[None], dtype=torch.float32, device=device)

    def forward(self, batch: VoxelBatch, intrinsics: torch.Tensor) -> LidarDescriptors:
        """intrinsics: [B, 4], fx / width, fy / height, cx / width, cy / height of each scan's camera."""
        voxels = self.voxel_feat_ext(batch)
        return self.describe_hits(voxels.features, self.project(voxels.indices, intrinsics), batch.batch_size)

    def project(self, indices: torch.Tensor, intrinsics: torch.Tensor) -> CellHits:
        """Which coarse voxels the camera sees, and in which cell."""
        compat = self.compat
        return project(
            indices, intrinsics, self.recipe, stretched=compat.coarse_centre_stretched, zbuffer=not compat.no_zbuffer
        )

    def describe_hits(self, features: torch.Tensor, hits: CellHits, batch_size: int) -> LidarDescriptors:
        """Pool the features [N, C] of the voxels in view."""
        vectors, is_valid = self.gem.pool_sets(features[hits.row], hits.sample, batch_size)
        return LidarDescriptors(F.normalize(vectors, dim=1) if self.normalise else vectors, is_valid)


class VoxelFeatureExtractor(nn.Module):
    """From points in voxels to features of coarse voxels: SparseVoxels with features [N, C], all >= 0."""

    def __init__(self, recipe: LidarRecipe, compat: PaperCompat):
        super().__init__()
        self.vfe = VoxelEncoder(recipe, compat)
        self.middle = SparseEncoder(recipe.vfe[-1], recipe.channels)
        self.grid = recipe.grid

    def forward(self, batch: VoxelBatch, backend: str | None = None) -> SparseVoxels:
        """backend: "spconv" or "torch"; None for the one that is there."""
        device = batch.points.device
        with torch.autocast(device.type, enabled=False):  # sums over 27 taps x 256 channels want full precision
            features = self.vfe(batch)
            backend = backend or default_backend(device)
            return self.middle(SparseVoxels(features, batch.indices, self.grid, batch.batch_size, backend))


class VoxelEncoder(nn.Module):
    """VFE of VoxelNet: describes each voxel by its points, through maxima over them.

    Every layer sees the point's own features and, from the second on, the voxel's maxima of the layer before. Points
    stay packed, so that there is no padding to mask; paper_compat pads them and lets the padding take part.
    """

    def __init__(self, recipe: LidarRecipe, compat: PaperCompat):
        super().__init__()
        widths = [6, *(2 * n for n in recipe.vfe[:-1])]
        self.layers = nn.ModuleList([PointLayer(n, out) for n, out in zip(widths, recipe.vfe, strict=True)])
        self.recipe, self.pads = recipe, compat.vfe_unmasked_padding

    def forward(self, batch: VoxelBatch) -> torch.Tensor:
        """Returns [V, C]."""
        voxel = torch.repeat_interleave(batch.counts)  # [P], which voxel each point is in
        features = torch.cat([batch.points, batch.points - self.centres(batch.indices)[voxel]], dim=1)  # [P, 6]
        if self.pads:
            features, voxel = self.pad(features, voxel, batch.counts)
        for i, layer in enumerate(self.layers):
            features = layer(features)
            maxima = max_per_voxel(features, voxel, len(batch.counts))
            if i + 1 < len(self.layers):
                features = torch.cat([features, maxima[voxel]], dim=1)
        return maxima

    def centres(self, indices: torch.Tensor) -> torch.Tensor:
        """Centres x y z of fine voxels. indices: [V, 4] (sample, z, y, x). Returns [V, 3] float32."""
        size = torch.tensor(self.recipe.voxel, device=indices.device)
        low = torch.tensor(self.recipe.range[:3], device=indices.device)
        return (indices[:, [3, 2, 1]] + 0.5) * size + low

    def pad(self, features: torch.Tensor, voxel: torch.Tensor, counts: torch.Tensor):
        """As in the authors' release: `max_points` slots per voxel, the empty ones zero."""
        slots = self.recipe.max_points
        starts = counts.cumsum(0) - counts
        slot = torch.arange(len(voxel), device=voxel.device) - starts[voxel]
        padded = features.new_zeros(len(counts) * slots, features.shape[1])
        padded = padded.index_put((voxel * slots + slot,), features)
        return padded, torch.arange(len(counts), device=voxel.device).repeat_interleave(slots)


class PointLayer(nn.Module):
    """Linear without bias, BatchNorm over the points, ReLU."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.linear = nn.Linear(channels, out, bias=False)
        self.norm = nn.BatchNorm1d(out, eps=1e-3, momentum=0.01)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.linear(features)))


def max_per_voxel(features: torch.Tensor, voxel: torch.Tensor, count: int) -> torch.Tensor:
    """features: [P, C], >= 0. voxel: [P]. Returns [count, C]."""
    index = voxel[:, None].expand_as(features)
    return features.new_zeros(count, features.shape[1]).scatter_reduce(0, index, features, "amax")


# (stride, submanifold) of the nine layers: input, 1, 2.1-2.3, 3.1-3.3, output. 3.1 keeps the size but dilates.
SPARSE_LAYERS = (
    (1, True), (1, True),
    (2, False), (1, True), (1, True),
    (1, False), (1, True), (1, True),
    (2, False),
)  # fmt: skip


class SparseEncoder(nn.Module):
    """Nine sparse convolutions, each with BatchNorm and ReLU; a quarter of the voxels per axis at the end."""

    def __init__(self, channels_in: int, channels: list[int]):
        super().__init__()
        widths = [channels_in, *channels]
        self.layers = nn.ModuleList(
            [SparseLayer(widths[i], widths[i + 1], *layer) for i, layer in enumerate(SPARSE_LAYERS)]
        )

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        for layer in self.layers:
            voxels = layer(voxels)
        return voxels


class SparseLayer(nn.Module):
    def __init__(self, channels: int, out: int, stride: int, submanifold: bool):
        super().__init__()
        self.conv = SparseConv3d(channels, out, stride, submanifold)
        self.norm = nn.BatchNorm1d(out, eps=1e-3, momentum=0.01)

    def forward(self, voxels: SparseVoxels) -> SparseVoxels:
        voxels = self.conv(voxels)
        return replace(voxels, features=F.relu(self.norm(voxels.features)))
