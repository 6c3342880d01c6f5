"""Lens models against OpenCV's own: rays, pixels, and the pinhole image that is drawn for them."""

import cv2
import numpy as np
import pytest
from town_box_scene import LENSES, make_camera

from vxp_ros.core.datatypes import Camera
from vxp_training.datasets.town.render.lens import distort, make_lens, rays_of


def pixels_of_opencv(camera, rays) -> np.ndarray:
    """Pixels [N, 2] of rays x, y [N, 2], by OpenCV."""
    points = np.column_stack([rays, np.ones(len(rays))])[None]
    project = cv2.fisheye.projectPoints if camera.distortion_model == "equidistant" else cv2.projectPoints
    pixels, _ = project(points, np.zeros(3), np.zeros(3), camera.K, np.asarray(camera.distortion, np.float64))
    return pixels.reshape(-1, 2)


def some_pixels(camera, count=400) -> np.ndarray:
    return np.random.default_rng(0).uniform([0, 0], [camera.width - 1, camera.height - 1], (count, 2))


@pytest.mark.parametrize("lens", LENSES)
def test_rays_are_the_inverse_of_opencvs_projection(lens):
    camera = make_camera(lens)
    pixels = some_pixels(camera)
    rays = rays_of(camera, pixels)
    assert np.isfinite(rays).all()
    np.testing.assert_allclose(pixels_of_opencv(camera, rays), pixels, atol=1e-6)


@pytest.mark.parametrize("lens", LENSES)
def test_the_pinhole_image_holds_every_pixel(lens):
    camera = make_camera(lens)
    made = make_lens(camera)
    if made.map_x is None:
        assert made.size == (camera.width, camera.height)
        return
    assert made.map_x.min() >= 0 and made.map_x.max() <= made.size[0] - 1
    assert made.map_y.min() >= 0 and made.map_y.max() <= made.size[1] - 1
    rows, columns = np.mgrid[: camera.height, : camera.width]
    rays = rays_of(camera, np.column_stack([columns.ravel(), rows.ravel()]))
    np.testing.assert_allclose(made.map_x.ravel(), rays[:, 0] * made.view[0] + made.view[2], atol=1e-3)
    np.testing.assert_allclose(made.map_y.ravel(), rays[:, 1] * made.view[1] + made.view[3], atol=1e-3)


def test_a_fisheye_sees_far_to_the_side():
    K = np.array([[60.0, 0, 79.5], [0, 60.0, 44.5], [0, 0, 1]])
    camera = Camera(160, 90, K, np.zeros(4), "equidistant")
    np.testing.assert_allclose(rays_of(camera, np.array([[79.5 + 60 * 1.2, 44.5]])), [[np.tan(1.2), 0]], rtol=1e-9)


def test_pixels_beyond_the_lens_have_no_ray():
    K = np.array([[60.0, 0, 79.5], [0, 60.0, 44.5], [0, 0, 1]])
    fisheye = Camera(160, 90, K, np.zeros(4), "equidistant")
    assert np.isnan(rays_of(fisheye, np.array([[79.5 + 60 * 1.6, 44.5]]))).all()
    barrel = Camera(160, 90, K, np.array([-0.4, 0, 0, 0]), "plumb_bob")  # its image ends at r = 1 / sqrt(1.2)
    assert np.isnan(rays_of(barrel, np.array([[159.0, 89.0]]))).all()
    assert np.isfinite(rays_of(barrel, np.array([[100.0, 50.0]]))).all()


def test_five_zeros_are_no_distortion():
    camera = make_camera("plumb_bob")
    straight = Camera(camera.width, camera.height, camera.K, np.zeros(5), "plumb_bob")
    assert make_lens(straight).map_x is None


def test_an_unknown_model_is_named():
    camera = Camera(160, 90, np.eye(3), np.ones(5), "thin_prism")
    with pytest.raises(ValueError, match=r"thin_prism.*plumb_bob"):
        distort(camera, np.zeros((1, 2)))
