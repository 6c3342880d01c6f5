"""Ways on which things go round and round, so that a formula tells where they are."""

from dataclasses import dataclass

import numpy as np

REACH = 80.0  # metres around the driving car within which moving things are shown


@dataclass(frozen=True)
class Ring:
    """A closed way with everything that goes round on it at one speed. points: [P, 2], `step` apart; offsets: metres
    along of each thing at time 0; things: numbers; speed: m/s, negative for the other way round."""

    points: np.ndarray
    step: float
    offsets: np.ndarray
    things: tuple
    speed: float

    def place(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Where everything is: xy [N, 2], heading [N]."""
        count = len(self.points)
        along = (self.offsets + self.speed * seconds) / self.step % count
        here = np.floor(along).astype(int) % count
        t = (along - np.floor(along))[:, None]
        xy = (1 - t) * self.points[here] + t * self.points[(here + 1) % count]
        d = self.points[(here + 2) % count] - self.points[here - 1]
        return xy, np.arctan2(d[:, 1], d[:, 0]) + (np.pi if self.speed < 0 else 0.0)
