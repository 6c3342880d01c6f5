"""The ground's picture: which of `GroundClass` lies where, painted polygon over polygon."""

import cv2
import numpy as np

from ..draws import Purpose, draw
from ..scene import Ground, GroundClass
from .ground import circle_around
from .kerbside import SLOT_LENGTH, Crossing, Slot, stop_lines
from .lines import left, resample, shift, split, unit
from .plan import BAY_WIDTH, CENTRE_RADIUS, ROUNDABOUT_RADIUS, Block, Plan, Street

CELL = 0.15
MARGIN = 60.0  # metres around the outer junctions
KERB_WIDTH = 0.16
SHIFT = 6  # bits of sub-cell accuracy
DASH, DASH_GAP, LINE_WIDTH = 3.0, 5.0, 0.15
COBBLED = 0.12  # share of streets
PATCHES_PER_STREET, MANHOLES_PER_STREET = 4, 3


class Canvas:
    """Paints polygons given in world metres into an array of classes."""

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low = low
        columns, rows = np.ceil((high - low) / CELL).astype(int)
        self.classes = np.full((rows, columns), GroundClass.GRASS, np.uint8)

    def fill(self, polygon: np.ndarray, painted: GroundClass) -> None:
        """Everything inside a polygon [P, 2]."""
        cv2.fillPoly(self.classes, [self._cells(polygon)], int(painted), shift=SHIFT)

    def mark(self, polygon: np.ndarray, painted: GroundClass) -> None:
        """Only the asphalt and cobbles inside a small polygon: road paint must not reach the pavement."""
        low = np.floor((polygon.min(0) - self.low) / CELL).astype(int) - 1
        high = np.ceil((polygon.max(0) - self.low) / CELL).astype(int) + 2
        if (low < 0).any() or (high[::-1] > self.classes.shape).any():
            return
        window = self.classes[low[1] : high[1], low[0] : high[0]]
        mask = np.zeros(window.shape, np.uint8)
        cells = self._cells(polygon) - (low << SHIFT).astype(np.int32)
        cv2.fillPoly(mask, [cells], 1, shift=SHIFT)
        is_road = np.isin(window, (GroundClass.ASPHALT, GroundClass.COBBLES, GroundClass.PATCH))
        window[(mask > 0) & is_road] = painted

    def _cells(self, polygon: np.ndarray) -> np.ndarray:
        return np.round((polygon - self.low) / CELL * (1 << SHIFT)).astype(np.int32)


def paint_ground(plan: Plan, seed: int, slots: list[Slot], crossings: list[Crossing]) -> Ground:
    """The picture of the whole town."""
    low, high = plan.extent()
    canvas = Canvas(low - MARGIN, high + MARGIN)
    for block in sorted(plan.blocks, key=lambda block: not block.is_outside):
        _paint_block(canvas, block)
    for number, street in enumerate(plan.streets):
        _paint_street(canvas, plan, street, draw(seed, Purpose.PICTURE, number))
    _paint_slots(canvas, plan, slots)
    for crossing in crossings:
        _paint_crossing(canvas, crossing)
    for line in stop_lines(plan):
        canvas.mark(line, GroundClass.LINE)
    _paint_roundabout(canvas, plan.nodes[plan.roundabout])
    return Ground(canvas.classes, float(canvas.low[0]), float(canvas.low[1]), CELL)


BASE = {
    "square": GroundClass.COBBLES,
    "mixed": GroundClass.GRAVEL,
    "terraces": GroundClass.GRASS,
    "slabs": GroundClass.GRASS,
    "villas": GroundClass.GRASS,
    "park": GroundClass.GRASS,
}


def _paint_block(canvas: Canvas, block: Block) -> None:
    """Kerb, pavement and inside. The surroundings are painted first, outside in; everything else inside out. All half
    a cell smaller, because filling also paints the cells that an edge touches."""
    outline = shift(split(block.outline, 4.0), -0.49 * CELL if block.is_outside else 0.49 * CELL)
    rings = [
        (outline, GroundClass.ASPHALT if block.is_outside else GroundClass.KERB),
        (shift(outline, KERB_WIDTH), GroundClass.KERB if block.is_outside else GroundClass.PAVEMENT),
        (shift(outline, block.pavement), GroundClass.PAVEMENT if block.is_outside else BASE[block.theme]),
    ]
    for polygon, painted in reversed(rings) if block.is_outside else rings:
        canvas.fill(polygon, painted)
    if block.theme == "park" and not block.is_outside:
        for path in park_paths(block):
            canvas.fill(path, GroundClass.GRAVEL)


