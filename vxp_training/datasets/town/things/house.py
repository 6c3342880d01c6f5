"""What a house is, in plain parameters, and how a style set draws one, theme by theme."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..style import Style
from .shapes import Colour

Theme = Literal["terraces", "mixed", "slabs", "villas", "church", "school", "supermarket"]
RoofShape = Literal["gable", "hip", "mansard", "flat"]


@dataclass(frozen=True)
class House:
    """One building. Lengths in metres, colours linear albedo. bays: windows side by side on the front. facade: 0-15,
    roof_style: 0-5. pitch: rise over run. has_gable_front: a gable roof's ridge runs away from the street. is_row:
    party walls without windows at both ends, no lateral overhang. awning: its colours. chimneys, dormers, steps:
    counts. balconies: bays that have them on every upper storey. garage: width of the part of `width` that is only a
    low garage, at the right."""

    theme: Theme
    width: float
    depth: float
    storeys: int
    storey: float
    bays: int
    facade: int
    wall: Colour
    trim: Colour
    roof: RoofShape
    roof_style: int
    roof_colour: Colour
    pitch: float = 0.8
    is_shop: bool = False
    is_row: bool = True
    awning: tuple[Colour, Colour] | None = None
    chimneys: int = 0
    dormers: int = 0
    balconies: tuple[int, ...] = ()
    steps: int = 0
    garage: float = 0.0
    has_gable_front: bool = False
    has_cornice: bool = False
    has_bay_window: bool = False
    has_blade_sign: bool = False
    lit: float = 0.35
    seed: int = 0

    @property
    def eaves(self) -> float:
        """Height of the walls above the pavement."""
        return self.storeys * self.storey

    @property
    def front(self) -> float:
        """Width of the house without its garage."""
        return self.width - self.garage

    @property
    def is_turned(self) -> bool:
        """Whether the ridge runs away from the street."""
        return self.roof == "gable" and self.has_gable_front

    @property
    def bay(self) -> float:
        return self.front / self.bays

    @property
    def door_bay(self) -> int:
        """Which bay of the front, from the left, has the door on the ground floor: the painters' rule."""
        return (self.seed >> 3 if self.is_shop else self.seed) % self.bays


# Facade styles (numbers as in SURFACE) that look at home in a theme; where a style set has none of them, any will do.
_AT_HOME = {
    "slabs": (0, 4, 8, 9, 11, 14), "villas": (0, 1, 2, 5, 6, 7, 10, 12, 13, 15), "school": (1, 4, 8, 10, 11, 14, 15),
    "church": (1, 3, 10, 12, 13, 15), "supermarket": (4, 8, 9, 11, 14),
    "terraces": (0, 1, 2, 5, 6, 7, 8, 10, 12, 13, 15),
}  # fmt: skip


def draw_house(style: Style, rng: np.random.Generator, theme: Theme, width: float, depth: float) -> House:
    """A house as this style set and theme build them, filling a plot of width x depth metres from the building line."""
    base = _draw_base(style, rng, theme, float(width), float(depth))
    return _DRAW[theme](style, rng, base)


def _draw_base(style: Style, rng: np.random.Generator, theme: Theme, width: float, depth: float) -> House:
    """Looks that do not depend on the theme; two storeys and a gable roof."""
    suited = [f for f in style.facades if f in _AT_HOME.get(theme, style.facades)] or list(style.facades)
    return House(
        theme=theme, width=width, depth=depth, storeys=2, storey=round(float(rng.uniform(2.75, 3.1)), 2), bays=1,
        facade=int(rng.choice(suited)), wall=pick(style.wall_colours, rng), trim=pick(style.trim_colours, rng),
        roof="gable", roof_style=int(rng.choice(style.roofs)), roof_colour=pick(style.roof_colours, rng),
        lit=round(float(rng.uniform(0.2, 0.5)), 2), seed=int(rng.integers(2**31)),
    )  # fmt: skip


def pick(choices: tuple, rng: np.random.Generator):
    """One of them, all alike likely."""
    return choices[int(rng.integers(len(choices)))]


def _bays(width: float, wish: float) -> int:
    return max(1, round(width / wish))


def _draw_terrace(style: Style, rng: np.random.Generator, base: House) -> House:
    """Small row houses: two or three storeys, door steps, a chimney, sometimes a bay window or a dormer."""
    low, high = style.storeys
    storeys = int(rng.integers(max(2, low), min(3, high) + 1))
    return replace(
        base,
        storeys=storeys,
        bays=_bays(base.width, rng.uniform(2.3, 2.9)),
        pitch=round(float(rng.uniform(0.65, 1.0)), 2),
        chimneys=int(rng.integers(1, 3)),
        dormers=int(rng.integers(0, 2)),
        steps=int(rng.integers(1, 4)),
        has_gable_front=bool(rng.random() < 0.15),
        has_bay_window=bool(rng.random() < 0.35),
        has_cornice=bool(rng.random() < 0.2),
    )


