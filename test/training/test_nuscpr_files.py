"""Every index file of both schemes and both rules against a reference of plain loops, on a made-up nuScenes."""

import json
import os
from pathlib import Path

import numpy as np
import nuscpr_reference as reference
import pytest
from nuscpr_runs import COMMAND, PARTS, load, logs_of, run
from nuscpr_world import CAMERAS, SMALL, SMALL_KEYFRAMES, VERSION, write_tables

from vxp_ros.cli import main
from vxp_training.datasets.nusc_pr.infos import read_tables

DISTRICTS = ("bs", "son", "sq", "shv")
SEED = 1
RULES = {"strict": ["--strict"], "published": ["--paper-compat", "all"]}
BOTH = pytest.mark.parametrize("rule", RULES)
EACH = pytest.mark.parametrize("district", DISTRICTS)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nuscenes")
    write_tables(folder, sweeps=1)
    return folder


@pytest.fixture(scope="module")
def outs(root, tmp_path_factory):
    """rule -> folder with both schemes."""
    out = tmp_path_factory.mktemp("nuscpr")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "plugins", lambda: [COMMAND])
        for rule, options in RULES.items():
            for scheme in PARTS:
                assert run(scheme, root, out / rule, *options) == 0
    return {rule: out / rule for rule in RULES}


@pytest.fixture(scope="module")
def infos(outs):
    return load(outs["strict"] / "supervised_data/generate_basic_infos/nuscenes_infos.pkl")


@pytest.fixture(scope="module")
def expected(infos, root):
    """rule, district -> the supervised split; rule -> district -> the self-supervised one."""
    logs = logs_of(root)
    known = {(rule, name): reference.supervised(infos, logs, name, SEED, rule == "published")
             for rule in RULES for name in DISTRICTS}  # fmt: skip
    return known, {rule: reference.self_supervised(infos, logs, SEED, rule == "published") for rule in RULES}


def typed(value):
    """A value with the types of everything in it, so that 1 and numpy's 1 differ."""
    if isinstance(value, dict):
        return [(type(key), key, typed(entry)) for key, entry in value.items()]
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    return type(value), value


# Infos


@BOTH
def test_one_record_per_keyframe_in_the_tables_order(outs, root, rule):
    infos = load(outs[rule] / "supervised_data/generate_basic_infos/nuscenes_infos.pkl")
    tables = {name: json.loads((root / VERSION / f"{name}.json").read_text()) for name in ("scene", "sample")}
    samples = {row["token"]: row for row in tables["sample"]}
    chained = []
    for scene in tables["scene"]:
        name = scene["first_sample_token"]
        while name:
            chained.append(name)
            name = samples[name]["next"]
    assert [info["sample_token"] for info in infos] == chained and len(chained) == len(samples) == SMALL_KEYFRAMES
    assert {info["scene_token"] for info in infos} == {scene["token"] for scene in tables["scene"]}
    index = {info["sample_token"]: i for i, info in enumerate(infos)}
    assert [index[infos[i]["sample_token"]] for i in range(len(infos))] == list(range(len(infos)))


def test_records_hold_what_the_tables_say(infos, root):
    tables = {name: {row["token"]: row for row in json.loads((root / VERSION / f"{name}.json").read_text())}
              for name in ("sample_data", "ego_pose", "calibrated_sensor", "sensor")}  # fmt: skip
    for info in infos[::37]:
        assert list(info) == ["sample_token", "timestamp", "scene_token", "loc", "cam_infos", "lidar_infos"]
        assert list(info["cam_infos"]) == list(CAMERAS) and list(info["lidar_infos"]) == ["LIDAR_TOP"]
        for channel, record in {**info["cam_infos"], **info["lidar_infos"]}.items():
            row = tables["sample_data"][record["sample_data_token"]]
            assert row["is_key_frame"] and row["sample_token"] == info["sample_token"]
            assert record["filename"] == row["filename"] and record["timestamp"] == row["timestamp"]
            assert record["ego_pose"] == tables["ego_pose"][row["ego_pose_token"]]
            assert record["calibrated_sensor"] == tables["calibrated_sensor"][row["calibrated_sensor_token"]]
            assert tables["sensor"][record["calibrated_sensor"]["sensor_token"]]["channel"] == channel
            assert len(record["calibrated_sensor"]["camera_intrinsic"]) == (3 if channel in CAMERAS else 0)


