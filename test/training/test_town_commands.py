"""`vxp town` as people call it: what it writes, what it answers the second time, what it refuses and how."""

import json
import subprocess
import sys

import pytest

from vxp_ros.cli.main import missing_module, plugins, run
from vxp_ros.sources import open_source
from vxp_training.commands import Bars
from vxp_training.datasets.town import splits, world

SMALL = ["--size", "64x36", "--rings", "16", "--limit", "3", "--processes", "1"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def tiny(monkeypatch):
    """A manifest with one tiny town besides the real ones."""
    monkeypatch.setitem(splits.SPLITS, "town-tiny", splits.Split("town-tiny", 9, "demo", (2, 2), 60.0))


def town(*arguments, cache) -> int:
    return run(["town", "--split", "town-tiny", *SMALL, "--cache", str(cache), *arguments])


def test_the_command_comes_through_the_entry_point():
    names = {entry.name: entry.value for entry in plugins()}
    assert names.get("town") == "vxp_training.commands:town_app", "install the package anew: pip install -e ."


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["kitti", "nuscenes", "bag"])
def test_each_layout_is_written_and_read_by_the_source_it_names(layout, tiny, cache, tmp_path, capsys):
    out, report_file = tmp_path / "out", tmp_path / "report.json"
    options = ["--layout", layout, "--days", "sunny,rain", "--out", str(out), "--json", str(report_file)]
    assert town(*options, "--spacing", "3", cache=cache) == 0
    report = json.loads(report_file.read_text())
    assert [day["name"] for day in report["days"]] == ["sunny", "rain"] and report["is_new"]
    assert report["split"] == "town-tiny" and report["seed"] == 9
    shown = capsys.readouterr().out
    for day in report["days"]:
        assert day["source"] in shown
        assert len(list(open_source(day["source"]))) == day["frames"] == 3
        assert day["metres"] == pytest.approx(6, abs=0.5)


def test_a_second_run_does_nothing_and_says_so(tiny, cache, tmp_path, capsys):
    options = ["--days", "sunny", "--spacing", "3", "--out", str(tmp_path / "out")]
    assert town(*options, cache=cache) == 0
    marker = tmp_path / "out/town.json"
    before = marker.stat().st_mtime_ns
    capsys.readouterr()
    assert town(*options, cache=cache) == 0
    assert "there already" in capsys.readouterr().out and marker.stat().st_mtime_ns == before


