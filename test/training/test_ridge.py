"""The cross-modal yardstick: it finds a linear tie between the sensors where there is one."""

from dataclasses import replace

import numpy as np
import pytest
from town_masters import make_master

from vxp_ros.core.datatypes import Camera, Frame
from vxp_ros.core.errors import BadInput
from vxp_ros.core.geometry import pose_from_vector
from vxp_training.baselines.ridge import COLUMNS, ROWS, Ridge, features, gist, lidar_view

# 32 x 9 cells of 10 pixels; the camera looks along the LiDAR's x axis
CAMERA = Camera(320, 90, np.array([[160.0, 0, 160], [0, 160, 45], [0, 0, 1]]),
                T_base_camera=pose_from_vector([0, 0, 0, -0.5, 0.5, -0.5, 0.5]))  # fmt: skip


def seen(points) -> np.ndarray:
    cloud = np.column_stack([np.asarray(points, np.float32), np.zeros(len(points), np.float32)])
    return lidar_view(Frame(0, points=cloud, T_base_lidar=np.eye(4), cameras={"camera": CAMERA})).reshape(ROWS, COLUMNS)


def test_a_cell_holds_its_nearest_point():
    # 10 m ahead, 0.1 m right and below: pixel (161.6, 46.6), cell (row 4, column 16)
    view = seen([[10, -0.1, -0.1], [20, -0.2, -0.2], [-10, 0, 0], [1, 0, 0], [10, 30, 0]])
    assert view[4, 16] == pytest.approx(0.1) and np.count_nonzero(view) == 1


def test_left_is_left_and_up_is_up():
    rows, columns = np.nonzero(seen([[10, 9, 2.5]]))
    assert (rows[0], columns[0]) == (0, 1)


def test_ridge_equals_the_normal_equations():
    random = np.random.default_rng(0)
    X, Y = random.normal(3, 2, (50, 6)), random.normal(1, 4, (50, 5))
    ridge = Ridge(X, Y, penalty=7.0)
    A, B = (X - X.mean(0)) / X.std(0), (Y - Y.mean(0)) / Y.std(0)
    W = np.linalg.lstsq(np.vstack([A, np.sqrt(7.0) * np.eye(6)]), np.vstack([B, np.zeros((6, 5))]), rcond=None)[0]
    np.testing.assert_allclose(ridge.weights, W, atol=1e-9)
    assert np.linalg.norm(ridge.describe_gist(X[0])) == pytest.approx(1, abs=1e-6)


def test_a_linear_tie_is_found_both_ways():
    random = np.random.default_rng(1)
    mix = random.normal(size=(20, 30))
    X = random.normal(size=(300, 20))
    Y = X @ mix + random.normal(0, 0.5, (300, 30))
    ridge = Ridge(X[:200], Y[:200], penalty=1.0)
    camera = np.array([ridge.describe_gist(row) for row in X[200:]])
    lidar = np.array([ridge.describe_view(row) for row in Y[200:]])
    found = camera @ lidar.T
    assert (found.argmax(axis=1) == np.arange(100)).mean() > 0.95
    assert (found.argmax(axis=0) == np.arange(100)).mean() > 0.95


def test_without_a_tie_it_finds_nothing():
    random = np.random.default_rng(2)
    X, Y = random.normal(size=(300, 20)), random.normal(size=(300, 30))
    ridge = Ridge(X[:200], Y[:200], penalty=1.0)
    camera = np.array([ridge.describe_gist(row) for row in X[200:]])
    lidar = np.array([ridge.describe_view(row) for row in Y[200:]])
    assert ((camera @ lidar.T).argmax(axis=1) == np.arange(100)).mean() < 0.1


def test_frames_of_a_town(tmp_path):
    recording = make_master(tmp_path, frames=4)
    frames = list(recording)
    gists, views = features(frames)
    assert gists.shape == (4, 576) and views.shape == (4, ROWS * COLUMNS)
    ridge = Ridge(gists, views, penalty=1.0)
    for modality in ridge.modalities:
        found = ridge.describe(frames[2], modality)
        assert found.vector.shape == (ridge.length_of(modality),) and found.model_id == ridge.model_id
    assert ridge.model_id == Ridge(gists, views, penalty=1.0).model_id != Ridge(gists, views, penalty=2.0).model_id
    blind = replace(frames[0], images={})
    with pytest.raises(BadInput, match="no image"):
        gist(blind)
    with pytest.raises(BadInput, match="no point cloud with a calibrated camera"):
        lidar_view(blind)
