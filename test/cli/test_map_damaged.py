"""`vxp map build` from damaged bags: what is corrupt is skipped and counted, and no map of a part passes for whole."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from scenes import scene, write

from vxp_ros.cli.main import run
from vxp_ros.core.map_store import load_map
from vxp_ros.sources.messages import typestore

SENSORS = ("/points", "/camera/image_raw", "/camera/camera_info", "/odom")
pytestmark = pytest.mark.usefixtures("one_encoder")


@pytest.fixture(scope="module")
def model(tiny_model) -> str:
    """Hundreds of maps are built here."""
    return tiny_model


def build(bag: Path, out: Path, model: str, *more: str) -> tuple[int, dict]:
    """(exit code, report) of one build."""
    report = out.with_suffix(".json")
    arguments = ["map", "build", f"bag:{bag}", "--out", str(out), "--model", model, "--json", str(report)]
    code = run([*arguments, *more])
    return code, json.loads(report.read_text()) if report.exists() else {}


def content(path: Path) -> list[tuple]:
    """All that distinguishes two maps: stamps, poses, and descriptors to the last bit."""
    return [
        (place.stamp_ns, place.T_map_base.tobytes(), {name: v.tobytes() for name, v in place.descriptors.items()})
        for place in load_map(path).places()
    ]


def rewrite(bag: Path, out: Path, change) -> None:
    """A copy of a bag in which message number n of a topic is change(topic, n, data); None leaves it out."""
    seen, connections = dict.fromkeys(SENSORS, 0), {}
    with Reader(bag) as reader, Writer(out, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for connection, log_ns, data in reader.messages():
            topic, kind = connection.topic, connection.msgtype
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=typestore())
            data = change(topic, seen.get(topic, -1), data)
            seen[topic] = seen.get(topic, 0) + 1
            if data is not None:
                writer.write(connections[topic], log_ns, data)


def shorten(chosen: set, kept: float, topic: str, number: int, data: bytes) -> bytes:
    return data[: int(kept * len(data))] if (topic, number) in chosen else data


def leave_out(chosen: set, topic: str, number: int, data: bytes) -> bytes | None:
    return None if (topic, number) in chosen else data


def test_corrupt_messages_are_counted_and_the_map_is_that_of_the_rest(source, model, tmp_path, count, record_property):
    bag, trials, rng = Path(source.removeprefix("bag:")), count(1, 20), np.random.default_rng(0)
    counted = same = raised = 0
    for trial in range(trials):
        folder = tmp_path / str(trial)
        folder.mkdir()
        corrupt = {(SENSORS[rng.integers(4)], int(rng.integers(6))) for _ in range(rng.integers(1, 4))}
        rewrite(bag, folder / "bad", partial(shorten, corrupt, float(rng.uniform(0.0, 0.9))))
        rewrite(bag, folder / "rest", partial(leave_out, corrupt))
        code, report = build(folder / "bad", folder / "whole", model)
        counted += code == 2 and report["problems"].get("corrupt_message", 0) == len(corrupt) and not report["saved"]
        assert not (folder / "whole").exists()
        assert build(folder / "bad", folder / "part", model, "--allow-partial")[0] == 2
        build(folder / "rest", folder / "expected", model, "--allow-partial")
        same += content(folder / "part") == content(folder / "expected")
        raised += raises(folder / "bad")
    record_property("bags with corrupt messages", trials)
    record_property("counted, exit code 2", counted)
    record_property("map equal to that of the other messages", same)
    record_property("a naive reader raised on", raised)
    assert counted == same == trials
    assert raised > trials / 2


def damage(good: bytes, rng: np.random.Generator, is_cut: bool) -> bytes:
    """Cut at a random place, or 16 random bytes at one."""
    start, data = int(rng.integers(len(good))), bytearray(good)
    if is_cut:
        return bytes(data[:start])
    data[start : start + 16] = rng.bytes(len(data[start : start + 16]))
    return bytes(data)


def read_naively(bag: Path) -> None:
    """As a script would: every message, and the first error ends it."""
    with Reader(bag) as reader:
        for connection, _, data in reader.messages():
            typestore().deserialize_cdr(data, connection.msgtype)


def raises(bag: Path) -> bool:
    try:
        read_naively(bag)
    except Exception:
        return True
    return False


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_that_is_damaged_anywhere(model, tmp_path, storage, count, record_property, capsys, caplog):
    bag, trials, rng = tmp_path / "drive", count(4, 50), np.random.default_rng(1)
    write(bag, [scene(number) for number in range(6)], storage)
    build(bag, tmp_path / "good", model)
    (file,) = [path for path in bag.iterdir() if path.suffix in (".mcap", ".db3")]
    good, whole = file.read_bytes(), content(tmp_path / "good")
    codes, raised, unnoticed = {0: 0, 1: 0, 2: 0}, 0, 0
    for trial in range(trials):
        is_cut = bool(trial % 2)
        file.write_bytes(damage(good, rng, is_cut))
        code, _ = build(bag, tmp_path / "map", model, "--overwrite")
        codes[code] += 1
        assert (tmp_path / "map").exists() == (code == 0)
        if code == 0:
            is_same = content(tmp_path / "map") == whole
            assert is_same or not is_cut  # numbers that were overwritten inside a cloud or an image cannot be noticed
            unnoticed += not is_same
        shutil.rmtree((tmp_path / "map").resolve(), ignore_errors=True)
        (tmp_path / "map").unlink(missing_ok=True)
        raised += raises(bag)
    record_property("damaged bags", trials)
    record_property("partial (exit code 2)", codes[2])
    record_property("nothing left (exit code 1)", codes[1])
    record_property("whole (exit code 0)", codes[0])
    record_property("of these with changed numbers", unnoticed)
    record_property("a naive reader raised on", raised)
    assert "Traceback" not in capsys.readouterr().err + caplog.text
    assert codes[2] + codes[1] > trials / 5 and raised > trials / 5


def test_a_missing_topic_or_a_missing_index_is_one_sentence(source, model, tmp_path, capsys):
    bag = Path(source.removeprefix("bag:"))
    rewrite(bag, tmp_path / "blind", partial(leave_out, {("/points", n) for n in range(6)}))
    assert build(tmp_path / "blind", tmp_path / "m", model)[0] == 1
    shutil.copytree(bag, tmp_path / "copy")
    (tmp_path / "copy" / "metadata.yaml").unlink()
    assert build(tmp_path / "copy", tmp_path / "m", model)[0] == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert [line for line in errors if line.startswith("vxp:") and "metadata.yaml is missing" in line]
    assert not [line for line in errors if "Traceback" in line]
