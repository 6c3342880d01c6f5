"""Map safety: maps and names made by somebody who means harm. All hashes are right, so every parser is reached."""

import io
import json
import os
import pickle
import resource
import tarfile
import time
import zipfile
from pathlib import Path

import faiss
import numpy as np
import pytest
from map_samples import DIMENSION, generation_of, make_map, rebind, rebind_raw, tree_hash, version_folder
from naive_loaders import run_by_naive_loaders

from vxp_ros.core.errors import MapError
from vxp_ros.core.map_store import load_map, path_of_map, save_map


class Canary:
    """Unpickling this makes a file: the proof that code was run."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version, allow_pickle=True)
    return stream.getvalue()


def npy_header(text: str, data: bytes = b"") -> bytes:
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1") + data


def zip_of(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, data)
    return stream.getvalue()


def tar_of(name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


def serialised(index, vectors: int = 6) -> bytes:
    index.train(np.ones((vectors, DIMENSION), np.float32))
    index.add(np.ones((vectors, DIMENSION), np.float32))
    return faiss.serialize_index(index).tobytes()


def flat_index_that_declares(vectors: int) -> bytes:
    data = bytearray(faiss.serialize_index(faiss.IndexFlatL2(DIMENSION)).tobytes())
    data[8:16] = vectors.to_bytes(8, "little")  # ntotal
    data[-8:] = (vectors * DIMENSION * 4 % (1 << 64)).to_bytes(8, "little")  # length of the codes
    return bytes(data)


def forged_files(canary: Path) -> dict[str, tuple[str, bytes]]:
    """Name of the trick -> the file it replaces, and its content."""
    code = f"__import__('os').mkdir({str(canary)!r})"
    objects = np.array([Canary(canary)] * 6, dtype=object)
    pickled = pickle.dumps(Canary(canary))
    bomb = "{'descr': '<f4', 'fortran_order': False, 'shape': (412316860416, 3), }"
    return {
        "object array": ("id.npy", npy(objects)),
        "object array of descriptors": ("descriptors_lidar.npy", npy(objects)),
        "object array, version 2": ("stamp.npy", npy(objects, (2, 0))),
        "object array, version 3": ("drive.npy", npy(objects, (3, 0))),
        "plain pickle": ("clouds.npy", pickled),
        "pickle as index": ("index_lidar.faiss", pickled),
        "code in the header": ("clouds.npy", npy_header(code)),
        "code in the shape": ("clouds.npy", npy_header(bomb.replace("412316860416", code))),
        "code in the type": ("clouds.npy", npy_header(bomb.replace("<f4", code.replace("'", '"')))),
        "object type, no data": ("id.npy", npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (6,), }")),
        "structured type": ("id.npy", npy(np.zeros(6, dtype=[("a", "<i4"), ("b", "<i4")]))),
        "declared 1.5 TiB ": ("clouds.npy", npy_header(bomb)),
        "negative shape": ("clouds.npy", npy_header(bomb.replace("412316860416", "-1"))),
        "overflowing shape": ("clouds.npy", npy_header(bomb.replace("412316860416", str(1 << 62)))),
        "deep header": ("clouds.npy", npy_header("(" * 9000)),
        "npz": ("clouds.npy", zip_of("../../canary.npy", npy(np.zeros(3)))),
        "tar": ("clouds.npy", tar_of("../../canary")),
        "other kind of index": ("index_lidar.faiss", serialised(faiss.IndexHNSWFlat(DIMENSION, 4))),
        "index of compressed vectors": ("index_lidar.faiss", serialised(faiss.index_factory(DIMENSION, "SQ8"))),
        "index with inner product": ("index_lidar.faiss", serialised(faiss.IndexFlatIP(DIMENSION))),
        "index of other vectors": ("index_lidar.faiss", serialised(faiss.IndexFlatL2(DIMENSION))),
        "index of too few vectors": ("index_lidar.faiss", serialised(faiss.IndexFlatL2(DIMENSION), 5)),
        "index that declares 2^40 vectors": ("index_lidar.faiss", flat_index_that_declares(1 << 40)),
        "index that declares 2^62 vectors": ("index_lidar.faiss", flat_index_that_declares(1 << 62)),
        "index cut after its mark": ("index_lidar.faiss", b"IxF2"),
        "NaN descriptors": ("descriptors_lidar.npy", npy(np.full((6, DIMENSION), np.nan, np.float32))),
        "NaN poses": ("T_map_base.npy", npy(np.full((6, 4, 4), np.nan))),
        "sheared poses": ("T_map_base.npy", npy(np.ones((6, 4, 4)))),
        "infinite cloud": ("clouds.npy", npy(np.full((30, 3), np.inf, np.float32))),
        "offsets past the end": ("clouds_offsets.npy", npy(np.arange(7) * 1000)),
        "offsets that go back": ("thumbnails_offsets.npy", npy(np.array([0, 9, 3, 6, 9, 12, 15]))),
        "ids that repeat": ("id.npy", npy(np.zeros(6, np.int64))),
        "wrong dimension": ("descriptors_camera.npy", npy(np.zeros((6, DIMENSION + 1), np.float32))),
        "wrong number of places": ("stamp.npy", npy(np.arange(7))),
        "Fortran order": ("T_map_base.npy", npy(np.asfortranarray(np.tile(np.eye(4), (6, 1, 1))))),
        "other byte order": ("drive.npy", npy(np.zeros(6, ">i8"))),
        "nobody has a camera descriptor": ("has_camera.npy", npy(np.zeros(6, bool))),
        "empty file": ("has_lidar.npy", b""),
    }


def forged_manifests(canary: Path) -> dict[str, bytes]:
    """Name of the trick -> the bytes of manifest.json."""
    return {
        "pickle": pickle.dumps(Canary(canary)),
        "YAML tag": f"!!python/object/apply:os.mkdir ['{canary}']".encode(),
        "Python": f"__import__('os').mkdir({str(canary)!r})".encode(),
        "zip": zip_of("data.pkl", pickle.dumps(Canary(canary))),
        "deep nesting": b"[" * 200_000,
        "long number": b'{"format": ' + b"9" * 100_000 + b"}",
        "NaN": b'{"format": 1, "places": NaN}',
        "not UTF-8": b'{"format": 1, "created_by": "\xff"}',
        "too large": b" " * (2 << 20),
        "empty": b"",
        "a list": b"[]",
        "no format": b"{}",
        "format of another type": b'{"format": true}',
        "keys missing": b'{"format": 1}',
    }


def measured_refusal(path: Path) -> tuple[float, float]:
    """(seconds, MB by which the process' peak grew) until `load_map` has refused."""
    before, start = peak_mb(), time.perf_counter()
    with pytest.raises(MapError):
        load_map(path)
    return time.perf_counter() - start, peak_mb() - before


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_forged_files_are_refused_and_never_run(tmp_path, record_property):
    canary, slowest, largest = tmp_path / "canary", 0.0, 0.0
    tricks = forged_files(canary)
    for i, (trick, (name, data)) in enumerate(tricks.items()):
        path = save_map(make_map(), tmp_path / f"map{i}").path
        (version_folder(path) / name).write_bytes(data)
        rebind(path)
        seconds, megabytes = measured_refusal(path)
        assert seconds < 1 and megabytes < 200, f"{trick} took {seconds:.1f} s and {megabytes:.0f} MB"
        slowest, largest = max(slowest, seconds), max(largest, megabytes)
        assert not canary.exists(), trick
    record_property("forged files", len(tricks))
    record_property("of these with code", sum(b"mkdir" in data for _, data in tricks.values()))
    record_property("executed", 0)
    record_property("slowest refusal ms", round(1000 * slowest))
    record_property("most memory MB", round(largest))


def test_forged_manifests_are_refused_and_never_run(tmp_path, record_property):
    canary, slowest, largest = tmp_path / "canary", 0.0, 0.0
    tricks = forged_manifests(canary)
    for i, (trick, data) in enumerate(tricks.items()):
        path = rebind_raw(save_map(make_map(), tmp_path / f"map{i}").path, data)
        seconds, megabytes = measured_refusal(path)
        assert seconds < 1 and megabytes < 200, f"{trick} took {seconds:.1f} s and {megabytes:.0f} MB"
        slowest, largest = max(slowest, seconds), max(largest, megabytes)
        assert not canary.exists(), trick
    record_property("forged manifests", len(tricks))
    record_property("of these with code", sum(b"mkdir" in data for data in tricks.values()))
    record_property("executed", 0)
    record_property("slowest refusal ms", round(1000 * slowest))
    record_property("most memory MB", round(largest))


def test_files_too_large_for_the_map_are_not_read(town, record_property):
    """Holes cost the attacker nothing; the size is as the manifest says, and the hash is not looked at."""
    name = "thumbnails.bin"
    os.truncate(version_folder(town) / name, 2 << 30)
    manifest = json.loads((version_folder(town) / "manifest.json").read_text())
    manifest["files"][name]["bytes"] = 2 << 30
    seconds, megabytes = measured_refusal(rebind_raw(town, json.dumps(manifest).encode()))
    assert seconds < 1 and megabytes < 200, f"{seconds:.1f} s and {megabytes:.0f} MB"
    record_property("refusal ms", round(1000 * seconds))


def test_naive_loaders_run_the_forged_files(tmp_path, record_property):
    """Control: how many of them would run."""
    canary = tmp_path / "canary"
    tricks = {name: data for name, (_, data) in forged_files(canary).items()}
    for kind, chosen, least in (("files", tricks, 9), ("manifests", forged_manifests(canary), 4)):
        run = run_by_naive_loaders(chosen, canary)
        record_property(f"forged {kind} that naive loaders run", len(run))
        record_property(f"by which, {kind}", run)
        assert len(run) >= least


def test_forging_without_a_fault_loads(town):
    """Control: what refuses the forged maps is the fault, not the forging."""
    assert generation_of(load_map(rebind(town))) == 1


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"format": 2, "created_by": "vxp_ros 9.1.0"},
            "format 2, written by 'vxp_ros 9.1.0'; this version reads format 1 ",
        ),
        ({"format": 0}, "format 0"),
        ({"complete": False}, "not complete"),
        ({"places": 7}, r"no int64 array of shape \(7,\).*'shape': \(6,\)"),
        ({"places": 0}, "positive number"),
        ({"places": True}, "positive number"),
        ({"places": -1}, "positive number"),
        ({"dimensions": {"camera": 9, "lidar": 8}}, r"descriptors_camera.npy is no .* shape \(6, 9\).*\(6, 8\)"),
        ({"dimensions": {"camera": 8}}, "files are not those of format 1.*lidar"),
        ({"dimensions": {}}, "dimensions"),
        ({"dimensions": {"camera": 8, "radar": 8}}, "dimensions"),
        ({"models": {"camera": "x"}}, "dimensions"),
        ({"models": {"camera": "", "lidar": "x"}}, "models"),
        ({"models": {"camera": "a\x1b[2J", "lidar": "x"}}, "models"),
        ({"models": []}, "models"),
        ({"rig": []}, "rig"),
        ({"map_frame": 3}, "map_frame"),
        ({"files": []}, "files"),
        ({"files": {"id.npy": 5}}, "files"),
        ({"complete": None}, "keys differ from those of format 1.*complete"),
        ({"extra": 1}, "keys differ from those of format 1.*extra"),
    ],
)
def test_wrong_manifests_are_refused_with_what_differs(town, changes, words):
    with pytest.raises(MapError, match=words):
        load_map(rebind(town, **changes))


