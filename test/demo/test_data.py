"""The demo's two bags, read back with their truth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vxp_ros.core.errors import SourceError
from vxp_ros.demo.data import check_length, frame_rate, read_moments, rig_parameters
from vxp_ros.sources.bag_writer import BagWriter


def write(path, moments):
    with BagWriter(path) as bag:
        for moment in moments:
            bag.write_frame(moment.frame)
    return path


def test_moments_come_back_with_pose_picture_and_points(places, tmp_path):
    found = read_moments(write(tmp_path / "bag", places))
    assert [moment.stamp_ns for moment in found] == [place.stamp_ns for place in places]
    for moment, place in zip(found, places, strict=True):
        assert np.allclose(moment.T_map_base, place.T_map_base)
        assert np.array_equal(moment.image, place.image)
        assert np.allclose(moment.points, place.points, atol=1e-5)
    assert frame_rate(found) == pytest.approx(1.0)
    parameters = rig_parameters(tmp_path / "bag", found[0])
    assert parameters["extrinsics.lidar"] == pytest.approx([0, 0, 0, 0, 0, 0, 1])
    assert parameters["input.image_transport"] == "raw"


def test_compressed_pictures_are_asked_for_as_such(places, tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        for place in places:
            bag.write_frame(place.frame, compressed=True)
    found = read_moments(tmp_path / "bag")
    assert rig_parameters(tmp_path / "bag", found[0])["input.image_transport"] == "compressed"


def test_one_moment_is_no_drive(places, tmp_path):
    with pytest.raises(SourceError, match="has 1 usable frames: the demo needs two"):
        read_moments(write(tmp_path / "bag", places[:1]))


def test_a_drive_that_takes_too_long_is_refused_before_it_is_replayed(places):
    at = [replace(places[0], frame=replace(places[0].frame, stamp_ns=int(1e9 * t))) for t in (0, 0, 1, 2, 3, 50)]
    assert frame_rate(at) == pytest.approx(1.0), "two frames of one stamp are one moment"
    check_length(Path("drive"), at, hz=2.0, limit_s=26)
    with pytest.raises(SourceError, match=r"bag drive takes 25 s to replay at 2 frames per second.*waits 24 s"):
        check_length(Path("drive"), at, hz=2.0, limit_s=24)


def test_a_bag_without_poses_or_extrinsics_is_refused(places, tmp_path):
    for name, change in (("poses", {"T_odom_base": None}), ("extrinsics", {"T_base_lidar": None})):
        moments = [replace(place, frame=replace(place.frame, **change)) for place in places]
        with pytest.raises(SourceError, match="demo needs"):
            read_moments(write(tmp_path / name, moments))
