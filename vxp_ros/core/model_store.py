"""Model folders on disk: model.yaml says what the model is, model.safetensors holds its weights. Nothing is pickled.
calibration.yaml, which may be missing, says how likely its answers are right.

The model's id is NAME- and 12 hex digits of the sha256 over the weights file and the preprocessing, so that descriptors
of two models can never be mixed up, whatever the folders are called.
"""

import hashlib
import json
import logging
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from . import fsio
from .calibration import Calibration, read_calibration
from .errors import ModelError
from .models import Network, build_model, part
from .models.backbones import load_weights, mismatch
from .models.recipe import Recipe, dump_recipe, read_recipe
from .plain_file import read_plain_file
from .resources import share_folder

logger = logging.getLogger(__name__)

RECIPE_FILE = "model.yaml"
WEIGHTS_FILE = "model.safetensors"
MAX_WEIGHTS_BYTES = 2 << 30  # ours have up to 200 MB
MAX_HEADER_BYTES = 1 << 20  # names, shapes and types of the tensors; ours have up to 100 kB
STALE_S = 600  # a scratch folder so old belongs to a save that was killed


@dataclass(frozen=True)
class Model:
    """A loaded model: `network` is in eval mode, on the CPU."""

    recipe: Recipe
    network: Network
    model_id: str
    calibration: Calibration = field(default_factory=Calibration)


def init_model(recipe: str | Path, folder: Path, seed: int = 0) -> str:
    """Make an untrained model: the image trunk's published weights where they are at hand, the rest random.

    recipe: name of one in config/models, or path of a YAML file. folder: must not exist yet. Returns the model's id.
    """
    recipe = read_recipe(find_recipe(recipe))
    network, trunk = fresh_network(recipe, seed)
    trained_on = f"nothing: random with seed {seed}" + (f", image trunk from {trunk}" if trunk else "")
    return save_model(replace(recipe, trained_on=trained_on), network, Path(folder))


