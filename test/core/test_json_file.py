"""Results on disk: whole files of plain JSON."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from vxp_ros.core.json_file import check_writable, plain, write_json


def test_plain_values():
    result = plain({"a": np.float32(0.5), 5: np.arange(2), "c": (float("nan"), float("inf"), Path("x")), "d": None})
    assert result == {"a": 0.5, "5": [0, 1], "c": [None, None, "x"], "d": None}
    assert plain(np.array([1.0, np.nan])) == [1.0, None]


def test_writes_readable_json_and_makes_the_folder(tmp_path):
    path = tmp_path / "deep" / "er" / "r.json"
    write_json(path, {"n": 1, "text": "Größe"})
    assert json.loads(path.read_text()) == {"n": 1, "text": "Größe"}
    assert path.stat().st_mode & 0o444 == 0o444
    assert os.listdir(path.parent) == ["r.json"]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    write_json(path, {"old": True})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"new": True})
    assert json.loads(path.read_text()) == {"old": True}
    assert os.listdir(tmp_path) == ["r.json"]


def test_a_link_stays_one(tmp_path):
    (tmp_path / "link.json").symlink_to("results/r.json")
    write_json(tmp_path / "link.json", {"n": 1})
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "results" / "r.json").read_text()) == {"n": 1}


def test_what_is_no_plain_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", Path(os.devnull)):
        with pytest.raises(FileExistsError, match="no plain file"):
            check_writable(path)


def test_a_name_as_long_as_may_be(tmp_path):
    path = tmp_path / ("r" * 250 + ".json")
    check_writable(path)
    write_json(path, {})
    assert path.exists()
