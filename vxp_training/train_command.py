"""`vxp train` and `vxp import`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

Folders = list[Path]


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A name in config/training (vxp_view, vxp_lite, "
                      "vxp_kitti, vxp_oxford, vxp_vivid, einet_nuscpr, lcpr_nuscpr), or a YAML file.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Run folder; the model goes to DIR/model.")],
    data: Annotated[Folders | None, typer.Option(metavar="DIR", help="Prepared folder to learn from; repeatable.",
                    show_default="the recipe's")] = None,
    validate: Annotated[Folders | None, typer.Option(metavar="DIR", help="Prepared folder that chooses the weights.",
                        show_default="the recipe's, else a part of the data")] = None,
    split: Annotated[Path | None, typer.Option(metavar="DIR", help="NUSC-PR: what vxp nuscpr wrote, for the stages "
                     "tuples and mined.", show_default="the recipe's")] = None,
    device: Annotated[str, typer.Option(help="auto (CUDA when there is one), cpu, cuda or cuda:N.")] = "auto",
) -> None:  # fmt: skip
    """Train a model on prepared data; the same command goes on with what was stopped or killed.

    Many GPUs: torchrun --nproc-per-node N -m vxp_ros.cli.main train RECIPE --out DIR --data DIR
    """
    from .distributed import is_first_process
    from .recipe import find_training_recipe, read_training_recipe
    from .train import train as run

    chosen = read_training_recipe(find_training_recipe(recipe))
    given = {"train": data, "validate": validate}
    folders = {name: [str(folder.expanduser()) for folder in values] for name, values in given.items() if values}
    if split:
        folders["split"] = str(split.expanduser())
    model = run(replace(chosen, data=replace(chosen.data, **folders)), out.expanduser(), device)
    if is_first_process():
        typer.echo(f"{out / 'model'}: {model.model_id}, trained on {model.recipe.trained_on}")


def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE.pth", help="State dict of a published network.")],
    stage: Annotated[Literal["teacher", "student"], typer.Option(help="Image network or LiDAR network.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Model folder to make; must not exist.")],
    recipe: Annotated[str, typer.Option(metavar="RECIPE", help="Model recipe: a name or a YAML file.")] = "vxp",
    paper_compat: Annotated[bool, typer.Option("--paper-compat/--correct", help="With the quirks of the authors' "
                            "release, which its weights were trained with.")] = True,
) -> None:  # fmt: skip
    """Turn a published checkpoint into a model folder. Only tensors are read; no code in the file is run."""
    from .import_weights import import_checkpoint

    model_id = import_checkpoint(file, stage, out.expanduser(), recipe, paper_compat)
    typer.echo(f"{out}: {model_id}")
