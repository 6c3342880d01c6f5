"""The networks. `build_model` makes the one that a recipe asks for, with random weights."""

from .recipe import Recipe
from .view import ViewModel
from .vxp import Vxp

Network = Vxp | ViewModel


def build_model(recipe: Recipe) -> Network:
    """Raises ModelError when parts of the recipe do not fit together."""
    return ViewModel(recipe) if recipe.architecture == "view" else Vxp(recipe)
