"""What a plan of the town consists of: streets, blocks with their sides, a roundabout, and the tours of the drives.

Nodes are junctions, numbered row by row from the south-west. A block is a face of the street graph; the land around
the town is one more. Every side of a block runs with the block on its left: counter-clockwise around a block, clockwise
around the town.
"""

from dataclasses import dataclass

import numpy as np

from .lines import left as left_of
from .tour import Tours

BAY_WIDTH = 2.3  # of the parking bays on both sides
ROUNDABOUT_RADIUS = 15.0  # of its outer kerb
RING_LANE = 10.4  # radius on which cars go round
CENTRE_RADIUS = 6.0  # of its green centre


@dataclass(frozen=True)
class Street:
    """A straight street from node `a` to node `b`. lane: width of each of its two lanes; half: of half the carriageway,
    parking bay included. is_one_way: both lanes lead from `a` to `b`."""

    a: int
    b: int
    lane: float
    is_one_way: bool = False

    @property
    def half(self) -> float:
        return self.lane + BAY_WIDTH


@dataclass(frozen=True)
class Side:
    """One side of a block: the kerb along one street. start, end: where the straight kerb begins and ends [2];
    corner, length: the point [2] where the kerb lines of this side and the one before would meet without rounding, and
    how far along `direction` the next such point is. seed, theme: of the houses along it; equal in clones."""

    street: int
    from_node: int
    to_node: int
    start: np.ndarray
    end: np.ndarray
    corner: np.ndarray
    direction: np.ndarray
    length: float
    theme: str
    seed: int

    def at(self, along: float, inward: float = 0.0) -> np.ndarray:
        """The point [2] this far from `corner` along the kerb, and this far into the block."""
        return self.corner + along * self.direction + inward * left_of(self.direction)

    @property
    def yaw(self) -> float:
        return float(np.arctan2(self.direction[1], self.direction[0]))


@dataclass(frozen=True)
class Block:
    """outline: [P, 2] kerb line, with the block on its left. pavement: width. seed, theme: as of its sides."""

    number: int
    outline: np.ndarray
    sides: tuple[Side, ...]
    pavement: float
    theme: str
    seed: int
    is_outside: bool = False


@dataclass(frozen=True)
class Plan:
    """nodes: [N, 2]. roundabout: its node. neighbours[node]: {other node: number of the street}."""

    nodes: np.ndarray
    streets: tuple[Street, ...]
    neighbours: tuple[dict[int, int], ...]
    blocks: tuple[Block, ...]
    roundabout: int
    tours: Tours

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """South-west and north-east corners [2] of the junctions."""
        return self.nodes.min(0), self.nodes.max(0)
