"""The one way to the disk: whole writes, hashes, exclusive names, locks, and the hook for faults."""

import errno
import hashlib
import os

import pytest

from vxp_ros.core import fsio


def test_write_file_returns_size_and_hash_of_what_is_on_disk(tmp_path):
    buffers = [b"abc", memoryview(b"x" * (fsio.CHUNK + 7)), b""]
    size, digest = fsio.write_file(tmp_path / "file", buffers)
    data = (tmp_path / "file").read_bytes()
    assert data == b"".join(buffers)
    assert (size, digest) == (len(data), hashlib.sha256(data).hexdigest())


def test_write_file_copes_with_short_writes(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    fsio.write_file(tmp_path / "file", [b"0123456789"])
    assert (tmp_path / "file").read_bytes() == b"0123456789"


@pytest.mark.parametrize("kind", ["file", "link", "broken link"])
def test_write_file_never_writes_over_or_through_what_is_there(tmp_path, kind):
    path, other = tmp_path / "name", tmp_path / "other"
    other.write_text("mine")
    if kind == "file":
        path.write_text("mine")
    else:
        path.symlink_to(other if kind == "link" else tmp_path / "absent")
    with pytest.raises(FileExistsError):
        fsio.write_file(path, [b"yours"])
    assert other.read_text() == "mine"
    assert not (tmp_path / "absent").exists()


def test_create_folders_makes_what_is_missing(tmp_path):
    fsio.create_folders(tmp_path / "a" / "b" / "c")
    fsio.create_folders(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        fsio.create_folders(tmp_path / "file")


def test_remove_folder_refuses_a_folder_with_folders(tmp_path):
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    with pytest.raises(OSError):
        fsio.remove_folder(tmp_path / "outer")
    assert (tmp_path / "outer" / "inner").is_dir()


def test_remove_folder_does_not_follow_links(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "mine")
    fsio.remove_folder(tmp_path / "folder")
    assert (tmp_path / "mine" / "file").read_text() == "mine"


def test_the_lock_excludes_and_names_its_owner(tmp_path):
    path = tmp_path / ".lock"
    with fsio.lock(path, 0), pytest.raises(fsio.Busy, match=f"process {os.getpid()} on "), fsio.lock(path, 0.05):
        pass
    with fsio.lock(path, 0):
        pass


def test_the_lock_does_not_follow_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError), fsio.lock(tmp_path / ".lock", 0):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_every_operation_asks_the_hook_first(tmp_path, monkeypatch):
    def refuse(operation, path):
        raise OSError(errno.EIO, operation, str(path))

    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(fsio, "before_step", refuse)
    calls = [
        lambda: fsio.write_file(tmp_path / "file", [b"x"]),
        lambda: fsio.create_folder(tmp_path / "new"),
        lambda: fsio.create_folders(tmp_path / "new" / "er"),
        lambda: fsio.sync_folder(tmp_path),
        lambda: fsio.rename_folder(tmp_path / "folder", tmp_path / "renamed"),
        lambda: fsio.create_link(tmp_path / "link2", "folder"),
        lambda: fsio.replace_link(tmp_path / "link", tmp_path / "link2"),
        lambda: fsio.remove_file(tmp_path / "link"),
        lambda: fsio.remove_folder(tmp_path / "folder"),
        lambda: fsio.lock(tmp_path / ".lock", 0).__enter__(),
    ]
    for call in calls:
        with pytest.raises(OSError, match="Errno 5"):
            call()
    assert sorted(os.listdir(tmp_path)) == before
