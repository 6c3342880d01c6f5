"""What is to be recorded: one drive through one town on one day with one rig. Its hash names the master folder."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from ..rig import Distortion, Rig, make_rig
from ..splits import GENERATOR_VERSION, Split

# Files that change no picture, point or pose, so that a change of theirs keeps the masters there are.
BESIDE = {"gallery.py", "odometry.py", "processes.py", "recording.py", "splits.py", "target.py"}


@dataclass(frozen=True)
class RigChoice:
    """The arguments of `make_rig` that a user chooses."""

    cameras: int = 1
    size: tuple[int, int] = (640, 360)
    rings: int = 32
    distortion: Distortion = "none"


@dataclass(frozen=True)
class Task:
    """spacing: metres between frames, or rate_hz: frames per second; one of the two. length: metres of the drive, None
    for the split's. start: metres into the route. route: "main", "unmapped" (streets that "main" never sees, all of
    them, whatever start and length say) or "both", one after the other. samples: per pixel and axis. has_blur:
    pictures blur by what the car drives while the shutter is open; each takes two or three times as long."""

    split: Split
    day: str
    rig: RigChoice = RigChoice()
    spacing: float | None = None
    rate_hz: float | None = None
    length: float | None = None
    start: float = 0.0
    route: str = "main"
    samples: int = 2
    has_blur: bool = False

    def make_rig(self) -> Rig:
        """The rig that the choice describes, mounted with the small errors of this town's car."""
        rig = self.rig
        return make_rig(rig.cameras, rig.size, rig.rings, rig.distortion, jitter_seed=self.split.seed)

    def key(self) -> str:
        """Sixteen hex digits: the same for the same pictures, points and poses."""
        facts = {"version": GENERATOR_VERSION, "code": code_digest(), **asdict(self)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    def folder(self, cache: Path) -> Path:
        return cache / f"{self.split.name}-{self.day}-{self.key()}"


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Hash of the generator's own code, so that no master outlives the code that made it."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        if path.name not in BESIDE:
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
