"""Saving and loading: what comes back, which versions stay, and what the sentences of a refusal say."""

import hashlib
import json
import logging
import os
from dataclasses import replace

import numpy as np
import pytest
from map_samples import MODELS, assert_same_place, generation_of, make_map, make_place, version_folder

from vxp_ros.core.errors import MapError
from vxp_ros.core.map_store import check_map, describe_map, load_map, path_of_map, save_map
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.plain_file import LARGE_BYTES


def test_a_map_comes_back_as_it_was(tmp_path):
    place_map = PlaceMap(MODELS, "world", "base_footprint", {"cameras": {"left": {"K": [1.5, 0.0]}}})
    for i in range(5):
        place_map.add(make_place(i, generation=2))
    saved = save_map(place_map, tmp_path / "town")
    loaded = load_map(tmp_path / "town", MODELS)
    for one, other in zip(place_map.places(), loaded.places(), strict=True):
        assert_same_place(one, other)
    for name in ("models", "modalities", "dimensions", "map_frame", "base_frame", "rig", "name", "map_id"):
        assert getattr(loaded, name) == getattr(place_map, name), name
    assert np.array_equal(loaded.poses, place_map.poses)
    assert loaded.name == "town"
    assert loaded.map_id == f"town.v1-{saved.sha256[:12]}"
    for i in (1, 2, 4):
        ids, distances = loaded.search(place_map.place(i).descriptors["camera"], "camera", 1)
        assert (ids[0], distances[0]) == (i, 0)


def test_what_a_save_reports_is_on_the_disk(tmp_path):
    saved = save_map(make_map(), tmp_path / "new" / "root" / "town")
    folder = version_folder(saved.path)
    assert saved.path == tmp_path / "new" / "root" / "town"
    assert saved.places == 6
    assert saved.bytes == sum(file.stat().st_size for file in folder.iterdir())
    assert saved.sha256 == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert os.readlink(saved.path) == folder.name


def test_the_files_are_ordinary_npy_and_json(town):
    folder = version_folder(town)
    assert np.load(folder / "stamp.npy").tolist() == [1_000_000 + i for i in range(6)]
    assert np.load(folder / "has_camera.npy").tolist() == [False, True, True, False, True, True]
    assert np.load(folder / "descriptors_lidar.npy").shape == (6, 8)
    assert np.load(folder / "T_map_base.npy").shape == (6, 4, 4)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["format"], manifest["places"], manifest["complete"]) == (1, 6, True)
    assert manifest["created_by"].startswith("vxp_ros ")
    assert set(manifest["files"]) == {file.name for file in folder.iterdir()} - {"manifest.json"}


def test_a_loaded_map_can_grow_and_be_saved_again(town):
    place_map = load_map(town)
    place_map.add(make_place(6, 1))
    save_map(place_map, town, overwrite=True)
    assert generation_of(load_map(town)) == 1
    assert len(load_map(town)) == 7
    assert load_map(town).search(make_place(6, 1).descriptors["lidar"], "lidar", 1)[0].tolist() == [6]


@pytest.mark.parametrize("modality", ["camera", "lidar", "fused"])
def test_a_map_of_one_modality_without_clouds_and_thumbnails(tmp_path, modality):
    place_map = PlaceMap({modality: "tiny-0123456789ab"})
    place = make_place(0)
    place_map.add(place.__class__(5, place.T_map_base, {modality: np.ones(3, np.float32)}))
    save_map(place_map, tmp_path / "town")
    loaded = load_map(tmp_path / "town")
    assert loaded.modalities == (modality,)
    assert_same_place(loaded.place(0), place_map.place(0))
    assert describe_map(tmp_path / "town")["cloud_points"] == 0


def test_large_thumbnails_are_views_of_their_file(tmp_path):
    place_map = PlaceMap(MODELS)
    for i in range(3):
        place_map.add(replace(make_place(i), thumbnail=bytes([i]) * LARGE_BYTES))
    save_map(place_map, tmp_path / "town")
    thumbnails = [place.thumbnail for place in load_map(tmp_path / "town").places()]
    assert thumbnails == [bytes([i]) * LARGE_BYTES for i in range(3)]
    assert len({id(thumbnail.obj) for thumbnail in thumbnails}) == 1 and thumbnails[0].readonly


def test_a_name_in_use_is_replaced_only_when_asked_for(town):
    with pytest.raises(MapError, match=r"there is a map .*town already; save under another name or with overwrite"):
        save_map(make_map(2), town)
    assert generation_of(load_map(town)) == 1
    save_map(make_map(2), town, overwrite=True)
    assert generation_of(load_map(town)) == 2


def test_one_older_version_stays(town):
    for generation in (2, 3, 4):
        save_map(make_map(generation), town, overwrite=True)
    folders = sorted(entry.name for entry in town.parent.iterdir() if entry.is_dir() and not entry.is_symlink())
    assert [name.split("-")[0] for name in folders] == ["town.v3", "town.v4"]
    assert generation_of(load_map(town.parent / folders[0])) == 3
    assert generation_of(load_map(town)) == 4


def test_going_back_to_the_older_version_by_hand(town):
    save_map(make_map(2), town, overwrite=True)
    older = next(entry for entry in town.parent.iterdir() if entry.name.startswith("town.v1"))
    town.unlink()
    town.symlink_to(older.name)
    assert generation_of(load_map(town)) == 1


