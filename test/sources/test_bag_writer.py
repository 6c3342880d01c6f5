"""Bags that other tools accept, and that appear only when they are complete."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from vxp_ros.core.datatypes import Frame
from vxp_ros.core.errors import SourceError
from vxp_ros.sources.bag_writer import SEQUENCE_GAP_NS, BagWriter, write_kitti_bag
from vxp_ros.sources.raw_bag import RawBag

ROOT = Path(__file__).parents[2]
TYPES = {
    "/camera/image_raw": "sensor_msgs/msg/Image",
    "/camera/camera_info": "sensor_msgs/msg/CameraInfo",
    "/points": "sensor_msgs/msg/PointCloud2",
    "/odom": "nav_msgs/msg/Odometry",
    "/ground_truth": "geometry_msgs/msg/PoseStamped",
    "/tf_static": "tf2_msgs/msg/TFMessage",
}


def test_topics_counts_and_quality_of_service(tiny_bag):
    with RawBag(tiny_bag) as bag:
        assert {name: topic.type for name, topic in bag.topics.items()} == TYPES
        counts = {name: topic.count for name, topic in bag.topics.items()}
        assert counts == {**dict.fromkeys(TYPES, 12), "/tf_static": 1}
        assert all(topic.qos.is_reliable for topic in bag.topics.values())
        assert [name for name, topic in bag.topics.items() if topic.qos.is_transient_local] == ["/tf_static"]


def test_log_times_rise_and_sequences_are_ten_seconds_apart(tiny_bag):
    with RawBag(tiny_bag) as bag:
        messages = list(bag.messages())
    times = [message.log_ns for message in messages]
    assert times == sorted(times) and messages[0].topic == "/tf_static"
    assert max(np.diff(times)) == pytest.approx(SEQUENCE_GAP_NS, abs=1e8)
    assert 1.3e18 < times[0] < 2e18  # a time that clocks of today can show


def test_metadata_is_complete(tiny_bag):
    information = yaml.safe_load((tiny_bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (
        information["message_count"]
        == 61
        == sum(topic["message_count"] for topic in information["topics_with_message_count"])
    )
    assert all((tiny_bag / name).is_file() for name in information["relative_file_paths"])
    assert information["files"][0]["path"] == information["relative_file_paths"][0]
    for topic in information["topics_with_message_count"]:
        profiles = yaml.safe_load(topic["topic_metadata"]["offered_qos_profiles"])
        assert topic["topic_metadata"]["serialization_format"] == "cdr"
        assert profiles[0]["durability"] == (1 if topic["topic_metadata"]["name"] == "/tf_static" else 2)


def test_compressed_bags_are_smaller(real_data, tmp_path):
    sizes = {}
    for compressed in (False, True):
        out = write_kitti_bag(real_data / "kitti", ["00"], tmp_path / str(compressed), slice(0, 2), compressed)
        with RawBag(out) as bag:
            sizes[compressed] = sum(len(message.data) for message in bag.messages() if "image" in message.topic)
    assert sizes[True] < sizes[False] / 3


def test_an_existing_bag_is_kept_unless_asked(tiny_kitti, tmp_path):
    out = write_kitti_bag(tiny_kitti, ["00"], tmp_path / "bag", slice(0, 2))
    before = (out / "metadata.yaml").read_text()
    with pytest.raises(SourceError, match="exists already"):
        write_kitti_bag(tiny_kitti, ["00"], out)
    assert (out / "metadata.yaml").read_text() == before
    write_kitti_bag(tiny_kitti, ["00"], out, overwrite=True)
    assert (out / "metadata.yaml").read_text() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag"]


def test_a_failure_leaves_nothing_behind(tiny_kitti, tmp_path):
    with pytest.raises(SourceError, match="sequences/07"):
        write_kitti_bag(tiny_kitti, ["00", "07"], tmp_path / "bag")
    with pytest.raises(RuntimeError), BagWriter(tmp_path / "other") as bag:
        bag.write_frame(Frame(10**18, points=np.zeros((5, 4), np.float32)))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_no_bag_under_the_name(tiny_kitti, tmp_path):
    script = f"""
from vxp_ros.sources.bag_writer import BagWriter
from vxp_ros.sources.kitti import KittiSource
source = KittiSource({str(tiny_kitti)!r}, "00")
with BagWriter({str(tmp_path / "bag")!r}) as bag:
    print("open", flush=True)
    while True:
        for frame in source: bag.write_frame(frame)
"""
    writer = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"open\n"
    time.sleep(0.2)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert not (tmp_path / "bag").exists()
    write_kitti_bag(tiny_kitti, ["00"], tmp_path / "bag")


def test_frames_of_any_rig_can_be_written(tmp_path):
    """LiDAR only, without odometry or calibration."""
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_frame(Frame(10**18, points=np.zeros((5, 4), np.float32)))
    with RawBag(tmp_path / "bag") as bag:
        assert list(bag.topics) == ["/points"]
