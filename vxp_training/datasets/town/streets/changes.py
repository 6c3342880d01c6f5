"""What happens to houses between the map's day and another one."""

from enum import IntEnum

from ..draws import Purpose, draw
from ..scene import Day
from .lots import Lot


class Change(IntEnum):
    """MISSING: torn down, a site fence around. REBUILT: another house on the same plot."""

    NONE = 0
    MISSING = 1
    REBUILT = 2
    SCAFFOLDED = 3
    REPAINTED = 4


SHARES = {Change.MISSING: 0.20, Change.REBUILT: 0.30, Change.SCAFFOLDED: 0.30, Change.REPAINTED: 0.20}


def draw_change(seed: int, lot: Lot, day: Day) -> Change:
    """What became of this lot's house by that day; churches stay."""
    rng = draw(seed, Purpose.CHANGES, day.number, lot.number)
    if lot.theme == "church" or rng.uniform() >= day.changed:
        return Change.NONE
    chance = rng.uniform()
    for change, share in SHARES.items():
        if chance < share:
            return change
        chance -= share
    return Change.REPAINTED
