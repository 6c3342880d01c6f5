"""Points in pixels: known points in known pixels, the six steps of nuScenes, lenses, depth maps and colours."""

import cv2
import numpy as np
import pytest
from vxp_samples import T_BASE_OPTICAL, kitti_frame

from vxp_ros.core.datatypes import Camera, Image
from vxp_ros.core.geometry import invert, make_transform, quaternion_to_matrix, rotation_z, seen_from_now
from vxp_ros.core.preprocessing.pixels import colour_points, depth_map, sight

K = np.array([[100.0, 0, 80], [0, 100, 45], [0, 0, 1]])


def pinhole(T_base_camera=T_BASE_OPTICAL, **changes) -> Camera:
    return Camera(**{"width": 160, "height": 90, "K": K, "T_base_camera": T_base_camera} | changes)


def cloud(*points) -> np.ndarray:
    return np.array(points, np.float32).reshape(-1, 3)


def test_a_known_point_lands_in_a_known_pixel():
    """10 m ahead, 2 m to the left, 1 m up: u = 80 - 100 * 2 / 10, v = 45 - 100 * 1 / 10."""
    seen = sight(cloud([10, 2, 1]), pinhole(), np.eye(4))
    assert (seen.row.tolist(), seen.u[0], seen.v[0], seen.depth[0]) == ([0], 60.0, 35.0, 10.0)


def test_the_lidars_and_the_cameras_places_on_the_robot_count():
    T_base_lidar = make_transform(rotation_z(np.pi / 2), np.array([1.0, 0, 2]))  # its x looks to the robot's left
    T_base_camera = make_transform(np.eye(3), np.array([2.0, 0.5, 1])) @ T_BASE_OPTICAL
    seen = sight(cloud([3, -11, 0]), pinhole(T_base_camera), T_base_lidar)  # in the base 12 ahead, 3 left, 2 up
    assert (seen.u[0], seen.v[0], seen.depth[0]) == pytest.approx((80 - 100 * 2.5 / 10, 45 - 100 * 1 / 10, 10.0))


@pytest.mark.parametrize(
    ("u", "v", "depth", "is_seen"),
    [
        (1.1, 45, 5, True), (0.9, 45, 5, False), (158.9, 45, 5, True), (159.1, 45, 5, False),
        (80, 1.1, 5, True), (80, 0.9, 5, False), (80, 88.9, 5, True), (80, 89.1, 5, False),
        (80, 45, 1.01, True), (80, 45, 0.99, False), (80, 45, -5, False),
    ],
)  # fmt: skip
def test_border_of_a_pixel_and_nearest_metre(u, v, depth, is_seen):
    point = [depth, -(u - 80) / 100 * depth, -(v - 45) / 100 * depth]
    assert len(sight(cloud(point), pinhole(), np.eye(4)).row) == is_seen


def test_the_six_steps_with_two_ego_poses_as_written_out():
    random = np.random.default_rng(0)

    def pose(scale):
        q = random.normal(0, 1, 4)
        return quaternion_to_matrix(q / np.linalg.norm(q)), scale * random.normal(0, 1, 3)

    (R_lidar, t_lidar), (R_ego_l, t_ego_l) = pose(1), pose(300)
    turn = rotation_z(0.05)
    R_ego_c, t_ego_c = turn @ R_ego_l, t_ego_l + np.array([0.4, -0.3, 0])
    R_camera, t_camera = pose(1)
    points = random.uniform(-30, 30, (4000, 3)).astype(np.float32)
    wanted = {}
    for row, point in enumerate(points.astype(np.float64)):
        p = R_lidar @ point + t_lidar  # 1: ego at the LiDAR's time
        p = R_ego_l @ p + t_ego_l  # 2: map
        p = R_ego_c.T @ (p - t_ego_c)  # 3: ego at the camera's time
        p = R_camera.T @ (p - t_camera)  # 4: camera
        if p[2] <= 1.0:  # 5, 6
            continue
        u, v, _ = K @ p / p[2]
        if 1 < u < 159 and 1 < v < 89:
            wanted[row] = (u, v, p[2])
    T_map_camera_time, T_map_lidar_time = make_transform(R_ego_c, t_ego_c), make_transform(R_ego_l, t_ego_l)
    T_base_camera = seen_from_now(make_transform(R_camera, t_camera), T_map_camera_time, T_map_lidar_time)
    seen = sight(points, pinhole(T_base_camera), make_transform(R_lidar, t_lidar))
    assert seen.row.tolist() == list(wanted) and len(wanted) > 50
    np.testing.assert_allclose(np.stack([seen.u, seen.v, seen.depth], axis=1), list(wanted.values()), atol=1e-8)
    one_pose = sight(points, pinhole(make_transform(R_camera, t_camera)), make_transform(R_lidar, t_lidar))
    both = np.intersect1d(seen.row, one_pose.row)
    shift = np.abs(seen.u[np.isin(seen.row, both)] - one_pose.u[np.isin(one_pose.row, both)])
    assert np.median(shift) > 1  # forgetting the motion is no rounding error


