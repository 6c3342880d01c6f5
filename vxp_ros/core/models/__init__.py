"""The networks. `build_model` makes the one that a recipe asks for, with random weights."""

from torch import nn

from .einet import Einet
from .lcpr import Lcpr
from .recipe import Recipe
from .view import ViewModel
from .vxp import Vxp

Network = Vxp | ViewModel | Lcpr | Einet
BUILDERS = {"vxp": Vxp, "view": ViewModel, "lcpr": Lcpr, "einet": Einet}


def build_model(recipe: Recipe) -> Network:
    """Raises ModelError when parts of the recipe do not fit together."""
    return BUILDERS[recipe.architecture](recipe)


def part(network: Network, modality: str) -> nn.Module | None:
    """What describes by `modality`: one of a model's two networks (None if it lacks that), or the one that it is."""
    return getattr(network, modality) if isinstance(network, (Vxp, ViewModel)) else network