def test_versions_whose_link_was_lost_or_renamed_are_not_thrown_away(town):
    renamed = town.rename(town.with_name("city"))
    save_map(make_map(2), town)
    save_map(make_map(3), town, overwrite=True)
    save_map(make_map(4), town, overwrite=True)
    assert generation_of(load_map(renamed)) == 1
    town.unlink()
    save_map(make_map(5), town)
    left = [town.parent / entry for entry in sorted(os.listdir(town.parent)) if ".v" in entry]
    assert [generation_of(load_map(folder)) for folder in left] == [1, 4, 5]


def test_maps_beside_each_other_do_not_touch_each_other(tmp_path):
    for name in ("town", "town2", "tow", "town_"):
        save_map(make_map(len(name)), tmp_path / name)
    for generation in (11, 12, 13):
        save_map(make_map(generation), tmp_path / "town", overwrite=True)
    assert generation_of(load_map(tmp_path / "town")) == 13
    assert [generation_of(load_map(tmp_path / name)) for name in ("town2", "tow", "town_")] == [5, 3, 5]


def test_an_empty_map_is_not_saved(tmp_path):
    with pytest.raises(MapError, match="holds no place yet"):
        save_map(PlaceMap(MODELS), tmp_path / "town")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rig", [{"K": np.eye(3)}, {"K": float("nan")}, {"text": "x" * 2_000_000}])
def test_a_rig_that_json_cannot_hold_is_refused(tmp_path, rig):
    place_map = PlaceMap(MODELS, rig=rig)
    place_map.add(make_place(0))
    with pytest.raises(MapError, match="rig"):
        save_map(place_map, tmp_path / "town")
    assert [entry.name for entry in tmp_path.iterdir()] == [".town.lock"]


def test_a_refused_save_leaves_nothing_beside_what_is_no_map(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("folder")
    for name in ("folder", "file", "link"):
        with pytest.raises(MapError, match="exists and is no map"):
            save_map(make_map(), tmp_path / name, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "link"]


@pytest.mark.parametrize("name", ["town.v1", "t own", "", "tøwn", "x" * 65])
def test_a_path_must_end_in_a_map_name(tmp_path, name):
    with pytest.raises(MapError, match="is no map name"):
        save_map(make_map(), f"{tmp_path}/{name or '..'}")


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_map(make_map(3), path_of_map("~/maps", "town"))
    assert generation_of(load_map("~/maps/town")) == 3
    with pytest.raises(MapError, match="there is no map at '~nobody_of_that_name/town'"):
        load_map("~nobody_of_that_name/town")


def test_a_missing_map_is_refused_with_the_names_there_are(town):
    with pytest.raises(MapError, match=r"there is no map at '.*twn': No such file.*\(maps in .*: town\)"):
        load_map(town.with_name("twn"))
    with pytest.raises(MapError, match=r"is no map: .*\(maps in .*: town\)"):
        load_map(town.parent)
    for path in ("\0", "x" * 5000, "/proc/self/mem", ""):
        with pytest.raises(MapError, match="no map"):
            load_map(path)


OTHER = "tiny-ba9876543210"


@pytest.mark.parametrize(
    "models",
    [
        {"camera": OTHER, "lidar": OTHER},
        {"camera": OTHER},
        {**MODELS, "lidar": OTHER},
        {"fused": OTHER},
        {"fused": "tiny"},
    ],
)
def test_another_model_is_refused_unless_allowed(town, models, caplog):
    words = r"map town.v1-.* was made by tiny-0123456789ab \(camera\), .*, but the loaded model is tiny"
    with pytest.raises(MapError, match=words):
        load_map(town, models)
    with caplog.at_level(logging.WARNING):
        assert generation_of(load_map(town, models, allow_model_mismatch=True)) == 1
    assert "but the loaded model is" in caplog.text


@pytest.mark.parametrize(
    "models", [None, MODELS, {"lidar": MODELS["lidar"]}, {**MODELS, "fused": OTHER}, {"fused": MODELS["lidar"]}]
)
def test_the_same_model_is_accepted(town, models):
    assert generation_of(load_map(town, models)) == 1


def test_a_camera_model_searches_its_own_lidar_map(tmp_path):
    place_map = PlaceMap({"lidar": MODELS["lidar"]})
    place_map.add(make_place(0))
    save_map(place_map, tmp_path / "town")
    assert len(load_map(tmp_path / "town", {"camera": MODELS["lidar"]})) == 1
    with pytest.raises(MapError, match="the loaded model is"):
        load_map(tmp_path / "town", {"camera": OTHER})


def test_describe_and_check(town):
    report = describe_map(town)
    assert json.loads(json.dumps(report)) == report
    assert report["name"] == "town"
    assert report["places"] == 6
    assert report["modalities"] == {"camera": 4, "lidar": 6}
    assert report["extent_m"] == [5.0, 0.0, 0.0]
    assert report["length_m"] == 5.0
    assert report["drives"] == 1
    assert report["cloud_points"] == 4 + 5 + 6 + 7 + 8
    assert report["thumbnails"] == 5
    assert report["bytes"] == sum(file.stat().st_size for file in version_folder(town).iterdir())
    assert check_map(town) == {**report, "checks": {"files": 16, "searches": 10}}


def test_the_way_between_two_drives_does_not_count(tmp_path):
    one = make_map(0)
    one.merge(make_map(1))
    save_map(one, tmp_path / "town")
    report = describe_map(tmp_path / "town")
    assert (report["drives"], report["length_m"]) == (2, 10.0)