PLUMB = np.array([-0.3, 0.1, 0.001, -0.002, -0.01])
FISHEYE = np.array([0.05, -0.02, 0.004, -0.001])


@pytest.mark.parametrize(("model", "D"), [("plumb_bob", PLUMB), ("equidistant", FISHEYE)])
def test_lens_distortion_as_its_formula_says(model, D):
    camera = pinhole(distortion=D, distortion_model=model)
    y, z = 1.5, -1.0
    seen = sight(cloud([5, y, z]), camera, np.eye(4))
    a, b = -y / 5, -z / 5
    r = np.hypot(a, b)
    if model == "plumb_bob":
        k1, k2, p1, p2, k3 = D
        radial = 1 + k1 * r**2 + k2 * r**4 + k3 * r**6
        x = (a * radial + 2 * p1 * a * b + p2 * (r**2 + 2 * a**2), b * radial + p1 * (r**2 + 2 * b**2) + 2 * p2 * a * b)
    else:
        t = np.arctan(r)
        bent = t * (1 + D @ [t**2, t**4, t**6, t**8])
        x = (a * bent / r, b * bent / r)
    assert (seen.u[0], seen.v[0]) == pytest.approx((100 * x[0] + 80, 100 * x[1] + 45))


def test_points_far_beside_the_image_are_not_bent_back_into_it():
    """Its polynomial turns at 1 / sqrt(3 * 0.3) = 1.05 of slope: beyond, plumb_bob is no lens any more."""
    camera = pinhole(distortion=np.array([-0.3, 0, 0, 0, 0]), distortion_model="plumb_bob")
    slopes = np.linspace(0.1, 4, 40)
    points = cloud(*[[5, -5 * slope, 0] for slope in slopes])
    folded = cv2.projectPoints(np.array([[1.7, 0, 1.0]]), np.zeros(3), np.zeros(3), K, np.array([-0.3, 0, 0, 0, 0]))[
        0
    ].ravel()
    assert 1 < folded[0] < 159  # what would be counted without care
    seen = sight(points, camera, np.eye(4))
    assert slopes[seen.row].max() < 1.06 and len(seen.row) > 5


def test_the_nearest_point_of_a_cell_is_its_depth_and_the_far_ones_are_none():
    points = cloud([10, 0, 0], [7, 0, 0], [20, 0, 0], [30, 6, 0], [90, -20, 0])
    depth = depth_map(points, pinhole(), np.eye(4), (45, 80), farthest=80.0)
    assert depth.dtype == np.float32 and depth.shape == (45, 80)
    assert np.argwhere(depth).tolist() == [[22, 30], [22, 40]]
    assert (depth[22, 40], depth[22, 30]) == (7.0, 30.0)


def test_depth_map_as_brute_force_says():
    points = np.random.default_rng(1).uniform([1, -20, -5], [60, 20, 5], (3000, 3)).astype(np.float32)
    depth = depth_map(points, pinhole(), np.eye(4), (25, 60), farthest=50.0)
    wanted = np.zeros((25, 60))
    for x, y, z in points.astype(np.float64):
        u, v = 80 - 100 * y / x, 45 - 100 * z / x
        if x > 1 and x < 50 and 1 < u < 159 and 1 < v < 89:
            cell = int(v * 25 / 90), int(u * 60 / 160)
            wanted[cell] = x if wanted[cell] == 0 else min(wanted[cell], x)
    np.testing.assert_allclose(depth, wanted, rtol=1e-6)
    assert np.count_nonzero(wanted) > 300


