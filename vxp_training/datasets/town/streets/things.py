"""Things that stand about: what, where, and how turned."""

from dataclasses import dataclass

import numpy as np

from .plan import Side

TREE_VARIANTS = 5  # of each kind and height; trees repeat, as nursery trees do


@dataclass(frozen=True)
class Thing:
    """One object: kind and arguments as `library.make_thing` knows them, foot [2], heading of its local x axis."""

    kind: str
    foot: np.ndarray
    yaw: float
    arguments: tuple = ()


def stand(side: Side, kind: str, along: float, inward: float, arguments: tuple = (), turn: float = 0.0) -> Thing:
    """A thing in the frame of a side: `along` its kerb, `inward` from it, facing the street, and then turned."""
    return Thing(kind, side.at(along, inward), side.yaw + turn, arguments)


def draw_tree(style_trees: tuple[str, ...], rng: np.random.Generator, height: tuple[float, float]) -> tuple:
    """Arguments of a tree: kind, variant and height."""
    kind = style_trees[int(rng.integers(len(style_trees)))]
    return kind, int(rng.integers(TREE_VARIANTS)), float(round(rng.uniform(*height)))
