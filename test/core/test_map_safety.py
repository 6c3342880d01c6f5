"""Map safety: flipped bits, cut, missing, extra and swapped files, and a naive loader that the same harness catches."""

import os
import random
import shutil
from pathlib import Path

import pytest
from map_samples import copy_root, generation_of, make_map, rebind, tree_hash, version_folder
from map_saver import load_in_place, save_in_place

from vxp_ros.core import plain_file
from vxp_ros.core.errors import MapError
from vxp_ros.core.map_store import check_map, load_map, save_map


@pytest.fixture(scope="module")
def flips(count) -> int:
    return count(500, 2000)


@pytest.fixture(params=["small", "large"])
def read(request, monkeypatch) -> None:
    """The town's files, which are small, as they are read, and as those of large maps are: in memory of their own."""
    if request.param == "large":
        monkeypatch.setattr(plain_file, "LARGE_BYTES", 1)


def flip_bits(folder: Path, load, flips: int, rng: random.Random) -> list[str]:
    """Flip one bit of one file, load, flip it back, `flips` times. Returns whose flips the loader accepted."""
    files, accepted = sorted(folder.iterdir()), []
    sizes = [file.stat().st_size for file in files]
    for i in range(flips):
        # Every second flip by size, so that every byte counts the same; the others by file, so that small ones count.
        file = rng.choices(files, sizes)[0] if i % 2 else rng.choice([file for file in files if file.stat().st_size])
        good = file.read_bytes()
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        file.write_bytes(bad)
        try:
            load()
            accepted.append(file.name)
        except Exception as problem:
            assert isinstance(problem, MapError) or load.__name__ == "naive", f"{file.name}: {problem!r}"
        file.write_bytes(good)
    return accepted


def test_flipped_bits_are_refused(town, read, flips, record_property):
    accepted = flip_bits(version_folder(town), lambda: load_map(town), flips, random.Random(3))
    record_property("flips", flips)
    record_property("accepted", len(accepted))
    assert not accepted
    assert generation_of(load_map(town)) == 1


def test_the_flip_harness_catches_a_naive_loader(tmp_path, flips, record_property):
    save_in_place(make_map(generation=1), tmp_path / "naive")

    def naive():
        load_in_place(tmp_path / "naive")

    accepted = flip_bits(tmp_path / "naive", naive, flips, random.Random(3))
    record_property("flips", flips)
    record_property("accepted by the naive loader", len(accepted))
    assert len(accepted) > flips / 2