def test_published_infos_have_the_published_keys(outs):
    info = load(outs["published"] / "self_supervised_data/generate_basic_infos/nuscenes_infos.pkl")[5]
    for record in info["cam_infos"].values():
        assert list(record) == ["sample_token", "ego_pose", "timestample", "filename", "calibrated_sensor"]
    lidar = info["lidar_infos"]["LIDAR_TOP"]
    assert list(lidar) == ["sample_token", "ego_pose", "timestamp", "filename", "calibrated_sensor"]
    assert lidar["sample_token"] != info["sample_token"]  # it is that of the sample_data


@BOTH
def test_districts_infos_are_those_of_all_in_the_same_order(outs, rule):
    for part in PARTS.values():
        folder = outs[rule] / part / "generate_basic_infos"
        whole = load(folder / "nuscenes_infos.pkl")
        for loc, name in reference.ABBREVIATIONS.items():
            own = load(folder / f"nuscenes_infos-{name}.pkl")
            assert own == [info for info in whole if info["loc"] == loc] and own


# Supervised


@BOTH
@EACH
def test_supervised_files_equal_the_reference(outs, infos, expected, rule, district):
    folder, want = outs[rule] / "supervised_data", expected[0][rule, district]
    tokens = [np.str_(info["sample_token"]) for info in infos]
    local = {number: i for i, number in enumerate(want["frames"])}
    groups = {"db": "database", "train_query": "train", "val_query": "val", "test_query": "test"}
    for group, key in groups.items():
        rows = [(local[i], *reference.pose(infos[i])[:2]) for i in want[key]]
        found = load(folder / f"split_dataset/{district}_{group}.npy")
        assert found.dtype == np.float32 and found.shape == (len(rows), 3)
        np.testing.assert_array_equal(found, np.array(rows, np.float32).reshape(-1, 3))
        names = load(folder / f"split_dataset/{district}_{group}_sample_token.npy")
        assert names.dtype == "<U32" and names.tolist() == [tokens[i] for i in want[key]]
    names = load(folder / f"split_dataset/{district}_sample_token.npy")
    assert names.dtype == "<U32" and names.tolist() == [tokens[i] for i in want["frames"]]

    indices = folder / "generate_selected_indicies"
    database = load(indices / f"{district}_db_index_in_infos.npy")
    assert database.dtype == np.int64 and database.tolist() == want["database"]
    assert typed(load(indices / f"{district}_test_query_gt_index_in_infos.pkl")) == typed(want["gt"])
    assert typed(load(indices / f"{district}_train_query_pos_neg_index_in_infos.pkl")) == typed(want["tuples"])

    chosen = folder / "select_pos_neg_samples_by_dis"
    gt = {tokens[q]: {"gt": [tokens[p] for p in right]} for q, right in want["gt"].items()}
    assert typed(load(chosen / f"{district}_test_query_gt_tokens.pkl")) == typed(gt)
    tuples = {tokens[q]: {key: [tokens[i] for i in row[key]] for key in ("pos", "neg")}
              for q, row in want["tuples"].items()}  # fmt: skip
    assert typed(load(chosen / f"{district}_train_query_pos_neg_tokens.pkl")) == typed(tuples)

    validation = indices / f"{district}_val_query_gt_index_in_infos.pkl"
    assert validation.exists() == (rule == "strict")
    if rule == "strict":
        assert load(validation) == want["val_gt"]


