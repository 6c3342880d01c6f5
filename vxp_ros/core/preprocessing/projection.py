"""From voxels to image cells: where the network's coarse voxels lie, and which cell of the camera sees them.

The view frame sits at the camera: x forward, y left, z up, metres. Cells are a coarse pixel grid of the image; with
intrinsics divided by the image size, any resizing of the image is covered.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..datatypes import Camera
from ..errors import BadInput
from ..geometry import invert

if TYPE_CHECKING:
    from ..models.recipe import LidarRecipe

VIEW_FROM_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # (x, y, z) = (Z, -X, -Y)


@dataclass(frozen=True)
class CellHits:
    """The voxels that the image sees.

    row: [M] int64, which voxel. sample: [M] int64, which scan of the batch. u, v: [M] float32, column and row in cells,
    0 < u < columns. inverse_depth: [M] float32, 1 / x in 1 / metres.
    """

    row: torch.Tensor
    sample: torch.Tensor
    u: torch.Tensor
    v: torch.Tensor
    inverse_depth: torch.Tensor

    def select(self, choice: torch.Tensor) -> "CellHits":
        return CellHits(*(column[choice] for column in vars(self).values()))


def normalised_intrinsics(camera: Camera) -> np.ndarray:
    """(fx / width, fy / height, cx / width, cy / height), float64."""
    K = np.asarray(camera.K, dtype=np.float64)
    return np.array([K[0, 0] / camera.width, K[1, 1] / camera.height, K[0, 2] / camera.width, K[1, 2] / camera.height])


def usable_intrinsics(camera: Camera) -> np.ndarray:
    """`normalised_intrinsics`. Raises BadInput "bad_camera_info" where they are no numbers, or not positive."""
    intrinsics = normalised_intrinsics(camera)
    if not np.isfinite(intrinsics).all() or intrinsics[:2].min() <= 0:
        raise BadInput("bad_camera_info", f"the intrinsics divided by the image size are {intrinsics.tolist()}")
    return intrinsics


def view_from_lidar(T_base_camera: np.ndarray, T_base_lidar: np.ndarray) -> np.ndarray:
    """T_view_lidar [4, 4]: brings LiDAR points to the camera's place and the view frame's axes."""
    return VIEW_FROM_OPTICAL @ invert(T_base_camera) @ T_base_lidar


def voxel_centres(indices: torch.Tensor, recipe: "LidarRecipe", stretched: bool = False) -> torch.Tensor:
    """Centres of coarse voxels. indices: [N, 4] (sample, z, y, x). Returns [N, 3] float32 x y z in the view frame.

    Two layers of kernel 3, padding 1 and stride 2 put coarse index i over fine index 4 i. stretched: the authors'
    form, which spreads the coarse indices evenly over the range.
    """
    fine = torch.tensor(recipe.voxel, device=indices.device)
    low = torch.tensor(recipe.range[:3], device=indices.device)
    position = indices[:, [3, 2, 1]].float()  # x y z
    if stretched:
        ratio = [n / coarse for n, coarse in zip(recipe.grid[::-1], recipe.coarse_grid[::-1], strict=True)]
        return low + (position + 0.5) * torch.tensor(ratio, device=indices.device) * fine
    return low + (4 * position + 0.5) * fine


def project(
    indices: torch.Tensor,
    intrinsics: torch.Tensor,
    recipe: "LidarRecipe",
    *,
    stretched: bool = False,
    zbuffer: bool = True,
) -> CellHits:
    """Which cell of its image each coarse voxel falls into; voxels outside the image are left out.

    indices: [N, 4] (sample, z, y, x). intrinsics: [B, 4] as `normalised_intrinsics`. zbuffer: keep only the nearest
    voxel of each cell, as the camera does. Hits come in the order of `indices`.
    """
    rows, columns = recipe.cells
    x, y, z = voxel_centres(indices, recipe, stretched).unbind(1)
    sample = indices[:, 0].long()
    fx, fy, cx, cy = intrinsics.to(x)[sample].unbind(1)
    u = columns * (cx - fx * y / x)
    v = rows * (cy - fy * z / x)
    row = ((u > 0) & (u < columns) & (v > 0) & (v < rows)).nonzero()[:, 0]
    hits = CellHits(row, sample[row], u[row], v[row], 1 / x[row])
    return hits.select(nearest_per_cell(hits, indices, recipe)) if zbuffer else hits


def nearest_per_cell(hits: CellHits, indices: torch.Tensor, recipe: "LidarRecipe") -> torch.Tensor:
    """Rows of `hits`, rising, that no other hit of the same cell covers. Equal depths are settled by z, then y.

    Depth is compared as the voxel's x index, which is exact and does not depend on the order of the voxels.
    """
    (rows, columns), (nz, ny, nx) = recipe.cells, recipe.coarse_grid
    cell = (hits.sample * rows + hits.v.long()) * columns + hits.u.long()
    _, z, y, x = indices[hits.row].long().unbind(1)
    order = (((cell * nx + x) * nz + z) * ny + y).argsort()
    ordered = cell[order]
    is_first = torch.ones_like(ordered, dtype=torch.bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return order[is_first].sort().values
