"""Weights that are not what was saved, and maps of models that are nearly the same, are refused."""

import os
from dataclasses import replace

import numpy as np
import pytest
from map_samples import make_map
from model_samples import camera_only, change_recipe

from vxp_ros.core.errors import MapError, ModelError
from vxp_ros.core.map_store import load_map, save_map
from vxp_ros.core.model_store import WEIGHTS_FILE, load_model, model_id_of


def test_truncated_weights_are_refused(folder, count, record_property):
    path, random = folder / WEIGHTS_FILE, np.random.default_rng(1)
    size = path.stat().st_size
    cuts = [size - 1, 100, 7, 0, *sorted(random.integers(0, size, count(4, 200)).tolist(), reverse=True)]
    for kept in sorted(cuts, reverse=True):
        os.truncate(path, kept)
        with pytest.raises(ModelError, match="damaged or no safetensors file"):
            load_model(folder)
    record_property("cuts, all refused", len(cuts))


def flip_bits_of_weights(folder, flips: int) -> int:
    """Flip one bit, load, flip it back; `flips` times. Returns how often the model was loaded all the same."""
    path, random, accepted = folder / WEIGHTS_FILE, np.random.default_rng(0), 0
    for position in random.integers(0, path.stat().st_size, flips):
        with path.open("r+b") as file:
            mask = 1 << int(random.integers(8))
            flip(file, position, mask)
            try:
                load_model(folder)
                accepted += 1
            except ModelError as problem:
                assert "weights" in str(problem) or "model.safetensors" in str(problem)
            flip(file, position, mask)
    return accepted


def test_flipped_bits_in_the_weights_are_refused(eye, folder, count, record_property):
    change_recipe(eye[0], folder)
    flips = count(200, 2000)
    accepted = flip_bits_of_weights(folder, flips)
    record_property("flips", flips)
    record_property("accepted", accepted)
    assert accepted == 0
    assert load_model(folder).model_id == eye[1]


def test_the_flip_harness_catches_weights_without_a_hash(folder, count, record_property):
    """safetensors has no checksum: without weights_sha256 in model.yaml a flip is found only where it makes a NaN."""
    flips = count(20, 50)
    accepted = flip_bits_of_weights(folder, flips)
    record_property("flips", flips)
    record_property("accepted without a hash", accepted)
    assert accepted > flips / 2


def flip(file, position: int, mask: int) -> None:
    file.seek(position)
    byte = file.read(1)[0]
    file.seek(position)
    file.write(bytes([byte ^ mask]))
    file.flush()


def test_a_map_of_a_model_that_differs_in_one_number_is_refused(eye, tmp_path, count, record_property):
    """One bit of the weights, or one value of the preprocessing: the error names both models."""
    recipe, weights, random = camera_only(), (eye[0] / WEIGHTS_FILE).read_bytes(), np.random.default_rng(2)
    town = save_map(make_map(models=dict.fromkeys(("camera", "lidar"), eye[1])), tmp_path / "town").path
    others = [model_id_of(each, weights) for each in (
        replace(recipe, image=replace(recipe.image, mean=[0.5, 0.5, 0.51])),
        replace(recipe, lidar=replace(recipe.lidar, voxel=[0.5, 0.4, 0.8])),
        replace(recipe, dimension=recipe.dimension + 2),
        replace(recipe, normalise=False),
    )]  # fmt: skip
    for _ in range(count(10, 200)):
        changed = bytearray(weights)
        changed[int(random.integers(len(weights)))] ^= 1 << int(random.integers(8))
        others.append(model_id_of(recipe, bytes(changed)))
    for model_id in others:
        with pytest.raises(MapError, match=rf"was made by .*{eye[1]}.*loaded model is .*{model_id}"):
            load_map(town, dict.fromkeys(("camera", "lidar"), model_id))
    record_property("other models, all refused", len(others))
    naive = [load_map(town, dict.fromkeys(("camera", "lidar"), each), allow_model_mismatch=True) for each in others]
    record_property("of these loaded without the comparison, as the control", len(naive))
    assert len(naive) == len(others)
    assert len(load_map(town, dict.fromkeys(("camera", "lidar"), eye[1]))) == 6
