"""From a training recipe and prepared data to a model folder: the stages, one after the other.

DIR/recipe.yaml      the recipe, every value
DIR/inputs.txt       fingerprint of what the recipe only names: networks, frames, split
DIR/1-teacher/       checkpoint.pt, best.pt, log.jsonl, tensorboard/, and model/ once the stage is done
DIR/2-local/ ...
DIR/model/           the result
"""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from vxp_ros.core import fsio
from vxp_ros.core.encoder import choose_device
from vxp_ros.core.errors import ModelError, SourceError
from vxp_ros.core.model_store import RECIPE_FILE, Model, find_recipe, fresh_network, load_model, save_model
from vxp_ros.core.models import Network, part
from vxp_ros.core.models.backbones import mismatch
from vxp_ros.core.models.recipe import Recipe, read_recipe

from .compat import frame_change
from .datasets.nusc_pr.read import read_split
from .datasets.prepared import PreparedData
from .distributed import Ranks, joined_ranks
from .engine import Engine, seed_everything
from .recipe import SPLIT_STAGES, STAGES_OF, TrainingRecipe, dump_training_recipe
from .stages import make_stage
from .training_data import TrainingData, gather, gather_split

RUN_FILE, INPUTS_FILE = "recipe.yaml", "inputs.txt"


def train(recipe: TrainingRecipe, out: Path, device: str = "auto") -> Model:
    """Train, or go on with what was killed, and return the model that now lies in out/model.

    Raises ModelError (recipe, folder, device), SourceError (data).
    """
    chosen = choose_device(device)
    data = open_data(recipe)
    with joined_ranks(chosen.type == "cuda") as ranks:
        if chosen.type == "cuda" and ranks.world > 1:
            chosen = torch.device("cuda", ranks.local)
        with claimed(out, recipe, data, ranks):
            run_stages(recipe, data, out, chosen, ranks)
    return load_model(out / "model")


def open_data(recipe: TrainingRecipe) -> TrainingData:
    data, compat = recipe.data, recipe.paper_compat
    check_split(recipe)
    if data.split:
        return gather_split(read_split(data.split), [PreparedData(folder) for folder in data.train])
    validate = data.test if compat.validate_on_test and data.test else data.validate
    return gather(
        [PreparedData(folder) for folder in data.train], [PreparedData(folder) for folder in validate],
        part=data.validation_part, square=data.validation_square, seed=recipe.seed,
        change=frame_change(compat, data.dataset),
    )  # fmt: skip


def check_split(recipe: TrainingRecipe) -> None:
    """A split and the stages that learn from one go together. Raises SourceError."""
    if bool(recipe.data.split) != (set(recipe.stages) <= set(SPLIT_STAGES)):
        raise SourceError(
            f"the stages {' and '.join(SPLIT_STAGES)} learn from a split of vxp nuscpr (--split) and no other does; "
            f"the recipe has {', '.join(recipe.stages)} and {recipe.data.split or 'no split'}"
        )
    if recipe.data.split and recipe.data.validate:
        raise SourceError("a split says itself which keyframes choose the weights; leave out --validate")


def run_stages(recipe: TrainingRecipe, data: TrainingData, out: Path, device: torch.device, ranks: Ranks) -> None:
    model, network = first_network(recipe)
    engine = Engine(device, ranks, recipe.seed, recipe.precision, recipe.workers, recipe.checkpoint_s)
    for number, name in enumerate(recipe.stages, start=1):
        folder = out / f"{number}-{name}"
        if (folder / "model" / RECIPE_FILE).is_file():
            network.load_state_dict(load_model(folder / "model").network.state_dict())
            continue
        network.requires_grad_(True)
        seed_everything(recipe.seed, number)  # of what the stage learns beside the network, as a depth head
        engine.train(make_stage(name, network, model, recipe, data), folder)
        goes_on = "fusion" in recipe.stages[number:] and starts_fused(recipe)
        if name == "joint" and network.fused and not goes_on:
            network.fused.start_from(network.camera, network.lidar)
        described = replace(model, trained_on=in_words(recipe, data, recipe.stages[:number]), commit=commit())
        save_once(described, network, folder / "model", ranks)
    save_once(load_model(folder / "model").recipe, network, out / "model", ranks)