def park_paths(block: Block) -> list[np.ndarray]:
    """Polygons of the paths: from each side's middle to a round place in the centre."""
    centre = block.outline.mean(0)
    paths = [circle_around(centre, 6.0, 24)]
    for side in block.sides:
        gate = side.at(side.length / 2, block.pavement - 0.3)
        across = left(unit(centre - gate)) * 1.2
        paths.append(np.array([gate - across, centre - across, centre + across, gate + across]))
    return paths


def _paint_street(canvas: Canvas, plan: Plan, street: Street, rng: np.random.Generator) -> None:
    """Cobbles here and there, patches, manholes, the line between the lanes."""
    a, b = plan.nodes[street.a], plan.nodes[street.b]
    d, length = unit(b - a), float(np.linalg.norm(b - a))
    begin, end = (17.0 if node != plan.roundabout else 26.0 for node in (street.a, street.b))
    if rng.uniform() < COBBLED:
        canvas.mark(_box(a, d, begin, length - end, -street.half, street.half), GroundClass.COBBLES)
    for _ in range(PATCHES_PER_STREET):
        x, y = rng.uniform(8, length - 8), rng.uniform(-street.lane, street.lane)
        long, wide = rng.uniform(1.5, 8.0), rng.uniform(0.8, 2.0)
        canvas.mark(_box(a, d, x, x + long, y, y + wide), GroundClass.PATCH)
    for x in np.arange(begin, length - end - DASH, DASH + DASH_GAP):
        canvas.mark(_box(a, d, x, x + DASH, -LINE_WIDTH / 2, LINE_WIDTH / 2), GroundClass.LINE)
    for _ in range(MANHOLES_PER_STREET):
        spot = a + rng.uniform(8, length - 8) * d + rng.uniform(-street.lane, street.lane) * left(d)
        canvas.mark(circle_around(spot, 0.36, 12), GroundClass.MANHOLE)
    if street.is_one_way:
        for y in (-street.lane / 2, street.lane / 2):
            _paint_arrow(canvas, a + (length - end - 10) * d + y * left(d), d)


def _box(origin: np.ndarray, d: np.ndarray, x0: float, x1: float, y0: float, y1: float) -> np.ndarray:
    """A rectangle [4, 2] in the frame of a street: x along d, y to its left. Half a cell smaller all around, because
    filling also paints the cells that the edges touch."""
    edge = 0.49 * CELL
    x0, x1, y0, y1 = x0 + edge, x1 - edge, y0 + edge, y1 - edge
    return np.array([origin + x * d + y * left(d) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))])


def _paint_arrow(canvas: Canvas, tail: np.ndarray, d: np.ndarray) -> None:
    canvas.mark(_box(tail, d, 0.0, 2.4, -0.1, 0.1), GroundClass.LINE)
    tip = [tail + 2.3 * d + 0.45 * left(d), tail + 2.3 * d - 0.45 * left(d), tail + 3.9 * d]
    canvas.mark(np.array(tip), GroundClass.LINE)


def _paint_slots(canvas: Canvas, plan: Plan, slots: list[Slot]) -> None:
    """T-shaped marks at both ends of each slot."""
    for slot in slots:
        side = plan.blocks[slot.block].sides[slot.side]
        for along in (slot.along - SLOT_LENGTH / 2, slot.along + SLOT_LENGTH / 2):
            kerb = side.at(along)
            canvas.mark(_box(kerb, side.direction, -0.08, 0.08, -BAY_WIDTH, 0.0), GroundClass.LINE)
            canvas.mark(_box(kerb, side.direction, -0.4, 0.4, -BAY_WIDTH - 0.08, -BAY_WIDTH + 0.08), GroundClass.LINE)


def _paint_crossing(canvas: Canvas, crossing: Crossing) -> None:
    """White bars along the street, half a metre wide, half a metre apart."""
    for y in np.arange(-crossing.half + 0.4, crossing.half - 0.5, 1.0):
        canvas.mark(_box(crossing.centre, crossing.direction, -1.5, 1.5, y, y + 0.5), GroundClass.LINE)


def _paint_roundabout(canvas: Canvas, centre: np.ndarray) -> None:
    """The green middle with its kerb, a cobbled apron, and a dashed line at the outer edge."""
    canvas.fill(circle_around(centre, CENTRE_RADIUS + 1.2, 64), GroundClass.COBBLES)
    canvas.fill(circle_around(centre, CENTRE_RADIUS, 64), GroundClass.KERB)
    canvas.fill(circle_around(centre, CENTRE_RADIUS - KERB_WIDTH, 64), GroundClass.GRASS)
    ring = resample(circle_around(centre, ROUNDABOUT_RADIUS - 0.2, 96), 0.8, is_closed=True)
    for i in range(0, len(ring) - 1, 2):
        d = unit(ring[i + 1] - ring[i])
        canvas.mark(_box(ring[i], d, 0.0, 0.7, -0.12, 0.12), GroundClass.LINE)