def test_another_town_needs_overwrite(tiny, cache, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert town("--days", "sunny", "--spacing", "3", *out, cache=cache) == 0
    assert town("--days", "rain", "--spacing", "3", *out, cache=cache) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert town("--days", "rain", "--spacing", "3", *out, "--overwrite", cache=cache) == 0
    assert "rain" in (tmp_path / "out/town.json").read_text()


def test_a_foreign_folder_is_refused_before_anything_is_rendered(tiny, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("x")
    assert town("--out", str(tmp_path / "out"), "--overwrite", cache=tmp_path / "cache") == 1
    assert "is left alone; choose another name" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists() and (tmp_path / "out/thesis.tex").exists()


def test_a_town_of_ones_own(cache, tmp_path, monkeypatch):
    from vxp_training.datasets.town import splits

    monkeypatch.setattr(splits, "SEEDED_SIZE", (2, 2))
    arguments = ["town", "--seed", "77", "--days", "snow", "--out", str(tmp_path / "out"), "--cache", str(cache)]
    assert run([*arguments, *SMALL, "--limit", "1"]) == 0
    facts = json.loads((tmp_path / "out/town.json").read_text())
    assert facts["days"][0]["task"]["split"]["seed"] == 77 and facts["days"][0]["frames"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--days", "sunny,fog"], "days are named once each, from sunny, sameday, rain, night, snow, reverse"),
        (["--days", "rain,rain"], "days are named once each"),
        (["--days", ""], "got none"),
        (["--split", "town-paris"], "choose one of town-train-1"),
        (["--split", "town-demo", "--seed", "4"], "give one of them"),
        (["--size", "640"], "--size must be WIDTHxHEIGHT"),
        (["--size", "15x64"], "of 16 to 4096 pixels each"),
        (["--size", "64x4097"], "of 16 to 4096 pixels each"),
        (["--spacing", "inf"], "--spacing"),
        (["--rings", "20"], "--rings must be one of 16, 32, 64, got 20"),
        (["--cameras", "2"], "--cameras must be one of 1, 6, got 2"),
        (["--cameras", "6"], "layout kitti holds one colour camera"),
        (["--distortion", "plumb_bob"], "layout kitti holds rectified images only"),
        (["--spacing", "2", "--rate", "5"], "give one of them"),
        (["--layout", "nuscenes", "--rate", "5"], "nuScenes' keyframes come at 2 Hz"),
        (["--limit", "0"], "--limit"),
        (["--layout", "csv"], "--layout"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(arguments, sentence, tmp_path, capsys):
    assert run(["town", "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), *arguments]) == 1
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert sentence in shown and "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--out", "file/out"], "file: File exists"),
        (["--out", "/proc/vxp/out"], "/proc/vxp: No such file or directory"),
        (["--out", "out", "--json", "file/report.json"], "file: File exists"),
        (["--out", "out", "--json", "."], "this is a folder"),
        (["--out", "out", "--cache", "file"], "file: File exists"),
        (["gallery", "--out", "file/town.png"], "file: File exists"),
        (["gallery", "--out", "."], "ends in .png"),
        (["gallery", "--out", "town.gif"], "ends in .png"),
        (["gallery", "--split", "town-paris", "--out", "town.png"], "choose one of town-train-1"),
        (["manifest", "--out", "file/manifest.json"], "file: File exists"),
        (["manifest", "--splits", "town-demo", "--out", "manifest.json"], "a manifest holds all splits"),
        (["manifest", "--splits", "town-paris"], "choose one of town-train-1"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_work(arguments, named, tmp_path, capsys, monkeypatch):
    """Not after minutes of it: nothing is built here at all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(world, "World", None)
    (tmp_path / "file").write_text("mine")
    if "--cache" not in arguments and arguments[0] == "--out":
        arguments = [*arguments, "--cache", "cache"]
    assert run(["town", *arguments]) == 1
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert named in shown and "Traceback" not in shown
    assert (tmp_path / "file").read_text() == "mine" and not (tmp_path / "out").exists()


def test_the_wait_for_the_first_frame_is_explained_once(capsys):
    with Bars() as bars:
        bar = bars.bar("rain", "it takes long")
        for done in range(3):
            bar(done, 2)
        bars.bar("snow", "it takes long")(2, 2)  # all there
    assert capsys.readouterr().err.split() == ["rain:", "2", "frames", "to", "draw;", "it", "takes", "long"]


def test_without_out(capsys):
    assert run(["town"]) == 1
    assert "missing --out DIR" in capsys.readouterr().err


def test_help_is_quick_and_loads_nothing_heavy():
    program = (
        "import sys; from vxp_ros.cli.main import run; run(['town', '--help']);"
        "print([name for name in ('numba', 'embreex', 'torch', 'cv2') if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "--layout" in result.stdout and result.stderr.strip().endswith("[]"), result.stderr


@pytest.mark.parametrize("module", ["numba", "embreex.rtcore_scene"])
def test_what_is_missing_is_named_with_its_cure(module):
    assert missing_module(module).endswith("pip install 'vxp_ros[town]'")


# --- splits


def test_splits_share_neither_seed_nor_style():
    entries = splits.SPLITS.values()
    assert len({split.seed for split in entries}) == len(entries)
    kinds = {
        name: {split.style for split in entries if split.name.startswith(f"town-{name}")}
        for name in ("train", "val", "test", "demo")
    }
    assert kinds == {name: {name} for name in kinds}
    assert set(splits.SPLITS) == {
        "town-train-1", "town-train-2", "town-train-3", "town-train-4", "town-val", "town-test-1", "town-test-2",
        "town-demo",
    }  # fmt: skip


def test_the_manifest_is_that_of_this_version():
    manifest = splits.read_manifest()
    assert manifest["generator_version"] == splits.GENERATOR_VERSION
    for name, split in splits.SPLITS.items():
        entry = manifest["splits"][name]
        assert (entry["seed"], entry["style"], tuple(entry["size"])) == (split.seed, split.style, split.size)
        assert sorted(entry["geometry_sha256"]) == sorted(splits.DAYS)
    hashes = [value for entry in manifest["splits"].values() for value in entry["geometry_sha256"].values()]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize(
    "name",
    [name if name == "town-demo" else pytest.param(name, marks=pytest.mark.slow) for name in splits.SPLITS],
)
def test_the_towns_are_those_of_the_manifest(name):
    split = splits.SPLITS[name]
    assert splits.geometry_hashes(split) == splits.read_manifest()["splits"][name]["geometry_sha256"]


def test_manifest_command_compares_and_tells_a_difference(monkeypatch, capsys, tmp_path):
    shipped = splits.read_manifest()
    monkeypatch.setattr(splits, "geometry_hashes", lambda split: dict(shipped["splits"][split.name]["geometry_sha256"]))
    assert run(["town", "manifest", "--splits", "town-demo,town-val"]) == 0
    assert run(["town", "manifest", "--out", str(tmp_path / "manifest.json")]) == 0
    assert json.loads((tmp_path / "manifest.json").read_text()) == shipped
    shipped["splits"]["town-val"]["geometry_sha256"]["rain"] = "0" * 64
    monkeypatch.setattr(splits, "read_manifest", lambda: shipped)
    monkeypatch.setattr(splits, "geometry_hashes", lambda split: dict.fromkeys(splits.DAYS, "1" * 64))
    capsys.readouterr()
    assert run(["town", "manifest", "--splits", "town-val"]) == 1
    assert "town-val rain" in capsys.readouterr().err
