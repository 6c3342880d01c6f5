"""Where sensors sit on the robot, as /tf_static tells it. The recorded counterpart of ros/transforms.py."""

import numpy as np

from ..core.geometry import invert
from ..ros.conversions import to_matrix


class StaticTransforms:
    """The tree that /tf_static describes."""

    def __init__(self):
        self._parents: dict[str, tuple[str, np.ndarray]] = {}

    def add(self, message) -> None:
        """Take a tf2_msgs/TFMessage. Raises BadInput for a transform that is none."""
        for entry in message.transforms:
            self._parents[entry.child_frame_id] = (entry.header.frame_id, to_matrix(entry.transform))

    def add_new(self, message) -> None:
        """The same, but frames that are known stay where they are."""
        known = dict(self._parents)
        self.add(message)
        self._parents.update(known)

    def look_up(self, target: str, source: str) -> np.ndarray | None:
        """[4, 4] T_target_source, or None when the two are not connected."""
        from_source, from_target = self._ancestors(source), self._ancestors(target)
        for frame, T_frame_source in from_source.items():
            if frame in from_target:
                return invert(from_target[frame]) @ T_frame_source
        return None

    def _ancestors(self, frame: str) -> dict[str, np.ndarray]:
        """The frame and all above it, nearest first, each with T_ancestor_frame. A loop in the tree ends the walk."""
        found = {frame: np.eye(4)}
        T = np.eye(4)
        while frame in self._parents:
            frame, T_parent_frame = self._parents[frame]
            if frame in found:
                break
            T = T_parent_frame @ T
            found[frame] = T
        return found
