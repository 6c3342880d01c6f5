"""Style sets: what a town draws its houses, trees, cars and street widths from. Training, validation, test and demo
towns share no facade, roof or sign style, no kind of tree and no palette; their mixes of cars and blocks, their street
widths and the sway of the car differ. So no score is earned by known looks."""

from dataclasses import dataclass

Colour = tuple[float, float, float]  # linear albedo


@dataclass(frozen=True)
class RigJitter:
    """How a car of this style set sways: standard deviations from the lane's middle (metres), on the road (radians)."""

    lateral: float = 0.25
    roll: float = 0.010
    pitch: float = 0.008


@dataclass(frozen=True)
class Style:
    """One style set. Ranges are (smallest, largest) in metres. car_mix: (kind, share) of parked cars, shares sum to 1;
    kinds as in `vehicles`. street_trees, park_trees: kinds as in `plants`. themes: (theme, weight) of the blocks.
    lane: width of a driving lane; beside the lanes come parking bays of `plan.BAY_WIDTH` on both sides.
    """

    name: str
    facades: tuple[int, ...]
    roofs: tuple[int, ...]
    signs: tuple[int, ...]
    wall_colours: tuple[Colour, ...]
    trim_colours: tuple[Colour, ...]
    roof_colours: tuple[Colour, ...]
    cloth_colours: tuple[Colour, ...]
    car_colours: tuple[Colour, ...]
    car_mix: tuple[tuple[str, float], ...]
    street_trees: tuple[str, ...]
    park_trees: tuple[str, ...]
    themes: tuple[tuple[str, float], ...]
    lane: tuple[float, float] = (3.3, 3.7)
    pavement: tuple[float, float] = (2.6, 3.6)
    garden: tuple[float, float] = (3.0, 6.0)  # between pavement and villa
    storeys: tuple[int, int] = (2, 5)
    flat_roofs: float = 0.3  # share
    shops: float = 0.5  # share of houses with shops in mixed blocks
    tree_spacing: float = 14.0
    tree_height: tuple[float, float] = (6.0, 9.5)
    lamp_spacing: float = 27.0
    rig: RigJitter = RigJitter()


def _linear(*codes: str) -> tuple[Colour, ...]:
    """Linear albedo of sRGB hex codes, rounded so that no last bit of a power function survives."""
    values = [[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes]
    return tuple(tuple(round(((v + 0.055) / 1.055) ** 2.4 if v > 0.04 else v / 12.92, 3) for v in c) for c in values)


_CAR_COLOURS = _linear(
    "d8d9db", "b4b8bd", "6d7278", "1c1d20", "f2f2ef", "2b3f66", "7d1f22", "3c4a3d", "8c7f6c", "34302e"
)

STYLES: dict[str, Style] = {
    "train": Style(
        name="train",
        facades=(0, 1, 2, 4, 5, 6, 12),
        roofs=(0, 1, 2),
        signs=(0, 1, 2),
        wall_colours=_linear(
            "e6dcc4", "d9c49a", "cfa98a", "a5523f", "8f4436", "c9c3b6", "9fa8a3", "e9e6df", "d8b4a0", "b7a889"
        ),
        trim_colours=_linear("f4f2ec", "5a3f2e", "37503f", "6f7a80", "2d3b4f"),
        roof_colours=_linear("8a4a38", "6a4034", "55504c", "47484b"),
        cloth_colours=_linear("b23a34", "f0ead8", "2f6b4a", "d9a441", "35597e"),
        car_colours=_CAR_COLOURS,
        car_mix=(("hatchback", 0.28), ("sedan", 0.18), ("estate", 0.12), ("suv", 0.14), ("van", 0.23), ("truck", 0.05)),
        street_trees=("linden", "maple"),
        park_trees=("linden", "maple", "spruce"),
        themes=(("terraces", 3.0), ("mixed", 3.0), ("slabs", 2.0), ("villas", 2.0)),
    ),
    "val": Style(
        name="val",
        facades=(8, 9, 11),
        roofs=(3,),
        signs=(3,),
        wall_colours=_linear("dfe3dc", "c4cdb8", "e8cdb6", "b08f6a", "a9b5c0", "d3d0c9"),
        trim_colours=_linear("fbfbf8", "46352b", "2f4a58"),
        roof_colours=_linear("6e3d2f", "3d4248"),
        cloth_colours=_linear("2f7a8a", "f3f1ea", "9a4a6b"),
        car_colours=_linear("e4e5e6", "9a9ea3", "26282b", "3b5b86", "a3382d", "56624c", "c9b98f"),
        car_mix=(("hatchback", 0.36), ("sedan", 0.12), ("estate", 0.20), ("suv", 0.06), ("van", 0.21), ("truck", 0.05)),
        street_trees=("birch",),
        park_trees=("birch", "pine"),
        themes=(("terraces", 2.0), ("mixed", 3.0), ("slabs", 2.5), ("villas", 2.0)),
        lane=(3.2, 3.6),
        pavement=(2.4, 3.2),
        storeys=(2, 4),
        flat_roofs=0.45,
        tree_spacing=12.0,
        rig=RigJitter(lateral=0.30, roll=0.012, pitch=0.009),
    ),
    "test": Style(
        name="test",
        facades=(3, 10, 14),
        roofs=(4,),
        signs=(4, 5),
        wall_colours=_linear("ece2cd", "e2b98b", "b9a08c", "c8ccc4", "93503f", "d6cfbf", "a8988a"),
        trim_colours=_linear("efece2", "6b4a35", "3f5a49", "4d5966"),
        roof_colours=_linear("7c4131", "4d4a49"),
        cloth_colours=_linear("8e2f3c", "efe6d2", "3b6e57"),
        car_colours=_linear("dfe0e2", "a7abb0", "4a4e54", "18191b", "27486f", "8e2a2a", "6c5f50"),
        car_mix=(("sedan", 0.26), ("hatchback", 0.20), ("estate", 0.10), ("suv", 0.10), ("van", 0.28), ("truck", 0.06)),
        street_trees=("plane", "chestnut"),
        park_trees=("plane", "chestnut"),
        themes=(("terraces", 3.0), ("mixed", 2.5), ("slabs", 3.0), ("villas", 1.5)),
        lane=(3.4, 3.8),
        pavement=(2.8, 3.8),
        storeys=(3, 5),
        flat_roofs=0.35,
        tree_spacing=15.0,
        rig=RigJitter(lateral=0.30, roll=0.012, pitch=0.010),
    ),
    "demo": Style(
        name="demo",
        facades=(7, 13, 15),
        roofs=(5,),
        signs=(6, 7),
        wall_colours=_linear("f0e4c8", "e3c27e", "d59a7d", "c5d0d2", "a85b47", "dcd6ca", "9fb09a"),
        trim_colours=_linear("faf7ef", "54402f", "2f5a4c", "39506b"),
        roof_colours=_linear("9a5138", "5c4a44"),
        cloth_colours=_linear("c2403a", "f5efdf", "2d6f8f", "e0b04c"),
        car_colours=_linear("e6e7e8", "aeb2b6", "202225", "2d5488", "a32c2c", "d2b04a", "4d6b52"),
        car_mix=(("hatchback", 0.34), ("sedan", 0.20), ("estate", 0.08), ("suv", 0.14), ("van", 0.21), ("truck", 0.03)),
        street_trees=("ash",),
        park_trees=("ash", "poplar"),
        themes=(("terraces", 3.0), ("mixed", 3.5), ("slabs", 1.5), ("villas", 2.0)),
        storeys=(2, 4),
        flat_roofs=0.25,
        rig=RigJitter(),
    ),
}