def fresh_network(recipe: Recipe, seed: int) -> tuple[Network, str]:
    """(networks as training starts from them, where the image trunk's weights come from; "" when it is random too)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_model(recipe)
    trunk = getattr(part(network, "camera"), "backbone", None)
    source = load_weights(trunk, recipe.image.weights) if trunk else "random"
    if trunk and recipe.sees_rig and recipe.modalities == ["fused"]:
        network.scan_stages.start_from(trunk)
    return network, "" if source == "random" else source


def find_recipe(name_or_path: str | Path) -> Path:
    """The YAML file of a recipe: a path, or the name of one in config/models. Raises ModelError that lists them."""
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    folder = share_folder() / "config" / "models"
    known = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    raise ModelError(f"there is no recipe {name_or_path}: give a YAML file or one of {', '.join(known)}")


def find_model(name_or_path: str | Path) -> Path:
    """The folder of a model: a path, or the name of a shipped one. Raises ModelError that lists the shipped ones."""
    path = Path(name_or_path).expanduser()
    if str(name_or_path) and (path / RECIPE_FILE).is_file():
        return path
    shipped = share_folder() / "weights"
    if path.name == str(name_or_path) and (shipped / path / RECIPE_FILE).is_file():
        return shipped / path
    known = ", ".join(sorted(file.parent.name for file in shipped.glob(f"*/{RECIPE_FILE}")))
    where = f"the folder {path} holds no {RECIPE_FILE}" if path.is_dir() else f"there is no model folder {path}"
    advice = f"shipped models: {known}" if known else "make one with `vxp model init vxp_lite --out DIR`"
    raise ModelError(f"{where if str(name_or_path) else 'no model is given'}; {advice}")


def save_model(recipe: Recipe, network: Network, folder: Path) -> str:
    """Write a model folder in one step: it is there whole, or not at all. Returns the model's id.

    `~` in the folder is expanded, and the model.yaml gets the sha256 of the weights. Raises ModelError when the folder
    exists or cannot be written, or a weight is NaN or infinite.
    """
    folder = Path(os.path.expanduser(folder))
    if os.path.lexists(folder):
        raise ModelError(f"{folder} exists already: choose another folder or remove it")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if bad := _not_finite(tensors):
        raise ModelError(f"the model is not saved: {bad} holds NaN or infinity")
    recipe = replace(recipe, image=replace(recipe.image, weights=""))  # the trunk's weights are in the model now
    weights = safetensors.torch.save(tensors)
    recipe = replace(recipe, weights_sha256=hashlib.sha256(weights).hexdigest())
    try:
        _write_folder(folder, {RECIPE_FILE: dump_recipe(recipe).encode(), WEIGHTS_FILE: weights})
    except OSError as problem:
        raise ModelError(f"cannot write the model {folder}: {problem.strerror or problem}") from problem
    return model_id_of(recipe, weights)


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_scratch(folder)
    scratch = fsio.create_scratch(folder.parent, f".{folder.name}.", ".new")
    try:
        for name, content in files.items():
            fsio.write_file(scratch / name, [content])
        fsio.sync_folder(scratch)
        fsio.rename_folder(scratch, folder)
    except BaseException:
        fsio.remove_folder(scratch)
        raise
    fsio.sync_folder(folder.parent)


def _clear_scratch(folder: Path) -> None:
    """Remove what killed saves of this folder left; anything that holds other files than ours stays."""
    for entry in os.scandir(folder.parent):
        is_ours = entry.name.startswith(f".{folder.name}.") and entry.name.endswith(".new")
        if not is_ours or not entry.is_dir(follow_symlinks=False):
            continue
        is_stale = time.time() - entry.stat().st_mtime > STALE_S  # else another process may be at work in it
        if is_stale and set(os.listdir(entry)) <= {RECIPE_FILE, WEIGHTS_FILE}:
            fsio.remove_folder(Path(entry.path))


def load_model(name_or_path: str | Path) -> Model:
    """Read and verify a model folder. Raises ModelError with one sentence that names what is wrong."""
    folder = find_model(name_or_path)
    recipe = read_recipe(folder / RECIPE_FILE)
    with torch.device("meta"):  # shapes without memory: a hostile recipe may ask for hundreds of gigabytes
        wanted = build_model(recipe).state_dict()
    weights = _read_weights(folder / WEIGHTS_FILE, wanted)
    if recipe.weights_sha256 not in ("", hashlib.sha256(weights).hexdigest()):
        raise ModelError(
            f"{folder / WEIGHTS_FILE} is damaged or was exchanged: {RECIPE_FILE} names another weights_sha256"
        )
    try:
        tensors = safetensors.torch.load(weights)
    except (SafetensorError, ValueError, KeyError) as problem:
        raise ModelError(f"{folder / WEIGHTS_FILE} is damaged or no safetensors file: {problem}") from problem
    if problem := mismatch(tensors, wanted):
        raise ModelError(f"{folder / WEIGHTS_FILE} does not fit {folder / RECIPE_FILE}: {problem}")
    with torch.random.fork_rng(devices=[]):
        network = build_model(recipe)
    network.load_state_dict(tensors)
    model_id = model_id_of(recipe, weights)
    return Model(recipe, network.eval(), model_id, read_calibration(folder, model_id))


def _read_weights(path: Path, wanted: dict[str, torch.Tensor]) -> bytes:
    """wanted: what the recipe's network holds, which says how large the file may be."""
    tensors = sum(tensor.numel() * tensor.element_size() for tensor in wanted.values())
    try:
        return read_plain_file(path, min(tensors + MAX_HEADER_BYTES, MAX_WEIGHTS_BYTES))
    except OSError as problem:
        raise ModelError(f"cannot read the weights {path}: {problem.strerror}") from problem


def model_id_of(recipe: Recipe, weights: bytes) -> str:
    """NAME- and 12 hex digits that change with the weights and with everything that the recipe says of them."""
    digest = hashlib.sha256(weights)
    digest.update(json.dumps(recipe.preprocessing(), sort_keys=True, separators=(",", ":")).encode())
    return f"{recipe.name}-{digest.hexdigest()[:12]}"


def _not_finite(tensors: dict[str, torch.Tensor]) -> str:
    return next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), "")
