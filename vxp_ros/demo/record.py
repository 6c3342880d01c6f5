"""What the demo keeps of a run: every answer that came back over ROS, beside the truth."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

# Query sensor to map sensor, in the words of the VXP paper: 2D is the camera, 3D the LiDAR.
MODES = {
    "2D-2D": ("camera", "camera"),
    "3D-3D": ("lidar", "lidar"),
    "2D-3D": ("camera", "lidar"),
    "3D-2D": ("lidar", "camera"),
}


@dataclass(frozen=True)
class Answer:
    """One PlaceCandidates message. truth and place: [4, 4] T_map_base of the query and of the best candidate (None
    without a candidate). end_to_end_ms: from the player's publish of the frame's last message to the receipt here."""

    mode: str
    stamp_ns: int
    status: int
    truth: np.ndarray
    place_id: int | None
    place: np.ndarray | None
    distance: float
    end_to_end_ms: float

    @property
    def error_m(self) -> float:
        """Distance between the query's true position and the best candidate's place; inf without a candidate."""
        return float("inf") if self.place is None else float(np.linalg.norm(self.truth[:3, 3] - self.place[:3, 3]))


@dataclass(frozen=True)
class DemoRun:
    """Everything the report is made of. answers holds those of all modes; summary is what summary.json will hold."""

    map_path: Path
    query_bag: Path
    answers: list[Answer]
    summary: dict = field(default_factory=dict)