def test_the_made_up_world_asks_something(expected):
    """Else the comparisons above would compare empty lists."""
    known, unknown = expected
    for rule in RULES:
        want = known[rule, "bs"]
        assert min(len(want[key]) for key in ("database", "train", "val", "test", "tuples")) > 3
        assert any(len(right) > 1 for right in want["gt"].values())
        assert sum(len(part["tuples"]) for part in unknown[rule].values()) > 30
        assert any(right for right in unknown[rule]["bs"]["gt"].values())
    strict = known["strict", "bs"]
    assert len(strict["tuples"]) < len(strict["train"])  # own drives do not count
    assert any(not right for right in known["strict", "son"]["gt"].values())
    assert known["strict", "bs"]["database"] != known["published", "bs"]["database"]


@EACH
def test_published_supervised_rules(expected, infos, district):
    """Acceptance checks of section 8, on the reference that the files were compared with."""
    want = expected[0]["published", district]
    database = want["database"]
    assert sorted(database + want["train"] + want["val"] + want["test"]) == want["frames"]
    for number, place in enumerate(database):
        assert all(reference.plane(infos[place], infos[other]) > 1.0 for other in database[:number])
    for query in want["train"] + want["val"] + want["test"]:
        assert min(reference.plane(infos[query], infos[place]) for place in database) <= 1.0
    for query, row in want["tuples"].items():
        assert max(reference.plane(infos[query], infos[place]) for place in row["pos"]) <= 9.0
        assert min(reference.plane(infos[query], infos[place]) for place in row["neg"]) > 18.0


@EACH
def test_strict_supervised_rules(outs, infos, root, district):
    folder, logs = outs["strict"] / "supervised_data/generate_selected_indicies", logs_of(root)
    database = load(folder / f"{district}_db_index_in_infos.npy").tolist()
    own = [info for info in infos if reference.ABBREVIATIONS[info["loc"]] == district]
    end = min(info["timestamp"] for info in own) + reference.THRESHOLDS[district] * 86_400_000_000
    assert all(infos[place]["timestamp"] < end for place in database)
    tuples = load(folder / f"{district}_train_query_pos_neg_index_in_infos.pkl")
    pairs = [(query, place) for query, row in tuples.items() for place in row["pos"] + row["neg"]]
    for part in ("test", "val"):
        gt = load(folder / f"{district}_{part}_query_gt_index_in_infos.pkl")
        assert all(infos[query]["timestamp"] >= end for query in gt)
        pairs += [(query, place) for query, right in gt.items() for place in right]
    for query, place in pairs:
        a, b = infos[query], infos[place]
        assert logs[a["scene_token"]] != logs[b["scene_token"]] or abs(a["timestamp"] - b["timestamp"]) > 60_000_000
        assert b["timestamp"] < end
    assert all(len({*row["pos"]}) == 2 and len({*row["neg"]}) == 4 for row in tuples.values())


# Self-supervised


@BOTH
@EACH
def test_self_supervised_files_equal_the_reference(outs, expected, rule, district):
    folder, want = outs[rule] / "self_supervised_data/split_dataset", expected[1][rule][district]
    database = load(folder / f"{district}_db_index_in_infos.npy")
    assert database.dtype == np.int64 and database.tolist() == want["database"]
    assert typed(load(folder / f"{district}_test_query_gt_index_in_infos.pkl")) == typed(want["gt"])
    found = load(folder / f"{district}_train_query_pos_neg_index_in_infos.pkl")
    assert typed(found) == typed(want["tuples"])


@BOTH
def test_the_file_of_all_tuples_is_the_union_by_query(outs, expected, rule):
    folder = outs[rule] / "self_supervised_data/split_dataset"
    every = load(folder / "all_train_query_pos_neg_index_in_infos.pkl")
    union = {query: row for part in expected[1][rule].values() for query, row in part["tuples"].items()}
    assert every == union and list(every) == sorted(union)


