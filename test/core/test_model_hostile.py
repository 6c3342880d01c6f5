"""Model folders and weights made by somebody who means harm: no code in them is run, and none takes long to refuse."""

import io
import json
import os
import pickle
import resource
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from naive_loaders import run_by_naive_loaders
from vxp_samples import lite

from vxp_ros.core.calibration import CALIBRATION_FILE
from vxp_ros.core.errors import ModelError
from vxp_ros.core.model_store import RECIPE_FILE, WEIGHTS_FILE, load_model, save_model
from vxp_ros.core.models import build_model
from vxp_ros.core.models.backbones import load_weights
from vxp_training.checkpoint import read_tensors

MEMORY_MB = 200  # more than this beyond what the process had is too much for a refusal


class Canary:
    """Unpickling this makes a folder: the proof that code was run."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "eye"
    recipe = replace(lite(), name="eye", modalities=["camera"])
    save_model(recipe, build_model(recipe), folder)
    return folder


def packaged(canary: Path) -> bytes:
    """A torch.package: code is its purpose."""
    stream = io.BytesIO()
    with torch.package.PackageExporter(stream) as exporter:
        exporter.save_source_string("model", f"import os\nos.mkdir({str(canary)!r})\n")
        exporter.save_pickle("model", "model.pkl", {"a": 1})
    return stream.getvalue()


def zipped(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def torch_saved(value: object, **options) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def object_array(canary: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Canary(canary)], dtype=object), allow_pickle=True)
    return stream.getvalue()


def header_of(entries: object) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


def forged_weights(canary: Path) -> dict[str, bytes]:
    """Name of the trick -> what is put in the place of model.safetensors. All but the last four carry code."""
    whole = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    code, pickled = f"__import__('os').mkdir({str(canary)!r})", pickle.dumps(Canary(canary))
    return {
        "pickle": pickled,
        "pickle, protocol 0": pickle.dumps(Canary(canary), protocol=0),
        "torch zip": torch_saved({"weight": Canary(canary)}),
        "torch before 1.6": torch_saved(Canary(canary), _use_new_zipfile_serialization=False),
        "torch.package": packaged(canary),
        "object array": object_array(canary),
        "zip that climbs": zipped({"../../canary": b"x", "archive/data.pkl": pickled}),
        "tar that climbs": tarred("../../canary", pickled),
        "Python": code.encode(),
        "code as tensor name": header_of({code: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}),
        "code as type": header_of({"camera.pooling.p": {"dtype": code, "shape": [4], "data_offsets": [0, 16]}}),
        "code as metadata": header_of({"__metadata__": {"__reduce__": code}}),
        "declared 4 TiB": header_of({"p": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
        "header of 2^63 bytes": (2**63 - 1).to_bytes(8, "little") + b"{}",
        "deep header": (200_000).to_bytes(8, "little") + b"[" * 200_000,
        "overlapping tensors": header_of({"a": whole, "b": whole}),
    }  # fmt: skip


def forged_yaml(canary: Path) -> dict[str, bytes]:
    """Name of the trick -> what is put in the place of model.yaml, and of calibration.yaml."""
    laughs = (b"%c: &%c [*%c, *%c]\n" % (c, c, c - 1, c - 1) for c in b"bcdefghijklmnopqrstuvwxyz")
    return {
        "apply": f"!!python/object/apply:os.mkdir ['{canary}']".encode(),
        "apply as value": f"name: !!python/object/apply:os.mkdir ['{canary}']\n".encode(),
        "new": f"name: !!python/object/new:os.mkdir ['{canary}']\n".encode(),
        "module": b"name: !!python/module:antigravity\n",
        "pickle": pickle.dumps(Canary(canary)),
        "aliases of aliases": b"a: &a [x, x]\n" + b"".join(laughs),
        "deep": b"name: " + b"[" * 30_000,
        "long number": b"dimension: " + b"9" * 60_000,
        "many keys": b"".join(b"k%d: 1\n" % i for i in range(7000)),
        "large": b"#" * (1 << 20),
    }  # fmt: skip


def cost_of_refusal(load) -> tuple[float, float]:
    """(CPU seconds, MB by which the process' peak grew) until `load` has refused. Raises unless it is a ModelError."""
    before, start = peak_mb(), time.process_time()
    with pytest.raises(ModelError) as caught:
        load()
    assert "\n" not in str(caught.value)
    return time.process_time() - start, peak_mb() - before


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def folder_with(saved: Path, folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir()
    for file in saved.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    text = (folder / RECIPE_FILE).read_text()
    # No hash of the weights, as in a folder made by hand: else nothing but the hash would be tested.
    (folder / RECIPE_FILE).write_text("".join(line for line in text.splitlines(True) if "weights_sha256" not in line))
    (folder / name).write_bytes(data)
    return folder


def test_forged_models_are_refused_and_never_run(saved, tmp_path, record_property):
    canary = tmp_path / "canary"
    load_model(saved)  # its memory is not counted
    tricks = [(WEIGHTS_FILE, *trick) for trick in forged_weights(canary).items()]
    tricks += [(name, *trick) for name in (RECIPE_FILE, CALIBRATION_FILE) for trick in forged_yaml(canary).items()]
    seconds, megabytes = [], []
    for number, (name, trick, data) in enumerate(tricks):
        folder = folder_with(saved, tmp_path / str(number), name, data)
        cost = cost_of_refusal(lambda folder=folder: load_model(folder))
        seconds.append(cost[0])
        megabytes.append(cost[1])
        assert cost[0] < 1 and cost[1] < MEMORY_MB, f"{name}, {trick}: {cost}"
        assert not canary.exists(), f"{name}, {trick}"
    record_property("forged model files", len(tricks))
    record_property("of these with code", sum(b"mkdir" in data for *_, data in tricks))
    record_property("executed", 0)
    record_property("slowest refusal ms", round(1000 * max(seconds)))
    record_property("most memory MB", round(max(megabytes)))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", [WEIGHTS_FILE, RECIPE_FILE, CALIBRATION_FILE])
@pytest.mark.parametrize("kind", ["pipe", "endless device", "folder", "2 GiB of holes"])
def test_what_is_no_file_or_has_no_end_is_not_read(saved, tmp_path, name, kind, record_property):
    path = folder_with(saved, tmp_path / "model", name, b"") / name
    path.unlink()
    make = {
        "pipe": lambda: os.mkfifo(path),
        "endless device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "2 GiB of holes": lambda: [path.touch(), os.truncate(path, 2 << 30)],
    }
    make[kind]()
    load_model(saved)
    seconds, megabytes = cost_of_refusal(lambda: load_model(path.parent))
    assert seconds < 1 and megabytes < MEMORY_MB, (seconds, megabytes)
    record_property("refusal ms", round(1000 * seconds))


def test_weights_may_be_a_link(saved, tmp_path):
    path = folder_with(saved, tmp_path / "model", WEIGHTS_FILE, b"") / WEIGHTS_FILE
    path.unlink()
    path.symlink_to(saved / WEIGHTS_FILE)
    assert load_model(path.parent).model_id == load_model(saved).model_id


@pytest.mark.parametrize("reader", ["image trunk", "vxp import"])
def test_forged_checkpoints_are_refused_and_never_run(saved, tmp_path, reader, record_property):
    trunk, file = load_model(saved).network.camera.backbone, tmp_path / "file.pth"
    load = {"image trunk": lambda: load_weights(trunk, str(file)), "vxp import": lambda: read_tensors(file)}[reader]
    canary, seconds, megabytes = tmp_path / "canary", [], []
    tricks = forged_weights(canary)
    for trick, data in tricks.items():
        file.write_bytes(data)
        cost = cost_of_refusal(load)
        seconds.append(cost[0])
        megabytes.append(cost[1])
        assert cost[0] < 1 and cost[1] < MEMORY_MB, f"{trick}: {cost}"
        assert not canary.exists(), trick
    record_property("forged checkpoints", len(tricks))
    record_property("of these with code", sum(b"mkdir" in data for data in tricks.values()))
    record_property("executed", 0)
    record_property("slowest refusal ms", round(1000 * max(seconds)))
    record_property("most memory MB", round(max(megabytes)))


@pytest.mark.parametrize(("kind", "forge", "least"), [("weights", forged_weights, 8), ("recipes", forged_yaml, 4)])
def test_naive_loaders_run_the_forged_models(tmp_path, kind, forge, least, record_property):
    """Control: how many of them would run."""
    run = run_by_naive_loaders(forge(tmp_path / "canary"), tmp_path / "canary")
    record_property(f"forged {kind} that naive loaders run", len(run))
    record_property("by which", run)
    assert len(run) >= least


def test_forging_without_a_fault_loads(saved, tmp_path):
    """Control: what refuses the forged folders is the fault, not the forging."""
    folder = folder_with(saved, tmp_path / "copy", WEIGHTS_FILE, (saved / WEIGHTS_FILE).read_bytes())
    assert load_model(folder).model_id == load_model(saved).model_id