def test_a_map_without_its_indexes_makes_them_anew(town):
    names = ["index_camera.faiss", "index_lidar.faiss"]
    for name in names:
        (version_folder(town) / name).unlink()
    manifest = json.loads((version_folder(town) / "manifest.json").read_text())
    rebind(town, files={name: entry for name, entry in manifest["files"].items() if name not in names})
    loaded = load_map(town)
    assert generation_of(loaded) == 1
    ids, distances = loaded.search(loaded.place(4).descriptors["camera"], "camera", 1)
    assert (ids[0], distances[0]) == (4, 0)


def hostile_names(outside: Path) -> list[str]:
    climbing = ["../" * depth + name for depth in range(1, 9) for name in ("x", "outside/x", "maps2/x")]
    absolute = [f"{outside}/x", f"/{outside}/x", f"//{outside}/./x", f"{outside}/../outside/x", "/", "//", "/dev/null"]
    brackets = [(";", ";"), ("$(", ")"), ("`", "`"), ("|", ""), ("&&", ""), ("\n", "")]
    shell = [f"{before}touch {outside}/x{after}" for before, after in brackets]
    words = [
        "", " ", ".", "..", "...", "./x", "x/", "x/y", "x/../../y", "\\..\\x", "x\\y", "C:\\x", "C:x", "~", "~root",
        "~/x", "x.v1-0123456789ab", "x.tmp-01234567", ".x", ".x.lock", "x.", "x.npy", "x y", " x", "x ", "x\t", "x\n",
        "\nx", "x\r\n", "x\0", "\0", "x\0/../y", "%2e%2e%2fx", "..%2fx", "..%c0%afx", "x:y", "x*", "?", "[x]", "{x,y}",
        "$HOME", "${HOME}/x", "%s%s%n", "{0}", "-rf /", "--help;", "ü", "x\u202ey", "\ufeffx", "\uff58", "\u0663",
        "x\u0301", "\ud800", "名前", "😀", "x" * 65, "x" * 10_000, "../" * 3_000 + "x", "file:///x", "http://x/y",
        "\\\\host\\share", "x,y", "x;y", "x'y", 'x"y', "x=y", "x@y", "x+y",
    ]  # fmt: skip
    return climbing + absolute + shell + words


