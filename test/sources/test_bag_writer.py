"""Bags that other tools accept, and that appear only when they are complete."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from vxp_ros.core import fsio
from vxp_ros.core.datatypes import Frame
from vxp_ros.core.errors import SourceError
from vxp_ros.sources.bag import deserialise
from vxp_ros.sources.bag_writer import SEQUENCE_GAP_NS, BagWriter, write_kitti_bag
from vxp_ros.sources.raw_bag import RawBag

ROOT = Path(__file__).parents[2]
POINT_FRAME = Frame(10**18, points=np.zeros((5, 4), np.float32))
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
    assert sorted(path.name for path in tmp_path.iterdir()) == [".bag.lock", "bag"]


def test_a_failure_leaves_nothing_behind(tiny_kitti, tmp_path):
    with pytest.raises(SourceError, match="sequences/07"):
        write_kitti_bag(tiny_kitti, ["00", "07"], tmp_path / "bag")
    with pytest.raises(RuntimeError), BagWriter(tmp_path / "other") as bag:
        bag.write_frame(POINT_FRAME)
        raise RuntimeError
    assert {path.name for path in tmp_path.iterdir()} == {".bag.lock", ".other.lock"}


def test_the_ground_truth_of_sequences_lies_a_kilometre_apart(tiny_bag):
    """From the messages themselves, not from the constant that placed them."""
    with RawBag(tiny_bag) as bag:
        poses = [deserialise(message).pose.position for message in bag.messages(["/ground_truth"])]
    assert (poses[0].x, poses[0].y) == pytest.approx((0, 0), abs=1e-9)
    assert (poses[6].x, poses[6].y) == pytest.approx((0, 1000), abs=1e-9)


# --- what stands where the bag is to go


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "there", ["data set", "file", "empty folder", "bag and notes", "bag and folder", "link", "broken link"]
)
def test_nothing_but_a_bag_is_ever_replaced(tiny_kitti, tmp_path, there, overwrite):
    out = place(there, tiny_kitti, tmp_path)
    before = snapshot(tmp_path)
    reason = "is a symbolic link" if "link" in there else "is not overwritten" if overwrite else "exists already"
    with pytest.raises(SourceError, match=f"out .*{reason}.* choose another name"):
        write_kitti_bag(tiny_kitti, ["00"], out, slice(0, 1), overwrite=overwrite)
    assert snapshot(tmp_path) == before


def place(there: str, tiny_kitti: Path, tmp_path: Path) -> Path:
    out = tmp_path / "out"
    if there == "data set":
        shutil.copytree(tiny_kitti, out)
    elif there == "file":
        out.write_text("thesis")
    elif there == "empty folder":
        out.mkdir()
    elif there == "broken link":
        out.symlink_to("nowhere")
    else:
        bag = write_kitti_bag(tiny_kitti, ["00"], tmp_path / ("bag" if there == "link" else "out"), slice(0, 1))
        if there == "link":
            out.symlink_to(bag)
        elif there == "bag and notes":
            (bag / "notes.txt").write_text("weather: rain")
        else:
            (bag / "labels.mcap").mkdir()
    return out


def snapshot(folder: Path) -> dict:
    return {
        path: path.read_bytes() if path.is_file() and not path.is_symlink() else path.is_symlink()
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("name", [".", "", "sub/..", "/"])
def test_what_names_no_folder_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    with pytest.raises(SourceError, match="names no new folder"):
        BagWriter(name, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["sub"]


def test_what_appears_while_the_bag_is_written_is_kept(tmp_path):
    with pytest.raises(SourceError, match="exists already"), BagWriter(tmp_path / "bag") as bag:
        bag.write_frame(POINT_FRAME)
        (tmp_path / "bag").write_text("mine")
    assert (tmp_path / "bag").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {".bag.lock", "bag"}


def test_two_writers_of_one_bag(tmp_path):
    with BagWriter(tmp_path / "bag") as first:
        first.write_frame(POINT_FRAME)
        with pytest.raises(SourceError, match=f"is being written by process {os.getpid()}"):
            write_points(tmp_path / "bag")
        first.write_frame(POINT_FRAME)
    with RawBag(tmp_path / "bag") as bag:
        assert bag.topics["/points"].count == 2


# --- failures and kills


@pytest.fixture
def before_step():
    """Set fsio's hook, for this test only."""

    def set_hook(hook):
        fsio.before_step = hook

    yield set_hook
    fsio.before_step = None


