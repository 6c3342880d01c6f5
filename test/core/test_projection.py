"""Voxel centres, the view frame, cells and the z-buffer: the numbers of the VXP paper, and hand-made scenes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from vxp_samples import T_BASE_OPTICAL, kitti_frame

from vxp_ros.core.datatypes import Camera
from vxp_ros.core.geometry import is_rigid, make_transform, quaternion_to_matrix, transform_points
from vxp_ros.core.models.recipe import LidarRecipe
from vxp_ros.core.preprocessing.projection import normalised_intrinsics, project, view_from_lidar, voxel_centres

PAPER = LidarRecipe()
OXFORD = Camera(1280, 960, np.array([[964.828979, 0, 643.788025], [0, 964.828979, 484.407990], [0, 0, 1]]))
CENTRED = torch.tensor([[0.5, 0.5, 0.5, 0.5]])  # a view of 90 degrees both ways


def indices(*sites) -> torch.Tensor:
    return torch.tensor(sites, dtype=torch.int32)


def test_grids():
    assert PAPER.grid == (110, 110, 110)
    assert PAPER.coarse_grid == (28, 28, 28)
    assert replace(PAPER, range=[0.0, -20.0, -4.0, 44.0, 20.0, 4.2]).grid == (41, 100, 110)


def test_oxford_intrinsics_in_cells():
    cells = normalised_intrinsics(OXFORD) * [28, 28, 28, 28]
    np.testing.assert_allclose(cells, [21.1056, 28.1408, 14.0829, 14.1286], atol=5e-5)


def test_centres_of_the_first_and_last_voxel():
    corners = indices((0, 0, 0, 0), (0, 27, 27, 27))
    np.testing.assert_allclose(voxel_centres(corners, PAPER), [[0.2, -21.8, -3.9], [43.4, 21.4, 17.7]], atol=1e-5)


def test_published_centres_are_stretched():
    first = voxel_centres(indices((0, 0, 0, 0)), PAPER, stretched=True)
    np.testing.assert_allclose(first, [[0.785714, -21.214286, -3.607143]], atol=1e-5)
    last = voxel_centres(indices((0, 27, 27, 27)), PAPER, stretched=True)
    np.testing.assert_allclose(last[0, 0], 43.214286, atol=1e-5)


def test_centre_is_over_the_points_that_made_the_voxel():
    """A coarse voxel i is reached from fine indices 4 i - 3 ... 4 i + 3, which the right centre is the middle of."""
    for i in (1, 10, 26):
        reach = [PAPER.range[0] + (4 * i + offset + 0.5) * PAPER.voxel[0] for offset in range(-3, 4)]
        centre = voxel_centres(indices((0, 0, 0, i)), PAPER)[0, 0]
        assert float(centre) == pytest.approx(np.mean(reach), abs=1e-5)


def test_view_frame_of_a_camera_that_looks_along_the_base():
    """Optical (X, Y, Z) becomes (Z, -X, -Y): for this camera the view frame is the base frame."""
    np.testing.assert_allclose(view_from_lidar(T_BASE_OPTICAL, np.eye(4)), np.eye(4), atol=1e-12)


def test_points_on_the_optical_axis_land_on_the_principal_point():
    R = quaternion_to_matrix([0.1, -0.2, 0.3, np.sqrt(1 - 0.14)])
    T_base_camera = make_transform(R, np.array([0.5, -0.3, 1.2]))
    T_base_lidar = make_transform(quaternion_to_matrix([0, 0, np.sin(0.4), np.cos(0.4)]), np.array([-0.2, 0.1, 1.8]))
    on_axis = transform_points(T_base_camera, np.array([[0.0, 0, 5], [0, 0, 20]]))
    lidar_points = transform_points(np.linalg.inv(T_base_lidar), on_axis)
    in_view = transform_points(view_from_lidar(T_base_camera, T_base_lidar), lidar_points)
    np.testing.assert_allclose(in_view, [[5, 0, 0], [20, 0, 0]], atol=1e-9)


@pytest.mark.parametrize("sequence", ["00", "03", "05"])
def test_view_of_a_real_calibration_equals_the_camera_matrix(sequence):
    frame = kitti_frame(sequence)
    camera = frame.images["camera"].camera
    T_view_lidar = view_from_lidar(camera.T_base_camera, frame.T_base_lidar)
    assert is_rigid(T_view_lidar, tolerance=1e-6)
    points = frame.points[::50, :3].astype(np.float64)
    optical = transform_points(np.linalg.inv(camera.T_base_camera), points)
    is_ahead = optical[:, 2] > 1
    pixels = optical[is_ahead] @ camera.K.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    fx, fy, cx, cy = normalised_intrinsics(camera)
    x, y, z = transform_points(T_view_lidar, points)[is_ahead].T
    # a hundredth of a pixel: calib.txt gives the rotation with seven digits
    np.testing.assert_allclose((cx - fx * y / x) * camera.width, pixels[:, 0], atol=0.01)
    np.testing.assert_allclose((cy - fy * z / x) * camera.height, pixels[:, 1], atol=0.01)


def test_cells_of_single_voxels():
    """In a 90 degree view a voxel at (x, y, z) falls on u = 14 - 14 y / x."""
    site = indices((0, 10, 9, 12))  # centre x 19.4, y -7.4, z 4.1
    hits = project(site, CENTRED, PAPER)
    np.testing.assert_allclose([hits.u[0], hits.v[0]], [14 + 14 * 7.4 / 19.4, 14 - 14 * 4.1 / 19.4], atol=1e-4)
    assert float(hits.inverse_depth[0]) == pytest.approx(1 / 19.4, rel=1e-5)
    assert (hits.row.tolist(), hits.sample.tolist()) == ([0], [0])


def test_voxels_outside_the_image_are_left_out():
    beside_camera, ahead, above = (0, 5, 0, 1), (0, 5, 14, 20), (0, 27, 14, 5)
    assert project(indices(beside_camera, ahead, above), CENTRED, PAPER).row.tolist() == [1]


def test_the_border_of_the_image_is_outside():
    left = torch.tensor([[0.5, 0.5, 0.0, 0.5]])  # the principal point is the image's left border
    recipe = replace(PAPER, range=[0.0, -0.2, -4.0, 44.0, 43.8, 18.0])  # y index 0 is the plane y = 0
    assert len(project(indices((0, 5, 0, 10)), left, recipe).row) == 0
    assert len(project(indices((0, 5, 0, 10)), left + 1e-3, recipe).row) == 1


def test_mirrored_cloud_lands_mirrored():
    recipe = replace(PAPER, range=[0.0, -22.2, -4.0, 44.0, 21.8, 18.0])  # 28 coarse centres from y -22.0 to 21.2
    view = torch.tensor([[0.6, 0.6, 0.45, 0.5]])
    mirrored_view = torch.tensor([[0.6, 0.6, 0.55, 0.5]])
    x, y, z = voxel_centres(indices((0, 6, 10, 15)), recipe)[0]
    mirrored = replace(recipe, range=[0.0, float(-y) - 0.2 - 16, -4.0, 44.0, float(-y) - 0.2 + 28, 18.0])
    there = project(indices((0, 6, 10, 15)), view, recipe)
    here = project(indices((0, 6, 10, 15)), mirrored_view, mirrored)
    np.testing.assert_allclose(voxel_centres(indices((0, 6, 10, 15)), mirrored)[0], [x, -y, z], atol=1e-4)
    np.testing.assert_allclose(here.u, 28 - there.u, atol=1e-4)
    np.testing.assert_allclose(here.v, there.v, atol=1e-5)


# Three voxels on one ray to the right of the axis, and one in another cell.
RAY = [(0, 5, 14, 10), (0, 5, 14, 20), (0, 5, 14, 26), (0, 5, 20, 20)]


def test_zbuffer_keeps_the_nearest_of_a_cell():
    hits = project(indices(*RAY), CENTRED, PAPER, zbuffer=False)
    cells = list(zip(hits.u.int().tolist(), hits.v.int().tolist(), strict=True))
    assert cells[0] == cells[1] == cells[2] != cells[3]  # the scene is as the comment says
    assert project(indices(*RAY), CENTRED, PAPER).row.tolist() == [0, 3]


def test_zbuffer_does_not_depend_on_the_order_of_voxels_and_settles_ties():
    random = torch.Generator().manual_seed(0)
    sites = torch.randint(0, 28, (600, 3), generator=random).unique(dim=0)
    sites = torch.cat([torch.zeros(len(sites), 1), sites], dim=1).int()
    shuffled = sites[torch.randperm(len(sites), generator=random)]
    kept = [
        set(map(tuple, part[project(part, CENTRED, PAPER).row].tolist())) for part in (sites, shuffled, sites.flip(0))
    ]
    assert kept[0] == kept[1] == kept[2]
    hits = project(sites, CENTRED, PAPER)
    cells = (hits.v.long() * 28 + hits.u.long()).tolist()
    assert len(set(cells)) == len(cells) > 50  # one voxel per cell


def test_a_voxel_hides_nothing_in_another_scan():
    near, far = (0, 5, 14, 10), (1, 5, 14, 26)
    hits = project(indices(near, far), CENTRED.repeat(2, 1), PAPER)
    assert (hits.row.tolist(), hits.sample.tolist()) == ([0, 1], [0, 1])


def test_each_scan_is_seen_by_its_own_camera():
    views = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.25, 0.5]])
    hits = project(indices((0, 5, 14, 10), (1, 5, 14, 10)), views, PAPER)
    assert float(hits.u[0] - hits.u[1]) == pytest.approx(7, abs=1e-4)


def test_rectangular_cell_grids():
    recipe = replace(PAPER, cells=[14, 28])
    square, flat = project(indices(*RAY), CENTRED, PAPER), project(indices(*RAY), CENTRED, recipe)
    np.testing.assert_allclose(flat.u, square.u)
    np.testing.assert_allclose(flat.v, square.v / 2)


def test_no_voxel_gives_no_hit():
    assert len(project(torch.zeros(0, 4, dtype=torch.int32), CENTRED, PAPER).row) == 0
