"""Blocks: the faces of the street graph, and what is built on them."""

from dataclasses import replace

import numpy as np

from ..draws import Purpose, draw
from ..style import Style
from .kerbs import trace_kerb
from .lines import unit
from .plan import Block, Plan, Side

CLONED = 0.65  # share of blocks that are copies of others (hardened)


def make_blocks(plan: Plan, seed: int, style: Style, is_hardened: bool) -> tuple[Block, ...]:
    """All faces of the street graph, the surroundings last."""
    faces = _find_faces(plan)
    looks = _draw_looks(seed, style, plan, faces, is_hardened)
    blocks = []
    for number, (face, (theme, block_seed)) in enumerate(zip(faces, looks, strict=True)):
        pavement = float(draw(seed, Purpose.BLOCKS, 1, block_seed).uniform(*style.pavement))
        is_outside = number == len(faces) - 1
        outline, sides = trace_kerb(plan, face, theme, block_seed)
        if is_outside:
            sides = _vary_sides(sides, looks)
        blocks.append(Block(number, outline, sides, pavement, theme, block_seed, is_outside))
    return tuple(blocks)


def _find_faces(plan: Plan) -> list[list[int]]:
    """Node loops with the face on the left, the unbounded face last; each begins with the side that points most to
    the east, so that clones number their sides alike."""
    open_sides = {(a, b) for a, others in enumerate(plan.neighbours) for b in others}
    faces = []
    while open_sides:
        side = min(open_sides)
        face = []
        while side in open_sides:
            open_sides.remove(side)
            face.append(side[0])
            side = (side[1], _turn_leftmost(plan, *side))
        faces.append(_roll_to_east(plan.nodes, face))
    return sorted(faces, key=lambda face: _area(plan.nodes[face]) < 0)


def _turn_leftmost(plan: Plan, came_from: int, node: int) -> int:
    """The next node around the face on the left: first street clockwise from the one that leads back."""
    others = list(plan.neighbours[node])
    offsets = plan.nodes[others] - plan.nodes[node]
    angles = np.arctan2(offsets[:, 1], offsets[:, 0])
    back = angles[others.index(came_from)]
    turns = (back - angles) % (2 * np.pi)
    turns[others.index(came_from)] = np.inf  # a U-turn comes last
    return others[int(np.argmin(turns))]


def _roll_to_east(nodes: np.ndarray, face: list[int]) -> list[int]:
    points = nodes[face]
    first = int(np.argmax(unit(np.roll(points, -1, axis=0) - points)[:, 0].round(3)))
    return face[first:] + face[:first]


def _area(points: np.ndarray) -> float:
    x, y = points.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _draw_looks(
    seed: int, style: Style, plan: Plan, faces: list[list[int]], is_hardened: bool
) -> list[tuple[str, int]]:
    """(theme, seed) of each face. One block by the roundabout is a square, about one in ten a park; when hardened, most
    others are clones: the same theme and seed as another block."""
    rng = draw(seed, Purpose.BLOCKS)
    names, weights = zip(*style.themes, strict=True)
    weights = np.array(weights) / sum(weights)
    count = len(faces)
    originals = max(2, round(count * (1 - CLONED))) if is_hardened else count
    themes = _share_out(rng, names, weights, originals)
    picks = np.concatenate([np.arange(originals), rng.integers(originals, size=count - originals)])
    picks = rng.permutation(picks)
    looks = [(themes[i], int(i)) for i in picks]
    parks = rng.permutation(count - 1)[: max(1, round((count - 1) / 10))]
    for number in parks:
        looks[number] = ("park", 1000 + int(number))
    square = next((n for n, face in enumerate(faces[:-1]) if plan.roundabout in face and n not in parks), None)
    if square is not None and count > 5:
        looks[square] = ("square", 2000)
    return looks


def _share_out(rng: np.random.Generator, names: tuple[str, ...], weights: np.ndarray, count: int) -> list[str]:
    """`count` names in random order, each as often as its weight says, by largest remainders."""
    times = np.floor(weights * count).astype(int)
    times[np.argsort(times - weights * count, kind="stable")[: count - times.sum()]] += 1
    return [str(names[i]) for i in rng.permutation(np.repeat(np.arange(len(names)), times))]


def _vary_sides(sides: tuple[Side, ...], looks: list[tuple[str, int]]) -> tuple[Side, ...]:
    """The sides around the town look like sides of the blocks in turn (never like parks)."""
    built = [look for look in looks if look[0] not in ("park", "square")]
    return tuple(
        replace(side, theme=built[i % len(built)][0], seed=built[i % len(built)][1]) for i, side in enumerate(sides)
    )