@pytest.mark.parametrize("failing", ["away", "in place"])
def test_the_old_bag_survives_a_failure_while_the_new_one_is_published(tmp_path, before_step, failing):
    out = tmp_path / "bag"
    write_points(out)
    before = snapshot(out)

    def refuse(operation: str, path: Path) -> None:
        if operation == "rename" and (path.name == "bag") == (failing == "in place"):
            before_step(None)  # once: the way back is open
            raise OSError(errno.EIO, "Input/output error", str(path))

    before_step(refuse)
    with pytest.raises(OSError, match="Input/output"):
        write_points(out, overwrite=True)
    assert snapshot(out) == before
    assert {path.name for path in tmp_path.iterdir()} == {".bag.lock", "bag"}


@pytest.mark.slow
@pytest.mark.parametrize("step", range(15))
@pytest.mark.parametrize("reader_comes", [False, True])
def test_a_kill_at_any_step_loses_no_bag(tmp_path, step, reader_comes):
    """The process dies before its n-th change of the disk; whoever comes next finds the old bag or the new one."""
    out = tmp_path / "bag"
    write_points(out)
    was_killed = replace_until(out, step)
    assert was_killed == (step < 11)  # the last step of all is the 11th: every one of them has its turn
    if reader_comes:
        with RawBag(out) as bag:
            assert bag.topics["/points"].count in (1, 2)
        return
    with pytest.raises(SourceError, match="exists already"):
        write_points(out)
    with RawBag(out) as bag:
        assert bag.topics["/points"].count in (1, 2)
    write_points(out, overwrite=True, frames=3)
    with RawBag(out) as bag:
        assert bag.topics["/points"].count == 3
    assert {path.name for path in tmp_path.iterdir()} == {".bag.lock", "bag"}


def replace_until(out: Path, step: int) -> bool:
    """Replace the bag in a process that dies at this step; False when it came to its end before."""
    child = os.fork()
    if not child:
        try:
            steps = iter(range(1000))
            fsio.before_step = lambda *_: os.kill(os.getpid(), signal.SIGKILL) if next(steps) == step else None
            write_points(out, overwrite=True, frames=2)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


def test_files_are_flushed_before_the_bag_has_its_name(tmp_path, monkeypatch, before_step):
    events = []
    flush = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (events.append(os.readlink(f"/proc/self/fd/{file}")), flush(file)))
    before_step(lambda operation, path: events.append(f"{operation} {path}") if operation == "rename" else None)
    write_points(tmp_path / "bag")
    names = [event.rpartition("/")[2] for event in events[: events.index(f"rename {tmp_path / 'bag'}")]]
    assert {"bag.mcap", "metadata.yaml", "bag"} <= set(names)


@pytest.mark.parametrize("name", [".bag.0123abcd.new", ".bag.0123abcd.old"])
def test_leftovers_that_hold_other_things_stay(tmp_path, name, caplog):
    strange = tmp_path / name / "bag"
    strange.mkdir(parents=True)
    (strange / "thesis.txt").write_text("mine")
    (tmp_path / ".bag.0123.new").mkdir()  # not our pattern
    (tmp_path / ".other.0123abcd.new").mkdir()  # another bag's
    write_points(tmp_path / "bag")
    assert (strange / "thesis.txt").exists() and "left alone" in caplog.text
    assert (tmp_path / ".bag.0123.new").exists() and (tmp_path / ".other.0123abcd.new").exists()


def write_points(out: Path, overwrite: bool = False, frames: int = 1) -> None:
    with BagWriter(out, overwrite) as bag:
        for _ in range(frames):
            bag.write_frame(POINT_FRAME)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_killed_writer_leaves_no_bag_under_the_name(tiny_kitti, tmp_path, storage):
    script = f"""
from vxp_ros.sources.bag_writer import BagWriter
from vxp_ros.sources.kitti import KittiSource
source = KittiSource({str(tiny_kitti)!r}, "00")
with BagWriter({str(tmp_path / "bag")!r}, storage={storage!r}) as bag:
    print("open", flush=True)
    while True:
        for frame in source: bag.write_frame(frame)
"""
    writer = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"open\n"
    time.sleep(0.2)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert not (tmp_path / "bag").exists() and len(list(tmp_path.glob(".bag.*.new"))) == 1
    write_kitti_bag(tiny_kitti, ["00"], tmp_path / "bag")
    assert {path.name for path in tmp_path.iterdir()} == {".bag.lock", "bag"}


@pytest.mark.parametrize("sequences", [[], [""], ["00", ""], ["00", "00"], ["0", "00"], ["../sequences/00"], ["000"]])
def test_sequences_are_named_once_by_number(tiny_kitti, tmp_path, sequences):
    with pytest.raises(SourceError, match="KITTI sequence"):
        write_kitti_bag(tiny_kitti, sequences, tmp_path / "bag")
    assert list(tmp_path.iterdir()) == []


def test_frames_of_any_rig_can_be_written(tmp_path):
    """LiDAR only, without odometry or calibration."""
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_frame(POINT_FRAME)
    with RawBag(tmp_path / "bag") as bag:
        assert list(bag.topics) == ["/points"]
