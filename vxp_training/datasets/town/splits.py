"""Which towns are for learning and which for judging: other seeds, and styles that no other split uses.

manifest.json beside this file holds the hash of every town's geometry on every day, so that anybody can tell whether
they have the same towns. `make_manifest` makes it; `vxp town manifest` calls that.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from vxp_ros.core.errors import SourceError

from .days import DAYS, make_day

# Goes up when the same seed gives other towns, poses, points or (beyond rounding) pictures.
GENERATOR_VERSION = 2
SEEDED_SIZE = (3, 2)
MANIFEST = Path(__file__).with_name("manifest.json")


@dataclass(frozen=True)
class Split:
    """A town: what it is built from and how far its car drives.

    style: name in `style.STYLES`. size: blocks along x and y. length: metres of the route
    from where the first day begins, None for all of it: about 1.3 km in 3 x 2 blocks, 3 km in 6 x 5.
    """

    name: str
    seed: int
    style: str
    size: tuple[int, int] = (6, 5)
    length: float | None = None
    is_hardened: bool = True


SPLITS = {
    split.name: split
    for split in (
        Split("town-train-1", 1101, "train", (3, 2)),
        Split("town-train-2", 1102, "train", (3, 2)),
        Split("town-train-3", 1103, "train", (3, 2)),
        Split("town-train-4", 1104, "train", (3, 2)),
        Split("town-val", 2101, "val", (3, 2)),
        Split("town-test-1", 3101, "test"),
        Split("town-test-2", 3102, "test"),
        Split("town-demo", 4101, "demo", (2, 2)),
    )
}


def find_split(name: str) -> Split:
    """Raises SourceError that lists the splits there are."""
    if name not in SPLITS:
        raise SourceError(f"there is no split {name!r}; choose one of {', '.join(SPLITS)}")
    return SPLITS[name]


def seeded(seed: int) -> Split:
    """A town that is in no split: small, of the style of those for learning."""
    return Split(f"town-{seed}", seed, "train", SEEDED_SIZE)


def check_days(days: list[str]) -> list[str]:
    """Raises SourceError unless these are days of a town, each named once."""
    wrong = [day for day in days if day not in DAYS]
    if wrong or not days or len(set(days)) < len(days):
        raise SourceError(f"days are named once each, from {', '.join(DAYS)}; got {', '.join(days) or 'none'}")
    return days


def geometry_hashes(split: Split) -> dict[str, str]:
    """Day -> sha256 of the town's geometry on it; takes up to a minute."""
    from .world import World

    world = World(split.seed, split.style, split.size, split.is_hardened)
    return {day: world.geometry_hash(make_day(day, split.seed, split.is_hardened)) for day in DAYS}


def make_manifest(hashes: dict[str, dict[str, str]]) -> dict:
    """What manifest.json holds. hashes: split -> what `geometry_hashes` gives."""
    entries = {
        name: {"seed": split.seed, "style": split.style, "size": list(split.size), "length_m": split.length,
               "is_hardened": split.is_hardened, "geometry_sha256": hashes[name]}
        for name, split in SPLITS.items()
    }  # fmt: skip
    return {"generator_version": GENERATOR_VERSION, "splits": entries}


def read_manifest() -> dict:
    return json.loads(MANIFEST.read_text())
