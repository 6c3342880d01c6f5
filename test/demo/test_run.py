"""The demo's edges: without data, in a folder of somebody else's, a second time."""

from pathlib import Path

import pytest

from vxp_ros.cli.main import run
from vxp_ros.core.errors import VxpError
from vxp_ros.demo.run import MARKER, prepare_folder, ros_environment


def test_one_bag_alone_is_refused_in_one_sentence(capsys, tmp_path):
    assert run(["demo", "--out", str(tmp_path / "out"), "--map-bag", str(tmp_path)]) == 1
    assert "--query-bag" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bag_that_is_not_there_is_named(capsys, tmp_path):
    missing = str(tmp_path / "nothing")
    assert run(["demo", "--out", str(tmp_path / "out"), "--map-bag", missing, "--query-bag", missing]) == 1
    assert missing in capsys.readouterr().err


def test_a_second_run_replaces_only_what_the_first_made(tmp_path):
    out = prepare_folder(tmp_path / "out")
    (out / "logs").mkdir()
    (out / "logs" / "old.log").write_text("old")
    (out / "report.html").write_text("old")
    (out / "notes.txt").write_text("mine")
    assert prepare_folder(out) == out
    assert sorted(path.name for path in out.iterdir()) == [MARKER, "notes.txt"]


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(VxpError, match="no demo made"):
        prepare_folder(tmp_path)
    assert (tmp_path / "report.html").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(VxpError, match="is a file"):
        prepare_folder(tmp_path / "file")


def test_bags_in_the_folder_are_not_deleted_before_they_are_read(tmp_path, capsys):
    """As when the bags of the last demo are tried again."""
    bag = prepare_folder(tmp_path / "out") / "town" / "sunny"
    bag.mkdir(parents=True)
    assert run(["demo", "--out", str(tmp_path / "out"), "--map-bag", str(bag), "--query-bag", str(bag)]) == 1
    assert "choose another folder with --out" in " ".join(capsys.readouterr().err.split()) and bag.exists()


def test_a_link_in_the_folder_is_removed_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    out = prepare_folder(tmp_path / "out")
    (out / "logs").symlink_to(elsewhere)
    prepare_folder(out)
    assert not (out / "logs").exists()
    assert (elsewhere / "precious").exists()


def test_the_graph_is_private_and_has_room_for_clouds(tmp_path):
    environment = ros_environment(tmp_path)
    assert 0 <= int(environment["ROS_DOMAIN_ID"]) <= 101
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "<segment_size>67108864<" in Path(environment["FASTDDS_DEFAULT_PROFILES_FILE"]).read_text()