def first_network(recipe: TrainingRecipe) -> tuple[Recipe, Network]:
    """The networks as training starts: random but for the image trunk, or from model folders. Raises ModelError."""
    model = read_recipe(find_recipe(recipe.model))
    if not set(recipe.stages) <= set(STAGES_OF[model.architecture]):
        raise ModelError(
            f"{recipe.model} is a {model.architecture} model, which the stages {recipe.stages} cannot train"
        )
    if "fusion" in recipe.stages and "fused" not in model.modalities:
        raise ModelError(f"{model.name} has no fused descriptor to train: its modalities are {model.modalities}")
    network, _ = fresh_network(model, recipe.seed)
    for folder in recipe.start:
        loaded = load_model(folder)
        for modality in loaded.recipe.modalities:
            own, other = part(network, modality), part(loaded.network, modality)
            if own is None:
                continue
            if problem := mismatch(other.state_dict(), own.state_dict()):
                raise ModelError(f"start: the {modality} network of {folder} is none of {model.name}: {problem}")
            own.load_state_dict(other.state_dict())
    if getattr(network, "fused", None) and not starts_fused(recipe):
        network.fused.start_from(network.camera, network.lidar)
    return model, network


def starts_fused(recipe: TrainingRecipe) -> bool:
    """Whether a fused descriptor is trained already. One that is not is the sensors' own, side by side."""
    return any("fused" in load_model(folder).recipe.modalities for folder in recipe.start)


def save_once(model: Recipe, network: Network, folder: Path, ranks: Ranks) -> None:
    """By the first process, unless it is there; all wait for it."""
    if ranks.is_first and not folder.exists():
        save_model(model, network, folder)
    ranks.wait()


def in_words(recipe: TrainingRecipe, data: TrainingData, stages: Sequence[str]) -> str:
    names = ", ".join(Path(folder).name for folder in recipe.data.train)
    digest = hashlib.sha256(dump_training_recipe(recipe).encode()).hexdigest()[:8]
    start = f", from {', '.join(load_model(folder).model_id for folder in recipe.start)}" if recipe.start else ""
    return (
        f"{len(data.train)} frames of {names}; stages {', '.join(stages)}{start}; recipe {digest}, seed {recipe.seed}"
    )


def commit() -> str:
    """The commit of this source tree, "" outside one."""
    folder = Path(__file__).parents[1]
    if not (folder / ".git").exists():
        return ""
    call = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    return done.stdout.strip()


@contextmanager
def claimed(out: Path, recipe: TrainingRecipe, data: TrainingData, ranks: Ranks):
    """The run folder, for this training alone. Raises ModelError when another one is at work in it, or was."""
    if not ranks.is_first:
        yield
        return
    fsio.create_folders(out)
    try:
        with fsio.lock(out / ".lock", wait_s=0):
            write_once(out / RUN_FILE, dump_training_recipe(recipe), "is another recipe")
            write_once(out / INPUTS_FILE, inputs_of(recipe, data), "is of other data, another split or other networks")
            yield
    except fsio.Busy as owner:
        raise ModelError(f"{out} is in use by {owner}") from owner


def write_once(path: Path, text: str, otherwise: str) -> None:
    if not path.exists():
        fsio.replace_file(path, [text.encode()])
    elif path.read_text() != text:
        raise ModelError(f"{path} {otherwise}: go on with that one, or choose another --out")


def inputs_of(recipe: TrainingRecipe, data: TrainingData) -> str:
    """A fingerprint of what the recipe names. The caches in the run folder are of these frames and these networks."""
    split = json.dumps(data.split.facts, sort_keys=True) if data.split else ""
    parts = [find_recipe(recipe.model).read_text(), split, *(folder.fingerprint() for folder in data.folders)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() + "\n"
