"""Camera pixels to the image network's input. Training and robots use this same function."""

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import BadInput

if TYPE_CHECKING:
    from ..models.recipe import ImageRecipe


def to_tensor(pixels: np.ndarray, recipe: "ImageRecipe", antialias: bool = True) -> torch.Tensor:
    """Squash to `recipe.size` (aspect ratio not kept) and normalise. pixels: [H, W, 3] uint8 RGB, may be read-only.

    Returns [3, rows, columns] float32 on the CPU. antialias: filter while shrinking; the authors' release did not.
    Raises BadInput("bad_image") for an image without a pixel.
    """
    if 0 in pixels.shape:
        raise BadInput("bad_image", f"the image has no pixels: its shape is {list(pixels.shape)}")
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]  # torch wants writable memory
    if antialias:  # on bytes: five times faster than on floats, rounded to one grey level
        image = F.interpolate(image, recipe.size, mode="bilinear", antialias=True).float()
    else:
        image = F.interpolate(image.float(), recipe.size, mode="bilinear")
    mean, std = (torch.tensor(values)[:, None, None] for values in (recipe.mean, recipe.std))
    return (image[0] / 255 - mean) / std
