"""Pixels to network input."""

import numpy as np
import pytest

from vxp_ros.core.errors import BadInput
from vxp_ros.core.models.recipe import ImageRecipe
from vxp_ros.core.preprocessing.image import to_tensor

RECIPE = ImageRecipe(size=[32, 64])


def grey(value: int, height: int = 40, width: int = 50) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize("antialias", [True, False])
def test_shape_and_normalisation(antialias):
    tensor = to_tensor(grey(255), RECIPE, antialias)
    assert tensor.shape == (3, 32, 64)
    assert tensor.dtype.is_floating_point
    expected = [(1 - mean) / std for mean, std in zip(RECIPE.mean, RECIPE.std, strict=True)]
    np.testing.assert_allclose(tensor.mean(dim=(1, 2)), expected, rtol=1e-5)


def test_channels_keep_the_order_rgb():
    pixels = grey(0)
    pixels[:, :, 0] = 255
    red, green, blue = to_tensor(pixels, ImageRecipe(size=[32, 32], mean=[0.0] * 3, std=[1.0] * 3)).mean(dim=(1, 2))
    assert (red, green, blue) == (1, 0, 0)


def test_rows_stay_rows():
    pixels = grey(0, 40, 60)
    pixels[:20] = 255  # the upper half is white
    tensor = to_tensor(pixels, ImageRecipe(size=[32, 64], mean=[0.0] * 3, std=[1.0] * 3))
    assert tensor[:, :15].min() == 1 and tensor[:, 17:].max() == 0


def test_antialiasing_averages_what_plain_resizing_aliases():
    stripes = grey(0, 32, 9 * 64)
    stripes[:, ::2] = 255  # finer than the output can show: the right answer is even grey
    recipe = ImageRecipe(size=[32, 64], mean=[0.0] * 3, std=[1.0] * 3)
    plain, smooth = (to_tensor(stripes, recipe, antialias) for antialias in (False, True))
    np.testing.assert_allclose(smooth[:, :, 2:-2], 0.5, atol=0.05)
    assert set(plain.flatten().tolist()) == {0.0, 1.0}  # every ninth pixel, nothing of those between


def test_plain_resizing_is_bilinear_at_pixel_centres():
    """Halving by the plain filter takes the mean of two neighbours, whatever lies beside them."""
    row = np.array([0, 100, 50, 150], np.uint8)
    pixels = np.repeat(np.repeat(row[None, :, None], 64, axis=0), 3, axis=2)
    tensor = to_tensor(pixels, ImageRecipe(size=[64, 2], mean=[0.0] * 3, std=[1.0] * 3), antialias=False)
    np.testing.assert_allclose(tensor[0, 0] * 255, [50, 100], atol=1e-3)


@pytest.mark.parametrize("shape", [(0, 0, 3), (0, 5, 3), (5, 0, 3)])
def test_an_image_without_pixels_is_bad_input(shape):
    with pytest.raises(BadInput, match="no pixels") as caught:
        to_tensor(np.zeros(shape, np.uint8), RECIPE)
    assert caught.value.reason == "bad_image"


@pytest.mark.parametrize("change", ["read only", "reversed channels", "cropped", "one pixel"])
def test_any_memory_layout_is_read_and_nothing_is_written(change):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    view = {"read only": pixels, "reversed channels": pixels[:, :, ::-1], "cropped": pixels[3:, 5:],
            "one pixel": pixels[:1, :1]}[change]  # fmt: skip
    pixels.setflags(write=False)
    before = pixels.copy()
    np.testing.assert_array_equal(to_tensor(view, RECIPE), to_tensor(np.ascontiguousarray(view), RECIPE))
    np.testing.assert_array_equal(pixels, before)
