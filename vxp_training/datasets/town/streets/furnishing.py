"""Where lamps, trees, signs, hedges and all the small things stand along the streets."""

import numpy as np

from ..draws import Purpose, draw
from ..style import Style
from .gardens import furnish_park, furnish_square, furnish_yard
from .ground import is_in_block
from .kerbside import clear_span, node_span
from .lots import RULES, Lot
from .plan import Block, Plan, Side
from .things import Thing, draw_tree, stand

TREE_LINED = 0.55  # share of sides
LAMP_INWARD, TREE_INWARD, SIGN_INWARD = 0.55, 0.95, 0.55
GATE = 2.4  # metres of a gap in a fence


def furnish(plan: Plan, lots: list[Lot], seed: int, style: Style) -> list[Thing]:
    """Everything that stands all year, houses excepted."""
    things: list[Thing] = []
    for block in plan.blocks:
        own = [lot for lot in lots if lot.block == block.number]
        for number, side in enumerate(block.sides):
            rng = draw(seed, Purpose.FURNITURE, side.seed, number % 4)
            things += _along_kerb(plan, block, side, style, rng)
            row = [lot for lot in own if lot.side == number and lot.theme == side.theme]
            things += _between_houses(side, block, row, rng)
        rng = draw(seed, Purpose.GARDEN, block.number)
        if block.is_outside:
            continue
        if block.theme == "park":
            things += furnish_park(block, style, rng)
        elif block.theme == "square":
            things += furnish_square(block, own, style, rng)
        else:
            things += furnish_yard(block, own, style, rng)
    return things


def _along_kerb(plan: Plan, block: Block, side: Side, style: Style, rng: np.random.Generator) -> list[Thing]:
    """Lamps on one side of each street; trees, signs and small things on both."""
    things = []
    first, last = node_span(plan, side)
    begin, end = first + 13.0, last - 13.0
    lamps = np.arange(begin + 3.0, end, style.lamp_spacing) if side.from_node < side.to_node else np.zeros(0)
    things += [stand(side, "lamp", s, LAMP_INWARD) for s in lamps]
    is_lined, offset = rng.uniform() < TREE_LINED, rng.uniform(0, 4)
    trees = [draw_tree(style.street_trees, rng, style.tree_height) for _ in range(12)]
    if is_lined and block.pavement > 2.4:
        places = np.arange(begin + offset, end, style.tree_spacing)[: len(trees)]
        things += [
            stand(side, "tree", s, TREE_INWARD, tree, float(i))
            for i, (s, tree) in enumerate(zip(places, trees, strict=False))
            if not np.any(np.abs(lamps - s) < 2.5)
        ]
    return things + _small_things(plan, block, side, rng)


def _small_things(plan: Plan, block: Block, side: Side, rng: np.random.Generator) -> list[Thing]:
    """Signs at the near end of the side, where its traffic arrives; the rest anywhere clear of the junctions."""
    begin, end = clear_span(plan, side)
    chance, spot = rng.uniform(size=11), rng.uniform(begin, max(begin + 1, end), size=10)
    number = int(rng.integers(1000))
    wall = block.pavement - 0.35
    is_busy, is_home = side.theme in ("mixed", "square"), side.theme in ("terraces", "slabs")
    has_lights = has_traffic_lights(plan, side.from_node)
    candidates = [
        (1.00 if has_lights else 0.0, stand(side, "traffic_light", begin - 1.2, SIGN_INWARD, (), np.pi / 2)),
        (0.90, stand(side, "sign", begin + 1.0, SIGN_INWARD, (number,), np.pi / 2)),
        (0.50, stand(side, "street_name", begin - 6.0, SIGN_INWARD, (number,))),
        (0.45, stand(side, "bin", spot[2], 0.6)),
        (0.25, stand(side, "cabinet", spot[3], 0.7, (number % 5,))),
        (0.40 if is_busy else 0.1, stand(side, "bench", spot[4], wall - 0.4)),
        (0.35 if is_busy else 0.0, stand(side, "bike_rack", spot[5], 0.9, (4,))),
        (0.15, stand(side, "shelter", spot[6], 0.9, (number % 7,))),
        (0.20 if is_busy else 0.03, stand(side, "advertising_column", spot[7], 1.0, (number % 6,))),
        (0.30 if is_home else 0.05, stand(side, "wheelie_bins", spot[8], wall - 0.3, (number % 6,))),
        (0.45, stand(side, "sign", end + 1.0, SIGN_INWARD, (number + 1,), -np.pi / 2)),
    ]
    kept: list[Thing] = []
    for (share, thing), draw_ in zip(candidates, chance, strict=True):
        if draw_ < share and end > begin and not any(np.linalg.norm(thing.foot - other.foot) < 2 for other in kept):
            kept.append(thing)
    return kept


def _between_houses(side: Side, block: Block, row: list[Lot], rng: np.random.Generator) -> list[Thing]:
    """Walls across the gaps of rows; hedges, fences or walls before gardens, with gates before the houses' middles."""
    look, number = int(rng.integers(4)), int(rng.integers(100))
    if side.theme not in RULES or not row:
        return []
    things = []
    if not RULES[side.theme].has_garden:  # from the first and last house to the corners
        things += _wall_off(block, side, block.pavement + 0.2, row[0].along, number)
        things += _wall_off(block, side, row[-1].along + row[-1].width, side.length - block.pavement - 0.2, number)
    for lot, following in zip(row, [*row[1:], None], strict=True):
        gap_start = lot.along + lot.width
        gap_end = following.along if following else gap_start
        if not RULES[side.theme].has_garden:
            if gap_end - gap_start > 0.6:
                things += _wall_off(block, side, gap_start, gap_end, number)
            continue
        gate = lot.along + 0.5 * lot.width
        for a, b in ((lot.along - 1.0, gate - GATE / 2), (gate + GATE / 2, max(gap_end - 1.0, gap_start))):
            if b - a > 0.8 and side.theme == "villas":
                things.append(stand(side, *_boundary(look, a, block.pavement + 0.35, round(b - a, 2), number)))
        if side.theme == "slabs" and look < 2:
            hedge = (round(0.5 * lot.width - 2.5, 2), 0.8, number)
            things.append(stand(side, "hedge", lot.along, block.pavement + 0.5, hedge))
    return things


def _wall_off(block: Block, side: Side, begin: float, end: float, number: int) -> list[Thing]:
    """A garden wall along the building line, shortened to where it stands behind the pavement."""
    inward = block.pavement + 0.2
    places = np.arange(begin, end + 0.01, 0.5)
    if len(places) == 0:
        return []
    places = places[is_in_block(block, np.array([side.at(s, inward) for s in places]), block.pavement + 0.05)]
    if len(places) == 0 or places[-1] - places[0] < 0.5 or places[-1] - places[0] > 18:
        return []
    begin, end = (begin if places[0] - begin < 0.5 else places[0]), (end if end - places[-1] < 0.5 else places[-1])
    return [stand(side, "wall", begin, inward, (round(float(end - begin), 2), 1.9, number))]


def has_traffic_lights(plan: Plan, node: int) -> bool:
    """Some crossings of four streets have them."""
    return len(plan.neighbours[node]) == 4 and node != plan.roundabout and node % 3 == 0


def _boundary(look: int, along: float, inward: float, length: float, number: int) -> tuple:
    """kind, along, inward and arguments of one stretch before a garden."""
    if look == 0:
        return "fence", along, inward, (length, number % 3, 1.1, number)
    if look == 1:
        return "wall", along, inward, (length, 0.9, number)
    return "hedge", along, inward, (length, 1.1 if look == 2 else 1.6, number)
