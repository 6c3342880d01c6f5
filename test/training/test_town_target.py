"""The folder that a layout is written to: whole or not at all, once, and in place of nothing foreign."""

import errno

import pytest
from town_masters import make_master

from vxp_ros.core.errors import SourceError
from vxp_training.datasets.town.layouts import export, kitti
from vxp_training.datasets.town.store import target
from vxp_training.datasets.town.store.master_files import write_atomically


def test_a_second_export_writes_nothing(masters, written):
    marker = written["kitti"] / target.MARKER
    before = marker.stat().st_mtime_ns
    assert not export("kitti", masters, written["kitti"])
    assert marker.stat().st_mtime_ns == before


def test_two_exports_are_alike_to_the_last_byte(masters, tmp_path):
    for layout in ("kitti", "nuscenes"):
        for copy in ("a", "b"):
            export(layout, masters, tmp_path / copy / layout)
        files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
        assert files and all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_another_town_is_replaced_only_when_asked(masters, tmp_path):
    out = tmp_path / "out"
    export("kitti", masters, out)
    with pytest.raises(SourceError, match="--overwrite"):
        export("bag", masters, out)
    assert (out / "poses/01.txt").exists()
    assert export("bag", masters, out, overwrite=True)
    assert not (out / "poses").exists() and (out / "sunny/metadata.yaml").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "out"]


def test_a_full_disk_is_named_and_leaves_nothing(masters, tmp_path, monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kitti, "write_bytes", no_room)
    with pytest.raises(OSError, match="No space left") as problem:
        export("kitti", masters, tmp_path / "out")
    assert problem.value.filename == str(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]


def test_a_frame_that_does_not_fit_on_the_disk_leaves_no_part(tmp_path, monkeypatch):
    def half(path, content):
        path.open("wb").write(content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_bytes", half)
    with pytest.raises(OSError) as problem:
        write_atomically(tmp_path / "000000.camera.jpg", b"picture")
    assert problem.value.filename == str(tmp_path / "000000.camera.jpg") and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["notes", "town and notes", "link", "file"])
def test_nothing_foreign_is_ever_replaced(masters, tmp_path, there):
    out = tmp_path / "out"
    if there == "notes":
        out.mkdir()
        (out / "notes.txt").write_text("thesis")
    elif there == "town and notes":
        export("kitti", masters, out)
        (out / "sequences/00/notes.txt").write_text("thesis")
    elif there == "link":
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to("elsewhere")
    else:
        out.write_text("thesis")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    with pytest.raises(SourceError, match="another name"):
        export("nuscenes", masters, out, overwrite=True)
    after = sorted(str(path) for path in tmp_path.rglob("*") if path.name != ".out.lock")
    assert after == [path for path in before if not path.endswith(".out.lock")]


def test_what_killed_runs_left_is_put_right(masters, tmp_path):
    out = tmp_path / "out"
    export("kitti", masters, out)
    out.rename(tmp_path / ".out.0123abcd.old")  # killed between the two renames
    (tmp_path / ".out.4567abcd.new").mkdir()
    (tmp_path / ".out.4567abcd.new/half").write_text("x")
    with pytest.raises(SourceError, match="--overwrite"):
        export("bag", masters, out)
    assert (out / "poses/00.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", "out"]


def test_a_failed_export_leaves_nothing(masters, tmp_path):
    broken = make_master(tmp_path / "m", frames=2)
    (broken.folder / "frames/000001.range.png").write_bytes(b"no picture")
    with pytest.raises(Exception, match="cannot be decoded"):
        export("kitti", [broken], tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out.*.new"))
