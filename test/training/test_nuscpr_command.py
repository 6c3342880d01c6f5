"""`vxp nuscpr` as people call it: what it says, what it repeats, and how it fails."""

import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest
from nuscpr_runs import COMMAND, PARTS, run
from nuscpr_world import VERSION, write_tables
from town_masters import make_master

from vxp_ros.cli import main
from vxp_ros.core import fsio
from vxp_training.datasets.nusc_pr.read import read_infos, read_split
from vxp_training.datasets.town.layouts import export
from vxp_training.datasets.town.store.task import RigChoice

EACH = pytest.mark.parametrize("scheme", PARTS)


@pytest.fixture(autouse=True)
def command(monkeypatch):
    monkeypatch.setattr(main, "plugins", lambda: [COMMAND])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nuscenes")
    write_tables(folder, {"boston-seaport": (12, 6), "singapore-queenstown": (3, 2)}, keyframes=15 * 16)
    return folder


@pytest.fixture
def copy(world, tmp_path):
    return shutil.copytree(world, tmp_path / "copy")


def hashes(folder):
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}  # fmt: skip


@EACH
def test_it_prints_what_sha256sum_checks(world, tmp_path, capsys, scheme):
    report = tmp_path / "report.json"
    assert run(scheme, world, tmp_path / "out", "--json", str(report)) == 0
    folder, shown = tmp_path / "out" / PARTS[scheme], capsys.readouterr().out
    lines = [line for line in shown.splitlines() if re.fullmatch("[0-9a-f]{64}  .+", line)]
    checked = subprocess.run(["sha256sum", "--check", "--strict", "--quiet"], input="\n".join(lines), cwd=folder,
                             capture_output=True, text=True)  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    listed = dict(line.split("  ")[::-1] for line in lines)
    assert listed == {name: digest for name, digest in hashes(folder).items() if name != "split.json"}
    facts = json.loads((folder / "split.json").read_text())
    assert facts == json.loads(report.read_text())
    assert facts["seed"] == 1 and facts["version"] == VERSION and facts["paper_compat"] == []
    assert "leak-free" in shown and list(facts["districts"]) == ["bs", "sq"]


@EACH
def test_the_same_seed_gives_the_same_bytes_and_strict_is_the_default(world, tmp_path, scheme):
    for name, options in {"a": [], "b": ["--strict"], "c": ["--seed", "2"], "d": ["--paper-compat", "all"]}.items():
        assert run(scheme, world, tmp_path / name, *options) == 0
    found = {name: hashes(tmp_path / name) for name in "abcd"}
    assert found["a"] == found["b"]
    tuples = [name for name in found["a"] if name.endswith("bs_train_query_pos_neg_index_in_infos.pkl")]
    assert len(tuples) == 1 and found["a"][tuples[0]] != found["c"][tuples[0]]
    assert found["d"][tuples[0]] != found["a"][tuples[0]]


def test_both_schemes_share_a_folder_and_nothing_is_written_over(world, tmp_path, capsys):
    out = tmp_path / "out"
    assert [run(scheme, world, out) for scheme in PARTS] == [0, 0]
    before = hashes(out)
    assert run("supervised", world, out, "--seed", "5") == 1
    assert one_sentence(capsys) == f"vxp: {out}/supervised_data is there already; remove it or choose another folder"
    assert hashes(out) == before


def one_sentence(capsys) -> str:
    said = capsys.readouterr().err.strip()
    assert said.startswith("vxp: ") and "\n" not in said
    return said


