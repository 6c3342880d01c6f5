"""Lots: where houses stand along the sides of blocks, each entirely behind the pavement and clear of the others."""

from dataclasses import dataclass

import numpy as np

from ..draws import Purpose, draw
from ..style import Style
from .ground import is_in_block
from .lines import overlaps, rectangle
from .plan import Block, Side

STEP = 0.75  # metres that a house which does not fit moves on along the street
MOST_PER_SIDE = 40


@dataclass(frozen=True)
class Rules:
    """How a theme builds along a street. width, depth, gap: (smallest, largest), metres. is_alike: all houses of a row
    are the same one. has_garden: stands back from the pavement by the style's garden. passages: share of gaps."""

    width: tuple[float, float]
    depth: tuple[float, float]
    gap: tuple[float, float]
    is_alike: bool
    has_garden: bool
    passages: float = 1.0


RULES = {
    "terraces": Rules((5.4, 7.2), (8.5, 10.5), (2.5, 4.0), is_alike=True, has_garden=False, passages=0.08),
    "mixed": Rules((7.0, 14.0), (10.0, 13.0), (2.5, 3.5), is_alike=False, has_garden=False, passages=0.12),
    "slabs": Rules((20.0, 30.0), (11.0, 12.5), (9.0, 13.0), is_alike=True, has_garden=True),
    "villas": Rules((9.0, 13.0), (8.5, 11.0), (4.5, 8.0), is_alike=False, has_garden=True),
}
CHURCH = (16.0, 30.0)  # metres wide and deep


@dataclass(frozen=True)
class Lot:
    """One house's place: front left corner [2] as seen from the street, heading of the front (its own right hand),
    size. key: seeds the house, so that equal keys are equal houses. number: of the whole town."""

    number: int
    block: int
    side: int
    origin: np.ndarray
    yaw: float
    width: float
    depth: float
    theme: str
    key: tuple[int, ...]
    along: float  # of `origin`, from the side's corner
    setback: float  # of the front from the kerb

    def corners(self) -> np.ndarray:
        """[4, 2], counter-clockwise from `origin`."""
        d = np.array([np.cos(self.yaw), np.sin(self.yaw)])
        return rectangle(self.origin, d, self.width, self.depth)


def make_lots(blocks: tuple[Block, ...], seed: int, style: Style) -> list[Lot]:
    """All houses of the town."""
    lots: list[Lot] = []
    for block in blocks:
        taken: list[np.ndarray] = []
        if block.theme == "square" and not block.is_outside:
            _place_church(block, lots, taken)
        for number, side in enumerate(block.sides):
            if side.theme in RULES:
                _fill_side(block, number, side, seed, style, lots, taken)
    return lots


def _fill_side(
    block: Block, number: int, side: Side, seed: int, style: Style, lots: list[Lot], taken: list[np.ndarray]
) -> None:
    """One row of houses. All numbers are drawn before anything is tried: clones differ only where they must."""
    rules = RULES[side.theme]
    rng = draw(seed, Purpose.LOTS, side.seed, number % 4)
    count = 1 if rules.is_alike else MOST_PER_SIDE
    widths = np.resize(rng.uniform(*rules.width, count), MOST_PER_SIDE)
    depths = np.resize(rng.uniform(*rules.depth, count), MOST_PER_SIDE)
    gaps = rng.uniform(*rules.gap, MOST_PER_SIDE) * (rng.uniform(size=MOST_PER_SIDE) < rules.passages)
    setback = block.pavement + (rng.uniform(*style.garden) if rules.has_garden else 0.0)
    clearance = block.pavement + (2.0 if rules.has_garden else 0.0) - 0.05
    along, placed = block.pavement, 0
    while placed < MOST_PER_SIDE and along + rules.width[0] < side.length:
        width, depth = float(widths[placed]), float(depths[placed])
        shape = rectangle(side.at(along, setback), side.direction, width, depth)
        if _fits(block, shape, taken, clearance, 3.0 if rules.has_garden else 0.0):
            key = (side.seed, number % 4, 0 if rules.is_alike else placed)
            lots.append(
                Lot(len(lots), block.number, number, shape[0], side.yaw, width, depth, side.theme, key, along, setback)
            )
            taken.append(shape)
            along += width + gaps[placed]
            placed += 1
        else:
            along += STEP


def _fits(block: Block, shape: np.ndarray, taken: list[np.ndarray], clearance: float, gap: float) -> bool:
    """Whether the rectangle lies behind the pavement and clear of the houses around."""
    points = np.concatenate([shape, (shape + np.roll(shape, -1, axis=0)) / 2])
    return bool(is_in_block(block, points, clearance).all()) and not overlaps(shape, np.array(taken), gap)


def _place_church(block: Block, lots: list[Lot], taken: list[np.ndarray]) -> None:
    """In the middle of the square."""
    width, depth = CHURCH
    yaw = block.sides[0].yaw
    d = np.array([np.cos(yaw), np.sin(yaw)])
    origin = block.outline.mean(0) - rectangle(np.zeros(2), d, width, depth).mean(0)
    shape = rectangle(origin, d, width, depth)
    if _fits(block, shape, taken, block.pavement + 2.0, 0.0):
        lots.append(Lot(len(lots), block.number, 0, origin, yaw, width, depth, "church", (block.seed, 9, 0), 0.0, 0.0))
        taken.append(shape)