def test_colours_are_interpolated_between_pixels_and_unseen_points_are_black():
    pixels = np.zeros((90, 160, 3), np.uint8)
    pixels[35, 60], pixels[35, 61], pixels[36, 60] = [200, 0, 0], [0, 100, 0], [0, 0, 40]
    points = cloud([10, 2 - 0.025, 1 - 0.05], [-10, 0, 0])  # at u = 60.25, v = 35.5
    colours, is_seen = colour_points(points, [Image(pixels, pinhole())], np.eye(4))
    assert is_seen.tolist() == [True, False]
    wanted = np.array([200 * 0.75 * 0.5, 100 * 0.25 * 0.5, 40 * 0.75 * 0.5]) / 255
    np.testing.assert_allclose(colours, [wanted, [0, 0, 0]], atol=1e-4)


def test_of_two_cameras_the_one_that_looks_more_straight_at_the_point_counts():
    red, blue = (np.full((90, 160, 3), shade, np.uint8) for shade in ([255, 0, 0], [0, 0, 255]))
    turned = make_transform(rotation_z(-0.5), np.zeros(3)) @ T_BASE_OPTICAL  # looks to the right
    pictures = [Image(red, pinhole()), Image(blue, pinhole(turned))]
    angles = np.array([0.0, -0.2, -0.3, -0.5])
    points = cloud(*[[10 * np.cos(a), 10 * np.sin(a), 0] for a in angles])
    for order in (pictures, pictures[::-1]):
        colours, _ = colour_points(points, order, np.eye(4))
        assert colours[:, 0].tolist() == [1, 1, 0, 0] and colours[:, 2].tolist() == [0, 0, 1, 1]


def test_an_image_smaller_than_its_calibration_says_gives_the_same_colours_and_no_error():
    pixels = np.random.default_rng(0).integers(0, 255, (45, 80, 3), np.uint8)
    points = np.random.default_rng(1).uniform([1, -20, -5], [20, 20, 5], (500, 3)).astype(np.float32)
    colours, is_seen = colour_points(points, [Image(pixels, pinhole())], np.eye(4))
    assert is_seen.sum() > 100 and colours[is_seen].std() > 0.1


@pytest.mark.parametrize("count", [0, 5])
def test_nothing_in_view(count):
    behind = np.tile(np.array([[-5, 0, 0]], np.float32), (count, 1))
    assert not depth_map(behind, pinhole(), np.eye(4), (9, 16), 80.0).any()
    assert not colour_points(behind, [Image(np.ones((90, 160, 3), np.uint8), pinhole())], np.eye(4))[1].any()
    fisheye = pinhole(distortion=FISHEYE, distortion_model="equidistant")
    assert len(sight(behind, fisheye, np.eye(4)).row) == 0


@pytest.mark.parametrize("sequence", ["00", "02", "05"])
def test_on_real_frames_the_points_lie_on_the_objects(sequence):
    """Where the scan jumps in depth the picture has an edge; half a degree off, it has less of one."""
    frame = kitti_frame(sequence)
    ranges = np.linalg.norm(frame.points[:, :3], axis=1)
    jumps = np.minimum(ranges[1:-1] - ranges[:-2], ranges[1:-1] - ranges[2:]) < -0.15 * ranges[1:-1]
    edges = frame.points[1:-1][jumps]
    (image,) = frame.images.values()
    grey = cv2.GaussianBlur(cv2.cvtColor(image.pixels, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 2)
    slope = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0))

    def contrast(yaw: float) -> float:
        seen = sight(edges, image.camera, frame.T_base_lidar @ make_transform(rotation_z(yaw), np.zeros(3)))
        return slope[seen.v.astype(int), seen.u.astype(int)].mean() / slope.mean()

    contrasts = {degrees: contrast(np.radians(degrees)) for degrees in (-1.0, -0.5, 0.0, 0.5, 1.0)}
    assert max(contrasts, key=contrasts.get) == 0.0, contrasts
    assert contrasts[0.0] > 1.2 * max(contrasts[-0.5], contrasts[0.5])


def test_invert_undoes_seen_from_now():
    T, then, now = (make_transform(rotation_z(a), np.array([a, 2, 3])) for a in (0.3, 1.0, -0.7))
    np.testing.assert_allclose(now @ seen_from_now(T, then, now), then @ T, atol=1e-12)
    np.testing.assert_allclose(invert(seen_from_now(T, then, then)) @ T, np.eye(4), atol=1e-12)