def test_hostile_names_have_no_effect(tmp_path, record_property):
    root, outside = tmp_path / "maps", tmp_path / "outside"
    save_map(make_map(), root / "town")
    outside.mkdir()
    (root / "folder").mkdir()
    before = tree_hash(tmp_path)
    names = hostile_names(outside)
    for name in names:
        with pytest.raises(MapError, match="is no map name"):
            save_map(make_map(), path_of_map(root, name), overwrite=True)
    for name in (None, 7, b"town", ["town"]):
        with pytest.raises(MapError, match="is no map name"):
            path_of_map(root, name)
    assert tree_hash(tmp_path) == before
    record_property("hostile names", len(names))
    record_property("accepted", 0)
    assert len(names) >= 100


def test_the_name_harness_catches_a_naive_joiner(tmp_path, record_property):
    """The same names, joined to the root: so deep that what climbs stays in the test's folder."""
    root = tmp_path.joinpath(*"abcdefgh", "maps")
    outside = root.parent / "outside"
    for folder in (root, outside, root.parent / "maps2"):
        folder.mkdir(parents=True)
    written = []
    for name in hostile_names(outside):
        try:
            (root / name).write_text("escaped")
            written.append((root / name).resolve())
        except (OSError, ValueError):
            continue
    escaped = [path for path in written if not path.is_relative_to(root)]
    record_property("names that a naive joiner wrote to", len(written))
    record_property("of these outside the root", len(escaped))
    assert len(escaped) > 10


