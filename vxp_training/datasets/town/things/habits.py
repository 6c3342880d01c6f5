"""How the kinds of trees grow and look."""

from dataclasses import dataclass

from .shapes import Colour

DECIDUOUS, EVERGREEN = 0, 1  # `style` of LEAF


@dataclass(frozen=True)
class Habit:
    """How a kind of tree grows. base: height of the crown's lower end, and width: its diameter, as shares of the
    tree's height. lobes: clumps of leaves that make the crown. rise: how steeply the branches go up, 0 to 1."""

    base: float
    width: float
    lobes: int
    bark: Colour
    leaf: Colour
    second: Colour
    rise: float = 0.5
    trunk: float = 0.025  # radius over height
    size: float = 0.58  # of a leaf clump, metres
    is_evergreen: bool = False
    is_tiered: bool = False


HABITS: dict[str, Habit] = {
    "linden": Habit(0.27, 0.58, 6, (0.17, 0.13, 0.10), (0.105, 0.185, 0.045), (0.075, 0.14, 0.035), 0.6),
    "maple": Habit(0.28, 0.70, 7, (0.20, 0.16, 0.12), (0.125, 0.195, 0.040), (0.085, 0.15, 0.030), 0.5),
    "plane": Habit(0.33, 0.80, 7, (0.36, 0.33, 0.24), (0.130, 0.200, 0.060), (0.095, 0.155, 0.045), 0.4, 0.03, 0.66),
    "chestnut": Habit(0.25, 0.76, 6, (0.14, 0.11, 0.09), (0.070, 0.135, 0.035), (0.050, 0.10, 0.025), 0.45, 0.03, 0.70),
    "ash": Habit(0.34, 0.60, 7, (0.26, 0.23, 0.19), (0.120, 0.205, 0.055), (0.090, 0.16, 0.040), 0.75),
    "birch": Habit(0.30, 0.42, 6, (0.70, 0.69, 0.65), (0.160, 0.225, 0.055), (0.115, 0.175, 0.040), 0.7, 0.016, 0.46),
    "poplar": Habit(0.12, 0.24, 5, (0.20, 0.17, 0.13), (0.090, 0.165, 0.045), (0.065, 0.125, 0.035), 0.95, 0.022),
    "pine": Habit(
        0.52, 0.62, 5, (0.34, 0.17, 0.09), (0.050, 0.090, 0.045), (0.035, 0.070, 0.035), 0.5, 0.022, 0.62, True
    ),
    "spruce": Habit(
        0.10, 0.42, 0, (0.15, 0.10, 0.07), (0.035, 0.075, 0.040), (0.025, 0.055, 0.035), 0.0, 0.018, 0.5, True, True
    ),
}
