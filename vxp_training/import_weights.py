"""Checkpoints of the authors' release into model folders.

The outer names of their tensors (section 2 of our specification) are ours: `backbone.encoder.*`, `pooling.*`,
`voxel_feat_ext.vfe.*`, `voxel_feat_ext.middle.*`, `gem.*`. Inside the last two networks theirs follow the libraries
they were built with, so layers are matched by their order and checked by their shapes.
"""

from dataclasses import fields, replace
from pathlib import Path

import torch
from torch import nn

from vxp_ros.core.errors import ModelError
from vxp_ros.core.model_store import find_recipe, save_model
from vxp_ros.core.models import build_model
from vxp_ros.core.models.backbones import mismatch
from vxp_ros.core.models.recipe import PaperCompat, Recipe, read_recipe

from .checkpoint import read_tensors

MODALITY = {"teacher": "camera", "student": "lidar"}
WRAPPER = "module."  # of a network that was saved inside DataParallel


def import_checkpoint(file: Path, stage: str, out: Path, recipe: str = "vxp", paper_compat: bool = True) -> str:
    """Make the model folder `out` of one network. stage: teacher or student. Returns the model's id.

    Raises ModelError for a file that holds anything but tensors, or those of another network.
    """
    model = one_network(read_recipe(find_recipe(recipe)), stage, paper_compat)
    network = build_model(model)
    part = getattr(network, MODALITY[stage])
    tensors = state_of(read_tensors(file), file)
    if stage == "student":
        tensors = in_our_names(tensors, part)
    wanted = part.state_dict()
    tensors = {name: fit(tensor, wanted.get(name)) for name, tensor in tensors.items()}
    if problem := mismatch(tensors, wanted):
        raise ModelError(f"{file} is no {stage} of {model.name}: {problem}")
    part.load_state_dict(tensors)
    return save_model(replace(model, trained_on=f"imported from {file.name}"), network, out)


def one_network(recipe: Recipe, stage: str, paper_compat: bool) -> Recipe:
    switches = PaperCompat(**{item.name: paper_compat for item in fields(PaperCompat)})
    name = f"{recipe.name}_{stage}"
    return replace(recipe, name=name, modalities=[MODALITY[stage]], paper_compat=switches)


def state_of(content: object, file: Path) -> dict[str, torch.Tensor]:
    """The table of tensors in a checkpoint: the file itself, or its entry `state_dict` or `model`."""
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ModelError(f"{file} is no table of tensors: expected the state dict of one network")
    return {name.removeprefix(WRAPPER): tensor for name, tensor in content.items()}


def fit(tensor: torch.Tensor, wanted: torch.Tensor | None) -> torch.Tensor:
    """A number may be stored as [] or [1]."""
    return tensor.reshape(wanted.shape) if wanted is not None and tensor.numel() == wanted.numel() == 1 else tensor


def in_our_names(tensors: dict[str, torch.Tensor], student: nn.Module) -> dict[str, torch.Tensor]:
    """The student's tensors in our names: the n-th layer and the n-th norm of the file are our n-th."""
    renamed = {name: tensor for name, tensor in tensors.items() if name.startswith("gem.")}
    for prefix in ("voxel_feat_ext.vfe.", "voxel_feat_ext.middle."):
        ours = kinds_of({name: tensor for name, tensor in student.state_dict().items() if name.startswith(prefix)})
        theirs = kinds_of({name: tensor for name, tensor in tensors.items() if name.startswith(prefix)})
        for kind, names in ours.items():
            found = theirs.get(kind, [])
            if len(found) != len(names):
                raise ModelError(
                    f"the checkpoint has {len(found)} tensors {kind} in {prefix}*, this network has {len(names)}"
                )
            renamed |= {name: tensors[other] for name, other in zip(names, found, strict=True)}
    return renamed


def kinds_of(tensors: dict[str, torch.Tensor]) -> dict[str, list[str]]:
    """Names by what they are: weights of layers, and each tensor of the norms."""
    kinds: dict[str, list[str]] = {}
    for name, tensor in tensors.items():
        kind = "layer weight" if tensor.dim() >= 2 else f"norm {name.rsplit('.', 1)[1]}"
        kinds.setdefault(kind, []).append(name)
    return kinds