def _draw_mixed(style: Style, rng: np.random.Generator, base: House) -> House:
    """Town houses with shops below: up to five storeys, all roofs, cornices, balconies, awnings."""
    low, high = style.storeys
    bays = _bays(base.width, rng.uniform(2.2, 3.0))
    is_shop = bool(rng.random() < style.shops)
    is_flat = rng.random() < style.flat_roofs
    roof = "flat" if is_flat else pick(("gable", "gable", "mansard"), rng)
    awning = (
        (pick(style.cloth_colours, rng), pick(style.cloth_colours, rng)) if is_shop and rng.random() < 0.6 else None
    )
    balconies = tuple(range(1, bays, 2)) if rng.random() < 0.25 else ()
    return replace(
        base,
        storeys=int(rng.integers(max(low, 2), high + 1)),
        storey=round(float(rng.uniform(3.0, 3.5)), 2),
        bays=bays,
        roof=roof,
        pitch=round(float(rng.uniform(0.6, 0.95)), 2),
        is_shop=is_shop,
        awning=awning,
        chimneys=0 if is_flat else int(rng.integers(1, 3)),
        dormers=0 if is_flat else int(rng.integers(0, bays + 1)),
        has_gable_front=bool(roof == "gable" and base.width < 9 and rng.random() < 0.35),
        balconies=balconies[:3],
        steps=0 if is_shop else int(rng.integers(0, 3)),
        has_cornice=bool(is_flat or roof == "mansard" or rng.random() < 0.4),
        has_bay_window=bool(not balconies and bays > 2 and rng.random() < 0.3),
        has_blade_sign=bool(is_shop and rng.random() < 0.6),
    )


def _draw_slab(style: Style, rng: np.random.Generator, base: House) -> House:
    """Blocks of flats: flat roof, rows of balconies, a porch."""
    low, high = style.storeys
    bays = _bays(base.width, rng.uniform(3.0, 3.6))
    door, step = base.seed % bays, int(rng.integers(2, 4))
    balconies = tuple(i for i in range(int(rng.integers(0, step)), bays, step) if i != door)
    storeys = int(rng.integers(max(4, low), max(5, high) + 1))
    most = 30 // (storeys - 1)  # ten triangles each: below 400 in all
    return replace(
        base,
        storeys=storeys,
        storey=2.8,
        bays=bays,
        roof="flat",
        is_row=False,
        balconies=balconies[:most],
        lit=round(float(rng.uniform(0.3, 0.6)), 2),
    )


def _draw_villa(style: Style, rng: np.random.Generator, base: House) -> House:
    """Detached houses: gable or hip roof, often a garage beside."""
    has_garage = base.width > 11 and rng.random() < 0.6
    garage = round(float(rng.uniform(3.2, 3.8)), 1) if has_garage else 0.0
    roof = pick(("gable", "gable", "hip", "hip", "flat" if rng.random() < 2 * style.flat_roofs else "hip"), rng)
    return replace(
        base,
        storeys=int(rng.integers(1, 3)) if roof == "gable" else 2,
        garage=garage,
        bays=_bays(base.width - garage, rng.uniform(2.6, 3.2)),
        roof=roof,
        pitch=round(float(rng.uniform(0.5, 0.95)), 2),
        is_row=False,
        has_gable_front=bool(rng.random() < 0.4),
        chimneys=0 if roof == "flat" else 1,
        steps=int(rng.integers(1, 4)),
        dormers=int(rng.integers(0, 3)) if roof == "gable" else 0,
        has_cornice=bool(roof == "flat" and rng.random() < 0.5),
        has_bay_window=bool(roof != "gable" and rng.random() < 0.3),
    )


def _draw_landmark(style: Style, rng: np.random.Generator, base: House) -> House:
    """Church, school, supermarket: size by the plot; the rest is in `landmarks`."""
    storeys, storey = {"church": (2, 3.6), "school": (3, 3.4), "supermarket": (1, 5.2)}[base.theme]
    bays = _bays(base.width, {"church": 4.0, "school": 3.0, "supermarket": 4.5}[base.theme])
    awning = (pick(style.cloth_colours, rng), pick(style.cloth_colours, rng))
    return replace(
        base,
        storeys=storeys,
        storey=storey,
        bays=bays,
        is_row=False,
        is_shop=base.theme == "supermarket",
        awning=awning,
        roof="gable" if base.theme == "church" else "flat",
        pitch=1.3,
        lit={"church": 0.1}.get(base.theme, 0.4),
    )


_DRAW = {
    "terraces": _draw_terrace, "mixed": _draw_mixed, "slabs": _draw_slab, "villas": _draw_villa,
    "church": _draw_landmark, "school": _draw_landmark, "supermarket": _draw_landmark,
}  # fmt: skip
