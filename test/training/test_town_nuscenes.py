"""The nuScenes layout, from masters made by hand, through our own reader and the official devkit."""

import json
import os
import subprocess
from datetime import date
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from town_masters import SPLIT, make_master, world_points

from vxp_ros.sources import open_source
from vxp_training.datasets.town.layouts import export
from vxp_training.datasets.town.layouts.nuscenes import MAP_PIXELS_PER_M, STREET_M, draw_map, map_frame
from vxp_training.datasets.town.store.master import Recording
from vxp_training.datasets.town.streets.planner import make_plan
from vxp_training.datasets.town.style import STYLES

FRAMES = 5


def table(written, name):
    return json.loads((written["nuscenes"] / "v1.0-synth" / f"{name}.json").read_text())


def test_nuscenes_source_reads_exact_poses_and_points(masters, written):
    T_map_world = map_frame(SPLIT.size)
    source = open_source(f"nuscenes:{written['nuscenes']}:rain-01")
    frames = list(source)
    assert len(frames) == FRAMES and not source.problems
    for number, frame in enumerate(frames):
        expected = Recording(masters[1].folder, is_deskewed=True).frame(number)
        assert frame.stamp_ns == expected.stamp_ns // 1000 * 1000
        np.testing.assert_allclose(frame.T_odom_base, T_map_world @ expected.T_odom_base, atol=1e-9)
        np.testing.assert_array_equal(frame.rings, expected.rings)
        np.testing.assert_array_equal(frame.images["CAM_FRONT"].pixels, expected.images["camera"].pixels)
        np.testing.assert_allclose(
            world_points(frame, frame.T_odom_base),
            world_points(expected, T_map_world @ expected.T_odom_base),
            atol=1e-4,
        )
        np.testing.assert_allclose(frame.points[:, 3], 255 * expected.points[:, 3], atol=1e-3)


def test_nuscenes_dates_are_those_of_the_days(written):
    """NUSC-PR learns from what was seen within 105 days of the first drive: the sunny day, not the autumn."""
    days = {log["logfile"].split("-")[2]: date.fromisoformat(log["date_captured"]) for log in table(written, "log")}
    assert (days["rain"] - days["sunny"]).days >= 105
    stamps = {scene["token"]: scene["name"] for scene in table(written, "scene")}
    seen = {}
    for sample in table(written, "sample"):
        seen.setdefault(stamps[sample["scene_token"]], []).append(sample["timestamp"])
    assert (min(seen["rain-01"]) - max(seen["sunny-01"])) / 86400e6 >= 105
    np.testing.assert_array_equal(np.diff(seen["rain-01"]), 500_000)  # 2 Hz


def test_nuscenes_tables_hold_together(written):
    names = [
        "category", "attribute", "visibility", "instance", "sensor", "calibrated_sensor", "ego_pose", "log", "scene",
        "sample", "sample_data", "sample_annotation", "map",
    ]  # fmt: skip
    tables = {name: {row["token"]: row for row in table(written, name)} for name in names}
    assert sorted(path.stem for path in (written["nuscenes"] / "v1.0-synth").iterdir()) == sorted(names)
    assert set(table(written, "map")[0]["log_tokens"]) == set(tables["log"])
    assert cv2.imread(str(written["nuscenes"] / table(written, "map")[0]["filename"])) is not None
    for row in tables["sample_data"].values():
        assert row["sample_token"] in tables["sample"] and row["ego_pose_token"] in tables["ego_pose"]
        assert (written["nuscenes"] / row["filename"]).is_file()
        for neighbour in (row["prev"], row["next"]):
            assert neighbour == "" or neighbour in tables["sample_data"]
    for scene in tables["scene"].values():
        chain, token = [], scene["first_sample_token"]
        while token:
            chain.append(token)
            token = tables["sample"][token]["next"]
        assert len(chain) == scene["nbr_samples"] and chain[-1] == scene["last_sample_token"]
        assert tables["sample"][chain[0]]["prev"] == ""


def test_the_map_shows_the_driven_streets_where_the_poses_are(written):
    mask = cv2.imread(str(written["nuscenes"] / table(written, "map")[0]["filename"]), cv2.IMREAD_GRAYSCALE)
    tracks = np.array([row["translation"][:2] for row in table(written, "ego_pose")])
    columns, rows = np.round(tracks * MAP_PIXELS_PER_M).astype(int).T
    assert (mask[len(mask) - rows, columns] == 255).all()
    driven_m2 = np.count_nonzero(mask) / MAP_PIXELS_PER_M**2
    assert driven_m2 < 3 * STREET_M * 30, "two drives of 16 m beside each other, and round ends"


@pytest.mark.parametrize("seed", range(3))
def test_the_map_covers_the_whole_town(tmp_path, seed):
    """Every junction and the road around it: also those to the south-west of the town's origin."""
    size = (3, 2)
    nodes = make_plan(seed, STYLES["train"], size, True).nodes
    T_world_base = np.tile(np.eye(4), (len(nodes), 1, 1))
    T_world_base[:, :2, 3] = nodes
    drive = SimpleNamespace(poses=T_world_base, numbers=list(range(len(nodes))))
    draw_map([drive], map_frame(size), tmp_path / "map.png")
    mask = cv2.imread(str(tmp_path / "map.png"), cv2.IMREAD_GRAYSCALE)
    for away in ((-3, -3), (0, 0), (3, 3)):
        places = (map_frame(size) @ T_world_base)[:, :2, 3] + away
        columns, rows = np.round(places * MAP_PIXELS_PER_M).astype(int).T
        assert min(columns) >= 0 and min(rows) > 0 and max(columns) < mask.shape[1] and max(rows) <= mask.shape[0]
        assert (mask[len(mask) - rows, columns] == 255).all()


def test_nuscenes_scenes_last_twenty_seconds(tmp_path):
    master = make_master(tmp_path, frames=45)
    export("nuscenes", [master], tmp_path / "out")
    scenes = json.loads((tmp_path / "out/v1.0-synth/scene.json").read_text())
    assert [(scene["name"], scene["nbr_samples"]) for scene in scenes] == [("sunny-01", 40), ("sunny-02", 5)]
    assert len(list(open_source(f"nuscenes:{tmp_path / 'out'}"))) == 45


DEVKIT_CHECK = """
import sys
import numpy as np
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
town = NuScenes(version="v1.0-synth", dataroot=sys.argv[1], verbose=False)
sample = town.get("sample", town.scene[1]["first_sample_token"])
cloud = LidarPointCloud.from_file(town.get_sample_data_path(sample["data"]["LIDAR_TOP"]))
path, boxes, K = town.get_sample_data(sample["data"]["CAM_FRONT"])
points, depths, image = town.explorer.map_pointcloud_to_image(sample["data"]["LIDAR_TOP"], sample["data"]["CAM_FRONT"])
assert points.shape[1] > 20 and (depths > 0).all() and boxes == []
assert town.map[0]["mask"].mask().any()
print(len(town.sample), cloud.nbr_points(), image.size)
"""


def test_the_official_devkit_reads_the_tables(masters, written):
    python = os.environ.get("NUSCENES_DEVKIT_PYTHON")
    if not python:
        pytest.skip("NUSCENES_DEVKIT_PYTHON is not set: it names a python with nuscenes-devkit, which needs numpy < 2")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-c", DEVKIT_CHECK, str(written["nuscenes"])]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
    assert result.returncode == 0, result.stderr
    expected = masters[1].frame(0)
    assert result.stdout.strip() == f"{2 * FRAMES} {len(expected.points)} (64, 36)"
