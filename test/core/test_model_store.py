"""Model folders: written whole or not at all, verified when read."""

import hashlib
import json
import os
import stat
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import safetensors.torch
import torch
import yaml
from model_samples import camera_only

from vxp_ros.core import fsio, model_store
from vxp_ros.core.calibration import CALIBRATION_FILE, Calibration, PairCalibration, dump_calibration
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.errors import ModelError
from vxp_ros.core.model_store import (
    RECIPE_FILE,
    WEIGHTS_FILE,
    find_model,
    find_recipe,
    init_model,
    load_model,
    model_id_of,
    save_model,
)
from vxp_ros.core.models import build_model

# --- whole and well ---


def test_what_is_saved_is_what_is_loaded(eye):
    folder, model_id = eye
    model = load_model(folder)
    torch.manual_seed(0)
    expected = build_model(camera_only()).state_dict()
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    assert model.recipe == replace(camera_only(), weights_sha256=digest) and model.model_id == model_id
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert not model.network.training
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.network.state_dict().items())
    assert sorted(os.listdir(folder)) == [WEIGHTS_FILE, RECIPE_FILE]
    assert sorted(os.listdir(folder.parent)) == [folder.name]  # no debris


def test_id_is_the_name_and_twelve_hex_digits(eye):
    name, digits = eye[1].rsplit("-", 1)
    assert name == "eye" and len(digits) == 12 and int(digits, 16) >= 0


def test_id_changes_with_weights_and_preprocessing_and_with_nothing_else(eye):
    recipe, weights = camera_only(), (eye[0] / WEIGHTS_FILE).read_bytes()
    base = model_id_of(recipe, weights)
    assert base == eye[1]
    same = [
        replace(recipe, trained_on="Town", commit="abc", weights_sha256="0" * 64),
        replace(recipe, image=replace(recipe.image, weights="/home/me/dino.pth")),
    ]
    other = [
        replace(recipe, normalise=False),
        replace(recipe, image=replace(recipe.image, mean=[0.5, 0.5, 0.51])),
        replace(recipe, lidar=replace(recipe.lidar, max_points=9)),
        replace(recipe, paper_compat=replace(recipe.paper_compat, resize_no_antialias=True)),
    ]
    assert {model_id_of(each, weights) for each in same} == {base}
    assert len({base, model_id_of(recipe, weights + b"x"), *(model_id_of(each, weights) for each in other)}) == 6


def test_untrained_models_are_reproducible_whatever_the_folder(tmp_path):
    ids = [init_model("vxp_lite", tmp_path / name, seed) for name, seed in [("a", 0), ("b", 0), ("c", 1)]]
    assert ids[0] == ids[1] != ids[2]
    content = yaml.safe_load((tmp_path / "a" / RECIPE_FILE).read_text())
    assert content["trained_on"].startswith("nothing: random with seed 0")
    assert content["image"]["weights"] == ""


def test_making_a_model_leaves_the_random_numbers_of_the_caller_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    init_model("vxp_lite", tmp_path / "a")
    load_model(tmp_path / "a")
    assert torch.equal(torch.rand(1), expected)


def test_recipe_of_the_users_own(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**yaml.safe_load(find_recipe("vxp_lite").read_text()),
                                                       "name": "mine", "modalities": ["camera"]}))  # fmt: skip
    assert init_model(tmp_path / "mine.yaml", tmp_path / "out").startswith("mine-")
    assert load_model(tmp_path / "out").network.lidar is None


def test_trunk_weights_of_the_users_file_end_in_the_model(tmp_path):
    torch.manual_seed(3)
    network = build_model(camera_only())
    trunk = tmp_path / "trunk.safetensors"
    safetensors.torch.save_file(network.camera.backbone.encoder.state_dict(), trunk)
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(find_recipe("vxp_lite").read_text().replace("image:\n", f"image:\n  weights: {trunk}\n"))
    init_model(recipe, tmp_path / "out")
    loaded = load_model(tmp_path / "out")
    assert "trunk.safetensors" in loaded.recipe.trained_on and str(tmp_path) not in loaded.recipe.trained_on
    expected = network.camera.backbone.encoder._conv_stem.weight
    assert torch.equal(loaded.network.camera.backbone.encoder._conv_stem.weight, expected)


