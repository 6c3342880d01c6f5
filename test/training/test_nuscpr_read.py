"""A split read back is what was written; what is damaged, changed or hostile is refused in one sentence."""

import hashlib
import json
import os
import pickle
import shutil

import numpy as np
import pytest
from nuscpr_runs import PARTS, load
from nuscpr_world import VERSION, token, write_tables

from vxp_ros.core.errors import SourceError
from vxp_training.datasets.nusc_pr.compat import NuscPrCompat
from vxp_training.datasets.nusc_pr.make import make_split
from vxp_training.datasets.nusc_pr.read import read_infos, read_split

EACH = pytest.mark.parametrize("scheme", PARTS)
PUBLISHED = NuscPrCompat(nuscpr_db_all_dates=True, nuscpr_no_val_gt=True, nuscpr_legacy_keys=True)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nuscpr")
    write_tables(folder)
    for scheme in PARTS:
        make_split(scheme, folder, VERSION, folder / "strict")
        make_split(scheme, folder, VERSION, folder / "published", compat=PUBLISHED)
    return folder


@pytest.fixture
def copy(out, tmp_path):
    return shutil.copytree(out / "strict/supervised_data", tmp_path / "copy")


def scene_numbers(infos) -> list[int]:
    """Of each keyframe, the number that its scene's token was made of."""
    numbers = {token("scene", number): number for number in range(100)}
    return [numbers[info["scene_token"]] for info in infos]


@EACH
def test_what_is_read_is_what_the_files_say(out, scheme):
    folder = out / "strict" / PARTS[scheme]
    split, infos = read_split(folder), read_infos(folder)
    assert split.scheme == scheme and split.is_leak_free and list(split.districts) == ["bs", "son", "sq", "shv"]
    index = folder / ("generate_selected_indicies" if scheme == "supervised" else "split_dataset")
    for name, district in split.districts.items():
        assert district.database.tolist() == load(index / f"{name}_db_index_in_infos.npy").tolist()
        right = {q: list(r) for q, r in zip(district.test.query.tolist(), district.test.right, strict=True)}
        assert right == load(index / f"{name}_test_query_gt_index_in_infos.pkl")
        tuples = district.tuples
        assert tuples.query.dtype == tuples.positives.dtype == tuples.negatives.dtype == np.int64
        assert tuples.positives.shape == (len(tuples), 2) and tuples.negatives.shape == (len(tuples), 4)
        rows = zip(tuples.query.tolist(), tuples.positives.tolist(), tuples.negatives.tolist(), strict=True)
        stored = load(index / f"{name}_train_query_pos_neg_index_in_infos.pkl")
        assert {q: (p, n) for q, p, n in rows} == {q: (row["pos"], row["neg"]) for q, row in stored.items()}
        assert set(tuples.query) <= set(district.train)
    keyframes = split.keyframes
    assert keyframes.token.tolist() == [info["sample_token"] for info in infos]
    assert keyframes.stamp_us.tolist() == [info["timestamp"] for info in infos]
    assert keyframes.is_night.tolist() == [number % 5 == 4 for number in scene_numbers(infos)]
    assert keyframes.position.tolist() == [i["lidar_infos"]["LIDAR_TOP"]["ego_pose"]["translation"] for i in infos]


def test_queries_of_the_supervised_scheme(out):
    for rule in ("strict", "published"):
        folder = out / rule / "supervised_data"
        split, tokens = read_split(folder), read_split(folder).keyframes.token
        for name, district in split.districts.items():
            parts = {"train": district.train, "val": district.validation.query, "test": district.test.query}
            for part, rows in parts.items():
                names = load(folder / f"split_dataset/{name}_{part}_query_sample_token.npy")
                assert tokens[rows].tolist() == names.tolist()
            together = np.concatenate([district.database, *parts.values()])
            assert sorted(together) == split.keyframes.rows_of(name).tolist()
            assert (district.validation.right is None) == (rule == "published")
            if rule == "strict":
                stored = load(folder / f"generate_selected_indicies/{name}_val_query_gt_index_in_infos.pkl")
                assert [right.tolist() for right in district.validation.right] == list(stored.values())
        assert split.is_leak_free == (rule == "strict")


def test_districts_are_trained_on_and_never_seen(out):
    supervised, other = (read_split(out / "strict" / part) for part in PARTS.values())
    assert supervised.zero_shot == ["son", "sq", "shv"] and other.zero_shot == []
    every = other.tuples()
    assert len(every) == sum(len(district.tuples) for district in other.districts.values())
    assert (np.diff(every.query) > 0).all()
    assert supervised.tuples("bs").query.tolist() == supervised.districts["bs"].tuples.query.tolist()


def test_old_names_of_keys_are_read_as_ours(out):
    published, strict = (read_infos(out / rule / "supervised_data") for rule in ("published", "strict"))
    assert published == strict


def put(folder, name: str, content: bytes, is_listed: bool = True) -> None:
    """Write a file, and its hash into split.json, as somebody would who means harm."""
    (folder / name).write_bytes(content)
    if is_listed:
        facts = json.loads((folder / "split.json").read_text())
        facts["files"][name] = hashlib.sha256(content).hexdigest()
        (folder / "split.json").write_text(json.dumps(facts))


TUPLES = "generate_selected_indicies/bs_train_query_pos_neg_index_in_infos.pkl"


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_code_in_a_pickle_is_not_run(copy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (TUPLES, "generate_basic_infos/nuscenes_infos.pkl"):
        put(copy, name, pickle.dumps({1: Harm()}))
    for read in (read_split, read_infos):
        with pytest.raises(SourceError, match="only plain values are read"):
            read(copy)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (TUPLES, b""),
        (TUPLES, b"no pickle"),
        (TUPLES, pickle.dumps([1, 2])),
        (TUPLES, pickle.dumps({1: {"pos": [1, 2]}})),
        (TUPLES, pickle.dumps({1: {"pos": [1, 2], "neg": [1, 2, 3]}})),
        (TUPLES, pickle.dumps({1: {"pos": [1, 2], "neg": [1, 2, 3, 10**6]}})),
        (TUPLES, pickle.dumps({-1: {"pos": [1, 2], "neg": [1, 2, 3, 4]}})),
        ("generate_selected_indicies/bs_test_query_gt_index_in_infos.pkl", pickle.dumps({1: ["a"]})),
        ("generate_selected_indicies/bs_test_query_gt_index_in_infos.pkl", pickle.dumps({1: [10**6]})),
        ("generate_selected_indicies/bs_db_index_in_infos.npy", b"no array"),
        ("split_dataset/bs_val_query.npy", b"\x93NUMPY"),
        ("keyframes.npz", b"PK"),
    ],
)
def test_damage_is_one_sentence(copy, name, content):
    with pytest.raises(SourceError, match="was changed or damaged"):
        put(copy, name, content, is_listed=False)
        read_split(copy)
    put(copy, name, content)
    with pytest.raises(SourceError, match="damaged") as problem:
        read_split(copy)
    assert "\n" not in str(problem.value)


def test_what_is_missing_is_named(copy, tmp_path):
    with pytest.raises(SourceError, match="is no folder of a NUSC-PR split"):
        read_split(tmp_path)
    (copy / TUPLES).unlink()
    with pytest.raises(SourceError, match=r"pos_neg_index_in_infos\.pkl cannot be read"):
        read_split(copy)
    facts = json.loads((copy / "split.json").read_text())
    (copy / "split.json").write_text(json.dumps({**facts, "format": 9}))
    with pytest.raises(SourceError, match="has format 9, this program reads 2"):
        read_split(copy)
