"""`vxp bag`: writing from KITTI, looking into a bag, and what is refused."""

import json
import os
from pathlib import Path

import pytest

from vxp_ros.cli.bag import parse_slice
from vxp_ros.cli.main import run


def test_info_lists_topics(source, capsys, tmp_path):
    path = source.removeprefix("bag:")
    assert run(["bag", "info", path, "--json", str(tmp_path / "info.json")]) == 0
    report = json.loads((tmp_path / "info.json").read_text())
    topics = {entry["name"]: entry for entry in report["topics"]}
    assert topics["/points"]["type"] == "sensor_msgs/msg/PointCloud2" and topics["/points"]["count"] > 0
    assert topics["/tf_static"]["qos"] == "reliable, transient local"
    assert report["duration_s"] > 0 and report["damaged"] == 0
    assert "/camera/image_raw  sensor_msgs/msg/Image" in capsys.readouterr().out


def test_info_of_a_damaged_bag_is_partial(source, tmp_path, capsys):
    (whole,) = Path(source.removeprefix("bag:")).glob("*.mcap")
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole.read_bytes()[:-2000])
    assert run(["bag", "info", str(cut)]) == 2
    assert "/points" in capsys.readouterr().out


def test_what_is_missing_is_one_sentence(tmp_path, capsys):
    assert run(["bag", "info", str(tmp_path / "nothing")]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert run(["bag", "from-kitti", str(tmp_path), "--out", str(tmp_path / "bag")]) == 1
    assert "calib.txt is missing" in capsys.readouterr().err
    assert not (tmp_path / "bag").exists()


def test_from_kitti(tmp_path):
    if "VXP_DATA" not in os.environ:
        pytest.skip("VXP_DATA is not set: it names the folder with the real KITTI data")
    arguments = ["bag", "from-kitti", os.environ["VXP_DATA"] + "/kitti", "--out", str(tmp_path / "bag")]
    arguments += ["--sequences", "00,01", "--frames", "0:8:4", "--compressed", "--json", str(tmp_path / "bag.json")]
    assert run(arguments) == 0
    counts = {entry["name"]: entry["count"] for entry in json.loads((tmp_path / "bag.json").read_text())["topics"]}
    assert counts["/points"] == counts["/camera/image_raw/compressed"] == 4
    assert run(arguments) == 1 and run([*arguments, "--overwrite"]) == 0


def test_overwrite_never_takes_more_than_a_bag(tmp_path, capsys):
    (tmp_path / "kk/sequences").mkdir(parents=True)
    for out in (tmp_path / "kk", tmp_path / "kk/sequences"):
        assert run(["bag", "from-kitti", str(tmp_path / "kk"), "--out", str(out), "--overwrite"]) == 1
        assert "is not overwritten; choose another name" in capsys.readouterr().err
    assert run(["bag", "from-kitti", str(tmp_path), "--out", ".", "--overwrite"]) == 1
    assert "names no new folder" in capsys.readouterr().err
    assert (tmp_path / "kk/sequences").is_dir()


@pytest.mark.parametrize("sequences", ["", "00,", "00,00", "../sequences/00"])
def test_what_is_no_list_of_sequences(sequences, tmp_path, capsys):
    arguments = ["bag", "from-kitti", str(tmp_path), "--out", str(tmp_path / "bag"), "--sequences", sequences]
    assert run(arguments) == 1
    assert "KITTI sequence" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [(":", slice(None)), ("2:", slice(2, None)), ("0:10:2", slice(0, 10, 2)), ("::3", slice(None, None, 3))],
)
def test_slices(text, expected):
    assert parse_slice(text) == expected


@pytest.mark.parametrize("text", ["", "5", "a:b", "1:2:0", "::-1", "1:2:3:4", "1.5:2"])
def test_what_is_no_slice(text, tmp_path, capsys):
    assert run(["bag", "from-kitti", str(tmp_path), "--out", str(tmp_path / "bag"), "--frames", text]) == 1
    assert "--frames must be" in capsys.readouterr().err