def test_a_full_disk_leaves_nothing_behind(world, tmp_path, capsys, monkeypatch):
    def fail(operation, path):
        if operation == "write" and path.name == "sq_db.npy":
            raise OSError(28, os.strerror(28), str(path))

    monkeypatch.setattr(fsio, "before_step", fail)
    assert run("supervised", world, tmp_path / "out") == 1
    assert "No space left on device" in one_sentence(capsys)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("table", ["scene", "log", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor"])
def test_a_missing_table_is_named(copy, tmp_path, capsys, table):
    (copy / VERSION / f"{table}.json").unlink()
    assert run("self-supervised", copy, tmp_path / "out") == 1
    assert one_sentence(capsys) == f"vxp: nuScenes data: {copy}/{VERSION}/{table}.json is missing"
    assert not any((tmp_path / "out").iterdir())


def change(copy, table: str, keep, row: int = 0, **columns) -> None:
    """Keep some rows of a table and change columns of one of them."""
    path = copy / VERSION / f"{table}.json"
    rows = [entry for entry in json.loads(path.read_text()) if keep(entry)]
    rows[row].update(columns)
    path.write_text(json.dumps(rows))


def everything(_) -> bool:
    return True


@pytest.mark.parametrize(
    ("table", "keep", "columns", "said"),
    [
        ("sample", everything, {"next": "lost"}, "has the token lost"),
        ("sample", everything, {"next": ""}, "says 16 samples of scene scene-00.., their chain is 1$"),
        ("scene", everything, {"nbr_samples": 7}, "says 7 samples of scene scene-00.., their chain is longer"),
        ("scene", everything, {"log_token": "lost"}, "has the token lost"),
        ("scene", everything, {"nbr_samples": "7"}, "has a row without a usable nbr_samples"),
        ("sample_data", everything, {"ego_pose_token": "lost"}, "has the token lost"),
        ("sample_data", everything, {"calibrated_sensor_token": "lost"}, "has the token lost"),
        ("calibrated_sensor", everything, {"sensor_token": "lost"}, "has the token lost"),
        ("sample_data", lambda row: "CAM_BACK_LEFT" not in row["filename"], {},
         "has no CAM_BACK_LEFT; NUSC-PR needs six cameras and LIDAR_TOP"),
        ("sample_data", lambda row: "LIDAR_TOP" not in row["filename"], {}, "has no LIDAR_TOP; NUSC-PR needs"),
        ("scene", lambda row: False, None, "has no keyframes"),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit_together(copy, tmp_path, capsys, table, keep, columns, said):
    if columns is None:
        (copy / VERSION / f"{table}.json").write_text("[]")
    else:
        change(copy, table, keep, **columns)
    assert run("supervised", copy, tmp_path / "out") == 1
    assert re.search(said, one_sentence(capsys))
    assert not any((tmp_path / "out").iterdir())


def test_a_position_that_is_no_number(copy, tmp_path, capsys):
    path = copy / VERSION / "ego_pose.json"
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([{**row, "translation": ["x", 0, 0]} for row in rows]))
    assert run("supervised", copy, tmp_path / "out") == 1
    assert "translation of" in one_sentence(capsys)


def test_a_wrong_version_names_those_that_are_there(world, tmp_path, capsys):
    assert run("supervised", world, tmp_path / "out", "--version", "v1.0-trainval") == 1
    assert one_sentence(capsys) == (f"vxp: nuScenes data: {world} has no folder v1.0-trainval with the tables, it "
                                    f"holds {VERSION}")  # fmt: skip
    assert not (tmp_path / "out").exists()
    assert run("supervised", tmp_path / "nowhere", tmp_path / "out") == 1
    assert "it holds none" in one_sentence(capsys)


def test_a_folder_that_cannot_be_written(world, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("supervised", world, tmp_path / "file/out") == 1
    assert "file" in one_sentence(capsys)
    assert run("supervised", world, tmp_path / "file") == 1
    assert f"{tmp_path}/file" in one_sentence(capsys)
    if os.access("/proc", os.W_OK) and os.getuid() == 0:
        return
    (tmp_path / "closed").mkdir(mode=0o500)
    assert run("supervised", world, tmp_path / "closed") == 1
    assert "Permission denied" in one_sentence(capsys)


def test_switches_that_do_not_exist_or_do_not_go_together(world, tmp_path, capsys):
    assert run("supervised", world, tmp_path / "out", "--paper-compat", "nuscpr_nothing") == 1
    assert "there is no switch 'nuscpr_nothing'; choose from all, nuscpr_db_all_dates" in one_sentence(capsys)
    assert run("supervised", world, tmp_path / "out", "--strict", "--paper-compat", "all") == 1
    assert "leave out --paper-compat" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@EACH
def test_a_town_goes_from_its_tables_to_tuples(tmp_path, scheme):
    """A Town's districts are its towns; the sunny day is the database, the rain 131 days later asks."""
    days = [make_master(tmp_path, day, 20, RigChoice(cameras=6, size=(64, 36), rings=16)) for day in ("sunny", "rain")]
    export("nuscenes", days, tmp_path / "town")
    assert run(scheme, tmp_path / "town", tmp_path / "out", "--version", "v1.0-synth") == 0
    split, infos = (read(tmp_path / "out" / PARTS[scheme]) for read in (read_split, read_infos))
    district = split.districts["town-tiny"]
    assert len(infos) == 40
    for info in infos:
        assert len(info["cam_infos"]) == 6
        for record in [*info["cam_infos"].values(), *info["lidar_infos"].values()]:
            assert (tmp_path / "town" / record["filename"]).is_file()
    if scheme == "supervised":
        assert district.database.tolist() == list(range(20))  # 4 m apart
        asked = sorted([*district.validation.query, *district.test.query])
        assert asked == list(range(20, 40)) and district.test.without_right == 0
    else:
        # one of two drives is the test; the other has 8 keyframes with 12 before them
        assert len(district.database) == len(district.test) == 20 and len(district.tuples) == 8