@pytest.mark.parametrize("name", ["town", "Town_2", "a", "-", "_", "0", "x" * 64, "con", "--help"])
def test_plain_names_are_accepted(tmp_path, name):
    assert generation_of(load_map(save_map(make_map(3), path_of_map(tmp_path, name)).path)) == 3


@pytest.mark.parametrize("target", ["..", "../outside", "/", "outside", "town.v1-0123456789ab/../..", "town"])
def test_a_link_that_leads_elsewhere_is_not_followed(tmp_path, target):
    (tmp_path / "outside").mkdir()
    root = tmp_path / "maps"
    root.mkdir()
    (root / "town").symlink_to(target)
    before = tree_hash(tmp_path)
    with pytest.raises(MapError, match="link to something else"):
        path_of_map(root, "town")
    with pytest.raises(MapError, match="no map"):
        save_map(make_map(), root / "town", overwrite=True)
    with pytest.raises(MapError, match="no map"):
        load_map(root / "town")
    assert tree_hash(tmp_path) == before


def test_what_is_no_map_is_never_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = tree_hash(tmp_path)
    for name in ("folder", "file"):
        with pytest.raises(MapError, match="exists and is no map"):
            save_map(make_map(), tmp_path / name, overwrite=True)
        with pytest.raises(MapError, match="is no map"):
            load_map(tmp_path / name)
    assert tree_hash(tmp_path) == before


def test_folders_of_others_are_not_cleared_whatever_they_are_called(town):
    root = town.parent
    for name in ("town.tmp-0123abcd", "town.v7-0123456789ab"):
        (root / name).mkdir()
        (root / name / "thesis.txt").write_text("mine")
    (root / "town.tmp-11111111").write_text("mine")
    (root / "town2.tmp-0123abcd").mkdir()
    save_map(make_map(2), town, overwrite=True)
    save_map(make_map(3), town, overwrite=True)
    assert generation_of(load_map(town)) == 3
    left = {entry.name for entry in root.iterdir()}
    assert left >= {"town.tmp-0123abcd", "town.v7-0123456789ab", "town.tmp-11111111", "town2.tmp-0123abcd"}
