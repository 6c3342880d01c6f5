"""`vxp model`: make an untrained model, look at one."""

from pathlib import Path
from typing import Annotated

import typer

from .output import JsonOption, print_table, write_json

app = typer.Typer(no_args_is_help=True, help="Make and show model folders.")


@app.command("init")
def init_command(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="vxp, vxp_lite, vxp_view, lcpr, einet, or a YAML file.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The model folder to make; must not exist.")],
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the random weights.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """Make an untrained model: the image trunk's published weights where they are at hand, the rest random."""
    from ..core.model_store import init_model, load_model

    model_id = init_model(recipe, out, seed)
    trained_on = load_model(out).recipe.trained_on  # reads back what was written
    write_json(json_file, {"path": str(out), "model_id": model_id, "trained_on": trained_on})
    print(f"{out}: {model_id}, trained on {trained_on}")


@app.command("info")
def info_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model folder, or the name of a shipped one.")],
    json_file: JsonOption = None,
) -> None:
    """Show what a model is; its weights are checked on the way."""
    from ..core.model_store import load_model
    from ..core.models import part

    loaded = load_model(model)
    recipe = loaded.recipe
    report = {
        "model_id": loaded.model_id,
        "dimension": recipe.dimension,
        "lengths": {modality: recipe.length_of(modality) for modality in recipe.modalities},
        "modalities": recipe.modalities,
        "trained_on": recipe.trained_on,
        "commit": recipe.commit,
        "parameters": {name: count(part(loaded.network, name)) for name in recipe.modalities},
        "preprocessing": recipe.preprocessing(),
    }
    write_json(json_file, report)
    rows = [
        ["id", loaded.model_id],
        ["it makes", f"{recipe.lengths_in_words()}, {'length 1' if recipe.normalise else 'not normalised'}"],
        *([f"parameters ({name})", f"{number:,}"] for name, number in report["parameters"].items()),
        ["image trunk", f"{recipe.image.backbone}, input {' x '.join(map(str, recipe.image.size))}"],
        lidar_input(recipe),
        ["trained on", recipe.trained_on or "unknown"],
    ]
    print_table(model, ["", ""], rows)


def lidar_input(recipe) -> list[str]:
    if recipe.architecture == "view":
        return ["LiDAR picture", f"{' x '.join(map(str, recipe.view.cells))} cells of the camera's view"]
    if recipe.sees_rig:
        rows, columns = recipe.rig.cells
        return ["range image", f"{rows} x {columns}, {recipe.scan_channels} channels, {recipe.rig.cameras} cameras"]
    return ["voxels (x y z)", f"{' x '.join(map(str, recipe.lidar.grid[::-1]))} of {recipe.lidar.voxel} m"]


def count(network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
