"""What has a place along the kerbs and on the roads of a plan: parking slots, crossings, stop lines."""

from dataclasses import dataclass

import numpy as np

from ..draws import Purpose, draw
from .lines import left, unit
from .plan import BAY_WIDTH, Plan, Side, Street

SLOT_LENGTH = 6.4
JUNCTION_CLEARANCE = 17.5  # metres from a junction's centre to the nearest end of a slot
ROUNDABOUT_CLEARANCE = 27.0
PARKING_SIDES = 0.85  # share of sides with slots
SLOT_SHARE = 0.93  # the others are driveways
CROSSINGS = 0.5  # share of street ends with a zebra
CROSSING_AT = 13.5  # metres from the junction's centre
ROUNDABOUT_CROSSING_AT = 23.0
STOP_AT = 16.0  # stop line


@dataclass(frozen=True)
class Slot:
    """A place for one car: centre [2], heading, and which side of which block it lies on. number: of the whole town."""

    number: int
    centre: np.ndarray
    yaw: float
    block: int
    side: int
    along: float


@dataclass(frozen=True)
class Crossing:
    """A zebra: centre [2], unit direction of the street away from the junction, half the carriageway."""

    centre: np.ndarray
    direction: np.ndarray
    half: float
    node: int
    street: int


def node_span(plan: Plan, side: Side) -> tuple[float, float]:
    """Where the centres of the junctions behind and ahead lie along the side, metres from `side.corner`."""
    ends = plan.nodes[[side.from_node, side.to_node]] - side.corner
    return float(ends[0] @ side.direction), float(ends[1] @ side.direction)


def clear_span(plan: Plan, side: Side) -> tuple[float, float]:
    """The stretch of the side, metres from `side.corner`, that keeps clear of both junctions."""
    behind, ahead = node_span(plan, side)
    gap = [
        ROUNDABOUT_CLEARANCE if node == plan.roundabout else JUNCTION_CLEARANCE
        for node in (side.from_node, side.to_node)
    ]
    return behind + gap[0], ahead - gap[1]


def make_slots(plan: Plan, seed: int) -> list[Slot]:
    """All parking slots, block by block."""
    slots: list[Slot] = []
    for block in plan.blocks:
        for number, side in enumerate(block.sides):
            rng = draw(seed, Purpose.PARKED, block.number, number)
            if rng.uniform() > PARKING_SIDES:
                continue
            begin, end = clear_span(plan, side)
            for i in range(int((end - begin) / SLOT_LENGTH)):
                if rng.uniform() < SLOT_SHARE:
                    along = begin + (i + 0.5) * SLOT_LENGTH
                    centre, yaw = side.at(along, -BAY_WIDTH / 2), _heading(plan, side)
                    slots.append(Slot(len(slots), centre, yaw, block.number, number, along))
    return slots


def _heading(plan: Plan, side: Side) -> float:
    """Of the traffic next to this kerb: it drives on the right, so against the side's direction; or as the street's
    one way demands."""
    street = plan.streets[side.street]
    is_along = street.is_one_way and street.a == side.from_node
    return side.yaw if is_along else side.yaw + np.pi


def make_crossings(plan: Plan, seed: int) -> list[Crossing]:
    """Zebras at some of the streets' ends."""
    crossings = []
    for number, street in enumerate(plan.streets):
        chances = draw(seed, Purpose.STREETS, 3, number).uniform(size=2)
        for node, other, chance in zip((street.a, street.b), (street.b, street.a), chances, strict=True):
            if chance < CROSSINGS and len(plan.neighbours[node]) > 2:
                d = unit(plan.nodes[other] - plan.nodes[node])
                at = ROUNDABOUT_CROSSING_AT if node == plan.roundabout else CROSSING_AT
                crossings.append(Crossing(plan.nodes[node] + at * d, d, street.half, node, number))
    return crossings


def stop_lines(plan: Plan) -> list[np.ndarray]:
    """Rectangles [4, 2] across the lanes that lead to a junction (none at bends and at the roundabout)."""
    lines = []
    for street in plan.streets:
        for node, other in ((street.a, street.b), (street.b, street.a)):
            if len(plan.neighbours[node]) < 3 or node == plan.roundabout or (street.is_one_way and node == street.a):
                continue
            d = unit(plan.nodes[other] - plan.nodes[node])
            # whoever arrives at `node` drives against d and keeps right: to the left of d
            near = -street.lane + 0.1 if street.is_one_way else 0.1
            base = plan.nodes[node] + STOP_AT * d
            corners = [(0.0, near), (0.45, near), (0.45, street.lane - 0.1), (0.0, street.lane - 0.1)]
            lines.append(np.array([base + x * d + y * left(d) for x, y in corners]))
    return lines


def lane_offset(street: Street, lane: int) -> float:
    """How far right of the centre line, seen in the direction of driving, the lane's middle lies. lane 0: the right
    one, 1: the left one (of a one-way street: the other lane; of a two-way street: the oncoming one)."""
    return street.lane / 2 if lane == 0 else -street.lane / 2
