"""`vxp map` on short bags: what is built, what is refused, and what a partial source does."""

import json

import pytest

from vxp_ros.cli.main import run


def build(source, out, model, *more) -> int:
    return run(["map", "build", source, "--out", str(out), "--model", model, *map(str, more)])


def test_build_info_check(place_map, capsys, tmp_path):
    assert run(["map", "check", str(place_map)]) == 0
    assert run(["map", "info", str(place_map), "--json", str(tmp_path / "info.json")]) == 0
    report = json.loads((tmp_path / "info.json").read_text())
    assert report["places"] == 6
    assert report["modalities"] == {"camera": 6, "lidar": 6}
    assert report["extent_m"][0] == pytest.approx(20.0)
    assert report["map_id"].startswith("town.v1-")
    assert report["map_id"] in capsys.readouterr().out


def test_min_travel_selects_keyframes(source, model, tmp_path):
    assert build(source, tmp_path / "sparse", model, "--min-travel", 7.9, "--json", tmp_path / "r.json") == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["places"] == 3
    assert report["problems"] == {}
    assert report["saved"]
    assert report["bytes"] > 0


def test_an_existing_map_is_replaced_only_when_asked(source, model, tmp_path, capsys):
    assert build(source, tmp_path / "m", model) == 0
    assert build(source, tmp_path / "m", model) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert build(source, tmp_path / "m", model, "--overwrite") == 0


def test_what_the_save_would_refuse_is_refused_before_the_work(source, model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vxp_ros.core.encoder.Encoder.load", lambda *_: pytest.fail("the work began"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("/tmp")
    for name, words in [
        ("a.b", "is no map name"),
        ("folder", "is no map"),
        ("file", "is no map"),
        ("link", "is a link to something else"),
        ("file/town", "cannot be saved"),
    ]:
        for more in ([], ["--overwrite"]):
            assert build(source, tmp_path / name, model, *more) == 1
            errors = capsys.readouterr().err
            assert words in errors and len(errors.strip().splitlines()) == 1
    assert build(source, tmp_path / "new", model, "--json", tmp_path / "file" / "r.json") == 1
    assert build(source, tmp_path / "new", model, "--json", tmp_path / "folder") == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder", "link"]


def test_home_is_expanded(source, model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert build(source, "~/maps/town", model) == 0
    assert run(["map", "check", str(tmp_path / "maps" / "town")]) == 0


def test_a_partial_source_saves_nothing_unless_allowed(worn_source, model, tmp_path, capsys):
    assert build(worn_source, tmp_path / "m", model, "--json", tmp_path / "r.json") == 2
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["problems"] == {"too_few_points": 1}
    assert not report["saved"]
    assert not (tmp_path / "m").exists()
    assert "--allow-partial" in capsys.readouterr().out

    assert build(worn_source, tmp_path / "m", model, "--allow-partial") == 2
    assert run(["map", "check", str(tmp_path / "m")]) == 0


@pytest.mark.parametrize("bad", ["bag:/nowhere", "nonsense", "kitti:/nowhere:00"])
def test_a_missing_source_is_one_sentence(bad, model, tmp_path, capsys):
    assert build(bad, tmp_path / "m", model) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_missing_model_is_one_sentence(source, tmp_path, capsys):
    assert build(source, tmp_path / "m", str(tmp_path / "no_model")) == 1
    errors = capsys.readouterr().err.strip()
    assert "no_model" in errors
    assert len(errors.splitlines()) == 1


def test_a_damaged_map_does_not_pass(place_map, tmp_path, capsys):
    import shutil

    copy = tmp_path / "maps"
    shutil.copytree(place_map.parent, copy, symlinks=True)
    victim = next(copy.glob("town.v1-*/descriptors_lidar.npy"))
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    assert run(["map", "check", str(copy / "town")]) == 1
    assert "descriptors_lidar.npy" in capsys.readouterr().err


def test_a_bags_topics_can_be_named(source, model, tmp_path, capsys):
    topics = ["--image-topic", "/camera/image_raw", "--points-topic", "", "--odom-topic", "/ground_truth"]
    assert build(source, tmp_path / "camera_only", model, *topics, "--json", tmp_path / "r.json") == 0
    assert json.loads((tmp_path / "r.json").read_text())["modalities"] == {"camera": 6}
    assert build(source, tmp_path / "m", model, "--points-topic", "/velodyne") == 1
    assert "/points" in capsys.readouterr().err  # the topics that there are
    assert build("kitti:nowhere:00", tmp_path / "m", model, "--points-topic", "/points") == 1
    assert "is no bag" in capsys.readouterr().err
