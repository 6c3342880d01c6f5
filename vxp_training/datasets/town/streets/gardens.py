"""What grows and stands in parks, on the square, and behind the houses."""

import numpy as np

from ..style import Style
from .ground import is_in_block
from .lines import distance, left
from .lots import Lot
from .plan import Block
from .things import Thing, draw_tree, stand

YARD_PER_TREE = {"slabs": 260.0, "villas": 420.0}  # square metres of a block
YARD_PER_TREE_ELSE = 800.0
MOST_YARD_TREES = 14
PARK_TREE_SPACING = 9.5


def furnish_park(block: Block, style: Style, rng: np.random.Generator) -> list[Thing]:
    """Trees on the lawns, benches by the paths, a hedge or iron fence around with gates at the paths."""
    things = []
    centre = block.outline.mean(0)
    gates = [side.at(side.length / 2, block.pavement) for side in block.sides]
    spots = _scatter(block, rng, PARK_TREE_SPACING, block.pavement + 3.0)
    for spot in spots:
        clear = min(distance(np.array([gate, centre]), spot[None], is_closed=False)[0] for gate in gates)
        if clear > 2.2 and np.linalg.norm(spot - centre) > 7.5:
            things.append(Thing("tree", spot, float(rng.uniform(0, 6)), draw_tree(style.park_trees, rng, (7.0, 12.0))))
    for gate in gates:
        way = (centre - gate) / np.linalg.norm(centre - gate)
        yaw = float(np.arctan2(way[1], way[0]))
        things.append(Thing("bench", gate + 0.6 * (centre - gate) + 1.9 * left(way), yaw))
    kind = ("hedge", "fence", "rail")[int(rng.integers(3))]
    arguments = {"hedge": (1.0, 3), "fence": (2, 1.2, 5), "rail": (0.9,)}[kind]
    for side in block.sides:
        middle = side.length / 2
        for a, b in ((8.0, middle - 2.5), (middle + 2.5, side.length - 8.0)):
            if b - a > 3:
                things.append(stand(side, kind, a, block.pavement + 0.4, (round(b - a, 2), *arguments)))
    return things


def _scatter(block: Block, rng: np.random.Generator, spacing: float, margin: float) -> np.ndarray:
    """Spots [K, 2] in the block on a jittered grid, at least `margin` behind the kerb."""
    low, high = block.outline.min(0), block.outline.max(0)
    x, y = np.meshgrid(np.arange(low[0], high[0], spacing), np.arange(low[1], high[1], spacing))
    spots = np.stack([x.ravel(), y.ravel()], axis=1)
    spots = spots + rng.uniform(-0.35, 0.35, spots.shape) * spacing
    return spots[is_in_block(block, spots, margin)]


def _clear_of(lots: list[Lot], spots: np.ndarray, gap: float) -> np.ndarray:
    """The spots [N, 2] that keep this far away from all houses."""
    for lot in lots:
        d = np.array([np.cos(lot.yaw), np.sin(lot.yaw)])
        x, y = (spots - lot.origin) @ d, (spots - lot.origin) @ left(d)
        spots = spots[(x < -gap) | (x > lot.width + gap) | (y < -gap) | (y > lot.depth + gap)]
    return spots


def furnish_square(block: Block, lots: list[Lot], style: Style, rng: np.random.Generator) -> list[Thing]:
    """Young trees in a grid around the church, benches, a kiosk, an advertising column."""
    things = []
    for spot in _clear_of(lots, _scatter(block, rng, 11.0, block.pavement + 3.0), 4.0):
        pick = rng.uniform()
        yaw = float(rng.integers(4) * np.pi / 2)
        if pick < 0.55:
            things.append(Thing("tree", spot, yaw, draw_tree(style.street_trees, rng, (5.0, 8.0))))
        elif pick < 0.80:
            things.append(Thing("bench", spot, yaw))
        elif pick < 0.86:
            things.append(Thing("kiosk", spot, yaw, (int(rng.integers(9)),)))
        elif pick < 0.92:
            things.append(Thing("advertising_column", spot, yaw, (int(rng.integers(9)),)))
    for side in block.sides:
        things += [stand(side, "bollard", s, block.pavement) for s in np.arange(12.0, side.length - 12.0, 4.0)]
    return things


def furnish_yard(block: Block, lots: list[Lot], style: Style, rng: np.random.Generator) -> list[Thing]:
    """Trees and bushes behind and before the houses."""
    things = []
    width, height = np.ptp(block.outline, axis=0)
    wish = min(MOST_YARD_TREES, int(width * height / YARD_PER_TREE.get(block.theme, YARD_PER_TREE_ELSE)))
    spots = rng.permutation(_scatter(block, rng, 8.0, block.pavement + 2.2))
    free = _clear_of(lots, spots, 2.8)
    for spot in free[:wish]:
        things.append(Thing("tree", spot, float(rng.uniform(0, 6)), draw_tree(style.park_trees, rng, (5.0, 9.0))))
    if block.theme in ("villas", "slabs"):
        for spot in free[wish : 2 * wish]:
            things.append(Thing("bush", spot, float(rng.uniform(0, 6)), (int(rng.integers(4)),)))
    return things
