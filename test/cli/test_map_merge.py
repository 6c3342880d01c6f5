"""`vxp map merge` on maps of made-up towns: aligned, refused, merged as they are."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "core"))

from map_pairs import FIRST, T_A_B, drive, first_map, second_map

from vxp_ros.cli import map_merge
from vxp_ros.cli.main import run
from vxp_ros.core.map_alignment import MapAlignment
from vxp_ros.core.map_store import load_map, save_map
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.registration_process import RegistrationProcess, start

needs_registration = pytest.mark.skipif(sys.version_info >= (3, 13), reason="kiss-matcher has no wheel for Python 3.13")


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """Maps first, second (same town, other frame) and foreign (another town)."""
    root = tmp_path_factory.mktemp("maps")
    foreign = drive(7, FIRST[:1], np.eye(4))
    for name, place_map in (("first", first_map()), ("second", second_map()), ("foreign", foreign)):
        save_map(place_map, root / name)
    return root


@pytest.fixture
def root(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "maps", symlinks=True))


def merge(root: Path, *arguments: str) -> int:
    """Words without a dash are names under the root."""
    return run(["map", "merge", *(a if a.startswith("--") else str(root / a) for a in arguments)])


def contents(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name[0] != "."}


@needs_registration
def test_a_map_in_another_frame_is_aligned_and_the_given_maps_stay(root, capsys):
    before = contents(root)
    assert merge(root, "first", "second", "--out", "both", "--json", "report") == 0
    merged, report = load_map(root / "both"), json.loads((root / "report").read_text())
    assert len(merged) == report["places"] == 10 and report["saved"]
    truth = T_A_B @ load_map(root / "second").poses
    assert np.abs(merged.poses[5:, :3, 3] - truth[:, :3, 3]).max() < 0.3
    found = report["maps"][0]["alignment"]
    assert np.allclose(found["T_first_other"], T_A_B, atol=0.3)
    assert found["tried"] == 5 and 3 <= found["agreeing"] <= found["verified"] and found["residual_m"]["max"] < 0.5
    assert {key: data for key, data in contents(root).items() if key in before} == before
    printed = capsys.readouterr().out
    assert "10 places" in printed and "warning" not in printed
    assert run(["map", "check", str(root / "both")]) == 0


@needs_registration
def test_drives_that_are_bent_against_each_other_are_merged_with_a_warning(root, capsys, monkeypatch):
    found = MapAlignment(T_A_B, tried=5, verified=5, agreeing=5, metres=np.full(5, 4.0), degrees=np.ones(5))
    monkeypatch.setattr(map_merge, "align", lambda *_: found)
    assert merge(root, "first", "second", "--out", "both") == 0
    assert f"warning: {root / 'second'} is bent against the first map" in capsys.readouterr().out


@needs_registration
def test_a_map_of_another_town_is_refused_and_nothing_is_written(root, capsys):
    before = contents(root)
    assert merge(root, "first", "foreign", "--out", "both") == 1
    errors = capsys.readouterr().err
    assert "could not be aligned" in errors and "foreign" in errors
    assert contents(root) == before and not (root / "both").exists()


@pytest.mark.slow
@needs_registration
def test_of_several_maps_those_that_align_are_saved_only_when_asked(root, capsys):
    assert merge(root, "first", "foreign", "second", "--out", "both", "--json", "report") == 2
    assert not (root / "both").exists() and not json.loads((root / "report").read_text())["saved"]
    assert "--allow-partial" in capsys.readouterr().out
    assert merge(root, "first", "foreign", "second", "--out", "both", "--allow-partial") == 2
    assert len(load_map(root / "both")) == 10


@needs_registration
def test_clouds_that_end_the_registration_process_do_not_end_the_merge(root, monkeypatch):
    deaths = []

    def dying(process, source, target):
        if not deaths:
            deaths.append(process)
            process._process = start()
            process._process.kill()
        return register(process, source, target)

    register = RegistrationProcess.register
    monkeypatch.setattr(RegistrationProcess, "register", dying)
    assert merge(root, "first", "second", "--out", "both") == 0
    assert len(deaths) == 1 and len(load_map(root / "both")) == 10


def test_maps_of_one_frame_are_merged_as_they_are(root):
    assert merge(root, "first", "foreign", "second", "--out", "all", "--same-frame") == 0
    merged = load_map(root / "all")
    poses = np.concatenate([load_map(root / name).poses for name in ("first", "foreign", "second")])
    assert np.allclose(merged.poses, poses)
    assert [place.drive for place in merged.places()] == 5 * [0] + [1] + 5 * [2]


def test_an_existing_map_is_replaced_only_when_asked(root, capsys):
    save_map(drive(0, FIRST[:2], np.eye(4), clouds=False), root / "both")
    assert merge(root, "first", "second", "--out", "both", "--same-frame") == 1
    assert "--overwrite" in capsys.readouterr().err
    assert merge(root, "first", "second", "--out", "both", "--same-frame", "--overwrite") == 0
    assert len(load_map(root / "both")) == 10


def test_what_cannot_be_merged_is_one_sentence_before_the_work(root, capsys, monkeypatch):
    monkeypatch.setattr("vxp_ros.core.map_alignment.align_maps", lambda *_, **__: pytest.fail("the work began"))
    other = PlaceMap({"lidar": "another"})
    other.add(load_map(root / "first").place(0))
    save_map(other, root / "other")
    before = contents(root)
    for arguments, words in [
        (["first"], "two maps or more"),
        (["first", "first"], "given twice"),
        (["first", "other"], "different models"),
        (["first", "nowhere"], "there is no map"),
    ]:
        assert merge(root, *arguments, "--out", "both") == 1
        errors = capsys.readouterr().err
        assert words in errors and len(errors.strip().splitlines()) == 1
    assert merge(root, "first", "second", "--out", "second", "--overwrite") == 1
    assert "they stay as they are" in capsys.readouterr().err
    assert contents(root) == before