def test_published_self_supervised_rules(outs, infos):
    every = load(outs["published"] / "self_supervised_data/split_dataset/all_train_query_pos_neg_index_in_infos.pkl")
    scenes = [info["scene_token"] for info in infos]
    new = {scenes[query] for name in DISTRICTS for query in load(
        outs["published"] / f"self_supervised_data/split_dataset/{name}_test_query_gt_index_in_infos.pkl")}  # fmt: skip
    assert len(new) == round(27 * 150 / 850)
    assert len(every) == sum(scenes.count(scene) - 12 for scene in set(scenes) - new)
    for query, row in every.items():
        assert row["pos"] == [query - 1, query - 2] and row["neg"] == sorted(set(row["neg"]))
        assert len(row["neg"]) == 4 and max(row["neg"]) <= query - 9
        assert {scenes[i] for i in row["pos"] + row["neg"]} == {scenes[query]}
    first = [row["neg"] for query, row in every.items() if scenes.index(scenes[query]) == query - 12]
    assert first and all(neg == list(range(neg[0], neg[0] + 4)) for neg in first)  # a pool of four at j = 12


def test_strict_self_supervised_rules(outs, infos, root):
    folder, logs = outs["strict"] / "self_supervised_data/split_dataset", logs_of(root)
    for name in DISTRICTS:
        database = load(folder / f"{name}_db_index_in_infos.npy").tolist()
        gt = load(folder / f"{name}_test_query_gt_index_in_infos.pkl")
        drives = [{logs[infos[i]["scene_token"]] for i in rows} for rows in (database, gt)]
        assert not drives[0] & drives[1]
        assert bool(gt) == (SMALL[{v: k for k, v in reference.ABBREVIATIONS.items()}[name]][1] > 1)
        for query, row in load(folder / f"{name}_train_query_pos_neg_index_in_infos.pkl").items():
            assert min(reference.space(infos[query], infos[place]) for place in row["neg"]) > 18.0


def test_old_and_new_numpy_read_the_tokens(outs):
    content = (
        outs["strict"] / "supervised_data/select_pos_neg_samples_by_dis/bs_test_query_gt_tokens.pkl"
    ).read_bytes()
    assert b"numpy.core.multiarray" in content and b"numpy._core" not in content and content[:2] == b"\x80\x03"


# The real thing

REAL = Path(os.environ.get("VXP_DATA", "")) / "nuscenes_keyframe"


@pytest.mark.skipif(not REAL.exists(), reason="needs a real keyframe: set VXP_DATA to a folder with nuscenes_keyframe")
def test_a_real_keyframe(tmp_path):
    """The sample at hand lacks the table of logs and the chain of its scene, which are added."""
    (tmp_path / "v1.0-test").mkdir()
    for path in (REAL / "v1.0-test").iterdir():
        rows = json.loads(path.read_text())
        if path.stem == "scene":
            rows[0].update(nbr_samples=1, first_sample_token="ca9a282c9e77460f8360f564131a8af5")
            log = [{"token": rows[0]["log_token"], "location": "singapore-onenorth"}]
            (tmp_path / "v1.0-test/log.json").write_text(json.dumps(log))
        if path.stem == "sample":
            rows[0].update(next="")
        (tmp_path / f"v1.0-test/{path.name}").write_text(json.dumps(rows))
    (info,), keyframes = read_tables(tmp_path, "v1.0-test")
    assert info["loc"] == "singapore-onenorth" and keyframes.districts == ("son",)
    assert info["timestamp"] == 1532402927647951 and info["scene_token"] == "cc8c0bf57f984915a77078b10eb33198"
    for channel, record in {**info["cam_infos"], **info["lidar_infos"]}.items():
        assert (REAL / record["filename"]).is_file() and f"/{channel}/" in record["filename"]
        assert str(record["timestamp"]) in record["filename"]
    front, lidar = info["cam_infos"]["CAM_FRONT"], info["lidar_infos"]["LIDAR_TOP"]
    assert front["calibrated_sensor"]["camera_intrinsic"][0][0] == pytest.approx(1266, abs=1)
    assert lidar["calibrated_sensor"]["translation"] == [0.943713, 0.0, 1.84023]
    assert (
        keyframes.position[0].tolist() == lidar["ego_pose"]["translation"] == [411.3039349319818, 1180.8903791765097, 0]
    )
    shift = np.subtract(front["ego_pose"]["translation"], lidar["ego_pose"]["translation"])
    assert 0.1 < np.linalg.norm(shift) < 0.6  # the car moved between the two shots