def cut_files(folder: Path, count, look) -> int:
    """Cut each file at several lengths, look(file, length of the whole one), and restore it. Returns how many cuts."""
    rng, cuts = random.Random(4), 0
    for file in sorted(folder.iterdir()):
        good = file.read_bytes()
        for size in {0, 1, len(good) // 2, len(good) - 1, *(rng.randrange(len(good)) for _ in range(count(5, 200)))}:
            file.write_bytes(good[:size])
            look(file, len(good))
            cuts += 1
        file.write_bytes(good)
    return cuts


def test_cut_files_are_refused_by_size(town, read, count, record_property):
    def look(file: Path, size: int) -> None:
        sizes = f"has {file.stat().st_size} bytes, expected {size}"
        found = "damaged or changed" if file.name == "manifest.json" else sizes
        with pytest.raises(MapError, match=f"{file.name}.*{found}"):
            load_map(town)

    record_property("cuts, all refused", cut_files(version_folder(town), count, look))
    for file in version_folder(town).iterdir():
        good = file.read_bytes()
        file.write_bytes(good + b"\0")
        with pytest.raises(MapError, match=file.name):
            load_map(town)
        file.write_bytes(good)
    assert generation_of(load_map(town)) == 1


def test_the_cutting_harness_catches_a_naive_loader(tmp_path, count, record_property):
    """numpy notices most cuts by itself; thumbnails, and files that hold nothing, it cannot."""
    folder, accepted = tmp_path / "naive", []
    save_in_place(make_map(generation=1), folder)

    def look(file: Path, _size: int) -> None:
        try:
            load_in_place(folder)
            accepted.append(file.name)
        except Exception:
            pass

    cuts = cut_files(folder, count, look)
    record_property("cuts", cuts)
    record_property("accepted by the naive loader", len(accepted))
    assert len(accepted) > 5


def tamper(folder: Path, other: Path, rng: random.Random) -> str:
    """Do one thing to a map's files that leaves each file whole: returns what, in words."""
    files = sorted(file.name for file in folder.iterdir())
    name, second = rng.sample(files, 2)
    trick = rng.choice(["remove", "add", "exchange", "swap two", "rename", "link", "link out", "folder"])
    path = folder / name
    if trick == "add":
        (folder / f"{rng.choice(['x', name, '.'])}{rng.randrange(100)}.npy").write_bytes(path.read_bytes())
    elif trick == "exchange":
        path.write_bytes((other / name).read_bytes())
    elif trick == "swap two":
        path.rename(folder / "scratch")
        (folder / second).rename(path)
        (folder / "scratch").rename(folder / second)
    elif trick == "rename":
        path.rename(folder / f"{name[:-4]}{rng.randrange(10)}.npy")
    else:
        path.unlink()
        if trick.startswith("link"):
            path.symlink_to((other if trick == "link out" else folder) / second)
        elif trick == "folder":
            path.mkdir()
    return f"{trick} {name}, {second}"


def accepted_tampering(root: Path, town: str, other: Path, load, trials: int) -> list[str]:
    """Tamper with a copy of a map root and load it, `trials` times. Returns what the loader accepted."""
    rng, accepted, copy = random.Random(5), [], root.with_name("copy")
    while trials:
        shutil.copytree(root, copy, symlinks=True)
        before = tree_hash(copy)
        what = tamper((copy / town).resolve(), other, rng)
        if tree_hash(copy) != before:  # two maps may share a file
            trials -= 1
            try:
                load(copy / town)
                accepted.append(what)
            except Exception as problem:
                assert isinstance(problem, MapError) or load is load_in_place, f"{what}: {problem!r}"
        shutil.rmtree(copy)
    return accepted


def test_maps_whose_files_were_tampered_with_are_refused(town, read, count, record_property):
    other = version_folder(save_map(make_map(generation=2), town.parent.with_name("others") / "town").path)
    trials = count(100, 500)
    accepted = accepted_tampering(town.parent, "town", other, load_map, trials)
    record_property("missing, extra, exchanged, renamed or linked files", trials)
    record_property("accepted", len(accepted))
    assert not accepted


def test_the_tampering_harness_catches_a_naive_loader(tmp_path, record_property):
    save_in_place(make_map(generation=2), tmp_path / "other")
    (tmp_path / "root").mkdir()
    save_in_place(make_map(generation=1), tmp_path / "root" / "town")
    accepted = accepted_tampering(tmp_path / "root", "town", tmp_path / "other", load_in_place, 100)
    record_property("tampered maps", 100)
    record_property("accepted by the naive loader", len(accepted))
    assert len(accepted) > 20


def test_missing_files_are_refused(town):
    for file in sorted(version_folder(town).iterdir()):
        away = file.rename(town.parent / "away")
        with pytest.raises(MapError, match=f"lacks {file.name}|has no manifest.json"):
            load_map(town)
        away.rename(file)
    assert generation_of(load_map(town)) == 1


@pytest.mark.parametrize("name", ["extra.npy", ".hidden", "manifest.json.bak", "index_fused.faiss", "a folder/x"])
def test_extra_files_are_refused(town, name):
    extra = version_folder(town) / name
    if extra.parent != version_folder(town):
        extra.parent.mkdir()
    extra.write_bytes(b"")
    with pytest.raises(MapError, match=r"extra|plain file"):
        load_map(town)


def test_files_swapped_between_two_maps_are_refused(town):
    other = version_folder(save_map(make_map(generation=2), town.with_name("city")).path)
    names = [file.name for file in version_folder(town).iterdir()]
    differing = [name for name in names if (other / name).read_bytes() != (version_folder(town) / name).read_bytes()]
    assert len(differing) >= 10
    for name in differing:
        file = version_folder(town) / name
        good = file.read_bytes()
        file.write_bytes((other / name).read_bytes())
        with pytest.raises(MapError, match=name):
            load_map(town)
        file.write_bytes(good)
    assert generation_of(load_map(town)) == 1


def test_a_link_in_place_of_a_file_is_refused_even_with_the_right_content(town):
    for file in sorted(version_folder(town).iterdir()):
        away = file.rename(town.parent / "away")
        file.symlink_to(away)
        with pytest.raises(MapError, match=f"{file.name} is no plain file"):
            load_map(town)
        file.unlink()
        away.rename(file)


def test_a_pipe_in_place_of_a_file_is_refused_at_once(town):
    file = version_folder(town) / "clouds.npy"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(MapError, match="no plain file"):
        load_map(town)


@pytest.mark.parametrize("name", ["../town.lock", "/etc/passwd", "sub/file.npy", "..", "ID.npy", "a\nb", ""])
def test_a_manifest_that_lists_other_names_is_refused_even_with_the_right_hash(town, name):
    files = check_map(town)["files"]
    entries = {file: {"bytes": size, "sha256": "0" * 64} for file, size in files.items()}
    rebind(town, files={**entries, name: {"bytes": 0, "sha256": "0" * 64}})
    with pytest.raises(MapError, match="files are not those of format 1"):
        load_map(town)


def test_a_version_folder_can_be_named_directly_and_is_checked_all_the_same(town):
    folder = version_folder(town)
    assert generation_of(load_map(folder)) == 1
    copied = copy_root(town.parent, town.parent.with_name("elsewhere")) / folder.name
    assert load_map(copied).map_id == folder.name
    text = (copied / "manifest.json").read_text()
    (copied / "manifest.json").write_text(text.replace('"generation": 1', '"generation": 7'))
    with pytest.raises(MapError, match="damaged or changed"):
        load_map(copied)


def test_a_renamed_version_folder_is_refused(town):
    folder = version_folder(town)
    renamed = folder.rename(folder.with_name("town.v1-000000000000"))
    with pytest.raises(MapError, match="expected 000000000000"):
        load_map(renamed)
    with pytest.raises(MapError, match="no map"):
        load_map(renamed.rename(folder.with_name("plain")))