def test_a_calibration_changes_no_id_and_nothing_without_it(eye, folder):
    assert load_model(folder).calibration == Calibration()
    calibration = Calibration({("camera", "camera"): PairCalibration(0.8, 0.1, 0.01)}, eye[1], "town-val")
    (folder / CALIBRATION_FILE).write_text(dump_calibration(calibration))
    model = load_model(folder)
    assert (model.calibration, model.model_id) == (calibration, eye[1])
    assert Encoder(model, torch.device("cpu")).calibration == calibration


def test_a_calibration_does_not_outlive_its_weights(eye, folder):
    (folder / CALIBRATION_FILE).write_text(dump_calibration(Calibration({}, eye[1], "town-val")))
    change_tensors(folder, lambda tensors: {name: tensor + 0 * tensor + 1 for name, tensor in tensors.items()})
    with pytest.raises(ModelError, match="was fitted to the model eye-"):
        load_model(folder)


def test_the_shipped_model_is_calibrated_for_every_pair_of_its_sensors_and_keeps_its_id():
    model = load_model("vxp_view")
    assert model.model_id == "vxp_view-61c9a3abbace"  # maps carry it
    both = ("camera", "lidar")
    assert set(model.calibration.pairs) == {(a, b) for a in both for b in both} | {("fused", "fused")}


# --- refused ---


def test_existing_folder_is_never_touched(folder):
    before = (folder / WEIGHTS_FILE).read_bytes()
    with pytest.raises(ModelError, match="exists already"):
        init_model("vxp_lite", folder)
    assert (folder / WEIGHTS_FILE).read_bytes() == before


def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(tmp_path, folder):
    network = build_model(camera_only())
    network.camera.pooling.p.data.fill_(torch.nan)
    with pytest.raises(ModelError, match=r"not saved: camera.pooling.p holds NaN"):
        save_model(camera_only(), network, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    change_tensors(folder, lambda tensors: tensors | {"camera.pooling.p": torch.full((1,), torch.inf)})
    with pytest.raises(ModelError, match=r"camera.pooling.p holds NaN or infinity"):
        load_model(folder)


def change_tensors(folder, change) -> None:
    tensors = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    safetensors.torch.save_file(change(tensors), folder / WEIGHTS_FILE)


def without(tensors, name):
    return {key: tensor for key, tensor in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: without(t, "camera.pooling.p"), "1 tensors are missing, the first is camera.pooling.p"),
        (lambda t: {**t, "lidar.gem.p": torch.ones(1)}, "1 tensors are not part of it, the first is lidar.gem.p"),
        (lambda t: {**t, "camera.pooling.p": torch.ones(2)}, r"camera.pooling.p has shape \[2\], expected \[1\]"),
        (lambda t: {**t, "camera.pooling.p": torch.ones(1).half()}, "camera.pooling.p has type torch.float16"),
        (lambda t: {"weight": torch.ones(3, 3)}, "tensors are missing"),
    ],
)
def test_tensors_that_do_not_fit_are_named(folder, change, words):
    change_tensors(folder, change)
    with pytest.raises(ModelError, match=words):
        load_model(folder)


def test_folders_made_by_hand_need_no_hash(folder, eye):
    assert load_model(folder).model_id == eye[1]
    recipe = yaml.safe_load((folder / RECIPE_FILE).read_text())
    del recipe["weights_sha256"]
    (folder / RECIPE_FILE).write_text(yaml.safe_dump(recipe))
    assert load_model(folder).model_id == eye[1]


def test_a_hostile_recipe_costs_nothing_before_it_is_refused(folder, monkeypatch):
    """Weights of 1.7 billion numbers per layer are compared by name and shape, never made."""
    recipe = yaml.safe_load((folder / RECIPE_FILE).read_text())
    recipe["modalities"] = ["camera", "lidar"]
    recipe["lidar"]["channels"] = [4096] * 8 + [112]
    (folder / RECIPE_FILE).write_text(yaml.safe_dump(recipe))
    devices = []
    monkeypatch.setattr(model_store, "build_model", lambda recipe: devices.append(torch.ones(1).device.type) or Meta())
    with pytest.raises(ModelError, match="tensors are missing"):
        load_model(folder)
    assert devices == ["meta"]
    monkeypatch.undo()
    start = time.process_time()
    with pytest.raises(ModelError, match=r"tensors are missing, the first is lidar"):
        load_model(folder)
    assert time.process_time() - start < 5


