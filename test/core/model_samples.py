"""A small model on disk, and a copy of it to damage."""

from dataclasses import replace
from pathlib import Path

import torch
from vxp_samples import lite

from vxp_ros.core.model_store import RECIPE_FILE, WEIGHTS_FILE, save_model
from vxp_ros.core.models import build_model
from vxp_ros.core.models.recipe import Recipe, dump_recipe, read_recipe


def camera_only() -> Recipe:
    return replace(lite(), name="eye", modalities=["camera"])


def save_camera_model(parent: Path) -> tuple[Path, str]:
    """Its folder and its id."""
    torch.manual_seed(0)
    return parent / "eye", save_model(camera_only(), build_model(camera_only()), parent / "eye")


def copy_by_hand(source: Path, parent: Path) -> Path:
    """A copy whose model.yaml names no weights_sha256."""
    copy = parent / "eye"
    copy.mkdir()
    (copy / WEIGHTS_FILE).write_bytes((source / WEIGHTS_FILE).read_bytes())
    change_recipe(source, copy, weights_sha256="")
    return copy


def change_recipe(source: Path, target: Path, **changes) -> None:
    (target / RECIPE_FILE).write_text(dump_recipe(replace(read_recipe(source / RECIPE_FILE), **changes)))
