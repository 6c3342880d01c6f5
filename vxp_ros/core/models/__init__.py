"""The networks. `build_model` makes the one that a recipe asks for, with random weights."""

from .recipe import Recipe
from .vxp import Vxp


def build_model(recipe: Recipe) -> Vxp:
    """Raises ModelError when parts of the recipe do not fit together."""
    return Vxp(recipe)