class Meta:
    """A network that needs one tensor which the folder lacks."""

    def state_dict(self) -> dict:
        return {"lidar": torch.empty(1 << 30, device="meta")}


def test_a_lying_header_is_refused(folder):
    header = json.dumps({"camera.pooling.p": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (folder / WEIGHTS_FILE).write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 16)
    with pytest.raises(ModelError, match="damaged or no safetensors file"):
        load_model(folder)


def test_recipe_of_another_network_is_refused(folder):
    recipe = folder / RECIPE_FILE
    recipe.write_text(recipe.read_text().replace("[camera]", "[camera, lidar]"))
    with pytest.raises(ModelError, match=r"does not fit .*tensors are missing, the first is lidar"):
        load_model(folder)


def test_missing_parts_are_named(folder):
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(ModelError, match=f"cannot read the weights .*{WEIGHTS_FILE}"):
        load_model(folder)
    (folder / RECIPE_FILE).unlink()
    with pytest.raises(ModelError, match=f"holds no {RECIPE_FILE}"):
        load_model(folder)


@pytest.mark.parametrize("name", ["", "no_such_model", "../weights", "/nowhere/at/all"])
def test_models_that_are_not_there(name):
    with pytest.raises(ModelError, match=r"vxp model init|shipped models"):
        find_model(name)


def test_recipes_that_are_not_there():
    with pytest.raises(ModelError, match=r"one of .*vxp, vxp_lite"):
        find_recipe("vxp_huge")


def test_shipped_models_are_found_by_name(eye, tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "eye").symlink_to(eye[0])
    monkeypatch.setattr("vxp_ros.core.model_store.share_folder", lambda: tmp_path)
    assert load_model("eye").model_id == eye[1]
    with pytest.raises(ModelError, match="shipped models: eye"):
        find_model("ear")


# --- all or nothing ---


def test_any_failing_step_leaves_no_folder_and_no_debris(tmp_path, monkeypatch):
    network = build_model(camera_only())
    steps = []
    monkeypatch.setattr(fsio, "before_step", lambda operation, path: steps.append(operation))
    save_model(camera_only(), network, tmp_path / "count" / "eye")
    assert "rename" in steps
    for failing in range(steps.index("rename") + 1):
        parent = tmp_path / f"fail{failing}"
        monkeypatch.setattr(fsio, "before_step", fail_at(failing))
        with pytest.raises(ModelError, match=r"cannot write the model .*No space left"):
            save_model(camera_only(), network, parent / "eye")
        monkeypatch.setattr(fsio, "before_step", None)
        assert os.listdir(parent) == []


def test_what_killed_saves_left_neither_blocks_nor_stays(tmp_path):
    old, young, foreign = (tmp_path / f".eye.{name}.new" for name in (os.getpid(), "running", "foreign"))
    for scratch in (old, young, foreign):
        scratch.mkdir()
        (scratch / WEIGHTS_FILE).write_bytes(b"half")
    (foreign / "notes.txt").write_text("mine")
    for scratch in (old, foreign):
        os.utime(scratch, (0, 0))
    save_model(camera_only(), build_model(camera_only()), tmp_path / "eye")
    assert sorted(os.listdir(tmp_path)) == sorted([young.name, foreign.name, "eye"])


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    save_model(camera_only(), build_model(camera_only()), "~/models/eye")
    assert load_model("~/models/eye").network.camera is not None
    assert os.listdir(tmp_path) == ["models"]


def fail_at(number: int):
    count = iter(range(1_000_000))

    def before_step(operation, path):
        if next(count) == number:
            raise OSError(28, os.strerror(28))

    return before_step


def test_saved_by_one_process_and_loaded_by_another(eye):
    """The id is a property of the files, not of the process."""
    program = f"from vxp_ros.core.model_store import load_model; print(load_model({str(eye[0])!r}).model_id)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert result.stdout.strip() == eye[1], result.stderr
